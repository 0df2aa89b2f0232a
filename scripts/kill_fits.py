"""Kill fits with SIGKILL at random moments, resume them, and compare with undisturbed fits.

python scripts/kill_fits.py --runs 200 --seed 0

A run is a fit of one of the cases below with a `Checkpoint`. It is killed, resumed from what is
there, perhaps killed again, and at last left to end. Its parameters, history and `termination_`
must then be, bit for bit, those of a fit without checkpoints that was never killed; only seconds
may differ. The processes are forks of one that has imported everything, so that the moments fall
into the fit. Ctrl-C ends the campaign with the figures so far.
"""

import argparse
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trainer import OPTIMIZERS, Checkpoint, LogisticNeuron, open_rows

Rows = Callable[[Path], tuple[Any, ...]]
DEADLINE = 120.0
"""Seconds after which a fit that does not end is an error."""


def table(n_rows: int, n_features: int, n_classes: int = 2, share_wrong: float = 0.0) -> Any:
    """X and y of noisy classes; some labels may be wrong, far from the boundary."""
    rng = np.random.default_rng(n_rows)
    X = rng.standard_normal((n_rows, n_features))
    scores = X @ rng.standard_normal((n_features, n_classes)) + rng.gumbel(size=(n_rows, n_classes))
    y = scores.argmax(axis=1)
    n_wrong = int(share_wrong * n_rows)
    X[:n_wrong] *= 20
    y[:n_wrong] = (y[:n_wrong] + 1) % n_classes
    return X, y


class Blocks:
    """A source of rows in blocks."""

    def __init__(self, X: Any, y: Any) -> None:
        self.X, self.y = X, y

    def blocks(self) -> Iterator[Any]:
        """Blocks of 20 000 rows."""
        for start in range(0, len(self.y), 20_000):
            yield self.X[start : start + 20_000], self.y[start : start + 20_000]


def from_csv(place: Path) -> tuple[Any, ...]:
    """Rows of a file, which is written once."""
    path = place / "rows.csv"
    if not path.exists():
        X, y = table(3_000, 5)
        draft = place / f"{os.getpid()}.csv"
        np.savetxt(
            draft, np.column_stack([X, y]), delimiter=",", header="a,b,c,d,e,y", comments="",
            fmt=["%.12g"] * 5 + ["%d"],
        )  # fmt: skip
        draft.replace(path)
    return (open_rows(path, target="y"),)


def from_cluster(place: Path) -> tuple[Any, ...]:
    """Rows on the cluster whose address stands in a file."""
    import dask.array as da
    import distributed

    client = distributed.Client((place / "cluster").read_text(), set_as_default=True)
    X, y = table(20_000, 6)
    chunks = da.from_array(X, chunks=(4_000, 6)), da.from_array(y, chunks=4_000)
    return (*chunks, client)  # the client lives as long as the rows


def sparse(place: Path) -> tuple[Any, ...]:
    """A CSR matrix."""
    from scipy.sparse import csr_matrix

    X, y = table(2_000, 30)
    return csr_matrix(np.where(np.abs(X) > 1, X, 0)), y


def single(place: Path) -> tuple[Any, ...]:
    """Features in single precision."""
    X, y = table(4_000, 8)
    return X.astype(np.float32), y


def cases(with_cluster: bool) -> dict[str, tuple[Rows, dict[str, Any]]]:
    """Rows and parameters by name."""

    def small(place: Path) -> Any:
        return table(600, 8)

    def bank(place: Path) -> Any:
        return table(900, 6, n_classes=4)

    def large(place: Path) -> Any:
        return table(90_000, 6)

    def outliers(place: Path) -> Any:
        return table(2_000, 6, share_wrong=0.1)

    found: dict[str, tuple[Rows, dict[str, Any]]] = {}
    for name, kind in OPTIMIZERS.items():
        more: dict[str, Any] = {"max_iter": 150} if kind.is_update_rule else {}
        found[name] = small, {"optimizer": name, **more}
        found[f"{name}, bank"] = bank, {"optimizer": name, **more}
        if kind.is_update_rule:
            more = {"max_iter": 40, "batch_size": 32}
            found[f"{name}, mini-batches"] = small, {"optimizer": name, **more}
            found[f"{name}, mini-batches, bank"] = bank, {"optimizer": name, **more}
        more = {"early_stopping": True, "max_iter": 150, "tol": 0.0, "n_iter_no_change": 20}
        found[f"{name}, early stopping"] = bank, {"optimizer": name, **more}
    found |= {
        "auto": (small, {}),
        "auto, more columns than rows": (lambda place: table(80, 300), {}),
        "auto, many columns": (lambda place: table(3_000, 60), {"tol": 1e-9}),
        "auto, bank": (bank, {"alpha": 1e-6}),
        "auto, class weights": (bank, {"class_weight": "balanced", "fit_intercept": False}),
        "samples": (large, {"tol": 1e-12}),
        "samples, starts": (lambda place: table(90_000, 6, share_wrong=0.1), {"n_starts": 6}),
        "stronger penalty": (lambda place: table(1_000, 120), {"tol": 1e-9}),
        "starts": (outliers, {"n_starts": 8, "optimizer": "lbfgs"}),
        "starts, newton": (outliers, {"n_starts": 8, "optimizer": "newton"}),
        "starts, bank": (lambda place: table(2_000, 6, 3, 0.1), {"n_starts": 8}),
        "large tol": (small, {"tol": 3e-3, "optimizer": "lbfgs"}),  # goes on with a smaller one
        "noise rates": (small, {"noise_rates": [0.1, 0.2], "optimizer": "lbfgs"}),
        "learned noise rates": (small, {"noise_rates": "symmetric"}),
        "single precision": (single, {"optimizer": "adam", "max_iter": 80}),
        "sparse": (sparse, {"optimizer": "lbfgs"}),
        "blocks": (lambda place: (Blocks(*table(50_000, 6)),), {"optimizer": "lbfgs"}),
        "blocks, samples": (lambda place: (Blocks(*table(90_000, 6)),), {"tol": 1e-12}),
        "blocks, mini-batches": (
            lambda place: (Blocks(*table(50_000, 6)),),
            {"optimizer": "momentum", "batch_size": 1_000, "max_iter": 8},
        ),
        "file": (from_csv, {"optimizer": "newton"}),
        "file, mini-batches": (
            from_csv, {"optimizer": "adam", "batch_size": 100, "max_iter": 25}
        ),
    }  # fmt: skip
    if with_cluster:
        found["cluster, lbfgs"] = from_cluster, {"optimizer": "lbfgs"}
        found["cluster, auto"] = from_cluster, {"tol": 1e-10}
        found["cluster, adam"] = from_cluster, {"optimizer": "adam", "max_iter": 15}
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the campaign; 1 if a run differed or left a draft."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=200, help="fits to kill (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--no-cluster", action="store_true", help="leave out the cases on Dask")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        counts = campaign(Path(place), options.runs, options.seed, not options.no_cluster)
    print(", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return 1 if counts["runs that differ"] or counts["drafts left"] else 0


def campaign(place: Path, runs: int, seed: int, with_cluster: bool) -> Counter[str]:
    """Kill so many fits; how often each thing happened."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    chosen = cases(with_cluster)
    names = rng.sample(sorted(chosen), len(chosen))
    undisturbed: dict[str, tuple[dict[str, Any], float]] = {}
    with cluster(place) if with_cluster else nullcontext(), suppress(KeyboardInterrupt):
        number = 0
        while counts["runs killed"] < runs:
            name = names[number % len(names)]
            rows, parameters = chosen[name]
            if name not in undisturbed:
                result, _ = until_the_end(place, rows, parameters, None)
                _, seconds = until_the_end(place, rows, parameters, place / f"{number}.timing")
                undisturbed[name] = result, seconds
            expected, seconds = undisturbed[name]
            path = place / f"{number}.checkpoint"
            every = rng.choice([0.0, 0.0, seconds / 10])
            result, n_kills, wanted = {}, 0, rng.randint(1, 4)
            while not result:
                limit = rng.uniform(0, 0.9 * seconds) if n_kills < wanted else None
                result, _ = until_the_end(place, rows, parameters, path, limit, every)
                if not result:
                    n_kills += 1
                    counts["kills"] += 1
                    counts["kills after a checkpoint"] += path.exists()
            number += 1
            counts["runs killed" if n_kills else "runs that ended too early"] += 1
            if wrong := [key for key in expected if result[key] != expected[key]]:
                print(f"run {number}, {name}: {', '.join(wrong)} differ", file=sys.stderr)
                counts["runs that differ"] += 1
            left = [file.name for file in place.iterdir() if file.name.endswith(".draft")]
            if left:
                print(f"run {number}, {name}: left {left}", file=sys.stderr)
                counts["drafts left"] += len(left)
            path.unlink()
    return counts


def until_the_end(
    place: Path,
    rows: Rows,
    parameters: dict[str, Any],
    path: Path | None,
    limit: float | None = None,
    every: float = 0.0,
) -> tuple[dict[str, Any], float]:
    """A fit in a process of its own, killed after `limit` seconds; its result, its seconds."""
    told, tells = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(told)
            with os.fdopen(tells, "wb", buffering=0) as out, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = rows(place)
                out.write(b"!")
                pickle.dump(fitted(made, parameters, path, every), out)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(tells)
    with os.fdopen(told, "rb") as answers:
        begun = answers.read(1)
        begin = time.perf_counter()
        if limit is not None:
            time.sleep(limit)
            os.kill(process, signal.SIGKILL)
        answer = answers.read()
    seconds = time.perf_counter() - begin
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return {}, seconds
    if status or not begun:
        raise RuntimeError(f"a fit with {parameters} ended with status {status}")
    result: dict[str, Any] = pickle.loads(answer)
    return result, seconds


def fitted(
    rows: tuple[Any, ...], parameters: dict[str, Any], path: Path | None, every: float
) -> dict[str, Any]:
    """What a fit has come to, in bytes; resumed from the checkpoint if there is one."""
    signal.alarm(int(DEADLINE))
    neuron = LogisticNeuron(random_state=np.random.RandomState(7), **parameters)
    resume = None
    if path is not None:
        neuron.set_callbacks(Checkpoint(path, every=every))
        resume = path if path.exists() else None
    neuron.fit(*rows[:2], resume=resume)
    history = neuron.history_.drop(columns="seconds")
    ends = [asdict(end) | {"seconds": 0} for end in neuron.terminations_]
    found = {
        "coef_": neuron.coef_.tobytes(),
        "intercept_": neuron.intercept_.tobytes(),
        "n_iter_": neuron.n_iter_,
        "loss_curve_": neuron.loss_curve_.tobytes(),
        "history_": history.to_numpy(dtype=float).tobytes(),
        "terminations_": repr(ends),
        "termination_": repr(asdict(neuron.termination_) | {"seconds": 0}),
    }
    seconds = np.diff(neuron.history_["seconds"])
    if (seconds < 0).any() or neuron.termination_.seconds < neuron.history_["seconds"].iloc[-1]:
        raise RuntimeError("seconds run backwards")
    return found


@contextmanager
def cluster(place: Path) -> Iterator[None]:
    """A Dask cluster in a process of its own, which outlives the fits."""
    process = os.fork()
    if process == 0:
        try:
            import distributed

            local = distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=False,
                protocol="tcp",
                dashboard_address=None,
            )
            (place / "draft").write_text(local.scheduler_address)
            (place / "draft").replace(place / "cluster")
            signal.pause()
        finally:
            os._exit(1)
    try:
        while not (place / "cluster").exists():
            time.sleep(0.05)
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


if __name__ == "__main__":
    sys.exit(main())
