"""Compare this trainer with PyTorch, SciPy, JAX and scikit-learn.

All solvers run in one process, interleaved, on the same arrays, to the same gradient as
measured by one reference implementation. Usage::

    python scripts/benchmark --quick
    python scripts/benchmark --cases large,memory --output runs/benchmark
    python scripts/benchmark --compare ../other-checkout

Writes benchmark.csv, benchmark.md, time_to_solution.png and cost_against_time.png; with
--compare, which measures this trainer and that of another checkout, comparison.md.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

if not __package__:  # run by the folder's name, which puts that folder on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmark import cases, report
from benchmark.problems import problems_of
from benchmark.solvers import PEERS, SHORT_LIST, Peer, this_trainer
from benchmark.timing import (
    OURS,
    SYSTEM_LOAD,
    Row,
    Settings,
    elapsed,
    show_progress,
    wait_until_idle,
)

ROOT = Path(__file__).resolve().parents[2]

USERS_TABLE = """## What a user wants to know

"At least": the time of the fastest other solver, or of what the colon names, over this trainer's.
"At most": this trainer's time or memory over that of what the colon names."""

QUICK_SECONDS = 100
"""A quick run starts no further case after this, so that it ends within two minutes."""


def trace(settings: Settings) -> list[Row]:
    """Draw cost against time on the ill-conditioned problem; there are no rows."""
    problem = next(problems_of("ill", settings.quick, settings.time_limit))
    path = settings.output / "cost_against_time.png"
    report.draw_cost_against_time(cases.trace(problem), problem, path, caption(settings))
    return []


CASES: dict[str, tuple[str, Callable[[Settings], list[Row]]]] = {
    "small": ("the toy sets, to 1e-8", partial(cases.solve_case, "small")),
    "well": ("well-conditioned, to 1e-8", partial(cases.solve_case, "well")),
    "ill": ("condition number 1e4, to 1e-8", partial(cases.solve_case, "ill")),
    "trace": ("cost against time, as a picture", trace),
    "large": ("a million rows, to 1e-8", partial(cases.solve_case, "large")),
    "flipped": (
        "a million rows, a tenth of the labels wrong, default starts, to 1e-8",
        partial(cases.solve_case, "flipped", peers=SHORT_LIST | {OURS: Peer(this_trainer)}),
    ),
    "columns": (
        "hundreds and thousands of columns, to 1e-8",
        partial(cases.solve_case, "columns", peers=SHORT_LIST),
    ),
    "wide": ("more columns than rows, to 1e-8", partial(cases.solve_case, "wide")),
    "sparse": ("CSR, to 1e-8", partial(cases.solve_case, "sparse")),
    "sparse_large": (
        "more rows and columns, CSR, to 1e-8",
        partial(cases.solve_case, "sparse_large", peers=SHORT_LIST),
    ),
    "float32": ("float32 against float64, to 1e-6", cases.float32),
    "one_pass": ("J and its gradient, once", cases.one_pass),
    "memory": ("peak memory of a fit", cases.memory),
    "epoch": ("an epoch of mini-batches", cases.epoch),
    "import": ("import time", cases.import_time),
    "multi_start": ("the default number of starts against one", cases.multi_start),
    "selection": ("20 penalties x 5 folds", cases.selection),
    "classes": ("one bank for many classes", cases.classes),
    "at_once": ("two fits in two threads", cases.at_once),
    "command_line": ("train.py on a CSV file", cases.command_line),
    "growth": ("time against n, d and K", cases.growth),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and draw; returns the exit code."""
    options = parse(argv)
    if options.list:
        print("\n".join(f"{name:12s} {about}" for name, (about, _) in CASES.items()))
        return 0
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"benchmark: --output must be a folder to write to: {error}", file=sys.stderr)
        return 2
    settings = Settings(
        quick=options.quick,
        repeats=options.repeats,
        time_limit=options.time_limit,
        output=options.output,
        ours_only=options.worker,
        pause=hand_over if options.worker else wait_until_idle,
    )
    if options.compare:
        text, name = compare(options), "comparison.md"
    else:
        rows, skipped = measure(options.cases, settings)
        if options.worker:
            return 0
        path = settings.output / "time_to_solution.png"
        report.draw_time_to_solution(rows, path, caption(settings))
        parts = [heading(settings, skipped), USERS_TABLE, report.targets(rows)]
        if summary := report.summary(rows):
            parts += ["## Time to a solution", summary]
        parts += ["## Every measurement", report.details(rows)]
        text, name = "\n\n".join(parts), "benchmark.md"
    print(text)
    (settings.output / name).write_text(text + "\n", encoding="utf-8")
    show_progress(f"written to {settings.output}")
    return 0


def measure(names: Sequence[str], settings: Settings) -> tuple[list[Row], list[str]]:
    """The rows of the cases, and the cases left out, with the reason.

    A quick run has no time left for some; a worker ends at the first case that fails.
    """
    rows: list[Row] = []
    skipped: list[str] = []
    for name in names:
        if settings.quick and not settings.ours_only and elapsed() > QUICK_SECONDS:
            skipped.append(f"{name} (no time left)")
            continue
        try:
            rows += CASES[name][1](settings)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            show_progress(f"{name} failed: {reason}")
            if settings.ours_only:
                sys.exit(1)
            skipped.append(f"{name} (failed: {reason})")
        pd.DataFrame(rows).to_csv(settings.output / "benchmark.csv", index=False, na_rep="nan")
    return rows, skipped


def caption(settings: Settings) -> str:
    """Where this was measured, and whether at quick sizes."""
    return report.machine() + ("; quick sizes" if settings.quick else "")


def heading(settings: Settings, skipped: Sequence[str] = ()) -> str:
    """Where and how this was measured, and what was left out."""
    lines = [
        f"{caption(settings)}. System load before the start: {SYSTEM_LOAD:.1f}.",
        "Medians; in brackets the ratio to this trainer's median: below 1 × this trainer was "
        "slower. All solvers ran in one process, interleaved, warmed up, from zero, on the same "
        "arrays; one reference implementation measured the gradients. Passes are evaluations of "
        "J and its gradient over all rows, or epochs; blank where a solver does not count them.",
    ]
    missing = [f"{name} ({peer.package})" for name, peer in PEERS.items() if not peer.installed]
    if missing:
        lines.append(f"Left out, not installed: {', '.join(missing)}.")
    if settings.quick:
        lines.append("Quick sizes: the targets apply to the full ones.")
    if skipped:
        lines.append(f"Left out: {', '.join(skipped)}.")
    return "\n".join(lines)


# --------------------------------------------------------------- two checkouts in turn


def compare(options: argparse.Namespace) -> str:
    """Measure the trainer of another checkout and this one, case by case.

    A case that one of the two cannot run is left out by name.
    """
    checkouts = {"before": options.compare, "now": ROOT}
    rows: dict[str, list[Row]] = {name: [] for name in checkouts}
    left_out = []
    for case in options.cases:
        if case == "trace":
            continue
        if failed := run_in_turn(checkouts, case, options):
            left_out.append(f"{case} ({failed} cannot run it)")
            continue
        for name in checkouts:
            rows[name] += read_rows(options.output / name / case / "benchmark.csv")
    versions = ", ".join(f"{name}: {version(path)}" for name, path in checkouts.items())
    lines = [
        f"{report.machine()}. System load before the start: {SYSTEM_LOAD:.1f}.",
        f'This trainer from two checkouts, measured in turn ({versions}). "Slower" and '
        '"faster" mean that each median lies outside the other\'s range.',
    ]
    if left_out:
        lines.append(f"Left out: {', '.join(left_out)}.")
    return "\n".join(lines) + "\n\n" + report.comparison(rows["before"], rows["now"])


def run_in_turn(checkouts: dict[str, Path], case: str, options: argparse.Namespace) -> str:
    """Run a case with both trainers, a process each; the name of one that fails, or "".

    Both processes run this benchmark, so both fit the same data. A process waits before
    each measurement until the other has finished its own: A B, B A, A B, ...
    """
    with ExitStack() as stack:
        workers = {}
        for name, path in checkouts.items():
            workers[name] = stack.enter_context(start_worker(path, options, name, case))
            stack.callback(workers[name].kill)
        order, waiting = "", list(workers)
        while waiting:
            waiting = [name for name in waiting if take_turn(workers[name], order)]
            waiting, order = waiting[::-1] if order else waiting, "go\n"
        return next((name for name, worker in workers.items() if worker.wait()), "")


def start_worker(
    checkout: Path, options: argparse.Namespace, name: str, case: str
) -> subprocess.Popen[str]:
    """Start a case of this benchmark in a process that imports the trainer from `checkout`."""
    arguments = ["--cases", case, "--worker", "--output", str(options.output / name / case)]
    arguments += ["--repeats", str(options.repeats), "--time-limit", str(options.time_limit)]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).parent), *arguments, *["--quick"] * options.quick],
        env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def hand_over() -> None:
    """In a worker: report that the last measurement is over, and wait for the next turn."""
    wait_until_idle()
    print("waiting", flush=True)
    if not sys.stdin.readline():
        sys.exit("the comparison has ended")


def take_turn(worker: subprocess.Popen[str], order: str) -> bool:
    """Send an order to a worker and wait until it waits again; False if it has finished."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with suppress(BrokenPipeError):
        worker.stdin.write(order)
        worker.stdin.flush()
    return bool(worker.stdout.readline())


def read_rows(path: Path) -> list[Row]:
    """The rows of a benchmark.csv."""
    frame = pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    return [Row(*values) for values in frame.itertuples(index=False, name=None)]


def version(checkout: Path) -> str:
    """The commit of a checkout, or its name where git cannot tell."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or checkout.resolve().name


# ------------------------------------------------------------------------- the options


class Parser(argparse.ArgumentParser):
    """Reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = Parser(prog="benchmark", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small sizes, within two minutes")
    parser.add_argument("--cases", type=case_names, default=list(CASES), help="some only: a,b,c")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument(
        "--repeats",
        type=above_zero(int, "a whole number >= 1"),
        help="runs of each solver (default 5; 3 with --quick, 9 with --compare)",
    )
    parser.add_argument(
        "--time-limit",
        type=above_zero(float, "a number of seconds > 0"),
        help="seconds of each solver (default 60; 0.5 with --quick alone)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs/benchmark"), help="folder (runs/benchmark)"
    )
    parser.add_argument(
        "--compare", type=checkout, metavar="CHECKOUT",
        help="measure this trainer and that of another checkout, in turn",
    )  # fmt: skip
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    options.repeats = options.repeats or (9 if options.compare else 3 if options.quick else 5)
    if not options.time_limit:
        options.time_limit = 0.5 if options.quick and not options.compare else 60.0
    return options


def case_names(text: str) -> list[str]:
    """Names of cases, separated by commas."""
    names = text.split(",")
    for name in names:
        if name not in CASES:
            nearest = get_close_matches(name, CASES, 1, 0)[0]
            raise argparse.ArgumentTypeError(f'no case "{name}"; the nearest is "{nearest}"')
    return names


def above_zero(kind: type, rule: str) -> Callable[[str], Any]:
    """Type of an option: a finite number above 0."""

    def read(text: str) -> Any:
        with suppress(ValueError):
            if 0 < (value := kind(text)) < float("inf"):
                return value
        raise argparse.ArgumentTypeError(f"must be {rule}, got {text}")

    return read


def checkout(text: str) -> Path:
    """A checkout of this project."""
    if not (Path(text) / "trainer" / "__init__.py").exists():
        raise argparse.ArgumentTypeError(f"must be a checkout that holds trainer/, got {text}")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
