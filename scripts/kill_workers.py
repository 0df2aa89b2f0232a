"""Fit on a local Dask cluster while its workers are killed; check that no bit changes.

python scripts/kill_workers.py              50 fits, in each a worker killed at a random moment
python scripts/kill_workers.py --fits 5     a short run
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

import numpy as np

import trainer


def main(argv: list[str] | None = None) -> int:
    """Run the fits; 0 if all end with the bits of the undisturbed one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fits", type=int, default=50, help="how many (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=100_000, help="rows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        import dask.array as da
        from distributed import Client, LocalCluster
    except ImportError:
        print(
            'kill_workers.py: error: Dask is missing: pip install "logistic-neuron-trainer[dask]"',
            file=sys.stderr,
        )
        return 2

    rng = da.random.default_rng(0)
    X = rng.standard_normal((options.rows, 20), chunks=(options.rows // 8, -1))
    y = (X @ np.linspace(-1, 1, 20) + rng.standard_normal(options.rows, chunks=X.chunks[0]) > 0) * 1

    def fit() -> tuple[bytes, float]:
        started = time.perf_counter()
        neuron = trainer.LogisticNeuron(tol=1e-9, random_state=0).fit(X, y)
        parts = neuron.coef_, neuron.intercept_, neuron.loss_curve_
        return b"".join(part.tobytes() for part in parts), time.perf_counter() - started

    def start(stack: ExitStack) -> Any:
        stack.close()
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
                silence_logs=50,
            )
        )  # fmt: skip
        return stack.enter_context(Client(cluster))

    def workers(client: Any) -> list[int]:
        """Process numbers of both workers, once the one killed last is replaced."""
        client.wait_for_workers(2, timeout=20)
        found = client.run(os.getpid, on_error="return").values()
        return [pid for pid in found if isinstance(pid, int)]

    random.seed(options.seed)
    n_equal, n_killed, n_restarts, seconds = 0, 0, 0, []
    with ExitStack() as stack:
        client = start(stack)
        fit()  # workers load libraries in the first one
        expected, undisturbed = fit()
        print(f"undisturbed: {undisturbed:.1f} s", flush=True)
        for i in range(options.fits):
            pids: list[int] = []
            while len(pids) < 2:
                try:
                    pids = workers(client)
                except TimeoutError:  # Dask replaces no worker that is killed while it starts
                    client, n_restarts = start(stack), n_restarts + 1
            delay = random.uniform(0, undisturbed)
            killer = threading.Timer(delay, os.kill, (random.choice(pids), signal.SIGKILL))
            killer.start()
            bits, taken = fit()
            n_killed += not killer.is_alive()
            killer.join()
            n_equal += bits == expected
            seconds.append(taken)
            print(f"fit {i + 1}: killed after {delay:.2f} s, {taken:.1f} s", flush=True)
    print(
        f"{options.fits} fits, in {n_killed} of which a worker was killed before the end: "
        f"{n_equal} bitwise equal to the undisturbed one; median {np.median(seconds):.1f} s, "
        f"longest {max(seconds):.1f} s, undisturbed {undisturbed:.1f} s; "
        f"{n_restarts} new clusters between fits"
    )
    return 0 if n_equal == options.fits else 1


if __name__ == "__main__":
    sys.exit(main())
