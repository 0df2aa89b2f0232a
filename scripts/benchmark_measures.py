"""Everything but time to a solution: one pass, memory, growth, epochs, imports, starts."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_autograd import jax_pass, torch_pass
from benchmark_peers import OURS, PEERS, has_parameter, textbook
from benchmark_problems import Array, Problem, conditioned, large, referee, small, sparse
from benchmark_solving import Settings, quietly, say, solve
from benchmark_watch import Row, rounds, set_ratios, timed
from sklearn.linear_model import SGDClassifier

from trainer import ArrayRows, LogisticNeuron, Objective

ROOT = Path(__file__).resolve().parents[1]


# ------------------------------------------------------------------------- one pass


def one_pass(settings: Settings) -> list[Row]:
    """Time J and its gradient once, for one neuron and for banks, beside a bare X @ w."""
    n, d = (100_000, 50) if settings.quick else (1_000_000, 100)
    dense = conditioned(n, d, 1.0, name="dense")
    rows = pass_over(dense, 1, settings) + pass_over(dense, 8, settings)
    rows += pass_over(dense, 32, settings)
    single = replace(dense, X=dense.X.astype(np.float32))
    del dense
    rows += pass_over(single, 1, settings)
    n, d = (20_000, 1_000) if settings.quick else (200_000, 10_000)
    return rows + pass_over(sparse(n, d, name="CSR"), 1, settings)


BARE = "bare X @ w"


def trainer_pass(problem: Problem, theta: Array) -> Callable[[], Any]:
    """The trainer's objective, as its solvers call it."""
    objective = Objective(ArrayRows(problem.X, problem.y), problem.alpha)
    theta = theta.reshape(len(theta), -1).astype(np.float64)
    return lambda: objective.value_and_gradient(theta)


def bare_pass(problem: Problem, theta: Array) -> Callable[[], Any]:
    """One product, the least that a pass can be."""
    X, W = problem.X, theta[:-1]
    return lambda: X @ W


def textbook_pass(problem: Problem, theta: Array) -> Callable[[], Any]:
    """The textbook's NumPy."""
    X, y = problem.X, problem.y
    return lambda: textbook(theta, X, y, problem.alpha)


PASSES: dict[str, tuple[str, Callable[[Problem, Array], Callable[[], Any]]]] = {
    OURS: ("numpy", trainer_pass),
    BARE: ("numpy", bare_pass),
    "textbook NumPy": ("numpy", textbook_pass),
    "PyTorch autograd": ("torch", torch_pass),
    "JAX jit": ("jax", jax_pass),
}
"""Who takes part: the package needed, and what gets one pass ready."""


def pass_over(problem: Problem, K: int, settings: Settings) -> list[Row]:
    """Time one pass by everyone at a random θ, and compare the gradients of four neurons."""
    n, d = problem.X.shape
    say(f"one pass over {problem.name}, {n} x {d}, {problem.X.dtype}, K = {K}")
    theta = 0.1 * np.random.default_rng(3).standard_normal((d + 1, K))
    theta = (theta[:, 0] if K == 1 else theta).astype(problem.X.dtype)
    columns = theta.reshape(d + 1, K).T[:4]
    expected = np.column_stack([referee(problem, column)[1] for column in columns])
    passes, notes = {}, {}
    for name, (package, prepare) in PASSES.items():
        if find_spec(package) is None:
            continue
        with quietly():
            passes[name] = prepare(problem, theta)
            answer = passes[name]()
        if name != BARE:
            gradient = np.asarray(answer[1]).reshape(d + 1, K)[:, :4]
            error = np.abs(gradient - expected).max()
            notes[name] = f"gradient within {error:.0e} of the referee's"
    seconds = rounds(passes, 2 * settings.repeats, settings.time_limit)
    rows = [
        Row(
            "one_pass", f"{problem.name}, K = {K}", name, n, d, K, str(problem.X.dtype),
            note=notes.get(name, ""),
        ).take(seconds[name])
        for name in passes
    ]  # fmt: skip
    return set_ratios(rows, OURS)


# --------------------------------------------------------------------------- memory

MEASURED = (OURS, "LogisticRegression lbfgs", "SciPy L-BFGS-B", "PyTorch L-BFGS")


def memory(settings: Settings) -> list[Row]:
    """Peak memory of a fit in a process of its own, X itself included, in MB."""
    n, d = (200_000, 50) if settings.quick else (1_000_000, 100)
    rows = []
    measured = MEASURED[:2] if settings.quick else MEASURED
    for name in (name for name in settings.peers if name in measured):
        say(f"memory of a fit, {n} x {d}: {name}")
        code = f"import benchmark_measures as m; print(m.peak_of_fit({name!r}, {n}, {d}))"
        note = f"X itself is {n * d * 8 / 1e6:.0f} MB"
        rows.append(
            Row("memory", f"{n} x {d}", name, n, d, unit="MB", note=note).take([_child(code)])
        )
    return set_ratios(rows, OURS)


def peak_of_fit(name: str, n: int, d: int) -> float:
    """MB by which this process grows from before there is X to the worst moment of a fit.

    Linux keeps the peak since it was last reset; elsewhere `ru_maxrss` stands in, which
    on Linux a child inherits from its parent, and which cannot be reset.
    """
    with quietly():
        timed(PEERS[name].prepare(conditioned(500, 20, 1.0).corner()), 5.0)
        before = _resident("VmRSS")
        problem = conditioned(n, d, 1.0, target=1e-5, time_limit=20.0)
        _forget_peak()
        timed(PEERS[name].prepare(problem), problem.time_limit)
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        kibibytes = next(float(line.split()[1]) for line in lines if line.startswith(field))
        return kibibytes * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _forget_peak() -> None:
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _child(code: str) -> float:
    """The number that a fresh interpreter prints."""
    paths = [str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(answer.stdout)


# --------------------------------------------------------------------------- growth


def growth(settings: Settings) -> list[Row]:
    """How the time to a solution grows with n and with d, and a pass with K."""
    peers = {name: PEERS[name] for name in settings.peers if name in (OURS, "SciPy L-BFGS-B")}
    larger = () if settings.quick else (1_000_000,)
    series = {
        "n": [(n, 20) for n in (1_000, 10_000, 100_000, *larger)],
        "d": [(5_000, d) for d in (10, 100, 300 if settings.quick else 1_000)],
    }
    rows: list[Row] = []
    for letter, sizes in series.items():
        for n, d in sizes:
            problem = conditioned(
                n, d, 10.0, name=f"with {letter}, condition 10", time_limit=settings.time_limit
            )
            rows += solve("growth", problem, peers, min(settings.repeats, 3))
    n, d = (50_000, 50) if settings.quick else (200_000, 100)
    problem = conditioned(n, d, 1.0)
    say(f"one pass, {n} x {d}, K = 1 to 64")
    for K in (1, 2, 4, 8, 16, 32, 64):
        theta = 0.1 * np.random.default_rng(3).standard_normal((d + 1, K))
        passes = {OURS: trainer_pass(problem, theta)}
        seconds = rounds(passes, settings.repeats, settings.time_limit)[OURS]
        row = Row("growth", "with K, one pass", OURS, n, d, K).take(seconds)
        row.note = f"{1e3 * row.median / K:.2f} ms a neuron"
        rows.append(row)
    return rows


# ---------------------------------------------------------- epochs, imports, starts


def epoch(settings: Settings) -> list[Row]:
    """Time an epoch of shuffled mini-batches of 256 rows against one of SGDClassifier.

    An epoch is half of what two more epochs add to a fit: validation, and what comes
    before the first epoch and after the last, cancel out.
    """
    n, d = (100_000, 28) if settings.quick else (1_000_000, 28)
    problem = conditioned(n, d, 1.0)
    X, labels = problem.X, problem.labels

    one_start: dict[str, Any] = {"n_starts": 1} if has_parameter("n_starts") else {}

    def ours(n_epochs: int) -> None:
        LogisticNeuron(
            optimizer="gradient_descent", batch_size=256, learning_rate=0.1, max_iter=n_epochs,
            tol=0, random_state=0, **one_start,
        ).fit(X, labels)  # fmt: skip

    def theirs(n_epochs: int) -> None:
        SGDClassifier(
            loss="log_loss", alpha=problem.alpha, max_iter=n_epochs, tol=None, random_state=0
        ).fit(X, labels)

    say(f"an epoch of mini-batches, {n} x {d}")
    functions: dict[str, Callable[[], None]] = {}
    for name, fit in ((OURS, ours), ("SGDClassifier", theirs)):
        for k in (1, 3):
            functions[f"{name} {k}"] = partial(fit, k)
    with quietly():
        seconds = rounds(functions, settings.repeats, settings.time_limit)
    rows = []
    for name in (OURS, "SGDClassifier"):
        pairs = zip(seconds[f"{name} 1"], seconds[f"{name} 3"], strict=False)
        differences = [(three - one) / 2 for one, three in pairs]
        rows.append(Row("epoch", "one epoch", name, n, d).take(differences))
    return set_ratios(rows, OURS)


def import_time(settings: Settings) -> list[Row]:
    """Time to import, in fresh interpreters, in turns; seven of each, three in a quick run."""
    say("import time")
    modules = {OURS: "trainer", "sklearn.linear_model": "sklearn.linear_model"}
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    for _ in range(3 if settings.quick else max(settings.repeats, 7)):
        for name, module in modules.items():
            code = (
                "from time import perf_counter; t = perf_counter(); "
                f"import {module}; print(perf_counter() - t)"
            )
            seconds[name].append(_child(code))
    rows = [
        Row("import", "in a fresh interpreter", name).take(values)
        for name, values in seconds.items()
    ]
    return set_ratios(rows, OURS)


def multi_start(settings: Settings) -> list[Row]:
    """Time the default number of starts against a single one."""
    if not has_parameter("n_starts"):
        note = "left out: this version of the trainer has no n_starts"
        return [Row("multi_start", "", OURS, note=note)]
    rows = []
    for problem in _easy(settings):
        n, d = problem.X.shape
        say(f"what several starts cost: {problem.name}")

        def fit(problem: Problem, **several: Any) -> None:
            LogisticNeuron(alpha=problem.alpha, tol=problem.target, random_state=0, **several).fit(
                problem.X, problem.labels
            )

        functions: dict[str, Callable[[], None]] = {
            OURS: partial(fit, problem, n_starts=1),
            "default n_starts": partial(fit, problem),
        }
        repeats = settings.repeats * (5 if n * d < 200_000 else 1)
        with quietly():
            seconds = rounds(functions, repeats, settings.time_limit)
        found = [
            Row("multi_start", problem.name, name, n, d).take(values)
            for name, values in seconds.items()
        ]
        rows += set_ratios(found, OURS)
    return rows


def _easy(settings: Settings) -> Iterator[Problem]:
    yield from small(settings.quick, settings.time_limit)
    yield next(large(settings.quick, settings.time_limit))
