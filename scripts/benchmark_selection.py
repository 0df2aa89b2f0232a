"""Choosing a penalty, and many classes: the trainer's banks against scikit-learn, fit by fit.

All of `fit` is on the clock, validation and cross-validation included; the first run is
not counted.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from benchmark_peers import OURS
from benchmark_problems import Array, conditioned, toy
from benchmark_solving import Settings, quietly, say
from benchmark_watch import Row, rounds, set_ratios
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, LogisticNeuronCV

GRID = {"C": np.logspace(-4, 4, 20)}
"""LogisticRegressionCV's own grid of twenty."""


def selection(settings: Settings) -> list[Row]:
    """Time 20 penalties × 5 folds and the final fit, each peer with one job and with two."""
    n, d = (2_000, 20) if settings.quick else (20_000, 50)
    problems = (conditioned(n, d, 10.0, name="20 penalties × 5 folds"), toy("breast_cancer"))
    rows: list[Row] = []
    for problem in problems:
        say(f"20 penalties x 5 folds: {problem.name}, {problem.X.shape[0]} x {problem.X.shape[1]}")
        fits: dict[str, Callable[..., Any]] = {OURS: LogisticNeuronCV().fit}
        for jobs in (1, 2):
            fits[f"LogisticRegressionCV, n_jobs={jobs}"] = LogisticRegressionCV(
                Cs=20, cv=5, n_jobs=jobs
            ).fit
            fits[f"GridSearchCV(LogisticRegression), n_jobs={jobs}"] = GridSearchCV(
                LogisticRegression(), GRID, cv=5, n_jobs=jobs
            ).fit
        rows += _timed("selection", problem.name, fits, problem.X, problem.labels, settings)
    return rows


def classes(settings: Settings) -> list[Row]:
    """Time one bank for all classes against one LogisticRegression a class."""
    rows: list[Row] = []
    for name, X, y in _many_classes(settings.quick):
        say(f"many classes: {name}, {X.shape[0]} x {X.shape[1]}")
        alpha = 1e-4
        regression = LogisticRegression(C=1 / (alpha * len(y)), max_iter=1000)
        fits: dict[str, Callable[..., Any]] = {
            OURS: LogisticNeuron(alpha=alpha).fit,
            **{
                f"OneVsRestClassifier(LogisticRegression), n_jobs={jobs}": OneVsRestClassifier(
                    regression, n_jobs=jobs
                ).fit
                for jobs in (1, 2)
            },
        }
        rows += _timed("classes", name, fits, X, y, settings)
    return rows


def _many_classes(quick: bool) -> Iterator[tuple[str, Array, Array]]:
    X, y = load_digits(return_X_y=True)
    yield "digits, 10 classes", StandardScaler().fit_transform(X), y
    X, y = make_classification(
        2_000 if quick else 20_000, 16, n_informative=14, n_redundant=0, n_classes=26,
        n_clusters_per_class=1, class_sep=2.0, random_state=0,
    )  # fmt: skip
    yield "made up, 26 classes", StandardScaler().fit_transform(X), y


def _timed(
    case: str, name: str, fits: dict[str, Callable[..., Any]], X: Array, y: Array,
    settings: Settings,
) -> list[Row]:  # fmt: skip
    functions: dict[str, Callable[[], Any]] = {
        peer: partial(fit, X, y) for peer, fit in fits.items()
    }
    with quietly():
        seconds = rounds(functions, settings.repeats, settings.time_limit)
    found = [Row(case, name, peer, *X.shape).take(values) for peer, values in seconds.items()]
    return set_ratios(found, OURS)
