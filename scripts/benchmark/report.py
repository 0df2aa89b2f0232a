"""What the benchmark shows: tables in Markdown, the targets, and pictures."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.cases import Curve
from benchmark.problems import Problem
from benchmark.solvers import BARE_PRODUCT
from benchmark.timing import OURS, Row

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
    """Name of the processor, if the system gives it."""
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
    """A measurement with its unit, as in "12.3 ms" and "800.2 MB"."""
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


def magnitude(value: float) -> str:
    """A gradient's largest component, one digit."""
    return "-" if np.isnan(value) else f"{value:.0e}"


def shape(n: int, d: int) -> str:
    """Rows and columns, as in "1 000 000 × 100"."""
    return f"{n:,} × {d:,}".replace(",", " ")


def label(row: Row) -> str:
    """A row's time and ratio; if the target was missed, the time and gradient at the end."""
    if row.repeats == 0:
        return "failed" if row.note.startswith("failed") else "-"
    times = "" if np.isnan(row.ratio) else f" ({factor(row.ratio)})"
    if row.reached != "no":
        return amount(row.median) + times
    end = "" if np.isnan(row.gradient_max) else f", at {magnitude(row.gradient_max)}"
    if row.note.startswith("out of time"):
        return f"> {amount(row.median)}{times.replace('(', '(> ')}{end}"
    return f"stopped after {amount(row.median)}{end}"


def peer_label(row: Row) -> str:
    """A solver's name, marked if it minimises another loss."""
    other = row.peer.startswith(("LogisticRegression", "SGDClassifier"))
    return f"{row.peer} (other loss)" if other and row.reached else row.peer


# ---------------------------------------------------------------------------- tables


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    ruled = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in ruled)


def summary(rows: list[Row]) -> str:
    """The README's table: a line per solver, a column per problem."""
    chosen = [
        row for row in rows if row.case in SUMMARY and row.problem.startswith(SUMMARY[row.case])
    ]
    if not chosen:
        return ""
    columns = {row.problem: f"{row.problem}, {shape(row.n, row.d)}" for row in chosen}
    peers = {row.peer: peer_label(row) for row in chosen}
    cells = {(row.peer, row.problem): label(row) for row in chosen}
    lines = [
        [name, *(cells.get((peer, problem), "-") for problem in columns)]
        for peer, name in peers.items()
    ]
    return table(["from zero to a gradient of 1e-8", *columns.values()], lines)


def details(rows: list[Row]) -> str:
    """Every row, in a table per problem."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.case, row.problem, row.dtype), []).append(row)
    parts = []
    for (case, problem, dtype), members in groups.items():
        first = members[0]
        sizes = len({(row.n, row.d, row.K) for row in members})
        size = f", {shape(first.n, first.d)}" if first.n and sizes == 1 else ""
        lines = [
            [
                peer_label(row) + (f", {shape(row.n, row.d)}, K = {row.K}" if sizes > 1 else ""),
                amount(row.median, row.unit),
                f"{amount(row.low, row.unit)} to {amount(row.high, row.unit)}",
                str(row.repeats),
                factor(row.ratio),
                "" if np.isnan(row.passes) else f"{row.passes:.3g}",
                magnitude(row.gradient_max),
                ": ".join(filter(None, (row.reached, row.note))),
            ]
            for row in members
        ]
        header = [f"{case}: {problem}{size}, {dtype}", "median", "range", "runs"]
        header += ["to this trainer's", "passes", "gradient", "reached"]
        parts.append(table(header, lines))
    return "\n\n".join(parts)


def comparison(before: list[Row], now: list[Row]) -> str:
    """Two versions of this trainer, a line per measurement."""

    def key(row: Row) -> tuple[object, ...]:
        return row.case, row.problem, row.peer, row.n, row.d, row.K, row.dtype

    def times(row: Row) -> str:
        median, low, high = (amount(v, row.unit) for v in (row.median, row.low, row.high))
        return f"{median} [{low} – {high}]"

    def name(row: Row) -> str:
        K = f"K = {row.K}" if row.K > 1 and "K =" not in row.problem else ""
        size = f"{shape(row.n, row.d)}, {row.dtype}" if row.n else ""
        peer = "" if row.peer == OURS else row.peer
        return ", ".join(filter(None, (f"{row.case}: {row.problem}", peer, K, size)))

    earlier = {key(row): row for row in before}
    pairs = [(earlier[key(row)], row) for row in now if key(row) in earlier]
    lines = [
        [name(row), times(old), times(row), f"{row.median / old.median:.2f}", verdict(old, row)]
        for old, row in pairs
    ]
    header = ["case", "before: median [min – max]", "now: median [min – max]", "ratio", "verdict"]
    return table(header, lines)


SMALLEST_CHANGE = 0.01
"""Medians that differ by less than this share count as the same."""


def verdict(before: Row, now: Row) -> str:
    """Whether a measurement has changed: each median lies outside the other's range."""
    if not (before.repeats and now.repeats):
        return now.note or before.note or "not measured"
    if before.reached != now.reached:
        return f"**target reached before: {before.reached}, now: {now.reached}**"
    if min(before.repeats, now.repeats) == 1:
        return "one run: no range"
    low, high = sorted((before, now), key=lambda row: row.median)
    is_apart = low.high < high.median and low.median < high.low
    if not is_apart or high.median < (1 + SMALLEST_CHANGE) * low.median:
        return "same"
    less, more = ("faster", "**slower**") if now.unit == "seconds" else ("less", "**more**")
    return more if high is now else less


# --------------------------------------------------------------------------- targets

Measure = Callable[[list[Row]], tuple[float, str] | None]
"""Gives a figure and a remark; None if it was not measured."""

AT_LEAST = "or more"
"""How a remark begins if only a lower bound of the figure is known."""


@dataclass(frozen=True)
class Target:
    """A target for a ratio of measurements, and how to compute it from the rows."""

    name: str
    bound: float
    at_most: bool
    measure: Measure

    def line(self, rows: list[Row]) -> list[str]:
        """One line of the table."""
        wanted = f"{'at most' if self.at_most else 'at least'} {self.bound:.3g} ×"
        found = self.measure(rows)
        if found is None:
            return [self.name, wanted, "not measured", ""]
        figure, remark = found
        if np.isnan(figure):
            return [self.name, wanted, remark, "**missed**"]
        met = figure <= self.bound if self.at_most else figure >= self.bound
        measured = factor(figure) + (f" ({remark})" if remark else "")
        outcome = "met" if met else "open" if remark.startswith(AT_LEAST) else "**missed**"
        return [self.name, wanted, measured, outcome]


def fastest(rows: list[Row], case: str, problem: str, peer: str, dtype: str) -> Row | None:
    """The fastest row of the solvers and problems whose names begin so.

    If none of them met the target, the one with the shortest time limit.
    """
    found = [
        row
        for row in rows
        if (row.case, row.dtype, row.peer == OURS) == (case, dtype, peer == OURS)
        if row.problem.startswith(problem) and row.peer.startswith(peer) and row.repeats
    ]
    solved = [row for row in found if row.reached != "no" or row.peer == OURS]
    late = [row for row in found if row.note.startswith("out of time")]
    return min(solved or late, key=lambda row: row.median, default=None)


def ratio(
    case: str, problem: str, over: str, under: str, dtypes: str = "float64 float64"
) -> Measure:
    """Ratio of the median of the fastest solver named `over` to that of the one named `under`."""

    def measure(rows: list[Row]) -> tuple[float, str] | None:
        names = zip((over, under), dtypes.split(), strict=True)
        a, b = (fastest(rows, case, problem, *name) for name in names)
        if a is None or b is None:
            return None
        if missed := [row for row in (a, b) if row.peer == OURS and row.reached == "no"]:
            return np.nan, "; ".join(f"{row.peer}, {row.dtype}: {label(row)}" for row in missed)
        remark = f"{amount(b.median, b.unit)} against {amount(a.median, a.unit)}, {a.peer}"
        if a.peer == OURS:
            remark = f"{amount(a.median, a.unit)} against {amount(b.median, b.unit)}, {b.peer}"
        if a.reached == "no":
            remark = f"{AT_LEAST}: {a.peer} {label(a)}"
        return a.median / b.median, remark

    return measure


def faster(case: str, problem: str, than: str = "") -> Measure:
    """How many times faster this trainer is than the fastest of the solvers named so."""
    return ratio(case, problem, than, OURS)


def multi_start(sets: str) -> Measure:
    """The largest ratio of the default number of starts to one, on the toy sets or the large."""

    def measure(rows: list[Row]) -> tuple[float, str] | None:
        chosen = [
            (row.ratio, row.problem)
            for row in rows
            if (row.case, row.peer) == ("multi_start", "default n_starts")
            if row.problem.startswith("large") == (sets == "large")
        ]
        return max(chosen, default=None)

    return measure


def memory_share(rows: list[Row]) -> tuple[float, str] | None:
    """Peak memory of a fit less 200 MB, relative to X."""
    if (row := fastest(rows, "memory", "", OURS, "float64")) is None:
        return None
    return max(row.median - 200, 0) / (row.n * row.d * 8 / 1e6), f"{row.median:.0f} MB in all"


TARGETS = (
    Target("a million rows, well-conditioned, a tenth of the labels wrong", 1.5, False,
           faster("flipped", "labels flipped, well")),
    Target("a million rows, ill-conditioned, a tenth of the labels wrong", 10, False,
           faster("flipped", "labels flipped, ill")),
    Target("a million rows, well-conditioned", 1.2, False, faster("large", "large, well")),
    Target("a million rows, ill-conditioned", 8, False, faster("large", "large, ill")),
    Target("a million rows, ill-conditioned: PyTorch L-BFGS", 20, False,
           faster("large", "large, ill", "PyTorch L-BFGS")),
    Target("100 000 × 50, well-conditioned", 1.5, False, faster("well", "well")),
    Target("breast cancer: LogisticRegression", 1.0, False,
           faster("small", "breast_cancer", "LogisticRegression")),
    Target("5 000 × 1 000", 5, False, faster("columns", "5 rows a column")),
    Target("20 000 × 500, condition 100", 3, False, faster("columns", "40 rows a column")),
    Target("20 000 × 5 000", 1.2, False, faster("columns", "4 rows a column")),
    Target("200 × 10 000", 1.3, False, faster("wide", "wide")),
    Target("sparse, 100 000 × 2 000", 1.5, False, faster("sparse", "sparse")),
    Target("sparse, 200 000 × 10 000", 1.5, False, faster("sparse_large", "more sparse")),
    Target("digits, 10 classes", 2, False, faster("classes", "digits")),
    Target("20 000 × 16, 26 classes", 3, False, faster("classes", "synthetic, 26")),
    Target("20 000 × 30, 500 classes", 1.5, False, faster("classes", "synthetic, many")),
    Target("20 penalties × 5 folds, breast cancer", 6, False,
           faster("selection", "breast_cancer")),
    Target("20 penalties × 5 folds, 20 000 × 50", 10, False, faster("selection", "20 penalties")),
    Target("two fits in two threads", 1, False,
           faster("at_once", "two fits", f"{OURS}, one after the other")),
    Target("train.py on a CSV file, 1 000 000 × 30", 1, False,
           faster("command_line", "train.py on a CSV file, seconds")),
    Target("peak memory of train.py on that file: pandas and LogisticRegression", 1.1, True,
           ratio("command_line", "train.py on a CSV file, MB", OURS, "pandas")),
    Target("peak memory of fit less 200 MB: X, 1 000 000 × 100", 1.15, True, memory_share),
    Target("import: sklearn.linear_model", 1.15, True,
           ratio("import", "", OURS, "sklearn.linear_model")),
    Target("an epoch of mini-batches of 256: SGDClassifier", 1 / 3, True,
           ratio("epoch", "", OURS, "SGDClassifier")),
    Target("one pass (J and gradient, dense, K = 1): a bare X @ w", 1.5, True,
           ratio("one_pass", "dense, K = 1", OURS, BARE_PRODUCT)),
    Target("float32: float64", 1.0, True, ratio("float32", "", OURS, OURS, "float32 float64")),
    Target("default n_starts on the toy sets: one start", 1.5, True, multi_start("toy")),
    Target("default n_starts on a million rows: one start", 1.15, True, multi_start("large")),
)  # fmt: skip


def targets(rows: list[Row]) -> str:
    """Each target, what was measured, and whether it was met."""
    return table(["case", "wanted", "measured", ""], [t.line(rows) for t in TARGETS])


# -------------------------------------------------------------------------- pictures

# Of Okabe and Ito's colours, which colour-blind readers can tell apart.
VERMILLION, BLUE, GREEN, PURPLE, GREY = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#767676"

ROUNDING_FLOOR = 1e-16
"""Smallest J - J* that is drawn; J is about 0.1, so less is rounding error."""


def panels(rows: list[Row]) -> list[list[Row]]:
    """The two problems of the first picture: the large ones, if they were run."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.case in SUMMARY and row.repeats:
            groups.setdefault(row.problem, []).append(row)
    order = ["large", "well", "ill", *SUMMARY]
    return sorted(groups.values(), key=lambda group: order.index(group[0].case))[:2]


def draw_time_to_solution(rows: list[Row], path: Path, caption: str) -> bool:
    """Draw the seconds of each solver, a panel per problem; False if there are none."""
    groups = panels(rows)
    if not groups:
        return False
    inches = 2.2 + 0.34 * max(len(group) for group in groups)
    figure = Figure(figsize=(7.4 * len(groups), inches))
    below = 0.65 if len(groups) > 1 else 0.85  # for the legend and the caption
    inner = (0, below / inches, 1, 1 - (below + 0.45) / inches)
    figure.set_layout_engine("constrained", rect=inner, wspace=0.04)
    for ax, group in zip(np.atleast_1d(figure.subplots(1, len(groups))), groups, strict=True):
        draw_panel(ax, sorted(group, key=lambda row: (row.reached == "no", row.median)))
    title = "Time from zero to a gradient of 1e-8 (largest component)"
    figure.text(0.01, 1 - 0.12 / inches, title, va="top", fontsize=14, fontweight="bold")
    figure.text(0.01, 0.1 / inches, caption, fontsize=7.5, color=GREY)
    entries = (
        (VERMILLION, "o", VERMILLION, "this trainer"),
        (BLUE, "o", BLUE, "same cost, same gradient"),
        (GREY, "o", "white", "another loss, to its own tolerance"),
        (GREY, ">", "white", "target not reached"),
    )
    figure.legend(
        handles=[
            Line2D([], [], color=colour, marker=marker, mfc=fill, mew=1.6, ls="", label=text)
            for colour, marker, fill, text in entries
        ],
        loc="lower left", bbox_to_anchor=(0.005, 0.3 / inches), frameon=False, fontsize=9,
        ncols=2 * len(groups),
    )  # fmt: skip
    figure.savefig(path, dpi=160, facecolor="white")
    return True


def draw_panel(ax: Axes, group: list[Row]) -> None:
    """Draw the rows of one problem from top to bottom, each with its median and range."""
    ax.set_xscale("log")
    for place, row in enumerate(group):
        other = row.reached == "other loss" or np.isnan(row.gradient_max)
        colour = VERMILLION if row.peer == OURS else GREY if other else BLUE
        ax.plot([row.low, row.high], [place, place], color=colour, lw=2.5, alpha=0.45)
        ax.plot(
            row.median, place, ">" if row.reached == "no" else "o", color=colour, ms=8,
            mfc=colour if row.reached == "yes" else "white", mew=1.6,
        )  # fmt: skip
        ax.annotate(
            label(row), (max(row.high, row.median), place), xytext=(9, 0), va="center",
            textcoords="offset points", fontsize=9, color=colour,
            fontweight="bold" if row.peer == OURS else "normal",
        )  # fmt: skip
    ax.set_yticks(range(len(group)), [row.peer for row in group])
    for tick, row in zip(ax.get_yticklabels(), group, strict=True):
        if row.peer == OURS:
            tick.set(color=VERMILLION, fontweight="bold")
    ax.set_ylim(len(group) - 0.4, -0.6)
    low, high = min(row.low for row in group), max(row.high for row in group)
    ax.set_xlim(low / 1.6, high * max((high / low) ** 0.7, 4))  # space for the labels
    ax.set_xlabel("seconds: median and range (in brackets: ratio to this trainer's)")
    ax.set_title(f"{group[0].problem}, {shape(group[0].n, group[0].d)}", loc="left")
    ax.grid(axis="x", color="#E5E5E5")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def draw_cost_against_time(
    curves: dict[str, Curve], problem: Problem, path: Path, caption: str
) -> None:
    """Draw J - J* of each solver over time."""
    figure = Figure(figsize=(8, 5.6))
    figure.set_layout_engine("constrained", rect=(0, 0.07, 1, 0.93))  # leaves the caption
    ax = figure.subplots()
    colours = (VERMILLION, BLUE, PURPLE, GREEN)
    dashes = ("-", "--", (0, (1, 1.2)), "-.")
    styles = zip(colours, dashes, strict=True)
    for (name, (seconds, excess, in_time)), (colour, dash) in zip(
        curves.items(), styles, strict=False
    ):
        excess = np.maximum(excess, ROUNDING_FLOOR)
        outcome = "target reached" if in_time else "target not reached"
        ax.plot(
            seconds, excess, ls=dash, color=colour, lw=3 if name == OURS else 2,
            zorder=3 if name == OURS else 2, label=f"{name}: {outcome} in {amount(seconds[-1])}",
        )  # fmt: skip
        ax.plot(
            seconds[-1], excess[-1], "o" if in_time else ">", color=colour, ms=8,
            mfc=colour if in_time else "white", mew=1.6, zorder=4,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="seconds", ylabel="J − J*, J* the lowest cost found")
    ax.set_ylim(bottom=ROUNDING_FLOOR / 3)
    size = shape(*problem.X.shape)
    ax.set_title(f"Cost against time: {problem.name}, {size}", loc="left", fontweight="bold")
    ax.grid(color="#E5E5E5")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    figure.text(0.012, 0.015, caption.replace("; ", "\n", 1), fontsize=7.5, color=GREY)
    figure.savefig(path, dpi=160, facecolor="white")
