"""Train on rows that are generated from their number whenever they are read, never stored.

python scripts/simulate_scale.py                       10^5, 10^6 and 10^7 rows
python scripts/simulate_scale.py 1e9                   a billion
python scripts/simulate_scale.py 1e5 1e6 1e7 --plot docs/scale.png

Labels are drawn with the probabilities σ(w·x) of a known neuron, so the minimum of J is at w in
the limit: ‖ŵ − w‖ falls as n^(-1/2).
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import trainer

BLOCK_ROWS = 2**17


def true_weights(n_features: int) -> Any:
    """w, with ‖w‖ = 2."""
    w = np.linspace(-1, 1, n_features)
    return 2 * w / np.linalg.norm(w)


def block(number: int, n_rows: int, n_features: int) -> tuple[Any, Any]:
    """Rows of one block: its number is the seed, so that any process makes the same ones."""
    rng = np.random.Generator(np.random.SFC64(number))
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    z = X @ true_weights(n_features).astype(np.float32)
    return X, (rng.random(n_rows, dtype=np.float32) < 1 / (1 + np.exp(-z))).astype(np.int8)


class Generated:
    """A source of rows for `LogisticNeuron.fit`."""

    def __init__(self, n_rows: int, n_features: int) -> None:
        self.n_rows, self.n_features = n_rows, n_features
        self.n_opened = 0

    def blocks(self) -> Iterator[tuple[Any, Any]]:
        """All blocks."""
        self.n_opened += 1
        for number in range(-(-self.n_rows // BLOCK_ROWS)):
            n = min(BLOCK_ROWS, self.n_rows - number * BLOCK_ROWS)
            yield block(number, n, self.n_features)


def report(neuron: Any, source: Generated, seconds: float) -> dict[str, float]:
    """The figures of one fit; "read" are all passes over the source, for samples as well."""
    ending, n_rows = neuron.termination_, source.n_rows
    error = np.linalg.norm(neuron.coef_[0] - true_weights(source.n_features))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {
        "rows": n_rows,
        "J": ending.cost,
        "‖ŵ − w‖": error,
        "passes": ending.n_passes,
        "seconds": seconds,
        "read": source.n_opened,
        "s a pass": seconds / source.n_opened,
        "peak MB": peak,
    }
    print(
        f"{n_rows:14,} {ending.cost:10.7f} {error:10.2e} {ending.n_passes:8.2f} "
        f"{source.n_opened:6} {seconds:9.1f} "
        f"{row['s a pass']:9.3f} {peak:8.0f}",
        flush=True,
    )
    return row


def draw(rows: list[dict[str, float]], path: str) -> None:
    """Seconds and ‖ŵ − w‖ against n, on log axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    n = np.array([row["rows"] for row in rows])
    left.loglog(n, [row["seconds"] for row in rows], "o-", color="#0072B2")
    left.set(xlabel="rows n", ylabel="seconds of a fit", title="Time")
    error = np.array([row["‖ŵ − w‖"] for row in rows])
    right.loglog(n, error, "o-", color="#D55E00", label="measured")
    right.loglog(n, error[0] * (n[0] / n) ** 0.5, "--", color="#000000", label=r"$n^{-1/2}$")
    right.set(xlabel="rows n", ylabel=r"$\|\hat w - w\|$", title="Distance to the true weights")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path)


def main(argv: list[str] | None = None) -> int:
    """Run the fits; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = [1e5, 1e6, 1e7]
    parser.add_argument("rows", type=float, nargs="*", default=default, help="how many, in turn")
    parser.add_argument("--features", type=int, default=20, help="columns (default: %(default)s)")
    what = "largest component of the gradient at the end (default: %(default)s)"
    parser.add_argument("--tol", type=float, default=1e-8, help=what)
    parser.add_argument("--plot", metavar="FILE", help="draw time and error against n")
    options = parser.parse_args(argv)
    found = []
    try:
        print(
            f"{'rows':>14} {'J':>10} {'‖ŵ − w‖':>10} {'passes':>8} {'read':>6} {'seconds':>9} "
            f"{'s a pass':>9} {'peak MB':>8}"
        )
        for n in map(int, options.rows):
            started = time.perf_counter()
            neuron = trainer.LogisticNeuron(alpha=0.0, tol=options.tol, random_state=0)
            source = Generated(n, options.features)
            neuron.fit(source)
            found.append(report(neuron, source, time.perf_counter() - started))
    except ValueError as error:
        print(f"simulate_scale.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if options.plot:
        draw(found, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
