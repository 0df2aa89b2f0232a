"""The honest table: this trainer against PyTorch, SciPy, JAX and scikit-learn.

Everyone runs in the same process, in turns, on the same arrays, to the same gradient
as one referee measures it; losses are shown too. Usage::

    python scripts/benchmark.py --quick
    python scripts/benchmark.py --cases large,memory --output runs/benchmark

Writes benchmark.csv, benchmark.md, time_to_solution.png and cost_against_time.png.
"""

import argparse
import csv
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NoReturn

import benchmark_measures as measures
import benchmark_problems as problems
import benchmark_selection as banks
from benchmark_peers import OURS, PEERS
from benchmark_pictures import cost_against_time, time_to_solution
from benchmark_report import details, machine, summary, targets
from benchmark_solving import Settings, elapsed, say, solve_all, trace
from benchmark_watch import Row

__all__ = ["CASES", "main"]

LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
"""Programs that were running already; threads that must wait for each other wait long then."""

QUICK_SECONDS = 100
"""After so many a quick run begins no further case, so that it ends within two minutes."""


@dataclass(frozen=True)
class Case:
    """Something to measure: what it is, and what measures it."""

    about: str
    measure: Callable[[Settings], list[Row]]


def float32(settings: Settings) -> list[Row]:
    """Time the solvers that take float32 in both precisions, to 1e-6."""
    n, d = (50_000, 20) if settings.quick else (1_000_000, 100)
    double = problems.conditioned(
        n, d, 1e4, name="ill-conditioned", target=1e-6, time_limit=settings.time_limit
    )
    single = replace(double, X=double.X.astype("float32"))
    peers = (OURS, "SciPy L-BFGS-B", "PyTorch L-BFGS")
    return solve_all("float32", lambda *_: iter((double, single)), settings, peers)


CASES: dict[str, Case] = {
    "small": Case("the toy sets, to 1e-8", partial(solve_all, "small", problems.small)),
    "well": Case("well-conditioned, to 1e-8", partial(solve_all, "well", problems.well)),
    "ill": Case("condition number 1e4, to 1e-8", partial(solve_all, "ill", problems.ill)),
    "trace": Case("cost against time, for the picture", lambda settings: []),
    "large": Case("a million rows, to 1e-8", partial(solve_all, "large", problems.large)),
    "wide": Case("more columns than rows, to 1e-8", partial(solve_all, "wide", problems.wider)),
    "sparse": Case("CSR, to 1e-8", partial(solve_all, "sparse", problems.sparser)),
    "float32": Case("float32 against float64, to 1e-6", float32),
    "one_pass": Case("J and its gradient, once", measures.one_pass),
    "memory": Case("peak memory of a fit", measures.memory),
    "epoch": Case("an epoch of mini-batches", measures.epoch),
    "import": Case("import time", measures.import_time),
    "multi_start": Case("what several starts cost", measures.multi_start),
    "selection": Case("20 penalties x 5 folds", banks.selection),
    "classes": Case("one bank for many classes", banks.classes),
    "growth": Case("how time grows with n, d and K", measures.growth),
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and draw; returns the exit code."""
    options = parse(argv)
    if options.list:
        print("\n".join(f"{name:12s} {case.about}" for name, case in CASES.items()))
        return 0
    settings = Settings(
        quick=options.quick,
        repeats=options.repeats or (3 if options.quick else 5),
        time_limit=options.time_limit or (0.5 if options.quick else 60.0),
        peers=tuple(name for name, peer in PEERS.items() if peer.installed),
    )
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    caption = machine() + ("; quick sizes" if settings.quick else "")
    rows: list[Row] = []
    late: list[str] = []
    for name in options.cases:
        if settings.quick and elapsed() > QUICK_SECONDS:
            late.append(name)
        elif name == "trace":
            problem = next(problems.ill(settings.quick, settings.time_limit))
            curves = trace(problem, settings.peers)
            cost_against_time(curves, problem, output / "cost_against_time.png", caption)
        else:
            rows += CASES[name].measure(settings)
            write_csv(rows, output / "benchmark.csv")
    time_to_solution(rows, output / "time_to_solution.png", caption)
    parts = [heading(settings, caption, late), summary(rows), targets(rows), details(rows)]
    report = "\n\n".join(filter(None, parts))
    print(report)
    (output / "benchmark.md").write_text(report + "\n", encoding="utf-8")
    say(f"written to {output}")
    return 0


def heading(settings: Settings, caption: str, late: Sequence[str] = ()) -> str:
    """Say where and how this was measured, and what and who was left out."""
    lines = [
        f"{caption}. Load of the machine before the start: {LOAD:.1f}.",
        "Median (times this trainer's); below 1 × means that this trainer lost. Everyone in the "
        "same process, in turns, warmed up, from rest, on the same arrays; gradients by one "
        "referee.",
    ]
    missing = [f"{name} ({peer.package})" for name, peer in PEERS.items() if not peer.installed]
    if missing:
        lines.append(f"Left out, not installed: {', '.join(missing)}.")
    if settings.quick:
        lines.append("Quick sizes: the targets are meant for the full ones.")
    if late:
        lines.append(f"Left out, no time left for a quick run: {', '.join(late)}.")
    return "\n".join(lines)


def write_csv(rows: list[Row], path: Path) -> None:
    """Write the rows, a column a field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = Parser(prog="benchmark.py", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small sizes, within two minutes")
    parser.add_argument("--cases", type=case_names, default=list(CASES), help="some only: a,b,c")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--repeats", type=whole, help="runs a peer (default 5; 3 with --quick)")
    parser.add_argument(
        "--time-limit", type=seconds, help="seconds a peer (default 60; 0.5 with --quick)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs/benchmark"), help="folder (runs/benchmark)"
    )
    return parser.parse_args(argv)


def case_names(text: str) -> list[str]:
    """Names of cases, separated by commas."""
    names = text.split(",")
    for name in names:
        if name not in CASES:
            nearest = get_close_matches(name, CASES, 1, 0)[0]
            raise argparse.ArgumentTypeError(f'no case "{name}"; the nearest is "{nearest}"')
    return names


def whole(text: str) -> int:
    """A whole number, 1 at least."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text}")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds > 0, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
