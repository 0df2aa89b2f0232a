"""What the benchmark solves, and the one referee that judges every answer.

All problems minimise J(w, b) = mean (y - σ(Xw + b))² + alpha/2 ‖w‖² from zero. A
peer has solved one when no component of J's gradient exceeds the target, as the
referee here measures it in float64, whatever the peer believes about itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

Array = npt.NDArray[Any]

BLOCK_ROWS = 50_000
"""Rows the referee casts to float64 at a time: it never copies all of X."""


@dataclass(frozen=True)
class Problem:
    """One training set and the accuracy asked for.

    Attributes
    ----------
    name : str
        What the tables call it.
    X : ndarray or CSR array of shape (n, d)
        Rows, float64 or float32.
    labels : ndarray of shape (n,)
        0 and 1, integers.
    alpha : float
        L2 penalty on the weights.
    target : float
        Largest component of the gradient that counts as solved.
    time_limit : float
        Seconds that one run may take.
    """

    name: str
    X: Any
    labels: Array
    alpha: float = 1e-4
    target: float = 1e-8
    time_limit: float = 60.0

    @property
    def y(self) -> Array:
        """Labels as numbers of X's precision."""
        return self.labels.astype(self.X.dtype)

    @property
    def is_sparse(self) -> bool:
        """Whether X is sparse."""
        return bool(sp.issparse(self.X))

    @property
    def start(self) -> Array:
        """Where everyone starts: zero, (d + 1,), the bias last."""
        return np.zeros(self.X.shape[1] + 1, dtype=self.X.dtype)

    def corner(self) -> "Problem":
        """A few rows and columns of it, to an easy target: what solvers warm up on."""
        rows = np.concatenate([np.flatnonzero(self.labels == k)[:100] for k in (0, 1)])
        X = self.X[rows][:, : min(20, self.X.shape[1])]
        X = X if self.is_sparse else np.ascontiguousarray(X)
        return replace(self, X=X, labels=self.labels[rows], target=1e-3, time_limit=5.0)


def referee(problem: Problem, theta: Array) -> tuple[float, Array]:
    """J and dJ/dθ (d + 1,), written out plainly in float64, block by block.

    It shares no line with the trainer. For X in float32 it judges the cost of exactly
    those numbers, in float64 arithmetic.

    Parameters
    ----------
    problem : Problem
        What was to be solved.
    theta : ndarray of shape (d + 1,)
        The answer, its bias last.

    Returns
    -------
    J : float
    gradient : ndarray of shape (d + 1,)

    Examples
    --------
    >>> problem = Problem("one row", np.array([[1.0]]), np.array([1]), alpha=0.0)
    >>> J, gradient = referee(problem, np.array([0.3, 0.3]))
    >>> round(J, 12), gradient.round(12).tolist()
    (0.125559453318, [-0.162133597243, -0.162133597243])
    """
    theta = np.asarray(theta, dtype=np.float64)
    w, b = theta[:-1], theta[-1]
    n = problem.X.shape[0]
    cost, gradient = 0.0, np.zeros_like(theta)
    for start in range(0, n, BLOCK_ROWS):
        X = problem.X[start : start + BLOCK_ROWS].astype(np.float64)
        y = problem.labels[start : start + BLOCK_ROWS].astype(np.float64)
        sigma = 0.5 + 0.5 * np.tanh((X @ w + b) / 2)
        cost += float(np.sum((y - sigma) ** 2))
        slope = 2 * (sigma - y) * sigma * (1 - sigma)
        gradient[:-1] += X.T @ slope
        gradient[-1] += slope.sum()
    gradient /= n
    gradient[:-1] += problem.alpha * w
    return cost / n + problem.alpha / 2 * float(w @ w), gradient


def gradient_max(problem: Problem, theta: Array) -> float:
    """Largest component of dJ/dθ, in absolute value: the figure every peer is judged by."""
    return float(np.abs(referee(problem, theta)[1]).max())


# ------------------------------------------------------------------------- the data


def conditioned(
    n: int, d: int, condition: float, *, dtype: Any = np.float64, name: str = "", **settings: Any
) -> Problem:
    """Dense rows from a logistic model, X with a condition number of about `condition`.

    X = Z diag(s) Qᵀ with Z standard normal (n, d), Q a random rotation and s falling
    geometrically from s₁ to s₁/condition, scaled so that the mean variance of a column is
    1. Rotated, the columns all look alike: no scaling of columns mends the conditioning.
    P(y = 1) = σ(Za + 1/2), with a of length 2 in a random direction: every direction of Z
    tells the same about y, however small it is in X. Seed 0.
    """
    rng = np.random.default_rng(0)
    s = np.geomspace(1, 1 / condition, d)
    s /= np.sqrt(np.mean(s**2))
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    a = rng.standard_normal(d)
    a *= 2 / np.linalg.norm(a)
    X = np.empty((n, d), dtype=dtype)
    labels = np.empty(n, dtype=np.int64)
    for start in range(0, n, BLOCK_ROWS):  # in blocks, for the case that measures memory
        Z = rng.standard_normal((min(BLOCK_ROWS, n - start), d))
        X[start : start + BLOCK_ROWS] = Z @ (s[:, np.newaxis] * Q.T)
        labels[start : start + BLOCK_ROWS] = _draw(rng, Z @ a + 0.5)
    return Problem(name or f"{n} x {d}, condition {condition:.0e}", X, labels, **settings)


def wide(n: int, d: int, *, name: str = "wide", **settings: Any) -> Problem:
    """Fewer rows than columns: X standard normal (n, d), P(y = 1) = σ(Xa).

    a has 20 components that are not 0, of length 3 together. Seed 1.
    """
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, d))
    a = np.zeros(d)
    a[:20] = 3 / np.sqrt(20)
    return Problem(name, X, _draw(rng, X @ a), **settings)


def sparse(n: int, d: int, *, name: str = "sparse", **settings: Any) -> Problem:
    """Words in texts, CSR: 30 draws a row from d words, word r as often as 1/(r + 10).

    X counts the draws; P(y = 1) = σ(Xa), a standard normal over √3. Seed 2.
    """
    rng = np.random.default_rng(2)
    frequency = 1 / (np.arange(d) + 10)
    words = rng.choice(d, size=30 * n, p=frequency / frequency.sum()).astype(np.int32)
    rows = np.repeat(np.arange(n, dtype=np.int32), 30)
    X = sp.csr_array(sp.coo_array((np.ones(30 * n), (rows, words)), shape=(n, d)))
    X.sum_duplicates()
    a = rng.standard_normal(d) / np.sqrt(3)
    return Problem(name, X, _draw(rng, X @ a), **settings)


TOYS = {"breast_cancer": 1, "iris": 1, "wine": 0, "digits": 8}
"""scikit-learn's toy sets, and the class told from all others."""


def toy(source: str, **settings: Any) -> Problem:
    """A toy set of scikit-learn, standardised, one class (see `TOYS`) against the rest."""
    X, y = getattr(datasets, f"load_{source}")(return_X_y=True)
    labels = (y == TOYS[source]).astype(np.int64)
    return Problem(source, StandardScaler().fit_transform(X), labels, **settings)


def _draw(rng: np.random.Generator, z: Array) -> Array:
    labels: Array = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.int64)
    return labels


# ----------------------------------------------------- the sets that are solved to 1e-8


def well(quick: bool, time_limit: float) -> Iterator[Problem]:
    """Dense and well-conditioned."""
    n, d = (10_000, 20) if quick else (100_000, 50)
    yield conditioned(n, d, 1.0, name="well-conditioned", time_limit=time_limit)


def ill(quick: bool, time_limit: float) -> Iterator[Problem]:
    """Dense, condition number 1e4."""
    n, d = (10_000, 20) if quick else (100_000, 50)
    yield conditioned(n, d, 1e4, name="ill-conditioned", time_limit=time_limit)


def wider(quick: bool, time_limit: float) -> Iterator[Problem]:
    """Many more columns than rows."""
    yield wide(*((100, 1_000) if quick else (200, 10_000)), time_limit=time_limit)


def sparser(quick: bool, time_limit: float) -> Iterator[Problem]:
    """Sparse rows, CSR."""
    yield sparse(*((10_000, 500) if quick else (100_000, 2_000)), time_limit=time_limit)


def small(quick: bool, time_limit: float) -> Iterator[Problem]:
    """The toy sets, standardised."""
    for source in ("breast_cancer",) if quick else TOYS:
        yield toy(source, time_limit=time_limit)


def large(quick: bool, time_limit: float) -> Iterator[Problem]:
    """A million rows of a hundred columns, at condition numbers 1 and 1e4, one after the other."""
    n, d = (50_000, 20) if quick else (1_000_000, 100)
    for condition, word in ((1.0, "well"), (1e4, "ill")):
        yield conditioned(n, d, condition, name=f"large, {word}-conditioned", time_limit=time_limit)
