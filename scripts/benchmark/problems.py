"""The benchmark's problems, and the reference implementation that checks every solution.

All problems minimise J(w, b) = mean (y - σ(Xw + b))² + alpha/2 ‖w‖², starting from zero. A
problem counts as solved when no component of the gradient of J exceeds the target. The
reference below measures that gradient in float64; a solver's own figure is not used.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

Array = npt.NDArray[Any]

BLOCK_ROWS = 50_000
"""Rows that are generated, or cast to float64, at a time: X is never copied as a whole."""


@dataclass(frozen=True)
class Problem:
    """A training set and the required accuracy."""

    name: str
    X: Any  # ndarray or CSR array of shape (n, d), float64 or float32
    labels: Array  # 0 and 1, (n,), integers
    alpha: float = 1e-4  # L2 penalty on the weights
    target: float = 1e-8  # largest gradient component that counts as solved
    time_limit: float = 60.0  # seconds of one run

    @property
    def y(self) -> Array:
        """Labels in the precision of X."""
        return self.labels.astype(self.X.dtype)

    @property
    def is_sparse(self) -> bool:
        """Whether X is sparse."""
        return bool(sp.issparse(self.X))

    @property
    def start(self) -> Array:
        """The common starting point: zero, (d + 1,), bias last."""
        return np.zeros(self.X.shape[1] + 1, dtype=self.X.dtype)

    def warm_up(self) -> "Problem":
        """A small, easy problem of the same kind: up to 200 rows and 20 columns."""
        rows = np.concatenate([np.flatnonzero(self.labels == k)[:100] for k in (0, 1)])
        X = self.X[rows][:, : min(20, self.X.shape[1])]
        X = X if self.is_sparse else np.ascontiguousarray(X)
        return replace(self, X=X, labels=self.labels[rows], target=1e-3, time_limit=5.0)


def reference(problem: Problem, theta: Array) -> tuple[float, Array]:
    """J and dJ/dθ (d + 1,) in float64, bias last, without any code of the trainer."""
    theta = np.asarray(theta, dtype=np.float64)
    w, b = theta[:-1], theta[-1]
    n = problem.X.shape[0]
    cost, gradient = 0.0, np.zeros_like(theta)
    for start in range(0, n, BLOCK_ROWS):
        X = problem.X[start : start + BLOCK_ROWS].astype(np.float64)
        y = problem.labels[start : start + BLOCK_ROWS].astype(np.float64)
        sigma = 0.5 + 0.5 * np.tanh((X @ w + b) / 2)
        cost += float(np.sum((y - sigma) ** 2))
        dl_dz = 2 * (sigma - y) * sigma * (1 - sigma)
        gradient[:-1] += X.T @ dl_dz
        gradient[-1] += dl_dz.sum()
    gradient /= n
    gradient[:-1] += problem.alpha * w
    return cost / n + problem.alpha / 2 * float(w @ w), gradient


def gradient_max(problem: Problem, theta: Array) -> float:
    """‖dJ/dθ‖∞ by the reference."""
    return float(np.abs(reference(problem, theta)[1]).max())


# ------------------------------------------------------------------------- the data


def conditioned(n: int, d: int, condition: float, *, name: str = "", **settings: Any) -> Problem:
    """Dense rows from a logistic model, X with a condition number of about `condition`.

    X = Z diag(s) Qᵀ with Z standard normal (n, d), Q a random rotation and s falling
    geometrically from s₁ to s₁/condition, scaled so that the mean variance of a column is
    1. Because of the rotation, scaling the columns does not improve the conditioning.
    P(y = 1) = σ(Za + 1/2), with a of length 2 in a random direction: every direction of Z
    is equally informative about y, however small its variance in X. Seed 0.
    """
    rng = np.random.default_rng(0)
    s = np.geomspace(1, 1 / condition, d)
    s /= np.sqrt(np.mean(s**2))
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    a = rng.standard_normal(d)
    a *= 2 / np.linalg.norm(a)
    X = np.empty((n, d))
    labels = np.empty(n, dtype=np.int64)
    for start in range(0, n, BLOCK_ROWS):  # in blocks, so that peak memory is that of the fit
        Z = rng.standard_normal((min(BLOCK_ROWS, n - start), d))
        X[start : start + BLOCK_ROWS] = Z @ (s[:, np.newaxis] * Q.T)
        labels[start : start + BLOCK_ROWS] = _draw_labels(rng, Z @ a + 0.5)
    return Problem(name or f"{n} x {d}, condition {condition:.0e}", X, labels, **settings)


def independent(n: int, d: int, *, name: str = "", **settings: Any) -> Problem:
    """Independent columns: X standard normal (n, d), P(y = 1) = σ(Xa).

    a has 20 nonzero components and length 3. Seed 1.
    """
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, d))
    a = np.zeros(d)
    a[:20] = 3 / np.sqrt(20)
    return Problem(name, X, _draw_labels(rng, X @ a), **settings)


def flipped(problem: Problem, share: float = 0.1) -> Problem:
    """The same problem with a share of the labels replaced by the other class. Seed 4."""
    n = len(problem.labels)
    chosen = np.random.default_rng(4).choice(n, round(share * n), replace=False)
    labels = problem.labels.copy()
    labels[chosen] = 1 - labels[chosen]
    return replace(problem, labels=labels)


def sparse(n: int, d: int, *, name: str = "sparse", **settings: Any) -> Problem:
    """Word counts, CSR: 30 draws per row from d words, word r in proportion to 1/(r + 10).

    P(y = 1) = σ(Xa), with a standard normal divided by √3. Seed 2.
    """
    rng = np.random.default_rng(2)
    frequency = 1 / (np.arange(d) + 10)
    words = rng.choice(d, size=30 * n, p=frequency / frequency.sum()).astype(np.int32)
    rows = np.repeat(np.arange(n, dtype=np.int32), 30)
    X = sp.csr_array(sp.coo_array((np.ones(30 * n), (rows, words)), shape=(n, d)))
    X.sum_duplicates()
    a = rng.standard_normal(d) / np.sqrt(3)
    return Problem(name, X, _draw_labels(rng, X @ a), **settings)


TOYS = {"breast_cancer": 1, "iris": 1, "wine": 0, "digits": 8}
"""scikit-learn's toy sets, and the class that is told from all others."""


def toy(source: str, **settings: Any) -> Problem:
    """A standardised toy set of scikit-learn, one class (see `TOYS`) against the rest."""
    X, y = getattr(datasets, f"load_{source}")(return_X_y=True)
    labels = (y == TOYS[source]).astype(np.int64)
    return Problem(source, StandardScaler().fit_transform(X), labels, **settings)


def _draw_labels(rng: np.random.Generator, z: Array) -> Array:
    labels: Array = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.int64)
    return labels


def problems_of(case: str, quick: bool, time_limit: float) -> Iterator[Problem]:
    """The problems of a case of time to solution, one in memory at a time."""
    n, d = (10_000, 20) if quick else (100_000, 50)
    n_large, d_large = (50_000, 20) if quick else (1_000_000, 100)
    size = 50 if quick else 1_000
    makers: dict[str, list[Callable[..., Problem]]] = {
        "small": [partial(toy, source) for source in (["breast_cancer"] if quick else TOYS)],
        "well": [partial(conditioned, n, d, 1.0, name="well-conditioned")],
        "ill": [partial(conditioned, n, d, 1e4, name="ill-conditioned")],
        "large": [
            partial(conditioned, n_large, d_large, condition, name=f"large, {word}-conditioned")
            for condition, word in ((1.0, "well"), (1e4, "ill"))
        ],
        "flipped": [
            lambda condition=condition, word=word, **settings: flipped(
                conditioned(
                    n_large,
                    d_large,
                    condition,
                    name=f"labels flipped, {word}-conditioned",
                    alpha=1e-6,
                    **settings,
                )
            )
            for condition, word in ((1.0, "well"), (1e4, "ill"))
        ],
        "columns": [
            partial(conditioned, 5 * size, size, 10.0, name="5 rows a column"),
            partial(conditioned, 20 * size, size // 2, 100.0, name="40 rows a column"),
            partial(independent, 20 * size, 5 * size, name="4 rows a column"),
        ],
        "wide": [partial(independent, *((100, 1_000) if quick else (200, 10_000)), name="wide")],
        "sparse": [partial(sparse, *((10_000, 500) if quick else (100_000, 2_000)))],
        "sparse_large": [
            partial(
                sparse, *((20_000, 1_000) if quick else (200_000, 10_000)), name="more sparse rows"
            )
        ],
    }
    for make in makers[case]:
        yield make(time_limit=time_limit)
