"""What wrong labels do, and what helps: the experiment behind docs/wrong_labels.md.

Labels of training rows are made wrong, test rows keep theirs. Differences are paired by split
and averaged over the data sets; intervals hold for other splits of these data sets.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import t as student
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, LogisticNeuronCV, suspect_labels

PAGE = Path(__file__).parents[1] / "docs" / "wrong_labels.md"
BEGIN, END = "<!-- begin figures -->", "<!-- end figures -->"
REFERENCE = "LogisticRegression"
CLEAN_AT_10 = "noise_rates: 10 % for both"
SIZES = (300, 1_000, 3_000, 10_000, 30_000)  # rows simulated
SEVERAL_CLASSES = ("iris", "wine", "digits")
MAX_ROWS = 600  # rows of a data set that are used


class Noise(NamedTuple):
    """A way to make labels wrong: its group in the tables, and the rates where they are rates."""

    name: str
    group: str
    make: Callable[[Any, Any, Any], tuple[Any, Any]]
    rates: tuple[float, float] | None = None


def flips(rate_0: float, rate_1: float) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Flip each label at the rate of its class."""

    def make(X: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        flipped = rng.random(len(y)) < np.where(y == 1, rate_1, rate_0)
        return X, np.where(flipped, 1 - y, y)

    return make


def surest(share: float) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Flip the labels of the rows farthest from the boundary of a fit to the true labels."""

    def make(X: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        distance = np.abs(LogisticRegression(max_iter=1000).fit(X, y).decision_function(X))
        flipped = distance >= np.quantile(distance, 1 - share)
        return X, np.where(flipped, 1 - y, y)

    return make


def leverage(share: float) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Flip the labels of random rows, and multiply their features by 10."""

    def make(X: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        moved = rng.random(len(y)) < share
        return np.where(moved[:, np.newaxis], 10 * X, X), np.where(moved, 1 - y, y)

    return make


NOISES = (
    Noise("none", "clean", flips(0, 0), (0, 0)),
    Noise("uniform 10 %", "uniform", flips(0.1, 0.1), (0.1, 0.1)),
    Noise("uniform 20 %", "uniform", flips(0.2, 0.2), (0.2, 0.2)),
    Noise("uniform 30 %", "uniform", flips(0.3, 0.3), (0.3, 0.3)),
    Noise("class 1 at 30 %", "one-sided", flips(0, 0.3), (0, 0.3)),
    Noise("class 0 at 30 %", "one-sided", flips(0.3, 0), (0.3, 0)),
    Noise("surest 10 %", "surest", surest(0.1)),
    Noise("leverage 5 %", "leverage", leverage(0.05)),
)


def long_servedio(n: int, rate: float, seed: int) -> tuple[Any, Any]:
    """Rows of Long and Servedio (ICML 2008); the sign of the features' sum is the true label."""
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], n)
    kind = rng.choice(4, n)
    signs = np.ones((n, 21))
    signs[kind == 1, 11:] = -1
    mixed = np.column_stack(  # the first 5 of 11 and 6 of 10 in a random order
        [rng.random((n, k)).argsort(axis=1) < m for k, m in ((11, 5), (10, 6))]
    )
    signs[kind > 1] = np.where(mixed, 1, -1)[kind > 1]
    return signs * y[:, np.newaxis], np.where(rng.random(n) < rate, -y, y)


def far_outliers(seed: int) -> tuple[Any, Any]:
    """After Menon et al. (ICLR 2020): two classes on a line, and last 50 rows far out, wrong."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(1, 1, 5000), rng.normal(-1, 1, 5000), [-200.0] * 25, [200] * 25])
    return x[:, np.newaxis], np.repeat([1, 0, 1, 0], [5000, 5000, 25, 25])


def leverage_outliers(seed: int) -> tuple[Any, Any, Any]:
    """After Feng et al. (NIPS 2014): 1 000 rows of a logistic model, 200 far out and wrong.

    Returns rows, labels and the weights of the model.
    """
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(20)
    w *= np.sqrt(20) / np.linalg.norm(w)
    inliers = rng.standard_normal((1000, 20))
    y = rng.random(1000) < expit(inliers @ w)
    outliers = rng.uniform(-10, 10, (200, 20))
    return np.vstack([inliers, outliers]), np.append(y, outliers @ w < 0).astype(int), w


def problems(seed: int) -> Iterator[tuple[str, Any, Any, Any, Any]]:
    """Published problems: name, training rows and labels, test rows and their true labels."""
    for rate in (0.1, 0.2, 0.28):
        name = f"Long and Servedio, {rate:.0%} flipped".replace("%", " %")
        clean = long_servedio(10_000, 0, 1000 + seed)
        yield name, *long_servedio(4000, rate, seed), *clean
    X, y = far_outliers(seed)
    yield "far outliers, after Menon et al.", X, y, X[:-50], y[:-50]
    X, y, w = leverage_outliers(seed)
    X_test = np.random.default_rng(1000 + seed).standard_normal((20_000, 20))
    yield "leverage outliers, after Feng et al.", X, y, X_test, (X_test @ w > 0).astype(int)


def tables() -> dict[str, tuple[Any, Any]]:
    """Data sets of two classes, all shipped with scikit-learn."""
    cancer, wine, iris, digits, diabetes = (
        getattr(datasets, f"load_{name}")(return_X_y=True)
        for name in ("breast_cancer", "wine", "iris", "digits", "diabetes")
    )
    similar, eights = iris[1] > 0, np.isin(digits[1], (3, 8))
    return {
        "breast_cancer": cancer,
        "wine, class 1": (wine[0], wine[1] == 1),
        "iris, the similar two": (iris[0][similar], iris[1][similar] == 2),
        "digits, odd": (digits[0], digits[1] % 2),
        "digits, 3 or 8": (digits[0][eights], digits[1][eights] == 8),
        "diabetes, above the median": (diabetes[0], diabetes[1] > np.median(diabetes[1])),
    }


def methods(rates: tuple[float, float] | None) -> Iterator[tuple[str, Any, bool]]:
    """Name, estimator, and whether features are clipped at ±3."""
    yield REFERENCE, LogisticRegression(max_iter=5000), False
    yield "LogisticRegression, clipped", LogisticRegression(max_iter=5000), True
    yield "LogisticNeuron", LogisticNeuron(random_state=0), False
    yield "LogisticNeuronCV", LogisticNeuronCV(random_state=0), False
    for kind in ("symmetric", "learn"):
        yield f'noise_rates="{kind}"', LogisticNeuron(noise_rates=kind, random_state=0), False
    if rates is not None and not any(rates):
        yield CLEAN_AT_10, LogisticNeuron(noise_rates=(0.1, 0.1), random_state=0), False
    elif rates is not None:
        for name, factor in (("half the", 0.5), ("the true", 1.0), ("1.5 × the", 1.5)):
            given = tuple(factor * rate for rate in rates)
            neuron = LogisticNeuron(noise_rates=given, random_state=0)
            yield f"noise_rates: {name} rates", neuron, False


def splits(X: Any, y: Any, seed: int) -> tuple[Any, Any, Any, Any]:
    """Scaled training and test rows, and their labels 0 and 1."""
    y = np.asarray(y).astype(int)
    if len(y) > MAX_ROWS:
        X, _, y, _ = train_test_split(X, y, train_size=MAX_ROWS, stratify=y, random_state=seed)
    train, test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=seed
    )
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), y_train, y_test


def compare(n_seeds: int) -> pd.DataFrame:
    """Accuracy, Brier score and log loss on clean test rows, a line a fit."""
    lines = []
    for table, (X, y) in tables().items():
        for seed in range(n_seeds):
            train, test, y_train, y_test = splits(X, y, seed)
            for noise in NOISES:
                rng = np.random.default_rng(seed)
                rows, labels = noise.make(train, y_train, rng)
                for name, model, is_clipped in methods(noise.rates):
                    given, asked = (
                        (np.clip(part, -3, 3) for part in (rows, test))
                        if is_clipped
                        else (rows, test)
                    )
                    p = model.fit(given, labels).predict_proba(asked)[:, 1]
                    lines.append(
                        {
                            "table": table, "seed": seed, "noise": noise.group, "method": name,
                            "accuracy": np.mean((p > 0.5) == y_test),
                            "Brier": np.mean((p - y_test) ** 2),
                            "log loss": log_loss(y_test, p, labels=[0, 1]),
                        }
                    )  # fmt: skip
    return pd.DataFrame(lines)


def with_interval(values: Any, scale: float, digits: int) -> str:
    """Mean and half the width of its 95 % interval."""
    mean, half = np.mean(values) * scale, np.nan
    if len(values) > 1:
        half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) * scale
        half /= np.sqrt(len(values))
    return f"{mean:+.{digits}f} ± {half:.{digits}f}"


def differences(results: pd.DataFrame, measure: str, scale: float, digits: int) -> pd.DataFrame:
    """Paired differences from `REFERENCE`: means over tables, intervals over splits."""
    groups = list(dict.fromkeys(noise.group for noise in NOISES))
    names = list(dict.fromkeys(results["method"]))
    mean = results.pivot_table(
        index=["noise", "seed"], columns="method", values=measure, aggfunc="mean"
    )
    lines: dict[str, list[str]] = {}
    for name in names:
        lines[name] = []
        for group in groups:
            values, reference = mean.loc[group, name], mean.loc[group, REFERENCE]
            if values.isna().all():  # no rates can be given for this noise
                lines[name].append("")
            elif name == REFERENCE:
                lines[name].append(f"{values.mean() * scale:.{digits}f}")
            else:
                lines[name].append(with_interval(values - reference, scale, digits))
    return pd.DataFrame(lines, index=groups).T


def several_classes(n_seeds: int) -> pd.DataFrame:
    """Brier score × 1000, summed over classes, with labels as they are."""
    lines: dict[str, dict[str, list[float]]] = {}
    for table in SEVERAL_CLASSES:
        X, y = getattr(datasets, f"load_{table}")(return_X_y=True)
        for seed in range(n_seeds):
            train, test, y_train, y_test = splits(X, y, seed)
            rival = LogisticRegression(max_iter=5000)
            models: list[tuple[str, Any]] = [
                (REFERENCE, rival),
                (f"{REFERENCE}, one against the rest", OneVsRestClassifier(rival)),
            ]
            for neuron in (LogisticNeuron(random_state=0), LogisticNeuronCV(random_state=0)):
                name = type(neuron).__name__
                scaled = CalibratedClassifierCV(neuron, method="temperature")
                models += [(name, neuron), (f"{name}, temperature", scaled)]
            for name, model in models:
                p = model.fit(train, y_train).predict_proba(test)
                score = 1000 * brier_score_loss(y_test, p)
                lines.setdefault(name, {}).setdefault(table, []).append(score)
    return pd.DataFrame(
        {name: {k: f"{np.mean(v):.0f}" for k, v in of.items()} for name, of in lines.items()}
    ).T


def misjudged(results: pd.DataFrame) -> pd.DataFrame:
    """Brier score × 1000 with rates given, minus that without: mean, best and worst data set."""
    lines = {}
    for group in ("clean", "uniform", "one-sided"):
        part = results[results["noise"] == group]
        brier = part.pivot_table(index="table", columns="method", values="Brier", aggfunc="mean")
        for name in brier.columns[brier.columns.str.startswith("noise_rates: ")]:
            if (group == "clean") != (name == CLEAN_AT_10):
                continue
            change = 1000 * (brier[name] - brier["LogisticNeuron"])
            figures = {"mean": change.mean(), "best": change.min(), "worst": change.max()}
            lines[f"{group}, {name.removeprefix('noise_rates: ')}"] = {
                column: f"{value:+.1f}" for column, value in figures.items()
            }
    return pd.DataFrame(lines).T


def by_size(n_seeds: int) -> pd.DataFrame:
    """Rates learned on simulated rows that the model fits: accuracy minus that of true labels."""
    lines = {}
    for n in SIZES:
        found: dict[str, list[float]] = {}
        for seed in range(n_seeds):
            rng = np.random.default_rng(seed)
            X, X_test = rng.normal(size=(n, 10)), rng.normal(size=(20_000, 10))
            w = rng.normal(size=10)
            y, y_test = ((rng.random(len(Z)) < expit(Z @ w)).astype(int) for Z in (X, X_test))
            _, labels = flips(0, 0.3)(X, y, rng)
            oracle = LogisticNeuron(random_state=0).fit(X, y).score(X_test, y_test)
            for name, rates in (
                ("none", None), ("symmetric", "symmetric"), ("learn", "learn"),
                ("true", (0, 0.3)),
            ):  # fmt: skip
                neuron = LogisticNeuron(noise_rates=rates, random_state=0).fit(X, labels)
                found.setdefault(name, []).append(neuron.score(X_test, y_test) - oracle)
        lines[f"{n} rows"] = {name: with_interval(v, 100, 1) for name, v in found.items()}
    return pd.DataFrame(lines).T


def published(n_seeds: int) -> pd.DataFrame:
    """Accuracy on clean rows of the published problems: the mean, and the lowest."""
    lines: dict[str, dict[str, list[float]]] = {}
    for seed in range(n_seeds):
        for problem, X, y, X_test, y_test in problems(seed):
            for name, model in (
                (REFERENCE, LogisticRegression(max_iter=5000)),
                ("LogisticNeuron", LogisticNeuron(random_state=seed)),
                ("the same, alpha=1e-5", LogisticNeuron(alpha=1e-5, random_state=seed)),
                ("the same, n_starts=1", LogisticNeuron(n_starts=1)),
            ):
                score = model.fit(X, y).score(X_test, y_test)
                lines.setdefault(problem, {}).setdefault(name, []).append(score)
    return pd.DataFrame(
        {
            problem: {k: f"{100 * np.mean(v):.1f} ({100 * min(v):.1f})" for k, v in of.items()}
            for problem, of in lines.items()
        }
    ).T


def suspects(n_seeds: int) -> pd.DataFrame:
    """How well wrong labels are found: area under the ROC curve, and share of the first k."""
    lines: dict[str, dict[str, list[float]]] = {}
    for X, y in tables().values():
        for seed in range(n_seeds):
            train, _, y_train, _ = splits(X, y, seed)
            for noise in NOISES[1:]:
                rows, labels = noise.make(train, y_train, np.random.default_rng(seed))
                wrong = labels != y_train
                for name, model in (
                    ("LogisticNeuronCV", LogisticNeuronCV(random_state=0).fit(rows, labels)),
                    (REFERENCE, LogisticRegression(max_iter=5000)),
                ):
                    table = suspect_labels(model, rows, labels)
                    ranked = wrong[table["row"]]
                    line = lines.setdefault(name, {"area": [], "first k": []})
                    line["area"].append(roc_auc_score(ranked, 1 - table["probability"]))
                    line["first k"].append(ranked[: wrong.sum()].mean())
    return pd.DataFrame(
        {name: {k: f"{np.mean(v):.3f}" for k, v in of.items()} for name, of in lines.items()}
    ).T


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [["", *table.columns], ["---"] * (1 + table.shape[1])]
    lines += [
        [str(name), *values] for name, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(n_seeds: int) -> str:
    """All tables, in Markdown."""
    results = compare(n_seeds)
    parts = [
        f"Made by `python scripts/wrong_labels.py --seeds {n_seeds}`: {len(tables())} data sets, "
        f"at most {MAX_ROWS} rows of each, {n_seeds} splits. Against LogisticRegression, whose own "
        "figures stand in the first line; ± is half of a 95 % interval over splits."
    ]
    for title, measure, scale, digits in (
        ("Accuracy on true labels, in points", "accuracy", 100, 2),
        ("Brier score × 1000 (lower is better)", "Brier", 1000, 1),
        ("Log loss × 1000 (lower is better)", "log loss", 1000, 0),
    ):
        table = differences(results, measure, scale, digits)
        parts += [f"### {title}", markdown(table)]
    parts += [
        "### Three classes and more: Brier score × 1000, summed over classes, on true labels\n\n"
        "Means over splits; labels of the training rows are true as well.",
        markdown(several_classes(n_seeds)),
        "### Rates misjudged: Brier score × 1000 with rates, minus that without\n\nMean over data "
        "sets, and the best and the worst of them; negative is better.",
        markdown(misjudged(results)),
        "### Accuracy below that of a fit to true labels, in points\n\nSimulated rows that the "
        "model fits, 10 features; labels of class 1 wrong at 30 %.",
        markdown(by_size(n_seeds)),
        "### Published problems: accuracy on clean rows, in %\n\nMean over draws of the rows, and "
        "in brackets the lowest. Default settings but for those named.",
        markdown(published(n_seeds)),
        "### Finding the wrong labels\n\nMeans over all noises: area under the ROC curve, and the "
        "share of wrong labels among the first k suspects, with k wrong labels.",
        markdown(suspects(max(1, n_seeds // 2))),
    ]
    return "\n\n".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; the exit status."""
    parser = argparse.ArgumentParser(prog="wrong_labels.py", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="splits of each data set")
    parser.add_argument(
        "--write", action="store_true", help="put the tables into docs/wrong_labels.md"
    )
    options = parser.parse_args(argv)
    if options.seeds < 1:
        print("wrong_labels.py: error: --seeds must be >= 1", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore", UserWarning)  # of rates learned from few rows
    text = report(options.seeds)
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
