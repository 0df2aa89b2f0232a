"""Attack the trainer: train, kill, resume, save, mutate, load, predict, strange input; one page.

python scripts/soak.py                                all steps at full size, more than an hour
python scripts/soak.py --share 0.01                   a short run
python scripts/soak.py --only "model files" --seed 7  one step; the same seed, the same attacks

Every step counts what it did and lists its findings, which are what may not happen: a file that
runs code or loads as another model, a folder of two runs, a fit that does not end in a model or
in an error in words, a prediction that is no probability.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import kill_fits
import kill_runs
import numpy as np
import pandas as pd
import soak_models
import soak_mutations as mutations
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

import trainer

Rng = np.random.Generator

FORMS: dict[str, Callable[[Any], Any]] = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "Fortran order": np.asfortranarray,
    "sparse": lambda X: csr_array(np.where(np.abs(X) > np.median(np.abs(X)), X, 0)),
    "frame": lambda X: pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])]),
}
"""The kinds of features that round trips are made of."""

STRANGE = (np.nan, np.inf, -np.inf, 1e300, -1e300, 1e160, 1e-320, 0.0)
"""Values that are put among rows to predict."""


@dataclass
class Step:
    """What a step has come to: how much it did, details for the page, and findings."""

    done: int
    what: str
    details: str = ""
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0


def round_trips(place: Path, size: int, seed: int) -> Step:
    """Train on random tables, save, load, mutate the file, predict strange rows."""
    findings, refused = [], 0
    for number in range(size):
        rng = np.random.default_rng([seed, number])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", ConvergenceWarning)
                refused += round_trip(place, rng)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            findings.append(f"round trip {number}: {text[:200]}")
    details = f"{refused} damaged files and strange rows refused, the others harmless"
    return Step(size, "models", details, findings)


def round_trip(place: Path, rng: Rng) -> int:
    """One of them; how many refusals there were. Raises for what may not be."""
    X, y = table(rng)
    model = fitted(X, y, rng)
    expected = model.predict_proba(X)
    soak_models.require(np.isfinite(expected).all(), "probabilities are no numbers")
    path = place / "model.skops"
    trainer.save_model(model, path)
    data = path.read_bytes()
    again = trainer.load_model(path)
    soak_models.require(
        np.array_equal(again.predict_proba(X), expected), "another model comes back"
    )
    trainer.save_model(again, path)
    soak_models.require(path.read_bytes() == data, "saved again, it is another file")
    refused = 0
    path.write_bytes(mutations.pick(mutations.ACCIDENTS, rng)(data, rng))
    try:
        harmless = np.array_equal(trainer.load_model(path).predict_proba(X), expected)
        soak_models.require(harmless, "a damaged file predicts otherwise")
    except ValueError:
        refused += 1
    strange = np.array(X.toarray() if hasattr(X, "toarray") else X, dtype=float)
    strange[rng.random(strange.shape) < 0.2] = mutations.pick(STRANGE, rng)
    rows = pd.DataFrame(strange, columns=X.columns) if hasattr(X, "columns") else strange
    try:
        P = again.predict_proba(rows)
    except ValueError as error:
        soak_models.require(not np.isfinite(strange).all(), f"finite rows are refused: {error}")
        return refused + 1
    soak_models.require(np.isfinite(P).all() and (P >= 0).all(), "a probability is no number")
    soak_models.require(np.abs(P.sum(axis=1) - 1).max() < 1e-5, "probabilities do not sum to 1")
    return refused


def table(rng: Rng) -> tuple[Any, Any]:
    """Features of any kind and scale, and noisy labels of two or three classes."""
    n, d, n_classes = rng.integers(20, 200), rng.integers(1, 9), rng.integers(2, 4)
    X = rng.standard_normal((n, d))
    scores = X @ rng.standard_normal((d, n_classes)) + rng.gumbel(size=(n, n_classes))
    y = scores.argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    X = FORMS[mutations.pick(list(FORMS), rng)](X * 10.0 ** rng.uniform(-6, 6, d))
    return X, mutations.pick((y, y.astype(str), y.astype(float)), rng)


def fitted(X: Any, y: Any, rng: Rng) -> Any:
    """A neuron of any optimizer, one that chooses its penalty, or a pipeline; perhaps in parts."""
    kind = rng.integers(4)
    if kind == 0:
        return trainer.LogisticNeuronCV(alphas=3, cv=2, random_state=0).fit(X, y)
    name = mutations.pick(["auto", *trainer.OPTIMIZERS], rng)
    neuron = trainer.LogisticNeuron(optimizer=name, max_iter=100, random_state=0)
    if hasattr(X, "columns") and kind == 1:
        return make_pipeline(trainer.make_preprocessor(X), neuron).fit(X, y)
    if kind == 2 and hasattr(neuron, "partial_fit"):
        for _ in range(3):
            neuron.partial_fit(X, y, classes=np.unique(y))
        return neuron
    return neuron.fit(X, y, rng.random(len(y)) if kind == 3 else None)


def model_files(place: Path, size: int, seed: int) -> Step:
    """Mutated model files, see `soak_models.py`."""
    report = soak_models.campaign(size, seed)
    findings = [f"{o.subject}, {o.mutation}: {o.verdict}: {o.detail}" for o in report.failures]
    return Step(size, "files", str(report), findings)


def killed_runs(place: Path, size: int, seed: int) -> Step:
    """Command lines that are killed, see `kill_runs.py`."""
    said = StringIO()
    with redirect_stderr(said):
        counts = kill_runs.campaign(place, size, seed)
    details = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
    return Step(size, "kills", details, said.getvalue().splitlines())


def killed_fits(place: Path, size: int, seed: int) -> Step:
    """Fits that are killed and resumed from their checkpoints, see `kill_fits.py`."""
    said = StringIO()
    with redirect_stderr(said):
        counts = kill_fits.campaign(place, size, seed, with_cluster=False)
    details = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
    return Step(size, "fits", details, said.getvalue().splitlines())


def strange_input(place: Path, size: int, seed: int) -> Step:
    """Examples of hypothesis for every public entrance; their number is that of the profile."""
    import subprocess

    root = Path(__file__).resolve().parents[1]
    profile = "long" if size >= 5000 else "short"
    command = [
        sys.executable, "-m", "pytest", "-q", "--no-cov", "-p", "no:cacheprovider",
        f"--hypothesis-profile={profile}", f"--hypothesis-seed={seed}",
        str(root / "tests" / "test_strange_input.py"),
    ]  # fmt: skip
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    lines = run.stdout.splitlines()
    findings = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    if run.returncode and not findings:
        findings = [run.stderr.strip() or lines[-1]]
    return Step(size, "examples", lines[-1] if lines else "", findings)


STEPS: dict[str, tuple[Callable[[Path, int, int], Step], int]] = {
    "round trips": (round_trips, 1000),
    "model files": (model_files, 2000),
    "killed runs": (killed_runs, 100),
    "killed fits": (killed_fits, 200),
    "strange input": (strange_input, 5000),
}
"""The steps, and their full sizes. A step is a function of a folder, a size and a seed."""


def campaign(names: list[str], share: float, seed: int) -> dict[str, Step]:
    """Run these steps, each at a share of its full size."""
    found = {}
    for name in names:
        step, full = STEPS[name]
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            found[name] = step(Path(place), max(1, round(share * full)), seed)
        found[name].seconds = time.perf_counter() - begin
    return found


def page(steps: dict[str, Step]) -> str:
    """One page of results."""
    lines = [f"{'step':<15}{'done':>17}{'seconds':>10}{'findings':>10}"]
    for name, step in steps.items():
        done = f"{step.done} {step.what}"
        lines.append(f"{name:<15}{done:>17}{step.seconds:>10.1f}{len(step.findings):>10}")
    for name, step in steps.items():
        lines += ["", f"{name}:", *(f"  {line}" for line in step.details.splitlines())]
        lines += [f"  FOUND {finding}" for finding in step.findings]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=STEPS, action="append", metavar="STEP",
        help=f"a step to run, of {', '.join(STEPS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--share", type=share, default=1.0, help="of the full size (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    options = parser.parse_args(argv)
    steps = campaign(options.only or list(STEPS), options.share, options.seed)
    print(page(steps))
    return 1 if any(step.findings for step in steps.values()) else 0


def share(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < np.inf:
        raise argparse.ArgumentTypeError(f"must be a number > 0, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
