"""Labels that are wrong at some rate: the squared error of the label as it was recorded.

A row of class j is recorded as another class with probability ρ_j. For two classes the
probability that the label is recorded as the second one is then

    q = P(recorded 1 | x) = ρ₀ + κ σ(z),    κ = 1 - ρ₀ - ρ₁

and the chain rule gains one factor, dl/dz = 2 (q - y) · κ · σ(1 - σ). As
(y - q)² = κ² (t - σ)² with t = (y - ρ₀) / κ, this is training on targets outside [0, 1].
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from trainer.core.kernels import Block
from trainer.core.loss import RecordedSquaredError, sigmoid, sigmoid_derivative
from trainer.core.objective import Objective
from trainer.core.rows import Rows
from trainer.core.solve import solve

Array = npt.NDArray[Any]

LARGEST_LEARNED = 0.49
"""Bound of a rate that is learned: from 1/2 on, reversed labels explain the data as well."""

FIRST_GUESS = 0.1
"""Rate at which learning starts. At 0 the derivative by a rate can be 0 by calibration."""

MAX_STD_ERR = 0.05
"""Learned rates with larger standard errors are warned of: 95 % intervals wider than ±0.1."""

MAX_PARAMETERS = 1000
"""Up to this many parameters a neuron, standard errors of the rates are computed."""


def checked_rates(given: Any, classes: Array) -> Array:
    """Rates (n_classes,) from a sequence or a dict by label.

    Raises
    ------
    ValueError
        If they are no rates, or so high that the labels say nothing of the classes.
    """
    n_classes = len(classes)
    if isinstance(given, Mapping):
        labels = classes.tolist()
        if unknown := [label for label in given if label not in labels]:
            raise ValueError(f"noise_rates must name labels of {labels}, got {unknown[0]!r}")
        given = [given.get(label, 0.0) for label in labels]
    try:
        rates = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"noise_rates must hold numbers, got {given!r}") from error
    if rates.shape != (n_classes,) or not ((rates >= 0) & (rates < 1)).all():
        raise ValueError(
            f"noise_rates must hold a rate >= 0 and < 1 for each of {n_classes} classes, in the "
            f"order of classes_, got {rates.tolist()}"
        )
    if n_classes == 2 and rates.sum() >= 1:
        raise ValueError(f"noise_rates must have a sum < 1, got {rates.tolist()}")
    if n_classes > 2 and rates.max() >= (n_classes - 1) / n_classes:
        raise ValueError(
            f"noise_rates must be < {n_classes - 1}/{n_classes} for {n_classes} classes, got "
            f"{rates.tolist()}"
        )
    return rates


def transitions(rates: Array) -> Array:
    """T (n_classes, n_classes): probability of each recorded class, a row a true class.

    Of more than two classes, a wrong label is any of the others alike.
    """
    n_others = len(rates) - 1
    matrix = np.repeat(rates[:, np.newaxis] / n_others, len(rates), axis=1)
    np.fill_diagonal(matrix, 1 - rates)
    return matrix


def link(rates: Array) -> tuple[RecordedSquaredError, Array | None]:
    """The loss of recorded labels, and what their targets (n, n_classes) are multiplied by.

    Where q_k depends on σ_k alone, which holds for two classes and for equal rates, targets
    stay as they are (None). For unequal rates of more classes they become κ Y T⁻¹, whose
    expectation for a row of class j is κ e_j (backward correction: Natarajan et al.,
    "Learning with noisy labels", NIPS 2013); κ = 1 - mean rate · K/(K - 1).
    """
    n_classes = len(rates)
    if n_classes == 2:
        return RecordedSquaredError(rates[0], 1 - rates.sum()), None
    offset = rates.mean() / (n_classes - 1)
    slope = 1 - offset * n_classes
    if np.ptp(rates) == 0:
        return RecordedSquaredError(offset, slope), None
    matrix = slope * np.linalg.inv(transitions(rates))
    return RecordedSquaredError(0.0, slope, matrix.min(), matrix.max()), matrix


class LearnedRates(NamedTuple):
    """Rates (n_classes,) that make J least, and their standard errors."""

    rates: Array
    std_err: Array


def learn_rates(
    rows: Rows,
    kind: str,
    n_classes: int,
    alpha: float,
    fit_intercept: bool,
    *,
    n_starts: int,
    seed: int,
    max_iter: int,
    tol: float,
) -> LearnedRates:
    """Find the rates at which the minimum of J over θ is least.

    For fixed rates, J is minimised over θ; its derivative by the rates is then that at fixed θ
    (variable projection), and L-BFGS-B moves the rates.

    Parameters
    ----------
    rows : Rows
        Rows with targets as they were recorded.
    kind : "symmetric" or "learn"
        One rate for all classes, or one each for two classes.
    n_classes : int
        Number of classes.
    alpha, fit_intercept, n_starts, seed, max_iter, tol
        Of the neuron.

    Returns
    -------
    LearnedRates

    Raises
    ------
    ValueError
        For "learn" with more than two classes.
    """
    if kind == "learn" and n_classes > 2:
        raise ValueError(
            "noise_rates='learn' needs two classes, got "
            f"{n_classes}; choose 'symmetric', or give a rate for each class"
        )
    if kind == "learn":
        change = np.array([[1.0, 0.0], [-1.0, -1.0]])  # of offset and slope, with each rate
    else:
        change = np.array([[1.0], [-n_classes]]) / (n_classes - 1)
    theta = np.zeros((rows.n_features + 1, 1 if n_classes == 2 else n_classes))

    def objective_at(rates: Array) -> tuple[Objective, float, float]:
        offset, slope = np.array([0.0, 1.0]) + change @ rates
        loss = RecordedSquaredError(offset, slope)
        return Objective(rows, alpha, fit_intercept, loss), float(offset), float(slope)

    def profile(rates: Array) -> tuple[float, Array]:
        nonlocal theta
        objective, offset, slope = objective_at(rates)
        theta = solve(
            objective, None, theta,
            n_starts=1 if theta.any() else n_starts, seed=seed, max_iter=max_iter, tol=tol / 100,
        ).theta  # fmt: skip
        kernel = partial(_residual_sums, offset=offset, slope=slope)
        (sums,) = rows.map_sum(kernel, theta)
        gradient = 2 * (sums / rows.weight_sum).sum(axis=1) @ change
        return float(objective.value(theta).sum()), gradient

    start = np.full(change.shape[1], FIRST_GUESS)
    found = minimize(
        profile, start, jac=True, method="L-BFGS-B",
        bounds=[(0, LARGEST_LEARNED)] * len(start), options={"ftol": 1e-12, "gtol": 1e-7},
    )  # fmt: skip
    profile(found.x)
    std_err = _standard_errors(*objective_at(found.x), theta, change)
    return LearnedRates(*(np.broadcast_to(part, n_classes).copy() for part in (found.x, std_err)))


def _at_rows(block: Block, theta: Array, offset: float, slope: float) -> tuple[Array, ...]:
    """σ, q - y and dσ/dz (m, K) of a block's rows, and their weights (m, 1 or K)."""
    z = np.asarray(block.X @ theta[:-1] + theta[-1], dtype=np.float64)
    sigma, dsig_dz = sigmoid(z), sigmoid_derivative(z)
    weight = np.ones((len(sigma), 1)) if block.weight is None else block.weight.astype(np.float64)
    return sigma, offset + slope * sigma - block.y, dsig_dz, weight


def _residual_sums(block: Block, theta: Array, offset: float, slope: float) -> tuple[Array]:
    """Σ weight·(q - y)·(1, σ), (2, K): half of the sums of dl by offset and slope."""
    sigma, residual, _, weight = _at_rows(block, theta, offset, slope)
    residual = residual * weight
    return (np.stack([residual.sum(axis=0), (residual * sigma).sum(axis=0)]),)


def _curvature_sums(
    block: Block, theta: Array, offset: float, slope: float, change: Array
) -> tuple[Array, Array]:
    """Σ weight·d²l by P rates twice (P, P, 1), and by θ and them (d + 1, P, 1)."""
    sigma, residual, dsig_dz, weight = _at_rows(block, theta, offset, slope)
    dq_drate = change[0] + sigma * change[1]
    twice = 2 * (dq_drate * weight).T @ dq_drate
    # dl/dz = 2 (q - y) slope dσ/dz: both q and the slope change with a rate
    mixed = 2 * weight * dsig_dz * (slope * dq_drate + residual * change[1])
    cross = np.vstack([block.X.T @ mixed, mixed.sum(axis=0, keepdims=True)])
    return twice[..., np.newaxis], cross[..., np.newaxis]


def _score_sums(
    block: Block, theta: Array, offset: float, slope: float, change: Array, moved: Array
) -> tuple[Array, Array]:
    """Σ weight·ψ (P, 1) and Σ weight·ψψᵀ (P, P, 1), ψ the rates' derivative of a row's l.

    θ follows the rates: `moved` (d + 1, P) is its derivative by them.
    """
    sigma, residual, dsig_dz, weight = _at_rows(block, theta, offset, slope)
    dz_drate = block.X @ moved[:-1] + moved[-1]
    psi = 2 * residual * (change[0] + sigma * change[1] + slope * dsig_dz * dz_drate)
    weighted = (psi * weight).T
    return weighted.sum(axis=1, keepdims=True), (weighted @ psi)[..., np.newaxis]


def _standard_errors(
    objective: Objective, offset: float, slope: float, theta: Array, change: Array
) -> Array:
    """Standard errors (P,) of the rates of two classes: the sandwich, θ following each rate.

    inf where J does not bend upwards with the rates; NaN for more classes, or more than
    `MAX_PARAMETERS` parameters.
    """
    rows, n_rates = objective.rows, change.shape[1]
    if theta.shape[1] > 1 or len(theta) > MAX_PARAMETERS:
        return np.full(n_rates, np.nan)
    n = float(rows.weight_sum[0])
    at: dict[str, Any] = {"offset": offset, "slope": slope, "change": change}
    hessian = objective.value_gradient_hessian(theta)[2][..., 0]
    twice, cross = (
        part[..., 0] / n for part in rows.map_sum(partial(_curvature_sums, **at), theta)
    )
    if not objective.fit_intercept:
        cross[-1] = 0
    moved = -np.linalg.pinv(hessian, hermitian=True) @ cross
    curvature = twice + cross.T @ moved
    rounding = 100 * np.finfo(np.float64).eps * np.abs(twice).max()  # of the difference above
    if not np.linalg.eigvalsh(curvature)[0] > rounding:
        return np.full(n_rates, np.inf)
    kernel = partial(_score_sums, **at, moved=moved)
    mean, squares = (part[..., 0] / n for part in rows.map_sum(kernel, theta))
    inverse = np.linalg.inv(curvature)
    covariance = inverse @ (squares - np.outer(mean, mean)) @ inverse / n
    errors: Array = np.sqrt(np.diag(covariance))
    return errors
