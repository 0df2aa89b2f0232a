"""Parallel execution: threads, the limit of one BLAS thread each, and scratch memory.

Large computations are divided among Python threads, and BLAS runs on one core in each of them.
OpenBLAS's own threads would keep spinning after a call, on the cores that the next block, or the
OpenBLAS of SciPy, needs: with them a fit of 5 000 x 100 took 114 ms instead of 33 by one thread.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Lock, local
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import cpu_count
from threadpoolctl import ThreadpoolController

Array = npt.NDArray[Any]


class BlasLimit:
    """Limits BLAS to one thread while any fit of this process requires it.

    The number of BLAS threads is a setting of the process, so the fits that require the limit
    are counted: the first sets the limit, and the last restores the previous number.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.n_holders = 0
        self.n_threads_before: list[int] = []
        """Number of threads of each BLAS library while they are limited, else none."""

    def acquire(self) -> None:
        """Limit BLAS to one thread."""
        with self.lock:
            if not self.n_threads_before:  # else Ctrl-C came before it was counted or lifted
                self.n_threads_before = _blas_threads()
                _set_blas_threads([1] * len(self.n_threads_before))
            self.n_holders += 1

    def release(self) -> None:
        """Stop requiring the limit; the last holder restores the number of threads."""
        with self.lock:
            self.n_holders -= 1
            if self.n_holders == 0:
                _set_blas_threads(self.n_threads_before)
                self.n_threads_before = []

    def n_threads_allowed(self) -> int:
        """Number of BLAS threads that the user or the environment allows; 0 if BLAS has none."""
        with self.lock:
            return max(self.n_threads_before or _blas_threads(), default=0)

    def after_fork(self) -> None:
        """Restore the number of threads in a child process, where no fit of the parent runs."""
        if self.n_threads_before:
            _set_blas_threads(self.n_threads_before)
        self.__init__()  # type: ignore[misc]


BLAS_LIMIT = BlasLimit()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def _blas_threads() -> list[int]:
    return [library.num_threads for library in _blas().lib_controllers]


def _set_blas_threads(numbers: list[int]) -> None:
    """Set the number of threads of each BLAS library, at a fifth of the cost of a ``with`` block.

    Since version 3.8, threadpoolctl ignores all threads but the first that set the number, until
    that thread gives up control.
    """
    for library, n_threads in zip(_blas().lib_controllers, numbers, strict=True):
        library.set_num_threads(n_threads)
        getattr(library, "clear_controlling_thread", bool)()


def available_threads() -> int:
    """Number of threads that may share the work of a fit, including the calling thread.

    It is the number of processors, or the number of threads that BLAS may use if that is lower:
    ``OMP_NUM_THREADS``, `threadpoolctl` and the inner limit of `joblib` are respected.
    """
    n_processors = cpu_count()
    return max(1, min(n_processors, BLAS_LIMIT.n_threads_allowed() or n_processors))


def rounding() -> dict[str, Any]:
    """What decides in which order sums are added, and so their last digit."""
    with session():
        n_threads = session_threads()
    libraries = (
        f"{blas['internal_api']} {blas['version']} {blas.get('architecture', '')}".strip()
        for blas in _blas().info()
    )
    return {"threads": n_threads, "BLAS": sorted(set(libraries))}


class _ThisThread(local):
    """State of the current thread's session."""

    def __init__(self) -> None:
        self.depth = 0
        self.n_threads = 0
        self.pool: ThreadPoolExecutor | None = None
        self.holds_blas = False
        self.scratch: dict[str, Array] = {}


_this = _ThisThread()
_n_pools = 0
_pools_lock = Lock()


def _after_fork() -> None:
    """Forget threads and sessions of the parent process: they do not exist in the child."""
    global _this, _n_pools, _pools_lock
    _this, _n_pools, _pools_lock = _ThisThread(), 0, Lock()
    BLAS_LIMIT.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class session:  # noqa: N801 - a context manager, named like a function
    """Limit BLAS, and keep threads and scratch memory, until the outermost block ends.

    No thread is started before the first computation that is large enough to be divided.
    """

    def __enter__(self) -> None:
        if _this.depth == 0:
            BLAS_LIMIT.acquire()
            _this.holds_blas = True
        _this.depth += 1

    def __exit__(self, *_: object) -> None:
        _this.depth = max(0, _this.depth - 1)  # a forked child may leave its parent's block
        if _this.depth == 0:
            _close()


def _close() -> None:
    global _n_pools
    _this.n_threads = 0
    _this.scratch.clear()
    pool, _this.pool = _this.pool, None
    try:
        if pool is not None:
            with _pools_lock:
                _n_pools -= 1
            pool.shutdown()
    finally:  # Ctrl-C may interrupt the wait for the threads
        if _this.holds_blas:
            _this.holds_blas = False
            BLAS_LIMIT.release()


def session_threads() -> int:
    """Number of threads of this session; concurrent sessions divide the processors."""
    if _this.n_threads == 0:
        with _pools_lock:
            n_others = _n_pools
        _this.n_threads = max(1, available_threads() // (1 + n_others))
    return _this.n_threads


def run(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the tasks, in order. The first runs in this thread, the others in the pool."""
    with session():
        return _run(tasks)


def _run(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    global _n_pools
    if _this.pool is None and len(tasks) > 1:
        _this.pool = ThreadPoolExecutor(session_threads())
        with _pools_lock:
            _n_pools += 1
    others = [_this.pool.submit(_quietly, task) for task in tasks[1:] if _this.pool]
    try:
        first = _quietly(tasks[0])
    except BaseException:  # such as Ctrl-C: the other threads still write to shared arrays
        wait(others)
        raise
    return [first, *(other.result() for other in others)]


def _quietly(task: Callable[[], Any]) -> Any:
    """A task's result; floating-point errors are ignored, as they are in the calling fit."""
    with np.errstate(all="ignore"):  # a new thread starts with NumPy's default settings
        return task()


def scratch(name: str, shape: tuple[int, int], dtype: Any) -> Array:
    """Scratch array (m, K) of this thread with contiguous columns, reused by the next call.

    Allocating memory for every block would cost as much as the arithmetic. The contents are
    arbitrary; arrays that are in use at the same time need different names.
    """
    m, n_columns = shape
    dtype = np.dtype(dtype)
    kept = _this.scratch.get(name)
    if kept is None or kept.shape != shape or kept.dtype != dtype:
        memory = None if kept is None else kept.base
        if memory is None or memory.size < m * n_columns or memory.dtype != dtype:
            memory = np.empty(m * n_columns, dtype)
        kept = memory[: m * n_columns].reshape(n_columns, m).T
        _this.scratch[name] = kept
    return kept
