"""What the benchmark shows: tables in Markdown, the targets, two pictures."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_measures import BARE
from benchmark_peers import OURS
from benchmark_watch import Row

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "jax", "optax")
SUMMARY = {
    "well": "well-conditioned", "ill": "ill-conditioned", "wide": "wide", "sparse": "sparse",
    "small": "breast_cancer", "large": "large",
}  # fmt: skip
"""The columns of the README's table: case, and how its problems' names begin."""


def machine() -> str:
    """Date, processor, threads and versions, in one line."""
    packages = []
    for package in PACKAGES:
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            packages.append(f"no {package}")
    return (
        f"{date.today():%Y-%m-%d}, {processor()}, {threads()} threads; "
        f"Python {platform.python_version()}, {', '.join(packages)}"
    )


def processor() -> str:
    """Name of the processor, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def threads() -> int:
    """Threads that NumPy's linear algebra uses."""
    from threadpoolctl import threadpool_info

    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(pools, default=os.cpu_count() or 1)


# --------------------------------------------------------------------------- numbers


def amount(value: float, unit: str = "seconds") -> str:
    """A measurement with three digits and its unit.

    >>> amount(0.01234), amount(2.5e-5), amount(71.04), amount(800.2, "MB")
    ('12.3 ms', '25 µs', '71 s', '800 MB')
    """
    if np.isnan(value):
        return "-"
    if unit != "seconds":
        return f"{value:.4g} {unit}"
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def factor(value: float) -> str:
    """A ratio: two digits, or whole from 10 on."""
    if np.isnan(value):
        return "-"
    return f"{value:.0f} ×" if value >= 10 else f"{value:.2g} ×"


def slope(value: float) -> str:
    """A gradient's size."""
    return "-" if np.isnan(value) else f"{value:.0e}"


def reach(n: int, d: int) -> str:
    """Rows and columns, thousands apart.

    >>> reach(1_000_000, 100)
    '1 000 000 × 100'
    """
    return f"{n:,} × {d:,}".replace(",", " ")


def label(row: Row) -> str:
    """A row's time and ratio; for one that did not get there, where it stood and when."""
    if row.repeats == 0:
        return "failed" if row.note.startswith("failed") else "-"
    times = "" if np.isnan(row.ratio) else f" ({factor(row.ratio)})"
    if row.reached != "no":
        return amount(row.median) + times
    where = "" if np.isnan(row.gradient_max) else f", at {slope(row.gradient_max)}"
    if row.note.startswith("out of time"):
        return f"> {amount(row.median)}{times.replace('(', '(> ')}{where}"
    return f"stopped after {amount(row.median)}{where}"


def peer_label(row: Row) -> str:
    """A peer's name, marked when it minimises another loss."""
    other = row.peer.startswith(("LogisticRegression", "SGDClassifier"))
    return f"{row.peer} (other loss)" if other and row.case in SUMMARY else row.peer


# ---------------------------------------------------------------------------- tables


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    ruled = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in ruled)


def summary(rows: list[Row]) -> str:
    """Solvers down, problems across: the README's table."""
    chosen = [
        row for row in rows if row.case in SUMMARY and row.problem.startswith(SUMMARY[row.case])
    ]
    if not chosen:
        return ""
    columns = {row.problem: f"{row.problem}, {reach(row.n, row.d)}" for row in chosen}
    peers = {row.peer: peer_label(row) for row in chosen}
    cells = {(row.peer, row.problem): label(row) for row in chosen}
    lines = [
        [name, *(cells.get((peer, problem), "-") for problem in columns)]
        for peer, name in peers.items()
    ]
    return table(["from zero to a gradient of 1e-8", *columns.values()], lines)


def details(rows: list[Row]) -> str:
    """Every row, a table a problem."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.case, row.problem, row.dtype), []).append(row)
    parts = []
    for (case, problem, dtype), members in groups.items():
        first = members[0]
        sizes = len({(row.n, row.d, row.K) for row in members})
        size = f", {reach(first.n, first.d)}" if first.n and sizes == 1 else ""
        lines = [
            [
                peer_label(row) + (f", {reach(row.n, row.d)}, K = {row.K}" if sizes > 1 else ""),
                amount(row.median, row.unit),
                f"{amount(row.low, row.unit)} to {amount(row.high, row.unit)}",
                str(row.repeats),
                factor(row.ratio),
                slope(row.gradient_max),
                ": ".join(filter(None, (row.reached, row.note))),
            ]
            for row in members
        ]
        header = [f"{case}: {problem}{size}, {dtype}", "median", "spread", "runs"]
        parts.append(table([*header, "of this trainer's", "gradient", "reached"], lines))
    return "\n\n".join(parts)


# --------------------------------------------------------------------------- targets


OR_MORE = "or more"
"""How a remark begins when the figure is only known from below."""


@dataclass(frozen=True)
class Target:
    """What was promised, and how to read it off the rows: a figure and a remark, or None."""

    promise: str
    bound: float
    at_most: bool
    measure: Callable[[list[Row]], tuple[float, str] | None]

    def line(self, rows: list[Row]) -> list[str]:
        """One line of the table."""
        wanted = f"{'at most' if self.at_most else 'at least'} {self.bound:.3g} ×"
        found = self.measure(rows)
        if found is None:
            return [self.promise, wanted, "not measured", ""]
        figure, remark = found
        if np.isnan(figure):
            return [self.promise, wanted, remark, "**missed**"]
        held = figure <= self.bound if self.at_most else figure >= self.bound
        measured = factor(figure) + (f" ({remark})" if remark else "")
        verdict = "held" if held else "open" if remark.startswith(OR_MORE) else "**missed**"
        return [self.promise, wanted, measured, verdict]


def find(rows: list[Row], case: str, problem: str, peer: str, dtype: str = "float64") -> Row | None:
    """The row of a peer in a problem whose name begins so."""
    for row in rows:
        same = (row.case, row.peer, row.dtype) == (case, peer, dtype)
        if same and row.problem.startswith(problem) and row.repeats:
            return row
    return None


def ratio(case: str, problem: str, over: tuple[str, str], under: tuple[str, str]) -> Any:
    """Measure the medians' ratio of two (peer, dtype) in one problem."""

    def measure(rows: list[Row]) -> tuple[float, str] | None:
        a, b = (find(rows, case, problem, *which) for which in (over, under))
        if a is None or b is None:
            return None
        unmet = [f"{row.peer}, {row.dtype}: {label(row)}" for row in (a, b) if row.reached == "no"]
        return (np.nan if unmet else a.median / b.median), "; ".join(unmet)

    return measure


def faster(case: str, problem: str, peers: str = "") -> Any:
    """How many times faster this trainer is than the fastest peer whose name begins so.

    Where no peer got there, the one that gave up first bounds the figure from below.
    """

    def measure(rows: list[Row]) -> tuple[float, str] | None:
        ours = find(rows, case, problem, OURS)
        if ours is None:
            return None
        if ours.reached == "no":
            return np.nan, f"{OURS}: {label(ours)}"
        rivals = [
            row
            for row in rows
            if row.case == case and row.problem == ours.problem and row.repeats
            if row.peer != OURS and row.peer.startswith(peers)
        ]
        there = [row for row in rivals if row.reached != "no"]
        late = [row for row in rivals if row.note.startswith("out of time")]
        if not there and not late:
            return None
        first = min(there or late, key=lambda row: row.median)
        remark = f"{first.peer}, {amount(first.median)}"
        if not there:
            remark = f"{OR_MORE}: {first.peer} {label(first)}"
        return first.median / ours.median, remark

    return measure


def worst_start(problem: str) -> Any:
    """The dearest default n_starts, over problems whose name begins so."""

    def measure(rows: list[Row]) -> tuple[float, str] | None:
        several = [r for r in rows if r.case == "multi_start" and r.peer == "default n_starts"]
        large = [row for row in several if row.problem.startswith("large") == (problem == "large")]
        if not large:
            return None
        dearest = max(large, key=lambda row: row.ratio)
        return dearest.ratio, dearest.problem

    return measure


def memory_share(rows: list[Row]) -> tuple[float, str] | None:
    """What a fit takes beyond 200 MB, in times of X's own bytes."""
    row = find(rows, "memory", "", OURS)
    if row is None:
        return None
    return max(row.median - 200, 0) / (row.n * row.d * 8 / 1e6), f"{row.median:.0f} MB in all"


F32, F64 = "float32", "float64"
TARGETS = (
    Target("one pass (J and gradient, dense, K = 1) in times of a bare X @ w", 1.6, True,
           ratio("one_pass", "dense, K = 1", (OURS, F64), (BARE, F64))),
    Target("peak memory of fit less 200 MB, in times of X", 1.15, True, memory_share),
    Target("breast cancer: faster than the fastest LogisticRegression", 1.0, False,
           faster("small", "breast_cancer", "LogisticRegression")),
    Target("an epoch of mini-batches of 256, in times of SGDClassifier's", 1 / 3, True,
           ratio("epoch", "", (OURS, F64), ("SGDClassifier", F64))),
    Target("import, in times of sklearn.linear_model's", 1.15, True,
           ratio("import", "", (OURS, F64), ("sklearn.linear_model", F64))),
    Target("large, ill-conditioned: faster than the fastest peer", 8, False,
           faster("large", "large, ill")),
    Target("large, ill-conditioned: faster than PyTorch L-BFGS", 20, False,
           faster("large", "large, ill", "PyTorch L-BFGS")),
    Target("large, well-conditioned: faster than the fastest peer", 1.2, False,
           faster("large", "large, well")),
    Target("float32 in times of float64", 1.0, True,
           ratio("float32", "", (OURS, F32), (OURS, F64))),
    Target("default n_starts on the toy sets, in times of one start", 1.5, True,
           worst_start("small")),
    Target("default n_starts on the large set, in times of one start", 1.15, True,
           worst_start("large")),
    Target("20 penalties × 5 folds, 20 000 × 50: faster than the fastest peer", 4, False,
           faster("selection", "20 penalties")),
    Target("20 penalties × 5 folds, breast cancer: faster than the fastest peer", 4, False,
           faster("selection", "breast_cancer")),
)  # fmt: skip


def targets(rows: list[Row]) -> str:
    """What was promised, what was measured, and whether it held."""
    return table(["target", "wanted", "measured", ""], [t.line(rows) for t in TARGETS])
