"""Threads, the limit of BLAS threads, and scratch memory."""

import os
import signal
import subprocess
import sys
import warnings
from threading import Barrier, Event, Thread

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_info, threadpool_limits

from trainer import LogisticNeuron
from trainer.core import parallel


def blas_threads():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@pytest.fixture
def two_blas_threads():
    limiter = threadpool_limits(2, user_api="blas")  # in a `with` block, other threads could not
    with threadpool_limits(None):
        pass
    yield
    limiter.restore_original_limits()


def test_blas_is_held_for_a_session_and_restored(two_blas_threads):
    with parallel.session():
        assert blas_threads() == {1}
        with parallel.session():
            pass
        assert blas_threads() == {1}
    assert blas_threads() == {2}


@pytest.mark.parametrize("when", ["acquire", "release"])
def test_interrupted_limit_is_lifted_by_the_next_fit(when, two_blas_threads, monkeypatch):
    """Ctrl-C after the limit is set, and before it is lifted."""

    set_threads = parallel._set_blas_threads

    def limited(numbers):
        set_threads(numbers)
        if when == "acquire":
            raise KeyboardInterrupt

    def interrupt(numbers):
        raise KeyboardInterrupt

    def interrupted():
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "_set_blas_threads", limited)
            with parallel.session():
                patch.setattr(parallel, "_set_blas_threads", interrupt)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert blas_threads() == {1}
    with parallel.session():
        assert parallel.available_threads() == min(2, parallel.cpu_count())
    assert blas_threads() == {2}


def test_overlapping_sessions_restore_blas(two_blas_threads):
    """A enters, B enters, A leaves, B leaves."""
    a_may_leave, a_has_left = Barrier(2), Barrier(2)
    seen = []

    def a():
        with parallel.session():
            a_may_leave.wait()
        a_has_left.wait()

    def b():
        with parallel.session():
            a_may_leave.wait()
            a_has_left.wait()
            seen.append(blas_threads())
        seen.append(blas_threads())

    threads = [Thread(target=a), Thread(target=b)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [{1}, {2}]


class Meeting:
    """A scikit-learn callback that waits for another fit, at its first iteration and at its end."""

    def __init__(self, begun, ended):
        self.begun, self.ended = begun, ended

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.parent is not None and self.begun is not None:
            self.begun.wait(60)
            self.begun = None
            if self.ended is not None:
                self.ended.wait(60)


def test_overlapping_fits_restore_blas(two_blas_threads):
    """A enters, B enters, A leaves, B leaves: fits with threads of their own, which hold BLAS."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30_000, 30)), np.arange(30_000) % 12
    both, a_has_left = Barrier(2), Event()
    held = []

    def fit(meeting, done):
        LogisticNeuron(max_iter=3, n_starts=1).set_callbacks(meeting).fit(X, y)
        held.append(blas_threads())
        done()

    threads = [
        Thread(target=fit, args=(Meeting(both, None), a_has_left.set)),
        Thread(target=fit, args=(Meeting(both, a_has_left), int)),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three iterations are too few
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert held == [{1}, {2}]  # B still holds BLAS when A has left


def test_joblibs_threads_leave_blas_as_it_was(two_blas_threads):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30_000, 30)), np.arange(30_000) % 12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Parallel(n_jobs=3, backend="threading")(
            delayed(LogisticNeuron(max_iter=2, n_starts=1).fit)(X, y) for _ in range(6)
        )
    assert blas_threads() == {2}


def test_joblibs_inner_limit_is_kept():
    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(n_jobs=2)(delayed(parallel.available_threads)() for _ in range(2))
    assert found == [1, 1]


@pytest.mark.parametrize(("n", "d"), [(569, 30), (2_000, 100), (300, 600)])
def test_a_fit_leaves_the_other_cores_alone(n, d):
    """BLAS's own threads would spin on them for the whole of a fit of one block."""
    code = """if True:
        import sys, time
        import numpy as np
        from trainer import LogisticNeuron

        n, d = map(int, sys.argv[1:])
        X = np.random.default_rng(0).normal(size=(n, d))
        y = X[:, 0] > 0
        LogisticNeuron(n_starts=1).fit(X, y)
        time.sleep(0.3)  # until no thread spins
        in_all, here = time.process_time(), time.thread_time()
        for _ in range(20):
            LogisticNeuron(n_starts=1).fit(X, y)
        print(time.process_time() - in_all, time.thread_time() - here)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for library in ("OMP", "OPENBLAS", "MKL"):  # which may be limited for the tests
        environment.pop(f"{library}_NUM_THREADS", None)
    command = [sys.executable, "-c", code, str(n), str(d)]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    in_all, here = map(float, found.stdout.split())
    assert in_all < 1.2 * here + 0.01


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_blas_is_restored_after_an_error_in_a_fit(two_blas_threads, error):
    X = np.random.default_rng(0).normal(size=(400, 3))
    y = np.arange(400) % 12  # a bank large enough to hold BLAS at one thread
    seen = []

    class Failing:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def on_fit_task_end(self, estimator, context):
            seen.append(blas_threads())
            raise error

    neuron = LogisticNeuron()
    neuron.set_callbacks(Failing())
    with pytest.raises(error):
        neuron.fit(X, y)
    assert seen[0] == {1}
    assert blas_threads() == {2}


def test_a_child_process_is_not_limited(two_blas_threads):
    with parallel.session():
        child = os.fork()
        if child == 0:
            os._exit(0 if blas_threads() == {2} and parallel.BLAS_LIMIT.n_holders == 0 else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_the_environment_limits_the_threads():
    code = "from trainer.core import parallel; print(parallel.available_threads())"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert found.stdout == "1\n"
    with threadpool_limits(1, user_api="blas"):
        assert parallel.available_threads() == 1


def test_sessions_side_by_side_divide_the_processors(monkeypatch):
    monkeypatch.setattr(parallel, "available_threads", lambda: 4)
    found = []
    with parallel.session():
        assert parallel.session_threads() == 4
        parallel.run([int, int])

        def other():
            with parallel.session():
                found.append(parallel.session_threads())

        thread = Thread(target=other)
        thread.start()
        thread.join()
    assert found == [2]


def test_tasks_come_back_in_order_and_ignore_floating_point_errors():
    def task(k):
        def run():
            return k, float(np.exp(np.float64(1000.0 * k)))

        return run

    with np.errstate(all="raise"):
        assert parallel.run([task(k) for k in range(3)]) == [(0, 1.0), (1, np.inf), (2, np.inf)]


def test_scratch_is_reused_within_a_session_only():
    with parallel.session():
        first = parallel.scratch("a", (5, 2), float)
        assert np.shares_memory(first, parallel.scratch("a", (4, 2), float))
        assert not np.shares_memory(first, parallel.scratch("b", (5, 2), float))
        assert parallel.scratch("a", (4, 2), np.float32).dtype == np.float32
        assert first.flags.f_contiguous
    assert not np.shares_memory(first, parallel.scratch("a", (5, 2), float))


def test_fits_in_two_threads_are_the_fits_one_by_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 10))
    labels = [np.arange(4000) % 12, (X[:, 0] > 0).astype(int)]
    alone = [LogisticNeuron().fit(X, y) for y in labels]
    together = [LogisticNeuron() for _ in labels]
    threads = [Thread(target=n.fit, args=(X, y)) for n, y in zip(together, labels, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(b.coef_, a.coef_, rtol=1e-10, atol=1e-13)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity to change")
def test_another_affinity_changes_no_bit_where_the_threads_are_as_many(two_blas_threads):
    """One processor with the threads of two: the bits of two; then one thread anywhere."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60_000, 20)), np.arange(60_000) % 3
    processors = os.sched_getaffinity(0)
    found = {}
    for place in ("all", "one"):
        try:
            if place == "one":
                os.sched_setaffinity(0, {min(processors)})
            for limit in (1, 2):
                with threadpool_limits(limit, user_api="blas"):
                    n_threads = parallel.available_threads()
                    coef = LogisticNeuron(max_iter=5, tol=1, n_starts=1).fit(X, y).coef_
                    found.setdefault(n_threads, []).append(coef)
        finally:
            os.sched_setaffinity(0, processors)
    for coefs in found.values():
        for coef in coefs:
            np.testing.assert_array_equal(coef, coefs[0])
    assert len(found[1]) >= 2
    assert blas_threads() == {2}


def test_a_fit_in_a_fork_amid_a_fit_ends(two_blas_threads):
    """Another thread is fitting, and may hold any lock, when the process is forked."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20_000, 10)), np.arange(20_000) % 12
    expected = LogisticNeuron(max_iter=3, tol=1).fit(X, y).coef_
    ends = Event()

    def fits():
        while not ends.is_set():
            LogisticNeuron(max_iter=3, tol=1).fit(X, y)

    thread = Thread(target=fits)
    thread.start()
    try:
        for _ in range(3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
                child = os.fork()
            if child == 0:
                signal.alarm(60)  # kills a child that waits for a lock
                coef = LogisticNeuron(max_iter=3, tol=1).fit(X, y).coef_
                os._exit(0 if np.allclose(coef, expected, rtol=1e-8, atol=1e-10) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        ends.set()
        thread.join()
    assert blas_threads() == {2}


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_joblibs_back_ends_give_the_same_bits(backend, two_blas_threads):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 8)), np.arange(2000) % 3
    work = Parallel(n_jobs=2, backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        found = work(delayed(fitted)(X, y) for _ in range(4))
    for coef in found:
        np.testing.assert_array_equal(coef, found[0])
    np.testing.assert_allclose(found[0], fitted(X, y), rtol=1e-9, atol=1e-12)
    assert blas_threads() == {2}


def fitted(X, y):
    return LogisticNeuron(alpha=0.01).fit(X, y).coef_


def test_a_child_process_forked_in_a_session_starts_its_own_threads():
    with parallel.session():
        parallel.run([int, int])
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a pool without threads would wait for ever
            ok = parallel.run([int, float]) == [0, 0.0] and parallel.session_threads() >= 1
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
