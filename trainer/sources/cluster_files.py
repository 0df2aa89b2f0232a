"""Files read and prepared by the workers of a Dask cluster: a part of the table is a shard."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.sources.batches import divided
from trainer.sources.cluster import DaskRows, Shard, Shards, _itself, active_client
from trainer.sources.files import Draw, Plan, PreparedRows, Progress, Table
from trainer.sources.scratch import encoded

Array = npt.NDArray[Any]

SHARD_ROWS = 250_000
"""Rows that a shard of a Parquet file of many row groups has at least."""


class ClusterRows(PreparedRows):
    """Rows of files, prepared and kept by the workers of a cluster; see `PreparedRows`."""

    def __init__(
        self, plan: Plan, shards: Shards, sizes: list[int], dtype: Any, progress: Progress | None
    ) -> None:
        super().__init__(plan, sum(sizes), dtype, progress)
        self._shards, self._sizes = shards, sizes

    def encoded(self, classes: Array, of_class: Array | None) -> DaskRows:
        """The rows of a bank of neurons, see `FileRows.encoded`."""
        neuron_of = self._plan.neuron_of(classes)
        given = neuron_of, len(classes), of_class
        shards = self._shards.then(_encode, *([value] * len(self._sizes) for value in given))
        n_targets = 1 if len(classes) == 2 else len(classes)
        return DaskRows(
            shards, self._sizes, self.n_features, n_targets, self.dtype,
            weight_sum=self._weight_sum(neuron_of, of_class),
        )  # fmt: skip

    def close(self) -> None:
        """Let the workers forget the rows."""
        self._shards.release()


def open_on_cluster(
    client: Any,
    table: Table,
    n_drawn: int,
    classes: tuple[Any, bool],
    test_size: float,
    dtype: str,
    random_state: int,
) -> ClusterRows:
    """Both passes over a table's files, a task a part each; see `open_rows`."""
    from dask import delayed

    client = active_client(client, packages=["pyarrow"])
    if any(part.path is None for part in table.parts):
        raise ValueError(
            "workers read files: give paths with client, or leave client out for a stream"
        )
    parts = [piece for part in table.parts for piece in divided(part, SHARD_ROWS)]
    load = delayed(_itself, pure=False)
    tables = [table.of_part(part) for part in parts]
    sources = Shards(client, [load(own) for own in tables], table.progress)
    seeds = [[random_state, i] for i in range(len(parts))]
    draw, sizes = Draw(n_drawn), []
    for own, drawn in sources.run(_survey, n_drawn, each=seeds, what="reading"):
        draw.extend(drawn, table.n_rows)
        table.add(own)
        sizes.append(own.n_rows)
    draw.shrink()
    plan = Plan(table, draw, classes, test_size)

    bounds = np.cumsum([0, *sizes])
    held_out = [
        plan.held_out[slice(*np.searchsorted(plan.held_out, bounds[i : i + 2]))] - bounds[i]
        for i in range(len(parts))
    ]
    prepare, tasks, kept = delayed(_prepare, pure=False), [], []
    for i, part in enumerate(parts):
        n_rows = sizes[i] - len(held_out[i])
        if n_rows:
            own = table.of_part(part)
            tasks.append(
                prepare(own, plan.preprocessor, held_out[i], n_rows, plan.n_features, dtype)
            )
            kept.append(n_rows)
    shards = Shards(client, tasks, table.progress)
    shards.run(_n_rows, what="preparing")  # a shard that cannot be prepared is told of here
    return ClusterRows(plan, shards, kept, dtype, table.progress)


class _Collected:
    """What `Table.prepare` writes, in memory."""

    def __init__(self, n_rows: int, n_features: int, dtype: str) -> None:
        self.n_rows, self.n_features, self.dtype = n_rows, n_features, np.dtype(dtype)
        self.X = np.empty((n_rows, n_features), self.dtype)
        self.codes = np.empty(n_rows, dtype=np.int32)
        self.weight: Array | None = None
        self.n_written = 0

    def append(self, X: Array, codes: Array, weight: Array | None) -> None:
        part = slice(self.n_written, self.n_written + len(X))
        self.X[part], self.codes[part] = X, codes
        if weight is not None:
            if self.weight is None:
                self.weight = np.empty(self.n_rows)
            self.weight[part] = weight
        self.n_written += len(X)

    def finish(self) -> None:
        """Nothing is left to do."""


def _survey(table: Table, n_drawn: int, seed: list[int]) -> tuple[Table, Draw]:
    return table, table.survey(n_drawn, seed)


def _prepare(
    table: Table, preprocessor: Any, held_out: Array, n_rows: int, n_features: int, dtype: str
) -> Shard:
    collected = _Collected(n_rows, n_features, dtype)
    table.prepare(preprocessor, collected, held_out)
    return Shard(collected.X, collected.codes, collected.weight)


def _n_rows(shard: Shard) -> int:
    return len(shard.y)


def _encode(shard: Shard, neuron_of: Array, n_classes: int, of_class: Array | None) -> Shard:
    X, codes, weight = shard
    return Shard(X, *encoded(neuron_of[codes], weight, n_classes, of_class, X.dtype))
