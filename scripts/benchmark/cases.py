"""The measurements: each case takes the settings and returns rows of results."""

import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

import trainer
from benchmark import problems
from benchmark.problems import Array, Problem, gradient_max, problems_of, reference
from benchmark.solvers import BARE_PRODUCT, PASSES, PEERS, Peer, trainer_pass
from benchmark.timing import (
    OURS,
    Recorder,
    Row,
    Run,
    Settings,
    make_rows,
    recorded_warnings,
    set_ratios,
    show_progress,
    timed,
)
from trainer import LogisticNeuron, LogisticNeuronCV

# ------------------------------------------------------------------ time to a solution

ROUNDING_MARGIN = 1.02
"""The reference sums in another order than a solver that has just met the target."""

warmed_up: set[tuple[str, str, bool]] = set()
"""Solver, precision and sparsity that have been run before."""


def solve_case(case: str, settings: Settings, peers: dict[str, Peer] = PEERS) -> list[Row]:
    """Time solvers on the problems of a case."""
    rows = []
    for problem in problems_of(case, settings.quick, settings.time_limit):
        rows += solve(case, problem, settings, peers)
        gc.collect()
    return rows


def float32(settings: Settings) -> list[Row]:
    """Time the solvers that take float32 in both precisions, to 1e-6."""
    n, d = (50_000, 20) if settings.quick else (1_000_000, 100)
    double = problems.conditioned(
        n, d, 1e4, name="ill-conditioned", target=1e-6, time_limit=settings.time_limit
    )
    peers = {name: PEERS[name] for name in (OURS, "SciPy L-BFGS-B", "PyTorch L-BFGS")}
    rows = solve("float32", double, settings, peers)
    return rows + solve("float32", replace(double, X=double.X.astype("f4")), settings, peers)


def solve(
    case: str, problem: Problem, settings: Settings, peers: dict[str, Peer] = PEERS
) -> list[Row]:
    """Time solvers on one problem, interleaved, each after a warm-up.

    A solver that has used up the time limit is not run again; its first run always counts.
    The error of a solver that fails is in its row's note.
    """
    n, d = problem.X.shape
    dtype = str(problem.X.dtype)
    show_progress(f"{problem.name} ({n} x {d}, {dtype}) to {problem.target:.0e}")
    peers = {name: peer for name, peer in settings.select(peers).items() if peer.installed}
    rows = {name: Row(case, problem.name, name, n, d, dtype=dtype) for name in peers}
    runs: dict[str, Run] = {}
    results: dict[str, list[Recorder]] = {name: [] for name in peers}
    for name, peer in peers.items():
        rows[name].note = peer.refusal(problem)
        if not rows[name].note:
            with failure_noted(rows[name]):
                runs[name] = prepare(name, peer, problem)
    is_short = n * d < 200_000 and problem.time_limit > 1
    for _, name in settings.interleaved(runs, settings.repeats * (3 if is_short else 1)):
        spent = sum(result.seconds for result in results[name])
        if spent < problem.time_limit and not rows[name].note:
            with failure_noted(rows[name]):
                results[name].append(run_once(runs[name], peers[name], problem))
    for name in runs:
        if results[name] and not rows[name].note:
            evaluate(rows[name], problem, peers[name], results[name])
    found = set_ratios(list(rows.values()))
    if OURS in rows and rows[OURS].reached != "yes":
        for row in found:
            row.ratio = np.nan
    return found


@contextmanager
def failure_noted(row: Row) -> Iterator[None]:
    """Write an error into the row's note: a solver's failure is a result."""
    try:
        yield
    except Exception as error:
        row.note = f"failed: {error}".splitlines()[0]


def prepare(name: str, peer: Peer, problem: Problem) -> Run:
    """Prepare a solver for a problem; the first time, run it on a small one of that kind."""
    kind = name, str(problem.X.dtype), problem.is_sparse
    with recorded_warnings():
        if kind not in warmed_up and not peer.compiles:
            warmed_up.add(kind)
            small = problem.warm_up()
            timed(peer.prepare(small), small.time_limit)
        return peer.prepare(problem)


def run_once(run: Run, peer: Peer, problem: Problem) -> Recorder:
    """One timed run; with another loss, a convergence warning means it was not finished."""
    with recorded_warnings() as caught:
        result = timed(run, problem.time_limit)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        result.in_time &= not peer.other_loss
    return result


def evaluate(row: Row, problem: Problem, peer: Peer, results: list[Recorder]) -> None:
    """Fill in a row: the times, and whether the reference's gradient meets the target.

    A run stopped by the time limit counts with that limit, which does not change the
    median as long as such runs are in the minority.
    """
    row.summarise([result.seconds for result in results])
    row.passes = statistics.median(result.n_passes for result in results) or np.nan
    if peer.other_loss:
        done = sum(result.in_time for result in results) > len(results) / 2
        row.reached = "other loss" if done else "no"
        row.note = "" if done else "out of time, by its own tolerance"
        return
    gradients = [np.inf if r.theta is None else gradient_max(problem, r.theta) for r in results]
    solved = [
        gradient
        for gradient, result in zip(gradients, results, strict=True)
        if result.in_time and gradient <= ROUNDING_MARGIN * problem.target
    ]
    row.reached = "yes" if len(solved) > len(results) / 2 else "no"
    row.gradient_max = max(solved if row.reached == "yes" else gradients)
    if row.reached == "no":
        in_time = all(result.in_time for result in results)
        row.note = "stopped by itself" if in_time else "out of time"


# -------------------------------------------------------------------- cost against time

TRACED = (OURS, "PyTorch L-BFGS", "PyTorch Adam", "SciPy L-BFGS-B")


Curve = tuple[Array, Array, bool]
"""Seconds, J - J* then, and whether the run ended in time."""


def trace(problem: Problem) -> dict[str, Curve]:
    """One recorded run of each solver.

    J is the reference's, at up to 200 of the recorded points, and J* the lowest of all. As
    a line search also visits higher points, a curve shows the lowest J so far.
    """
    show_progress(f"{problem.name}: recording the paths")
    curves: dict[str, Curve] = {}
    for name in TRACED:
        if not PEERS[name].installed:
            continue
        run = prepare(name, PEERS[name], problem)
        with recorded_warnings():
            result = timed(run, problem.time_limit, keep_path=True)
        if not result.path:
            continue
        kept = np.unique(np.geomspace(1, len(result.path), 200).astype(int)) - 1
        costs = np.array([reference(problem, result.path[i][1])[0] for i in kept])
        seconds = np.array([result.path[i][0] for i in kept])
        curves[name] = seconds, np.minimum.accumulate(costs), result.in_time
    lowest = min((J[-1] for _, J, _ in curves.values()), default=0.0)
    return {name: (t, J - lowest, in_time) for name, (t, J, in_time) in curves.items()}


# ----------------------------------------------------------------- J and its gradient


def one_pass(settings: Settings) -> list[Row]:
    """Time one evaluation of J and its gradient, for one neuron and for banks."""
    n, d = (100_000, 50) if settings.quick else (1_000_000, 100)
    dense = problems.conditioned(n, d, 1.0, name="dense")
    rows = [row for K in (1, 8, 32) for row in time_pass(dense, K, settings)]
    dense = replace(dense, X=dense.X.astype(np.float32))
    rows += time_pass(dense, 1, settings)
    n, d = (20_000, 1_000) if settings.quick else (200_000, 10_000)
    return rows + time_pass(problems.sparse(n, d, name="CSR"), 1, settings)


def time_pass(problem: Problem, K: int, settings: Settings) -> list[Row]:
    """Time one evaluation at a random θ; compare the gradients of up to four neurons."""
    n, d = problem.X.shape
    show_progress(f"one pass over {problem.name}, {n} x {d}, {problem.X.dtype}, K = {K}")
    theta = random_theta(d, K)
    theta = (theta[:, 0] if K == 1 else theta).astype(problem.X.dtype)
    columns = theta.reshape(d + 1, K).T[:4]
    expected = np.column_stack([reference(problem, column)[1] for column in columns])
    passes, notes = {}, {}
    for name, (package, prepare_pass) in settings.select(PASSES).items():
        if find_spec(package) is None:
            continue
        with recorded_warnings():
            passes[name] = prepare_pass(problem, theta)
            result = passes[name]()
        if name != BARE_PRODUCT:
            gradient = np.asarray(result[1]).reshape(d + 1, K)[:, :4]
            error = np.abs(gradient - expected).max()
            notes[name] = f"gradient within {error:.0e} of the reference"
    seconds = settings.time(passes, 2 * settings.repeats)
    dtype = str(problem.X.dtype)
    rows = make_rows("one_pass", f"{problem.name}, K = {K}", seconds, n, d, K, dtype=dtype)
    for row in rows:
        row.note = notes.get(row.peer, "")
    return rows


def random_theta(d: int, K: int) -> Array:
    """Parameters (d + 1, K) of standard deviation 0.1, seed 3."""
    return 0.1 * np.random.default_rng(3).standard_normal((d + 1, K))


def growth(settings: Settings) -> list[Row]:
    """Time to solution against n and against d, and one pass against K."""
    peers = {name: PEERS[name] for name in (OURS, "SciPy L-BFGS-B")}
    larger = () if settings.quick else (1_000_000,)
    series = {
        "n": [(n, 20) for n in (1_000, 10_000, 100_000, *larger)],
        "d": [(5_000, d) for d in (10, 100, 300)],
    }
    fewer = replace(settings, repeats=min(settings.repeats, 3))
    rows: list[Row] = []
    for letter, sizes in series.items():
        for n, d in sizes:
            name = f"with {letter}, condition 10"
            problem = problems.conditioned(n, d, 10.0, name=name, time_limit=settings.time_limit)
            rows += solve("growth", problem, fewer, peers)
    n, d = (50_000, 50) if settings.quick else (200_000, 100)
    problem = problems.conditioned(n, d, 1.0)
    show_progress(f"one pass, {n} x {d}, K = 1 to 64")
    for K in (1, 2, 4, 8, 16, 32, 64):
        seconds = settings.time({OURS: trainer_pass(problem, random_theta(d, K))})[OURS]
        row = Row("growth", "with K, one pass", OURS, n, d, K).summarise(seconds)
        row.note = f"{1e3 * row.median / K:.2f} ms a neuron"
        rows.append(row)
    return rows


# --------------------------------------------------------------------- memory, imports


def memory(settings: Settings) -> list[Row]:
    """Peak memory of a fit in a process of its own, X included, in MB."""
    n, d = (200_000, 50) if settings.quick else (1_000_000, 100)
    names = [OURS, "LogisticRegression lbfgs"]
    if not settings.quick:
        names += ["SciPy L-BFGS-B", "PyTorch L-BFGS"]
    peers = {name: PEERS[name] for name in names if PEERS[name].installed}
    values: dict[str, list[float]] = {name: [] for name in settings.select(peers)}
    show_progress(f"memory of a fit, {n} x {d}")
    for _, name in settings.interleaved(values, 3 if settings.ours_only else 1):  # it hardly varies
        code = f"from benchmark.cases import peak_of_fit; print(peak_of_fit({name!r}, {n}, {d}))"
        values[name] += run_python(code)
    note = f"X itself is {n * d * 8 / 1e6:.0f} MB"
    return make_rows("memory", f"{n} x {d}", values, n, d, unit="MB", note=note)


def peak_of_fit(name: str, n: int, d: int) -> float:
    """MB by which this process grows from before X is made to the peak of a fit.

    Linux keeps the peak since it was last reset. Elsewhere it is `ru_maxrss`, which on
    Linux would not do: a child inherits it, and it cannot be reset.
    """
    with recorded_warnings():
        timed(PEERS[name].prepare(problems.conditioned(500, 20, 1.0).warm_up()), 5.0)
        before = resident_memory("VmRSS")
        problem = problems.conditioned(n, d, 1.0, target=1e-5, time_limit=20.0)
        if (clear_refs := Path("/proc/self/clear_refs")).exists():
            clear_refs.write_text("5")  # resets the peak
        timed(PEERS[name].prepare(problem), problem.time_limit)
    return resident_memory("VmHWM") - before


def resident_memory(field: str) -> float:
    """MB of this process: now, "VmRSS", or at the peak, "VmHWM"."""
    if (status := Path("/proc/self/status")).exists():
        lines = status.read_text().splitlines()
        kibibytes = next(float(line.split()[1]) for line in lines if line.startswith(field))
        return kibibytes * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run_python(code: str, *arguments: str) -> list[float]:
    """The numbers printed by code in a fresh interpreter with the same search path."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return [float(number) for number in done.stdout.split()]


def import_time(settings: Settings) -> list[Row]:
    """Time an import in fresh interpreters, interleaved."""
    show_progress("import time")
    statements = {
        OURS: "from trainer import LogisticNeuron",
        "sklearn.linear_model": "import sklearn.linear_model",
    }
    seconds: dict[str, list[float]] = {name: [] for name in settings.select(statements)}
    for _, name in settings.interleaved(seconds, 3 if settings.quick else max(settings.repeats, 7)):
        code = (
            "from time import perf_counter; started = perf_counter(); "
            f"{statements[name]}; print(perf_counter() - started)"
        )
        seconds[name] += run_python(code)
    return make_rows("import", "in a fresh interpreter", seconds)


# -------------------------------------------------------------------------- whole fits

Fit = Callable[[Any, Any], Any]


def time_fits(
    case: str, name: str, fits: dict[str, Fit], X: Array, y: Array, settings: Settings
) -> list[Row]:
    """Time all of `fit`, including validation."""
    functions = {peer: partial(fit, X, y) for peer, fit in settings.select(fits).items()}
    return make_rows(case, name, settings.time(functions), *X.shape)


def epoch(settings: Settings) -> list[Row]:
    """Time an epoch of shuffled mini-batches of 256 rows against one of SGDClassifier.

    An epoch is half of what two more epochs add to a fit, which cancels validation and
    the work before the first epoch and after the last.
    """
    n, d = (100_000, 28) if settings.quick else (1_000_000, 28)
    problem = problems.conditioned(n, d, 1.0)
    show_progress(f"an epoch of mini-batches, {n} x {d}")
    models = settings.select(
        {
            OURS: LogisticNeuron(
                optimizer="gradient_descent", batch_size=256, learning_rate=0.1, tol=0,
                random_state=0,
            ),
            "SGDClassifier": SGDClassifier(
                loss="log_loss", alpha=problem.alpha, tol=None, random_state=0
            ),
        }
    )  # fmt: skip

    def fit(model: Any, n_epochs: int) -> None:
        model.set_params(max_iter=n_epochs).fit(problem.X, problem.labels)

    fits = {f"{name} {k}": partial(fit, models[name], k) for name in models for k in (1, 3)}
    seconds = settings.time(fits)
    pairs = {k: zip(seconds[f"{k} 1"], seconds[f"{k} 3"], strict=False) for k in models}
    epochs = {name: [(three - one) / 2 for one, three in pairs[name]] for name in models}
    return make_rows("epoch", "one epoch", epochs, n, d)


def multi_start(settings: Settings) -> list[Row]:
    """Time the default number of starts against a single one."""
    rows = []
    toys = problems_of("small", settings.quick, settings.time_limit)
    large = problems_of("large", settings.quick, settings.time_limit)
    for problem in (*toys, next(large)):
        n, d = problem.X.shape
        show_progress(f"multiple starts: {problem.name}")
        several = LogisticNeuron(alpha=problem.alpha, tol=problem.target, random_state=0)
        single = LogisticNeuron(**several.get_params() | {"n_starts": 1})
        functions = {
            name: partial(neuron.fit, problem.X, problem.labels)
            for name, neuron in ((OURS, single), ("default n_starts", several))
        }
        seconds = settings.time(functions, settings.repeats * (5 if n * d < 200_000 else 1))
        rows += make_rows("multi_start", problem.name, seconds, n, d)
    return rows


def selection(settings: Settings) -> list[Row]:
    """Time 20 penalties × 5 folds and the final fit, others with one job and with two."""
    n, d = (2_000, 20) if settings.quick else (20_000, 50)
    grid = {"C": np.logspace(-4, 4, 20)}  # LogisticRegressionCV's own
    rows: list[Row] = []
    for problem in (
        problems.conditioned(n, d, 10.0, name="20 penalties × 5 folds"),
        problems.toy("breast_cancer"),
    ):
        show_progress(f"20 penalties x 5 folds: {problem.name}")
        fits: dict[str, Fit] = {OURS: LogisticNeuronCV().fit}
        for jobs in (1, 2):
            fits[f"LogisticRegressionCV, n_jobs={jobs}"] = LogisticRegressionCV(
                Cs=20, cv=5, n_jobs=jobs
            ).fit
            fits[f"GridSearchCV(LogisticRegression), n_jobs={jobs}"] = GridSearchCV(
                LogisticRegression(), grid, cv=5, n_jobs=jobs
            ).fit
        rows += time_fits("selection", problem.name, fits, problem.X, problem.labels, settings)
    return rows


def classes(settings: Settings) -> list[Row]:
    """Time one bank for all classes against one LogisticRegression per class."""
    n, many = (2_000, 50) if settings.quick else (20_000, 500)
    sets = {
        "digits, 10 classes": load_digits(return_X_y=True),
        "synthetic, 26 classes": synthetic(n, 16, 14, 26),
        "synthetic, many classes": synthetic(n, 30, 25, many),
    }
    rows: list[Row] = []
    for name, (X, y) in sets.items():
        show_progress(f"many classes: {name}")
        alpha = 1e-4
        regression = LogisticRegression(C=1 / (alpha * len(y)), max_iter=1000)
        fits: dict[str, Fit] = {OURS: LogisticNeuron(alpha=alpha).fit}
        for jobs in (1, 2):
            fits[f"OneVsRestClassifier(LogisticRegression), n_jobs={jobs}"] = OneVsRestClassifier(
                regression, n_jobs=jobs
            ).fit
        rows += time_fits("classes", name, fits, StandardScaler().fit_transform(X), y, settings)
    return rows


def synthetic(n: int, d: int, n_informative: int, n_classes: int) -> tuple[Array, Array]:
    """A cluster of points for each class."""
    X, y = make_classification(
        n, d, n_informative=n_informative, n_redundant=0, n_classes=n_classes,
        n_clusters_per_class=1, class_sep=2.0, random_state=0,
    )  # fmt: skip
    return X, y


def at_once(settings: Settings) -> list[Row]:
    """Time two fits in two threads against the same fits one after the other."""
    n, d = (3_000, 10) if settings.quick else (60_000, 30)
    show_progress(f"two fits in two threads, {n} x {d}")
    X, y = synthetic(n, d, d - 2, 12)

    def fit(_: int) -> Any:
        return LogisticNeuron().fit(X, y)

    def in_threads() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fit, range(2)))

    functions = {OURS: in_threads, f"{OURS}, one after the other": lambda: [fit(0), fit(1)]}
    return make_rows("at_once", "two fits at once", settings.time(functions), n, d, 12)


# -------------------------------------------------------------------- the command line

WITH_PANDAS = """
import sys, pandas
from sklearn.linear_model import LogisticRegression
table = pandas.read_csv(sys.argv[1])
LogisticRegression(max_iter=1000).fit(table.drop(columns="label"), table["label"])
"""

WATCHED = """
import resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
if done.returncode:
    sys.exit(done.stderr)
unit = 1 if sys.platform == "darwin" else 1024
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6)
"""
"""Runs a command and prints its seconds and its peak in MB, from a process so small that the
command's peak is its own: a child inherits that of its parent."""


def command_line(settings: Settings) -> list[Row]:
    """Time `train.py` on a CSV file against pandas and LogisticRegression, with the memory."""
    n, d = (5_000, 10) if settings.quick else (1_000_000, 30)
    show_progress(f"train.py on a CSV file, {n} x {d}")
    script = Path(trainer.__file__).parents[1] / "scripts" / "train.py"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_csv(problems.conditioned(n, d, 10.0), path)
        commands = settings.select(
            {
                OURS: [script, path, "--target", "label", "--output", Path(folder) / "runs"],
                "pandas and LogisticRegression": ["-c", WITH_PANDAS, path],
            }
        )
        measured: dict[str, list[list[float]]] = {name: [] for name in commands}
        for _, name in settings.interleaved(commands, 1 if settings.quick else 2):
            command = [sys.executable, *map(str, commands[name])]
            measured[name].append(run_python(WATCHED, *command))
    rows = []
    for i, unit in enumerate(("seconds", "MB")):
        values = {name: [pair[i] for pair in pairs] for name, pairs in measured.items()}
        rows += make_rows(
            "command_line", f"train.py on a CSV file, {unit}", values, n, d, unit=unit
        )
    return rows


def write_csv(problem: Problem, path: Path) -> None:
    """Write the rows, with four decimals, and the labels."""
    columns = [f"x{j}" for j in range(problem.X.shape[1])]
    table = pd.DataFrame(problem.X.round(4), columns=columns)
    table.assign(label=problem.labels).to_csv(path, index=False)
