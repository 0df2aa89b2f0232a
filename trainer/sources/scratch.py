"""Prepared rows in a scratch file: written once, mapped into memory a block at a time."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from trainer.core.loss import SQUARED_ERROR

Array = npt.NDArray[Any]

MAPPED_BYTES = 2**26
"""Bytes of features that are mapped at a time: some 30 blocks, for threads to share."""


class Scratch:
    """Features, numbers of classes, and weights of n rows on disk.

    The files have no name: the operating system frees their space when the process ends, in
    whatever way it does.

    Parameters
    ----------
    folder : path or None
        Where; None is the system's folder for temporary files.
    n_rows, n_features : int
        Shape of X, for which the space is reserved.
    dtype : dtype
        Of X.
    is_weighted : bool
        Whether the rows have weights.

    Raises
    ------
    ValueError
        If the disk has too little space left.
    """

    def __init__(
        self, folder: Any, n_rows: int, n_features: int, dtype: Any, is_weighted: bool
    ) -> None:
        self.n_rows, self.n_features, self.dtype = n_rows, n_features, np.dtype(dtype)
        row_bytes = self.dtype.itemsize * n_features
        sizes = {"X": row_bytes, "codes": 4} | ({"weight": 8} if is_weighted else {})
        self.nbytes = n_rows * sum(sizes.values())
        place = tempfile.gettempdir() if folder is None else os.fspath(folder)
        free = shutil.disk_usage(place).free
        if free < self.nbytes:
            raise ValueError(
                f"the prepared rows need {self.nbytes / 1e9:.2f} GB of scratch space, got "
                f"{free / 1e9:.2f} GB free in {place}; name another folder, or use "
                "dtype='float32'"
            )
        self.files: dict[str, IO[bytes]] = {}
        self.close = weakref.finalize(self, _close, self.files)
        try:
            for name, size in sizes.items():
                self.files[name] = tempfile.TemporaryFile(dir=place, prefix="rows-")  # noqa: SIM115
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(self.files[name].fileno(), 0, max(1, n_rows * size))
        except OSError as error:
            self.close()
            raise ValueError(
                f"{place} has no space for {self.nbytes / 1e9:.2f} GB of scratch space "
                f"({error.strerror}); name another folder"
            ) from None
        self.block_rows = max(256, MAPPED_BYTES // max(1, row_bytes))

    def append(self, X: Array, codes: Array, weight: Array | None) -> None:
        """Write some rows behind the others."""
        self.files["X"].write(np.ascontiguousarray(X, dtype=self.dtype).data)
        self.files["codes"].write(codes.astype(np.int32).data)
        if weight is not None:
            self.files["weight"].write(weight.astype(np.float64).data)

    def finish(self) -> None:
        """Make what was written readable."""
        for file in self.files.values():
            file.flush()

    def blocks(self) -> Iterator[tuple[int, Array, Array, Array | None]]:
        """All rows: the number of the first one of the block, X, codes, weight.

        A block is mapped, not copied; its pages are released with the last reference to it.
        """
        size = self.block_rows * self.dtype.itemsize * self.n_features
        for start in range(0, self.n_rows, self.block_rows):
            if hasattr(os, "posix_fadvise"):  # the next block is read while this one is used
                following = start // self.block_rows * size + size
                advice = os.POSIX_FADV_WILLNEED
                os.posix_fadvise(self.files["X"].fileno(), following, size, advice)
            yield start, *self._rows(start, min(start + self.block_rows, self.n_rows))

    def take(self, index: Array) -> tuple[Array, Array, Array | None]:
        """Copies of some rows, in rising order."""
        X, codes, weight = [], [], []
        for start in np.unique(index // self.block_rows) * self.block_rows:
            stop = min(start + self.block_rows, self.n_rows)
            chosen = index[(index >= start) & (index < stop)] - start
            block = self._rows(int(start), int(stop))
            X.append(block[0][chosen])
            codes.append(block[1][chosen])
            if block[2] is not None:
                weight.append(block[2][chosen])
        return (
            np.concatenate(X),
            np.concatenate(codes),
            np.concatenate(weight) if weight else None,
        )

    def _rows(self, start: int, stop: int) -> tuple[Array, Array, Array | None]:
        X = self._mapped("X", self.dtype, (start, stop), (stop - start, self.n_features))
        codes = self._mapped("codes", np.int32, (start, stop), (stop - start,))
        if "weight" not in self.files:
            return X, codes, None
        return X, codes, self._mapped("weight", np.float64, (start, stop), (stop - start,))

    def _mapped(
        self, name: str, dtype: Any, rows: tuple[int, int], shape: tuple[int, ...]
    ) -> Array:
        row_bytes = np.dtype(dtype).itemsize * int(np.prod(shape[1:]))
        file: Any = self.files[name]
        mapped = np.memmap(file, dtype, mode="r", offset=rows[0] * row_bytes, shape=shape)
        return mapped.view(np.ndarray)


def _close(files: dict[str, IO[bytes]]) -> None:
    """Give the space back."""
    for file in files.values():
        file.close()


class EncodedBlocks:
    """The blocks of a scratch file as a bank's rows, for `trainer.core.rows.BlockRows`.

    Parameters
    ----------
    scratch : Scratch
        The rows.
    neuron_of : array of shape (n_codes,)
        Which of the classes, in the estimator's order, each code is.
    n_classes : int
        How many there are: two are one neuron, more are one neuron a class.
    of_class : array of shape (n_classes,) or None
        Weight of each class.
    progress : callable, optional
        Called with the number of the pass, rows read in it, and rows in all.
    """

    def __init__(
        self,
        scratch: Scratch,
        neuron_of: Array,
        n_classes: int,
        of_class: Array | None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.scratch, self.neuron_of, self.of_class = scratch, neuron_of, of_class
        self.n_classes, self.progress = n_classes, progress
        self.n_passes = 0

    def __call__(self) -> Iterator[tuple[Array, Array, Array | None]]:
        """All blocks: (X, y, weight)."""
        self.n_passes += 1
        for start, X, codes, weight in self.scratch.blocks():
            yield X, *encoded(self.neuron_of[codes], weight, self.n_classes, self.of_class, X.dtype)
            if self.progress:
                self.progress(f"pass {self.n_passes}", start + len(X), self.scratch.n_rows)

    def take(self, index: Array) -> tuple[Array, Array, Array | None]:
        """Copies of some rows, in rising order, without reading all."""
        X, codes, weight = self.scratch.take(index)
        return X, *encoded(self.neuron_of[codes], weight, self.n_classes, self.of_class, X.dtype)


def encoded(
    codes: Array, weight: Array | None, n_classes: int, of_class: Array | None, dtype: Any
) -> tuple[Array, Array | None]:
    """Targets, as the loss stores those of 0 and 1, and weights with the class weights."""
    if of_class is not None:
        weight = of_class[codes] if weight is None else weight * of_class[codes]
    if n_classes == 2:
        values = (codes == 1).astype(dtype)
    else:
        values = np.asfortranarray(codes[:, np.newaxis] == np.arange(n_classes), dtype=dtype)
    return SQUARED_ERROR.encode(values)[1], None if weight is None else weight.astype(dtype)
