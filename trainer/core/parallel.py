"""Who computes: threads, BLAS on one thread each, and scratch memory.

Work that is large enough is shared by Python threads, each of which runs BLAS on a single
core: OpenBLAS's own threads keep spinning for about 100 ms after a call, on the cores that
the next block needs.
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
    """BLAS held at one thread while any fit of this process needs it.

    The number of BLAS threads belongs to the process, so the fits that hold it are counted:
    the first one sets the limit, the last one restores what was set before.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.n_holders = 0
        self.limiter: Any = None
        self.n_threads_before = 1

    def acquire(self) -> None:
        """Hold BLAS at one thread."""
        with self.lock:
            if self.n_holders == 0:
                self.n_threads_before = _blas_threads()
                self.limiter = _blas().limit(limits=1)
                _give_up_control()
            self.n_holders += 1

    def release(self) -> None:
        """Stop holding it; the last holder restores the number of threads."""
        with self.lock:
            self.n_holders -= 1
            if self.n_holders == 0:
                self.limiter.restore_original_limits()
                _give_up_control()

    def n_threads_allowed(self) -> int:
        """BLAS threads that the user or the environment allows."""
        with self.lock:
            return self.n_threads_before if self.n_holders else _blas_threads()

    def after_fork(self) -> None:
        """Restore the limit in a child process, where none of the parent's fits goes on."""
        if self.n_holders:
            self.limiter.restore_original_limits()
        self.__init__()  # type: ignore[misc]


BLAS_LIMIT = BlasLimit()
os.register_at_fork(after_in_child=BLAS_LIMIT.after_fork)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def _give_up_control() -> None:
    """Let other threads set the number of BLAS threads.

    From version 3.8 on, threadpoolctl ignores all threads but the first that set it, until a
    ``with`` block of that thread ends; this one sets nothing.
    """
    with _blas().limit(limits=None):
        pass


def _blas_threads() -> int:
    return max((library.num_threads for library in _blas().lib_controllers), default=cpu_count())


def available_threads() -> int:
    """Threads that may share the work of a fit, the calling one included.

    One a processor, and not more than BLAS may use: ``OMP_NUM_THREADS``, `threadpoolctl` and
    the inner limit of `joblib` are respected.
    """
    return max(1, min(cpu_count(), BLAS_LIMIT.n_threads_allowed()))


class _ThisThread(local):
    """What the session of the current thread holds."""

    def __init__(self) -> None:
        self.depth = 0
        self.n_threads = 0
        self.pool: ThreadPoolExecutor | None = None
        self.holds_blas = False
        self.scratch: dict[str, Array] = {}


_this = _ThisThread()
_n_pools = 0
_pools_lock = Lock()


class session:  # noqa: N801 - a context manager, named like a function
    """Keep threads and scratch memory until the outermost ``with session():`` block ends.

    Nothing is started before the first work that is worth sharing.
    """

    def __enter__(self) -> None:
        _this.depth += 1

    def __exit__(self, *_: object) -> None:
        _this.depth -= 1
        if _this.depth == 0:
            _close()


def _close() -> None:
    global _n_pools
    _this.n_threads = 0
    _this.scratch.clear()
    if _this.pool is not None:
        _this.pool.shutdown()
        _this.pool = None
        with _pools_lock:
            _n_pools -= 1
    if _this.holds_blas:
        _this.holds_blas = False
        BLAS_LIMIT.release()


def hold_blas() -> None:
    """Run BLAS on one thread until the session ends."""
    if not _this.holds_blas:
        BLAS_LIMIT.acquire()
        _this.holds_blas = True


def session_threads() -> int:
    """Threads of this session; sessions that run side by side divide the processors."""
    if _this.n_threads == 0:
        with _pools_lock:
            n_others = _n_pools
        _this.n_threads = max(1, available_threads() // (1 + n_others))
    return _this.n_threads


def run(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the tasks, in order: the first runs here, each other in a thread of its own."""
    global _n_pools
    hold_blas()
    if _this.pool is None and len(tasks) > 1:
        _this.pool = ThreadPoolExecutor(session_threads())
        with _pools_lock:
            _n_pools += 1
    others = [_this.pool.submit(_quietly, task) for task in tasks[1:] if _this.pool]
    try:
        first = _quietly(tasks[0])
    except BaseException:  # Ctrl-C among them: the other threads still write to shared arrays
        wait(others)
        raise
    return [first, *(other.result() for other in others)]


def _quietly(task: Callable[[], Any]) -> Any:
    """A task's result, with the floating-point errors ignored that its fit ignores."""
    with np.errstate(all="ignore"):  # a new thread begins with NumPy's own settings
        return task()


def scratch(name: str, shape: tuple[int, int], dtype: Any) -> Array:
    """Memory (m, K) of this thread, a column one run in memory, reused by the next call.

    Fresh memory for every block would cost as much as the arithmetic on it. The contents are
    arbitrary; two arrays that are in use at the same time need different names.
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
