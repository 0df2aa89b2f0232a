"""Frames for a fitted pipeline, out of tables of any size: columns matched to those it knows."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from trainer.datasets.text import quote, similar
from trainer.sources.batches import Part, open_parts
from trainer.sources.columns import Columns


class FrameReader:
    """Reads tables in pieces, as frames that a pipeline was fitted to predict on.

    Parameters
    ----------
    model : Pipeline
        Fitted; its first step is a preprocessor of `make_preprocessor`.
    n_rows : int
        Rows a piece.
    id_column : str, optional
        A column that identifies rows; by default they are numbered from 0.

    Attributes
    ----------
    notes : list of str
        What `read` found about the columns.
    unseen : dict
        For each text column, how many rows read so far hold a category that the model does
        not know.
    paths : list of str
        All files.
    n_bytes : int
        Their size.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from trainer import FrameReader, LogisticNeuron, make_preprocessor
    >>> table = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "colour": ["r", "r", "b", "b"]})
    >>> model = make_pipeline(make_preprocessor(table), LogisticNeuron())
    >>> reader = FrameReader(model.fit(table, [0, 0, 1, 1]), n_rows=1000)
    >>> for numbers, frame, share in reader.read("data/new.csv"):  # doctest: +SKIP
    ...     print(model.predict(frame))
    """

    def __init__(self, model: Any, n_rows: int, id_column: str | None = None) -> None:
        preprocessor: Any = model[0] if hasattr(model, "steps") else None
        if not hasattr(preprocessor, "feature_names_in_"):
            raise ValueError(
                "the model must be a pipeline with a preprocessor that was fitted on a frame, as "
                f"train.py saves it, got {type(model).__name__}"
            )
        self.features: list[str] = preprocessor.feature_names_in_.tolist()
        kinds = {name: columns for name, _, columns in preprocessor.transformers_}
        self.text = list(kinds.get("text", []))
        encoder = preprocessor.named_transformers_.get("text")
        categories = getattr(encoder, "categories_", [])
        self.known = {
            name: set(values.tolist()) for name, values in zip(self.text, categories, strict=False)
        }
        self.n_rows, self.id_column = n_rows, id_column
        self.unseen = dict.fromkeys(self.text, 0)
        self.notes: list[str] = []
        self.paths: list[str] = []
        self.n_bytes = 0

    def read(self, tables: Any) -> Iterator[tuple[pd.Series, pd.DataFrame, float]]:
        """Pieces of the tables, in order: identities, features, and the share read by then.

        Columns are checked at once, before the first piece is asked for.
        """
        parts = open_parts(tables, None)
        self.notes, self.unseen = [], dict.fromkeys(self.text, 0)
        for part in parts:
            self._check(part)
        self.paths = [part.path for part in parts if part.path]
        self.n_bytes = sum(map(os.path.getsize, self.paths))
        return self._pieces(parts)

    def _check(self, part: Part) -> None:
        found = list(part.schema.names)
        needed = [*self.features, *([self.id_column] if self.id_column else [])]
        missing = [name for name in needed if name not in found]
        if missing:
            best = similar(missing[0], found) if len(missing) == 1 else None
            hint = "" if best is None else f"; the nearest is {quote(best)}"
            shown = ", ".join(quote(name) for name in missing[:10])
            raise ValueError(
                f"{part.name} lacks {len(missing)} of the {len(needed)} columns needed: "
                f"{shown}{', ...' if len(missing) > 10 else ''}{hint}"
            )
        extra = [quote(name) for name in found if name not in needed]
        if extra:
            shown = ", ".join(extra[:10]) + (", ..." if len(extra) > 10 else "")
            self.notes.append(f"{part.name}: columns not used: {shown}")
        known = [name for name in found if name in self.features]
        if known != self.features:
            self.notes.append(f"{part.name}: columns in another order, matched by name")
        columns = Columns([part], self.features, ())
        for name in self.features:
            kind = columns.kinds[name]
            if name in self.text and kind in ("number", "boolean"):
                self.notes.append(
                    f"{part.name}: column {quote(name)} holds numbers, text in training; read as "
                    "text"
                )
            elif kind not in ("", "number", "text"):
                raise ValueError(
                    f"column {quote(name)} of {part.name} must hold numbers or text, got {kind}"
                )
            elif name not in self.text and kind == "text":
                self.notes.append(
                    f"{part.name}: column {quote(name)} is text, numbers in training; read as "
                    "numbers"
                )

    def _pieces(self, parts: list[Part]) -> Iterator[tuple[pd.Series, pd.DataFrame, float]]:
        n_before, n_bytes_before = 0, 0
        names = [*self.features]
        if self.id_column and self.id_column not in names:
            names.append(self.id_column)
        for part in parts:
            columns = Columns([part], self.features, self.text)
            # numbers whatever was declared: a word among them is an error with its place
            columns.kinds = {
                name: "text" if name in self.text else "number or boolean" for name in self.features
            }
            size = os.path.getsize(part.path) if part.path else 0
            total = self._count(part)
            first = 0
            for batch in part.batches(names, self.n_rows):
                rows = range(first, first + batch.num_rows)
                frame = columns.frame(part, batch, rows, self.features)
                for name, known in self.known.items():
                    self.unseen[name] += int((~frame[name].isin(known)).sum())
                first += batch.num_rows
                if self.id_column:
                    identity = batch.column(self.id_column).to_pandas(types_mapper=pd.ArrowDtype)
                    identity = identity.rename(self.id_column)
                else:
                    start = n_before + rows.start
                    identity = pd.Series(np.arange(start, start + len(frame)), name="row")
                done = first / total if total else 0.5
                yield identity, frame, (n_bytes_before + done * size) / max(1, self.n_bytes)
            n_before, n_bytes_before = n_before + first, n_bytes_before + size

    def _count(self, part: Part) -> int | None:
        """Rows of a Parquet file; an estimate for CSV from the length of its first lines."""
        if part.path is None:
            return None
        if not part.is_text:
            import pyarrow as pa
            import pyarrow.parquet

            try:
                return int(pa.parquet.read_metadata(part.path).num_rows)
            except pa.ArrowInvalid:
                return None
        with open(part.path, "rb") as file:
            start = file.read(2**20)
        if start.startswith(b"\x1f\x8b"):
            return None
        return int(os.path.getsize(part.path) * start.count(b"\n") / max(1, len(start)))
