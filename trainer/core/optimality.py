"""What a small gradient does not prove: that this is a minimum, a finite one, and reached.

The gradient is also small at a saddle, on a plateau where every row is saturated, on the way
to infinity of separable data, and wherever the features' scale makes it so. Curvature,
Newton's step and the cost along the ray through θ tell these apart. All of them are taken in
the features' own units, so that the verdict does not depend on their scale.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, cg

from trainer.core.objective import Objective

Array = npt.NDArray[Any]

SAMPLE_ROWS = 20_000
"""Above this many rows the curvature is that of a random sample of as many."""

LARGEST_HESSIAN = 2_000
"""Up to this many parameters the Hessian is formed and its eigenvalues are computed.

At 1 200 parameters that took .1 to .3 s, and Lanczos iteration .1 to 1.2 s, without convergence
in 10 of 24 cases and with a positive value for two singular Hessians.
"""

PRODUCTS = 80
"""Above that, Lanczos and conjugate gradient iterations take so many Hessian products each."""

SHARE_PER_TOL = 100
NEGLIGIBLE_PER_TOL = 1e-4
"""At a minimum, J can fall by at most 100 tol of itself, or by at most 1e-4 tol.

With the default tol = 1e-6 these are 1e-4 of J, or 1e-10 where J is next to nothing.
"""

LONGEST_STEP = 0.1
"""At a minimum, Newton's step moves the z's by at most this (root mean square).

Further out the second-order model says nothing: where all rows are saturated, it promises
almost no decrease, with steps that move the z's by 1 or more.
"""

SATURATED = 1e-4
"""A neuron is saturated if its gradient promises less than this share of J whatever the labels."""

CURVATURE_TOL = 1e-2
"""Relative accuracy of a curvature that is iterated for."""

STATUSES = ("minimum", "unfinished", "saddle", "plateau", "unbounded", "separable")


@dataclass(frozen=True)
class OptimalityReport:
    """Where a neuron stands, beyond its gradient.

    Attributes
    ----------
    status : str
        "minimum": the curvature is nowhere negative and, by Newton's step, J is at most
        100 tol of itself (or 1e-4 tol) above the minimum; or J is below 1e-4 tol.
        "unfinished": the curvature is nowhere negative, but J can fall further.
        "saddle": there is a direction of negative curvature.
        "plateau": so saturated that the gradient would be this small whatever the labels.
        "unbounded": J keeps falling along the ray through θ, so that no finite point on it is
        a minimum.
        "separable": unbounded, and θ classifies every row correctly.
    smallest_curvature : float
        Lowest eigenvalue of D^-½ H D^-½, with H = d²J/dθ² and D the diagonal of H at θ = 0. It
        has the sign of the lowest eigenvalue of H (Sylvester's law of inertia) and no units:
        1 is the curvature along one feature at θ = 0. It is 0 where rounding hides the sign.
        Of more than 20 000 rows it is that of a sample; if that is negative, the curvature of
        all rows in its direction. Of more than 2 000 parameters it is iterated for, and not
        below the eigenvalue: a negative value is proved, a positive one is not.
    remaining_decrease : float
        How far J can fall from here by Newton's step, as a share of J; infinite where the
        curvature is negative.
    scaled_gradient : float
        Largest component of D^-½ dJ/dθ / √8, in absolute value: that of dJ/dθ if the features
        had a root mean square of 1.
    mean_slope : float
        Mean of σ(1 - σ) over the rows: 1/4 at θ = 0, near 0 where the neuron is saturated.
    limit : float
        Limit of J along the ray through θ, where it is unbounded: with labels of 0 and 1, the
        share of the rows that this direction leaves wrong (a row on the boundary counts 1/4).
    """

    status: str
    smallest_curvature: float
    remaining_decrease: float
    scaled_gradient: float
    mean_slope: float
    limit: float = float("nan")


def check_optimality(
    objective: Objective,
    theta: Array,
    tol: float,
    hessian: Array | None = None,
    slope: tuple[Array, Array] | None = None,
) -> OptimalityReport:
    """Look beyond the gradient of one neuron.

    Parameters
    ----------
    objective : Objective
        Cost of one neuron.
    theta : array of shape (d + 1, 1)
        Where training ended.
    tol : float
        What counts as no slope. It sets how close J must be to its minimum too: to 100 tol of
        itself, or 1e-4 tol.
    hessian : array of shape (d + 1, d + 1), optional
        d²J/dθ² there, where it is known.
    slope : tuple of arrays of shapes (1,) and (d + 1, 1), optional
        J and dJ/dθ there, where they are known.

    Returns
    -------
    OptimalityReport
    """
    allowed = allowed_share(objective, tol)
    negligible = NEGLIGIBLE_PER_TOL * tol
    value, gradient = objective.value_and_gradient(theta) if slope is None else slope
    J = float(value[0])
    sample = objective
    if objective.rows.n_rows > SAMPLE_ROWS:
        sample = objective.sample(np.random.default_rng(0), SAMPLE_ROWS)
    mean_slope = float(sample.saturation(theta)[0][0])
    curvature = _Curvature(sample, theta, hessian)
    if not np.isfinite(gradient).all() or not curvature.is_finite():
        return OptimalityReport("unfinished", np.nan, np.inf, np.inf, mean_slope)
    smallest, direction = curvature.smallest()
    if smallest < 0 and sample is not objective:  # perhaps by the sample's chance
        product = objective.hessian_product(theta, direction)
        smallest = float(np.vecdot(direction.T, product.T)[0])
    remaining, step = _newton_decrease(curvature, gradient, smallest)
    share = remaining / J if J > 0 else 0.0
    scaled = curvature.scale * gradient[: curvature.size, 0]
    scaled_gradient = float(np.abs(scaled).max(initial=0) / np.sqrt(8))

    def report(status: str, limit: float = np.nan) -> OptimalityReport:
        return OptimalityReport(status, smallest, share, scaled_gradient, mean_slope, limit)

    if objective.alpha[0] == 0 and theta.any():
        limit = _limit_of_falling_ray(objective, theta)
        if limit is not None:
            return report("separable" if limit == 0 else "unbounded", limit)
    if J <= negligible:  # it is never below 0
        return report("minimum")
    if smallest >= 0 and remaining <= max(allowed * J, negligible):
        moved = float(sample.mean_square_response(step)[0])
        if moved <= LONGEST_STEP**2 and (smallest > 0 or curvature.flat_where_z_is()):
            return report("minimum")
    # no component of the gradient, over √D, exceeds √(8 mean σ(1 - σ)), whatever the labels
    if 4 * mean_slope <= SATURATED * J:
        return report("plateau")
    return report("saddle" if smallest < 0 else "unfinished")


def allowed_share(objective: Objective, tol: float) -> float:
    """Share of J by which it may exceed its minimum: 100 tol, as far as rounding lets one tell."""
    return max(SHARE_PER_TOL * tol, 100 * objective.rounding)


def _limit_of_falling_ray(objective: Objective, theta: Array) -> float | None:
    """Limit of J(tθ) for t → ∞, if J falls all the way from t = 1/2; else None."""
    norm = float(np.abs(theta).max())
    factors = np.append(2.0 ** np.arange(-1, 12), 1e100 / norm)
    neurons = np.zeros(len(factors), dtype=int)
    J = objective.columns(neurons).value(theta * factors)
    noise = objective.rounding * J[0]
    falls = J[0] > J[1] + noise and (np.diff(J) <= noise).all() and J[-1] < J[0]
    return float(J[-1]) if falls else None


def _newton_decrease(
    curvature: "_Curvature", gradient: Array, smallest: float
) -> tuple[float, Array]:
    """gᵀH⁻¹g/2 and Newton's step (d + 1, 1); infinite where the curvature is negative."""
    step = np.zeros_like(gradient)
    if smallest < 0:
        return np.inf, step
    size, scale = curvature.size, curvature.scale
    scaled = scale * gradient[:size, 0]
    solution, residual = curvature.solve(scaled)
    step[:size, 0] = -scale * solution
    decrease = float(scaled @ solution) / 2
    if residual > 0:  # what is left over may lie in the flattest direction
        decrease += residual**2 / smallest / 2 if smallest > 0 else np.inf
    return decrease, step


class _Curvature:
    """M = D^-½ H D^-½ at a point: formed where that is affordable, else by its products."""

    def __init__(self, objective: Objective, theta: Array, hessian: Array | None) -> None:
        self.objective, self.theta = objective, theta
        self.size = size = len(theta) if objective.fit_intercept else len(theta) - 1
        diagonal = objective.diagonal_at_rest()[:size, 0]
        self.scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
        self.rounding = size * objective.rounding
        """Eigenvalues this small have no certain sign."""
        self.matrix: Array | None = None
        if hessian is None and size <= LARGEST_HESSIAN:
            hessian = objective.value_gradient_hessian(theta)[2][..., 0]
        if hessian is not None:
            self.matrix = hessian[:size, :size] * np.outer(self.scale, self.scale)

    def is_finite(self) -> bool:
        """False where the features are so large that H overflows."""
        return self.matrix is None or bool(np.isfinite(self.matrix).all())

    def smallest(self) -> tuple[float, Array]:
        """Lowest eigenvalue, 0 if rounding hides its sign, and a direction (d + 1, 1) if < 0."""
        direction = np.zeros_like(self.theta)
        if self.matrix is None:
            value, vector = self._lanczos()
        else:
            value, vector = float(np.linalg.eigvalsh(self.matrix)[0]), np.empty(0)
            if value < -self.rounding:
                vector = np.linalg.eigh(self.matrix)[1][:, 0]
        self.lowest = value
        if abs(value) <= self.rounding:
            return 0.0, direction
        if value < 0:
            direction[: self.size, 0] = self.scale * vector
        return value, direction

    def solve(self, scaled: Array) -> tuple[Array, float]:
        """Solution x of M x = `scaled`, and the norm of what is left over; M is not indefinite."""
        solution: Array
        if self.matrix is not None:
            if self.lowest > self.rounding:
                solution = cho_solve(cho_factor(self.matrix), scaled)
            else:
                values, vectors = np.linalg.eigh(self.matrix)
                curved = values > self.rounding
                kept = vectors[:, curved]
                solution = kept @ ((kept.T @ scaled) / values[curved])
            return solution, 0.0
        operator = LinearOperator((self.size,) * 2, matvec=self._product, dtype=np.float64)
        solution = cg(operator, scaled, rtol=1e-2, maxiter=PRODUCTS)[0]
        return solution, float(np.linalg.norm(scaled - self._product(solution)))

    def flat_where_z_is(self) -> bool:
        """Whether the directions without curvature move no z, as of collinear or empty columns."""
        if self.matrix is None:
            return False
        values, vectors = np.linalg.eigh(self.matrix)
        flat = vectors[:, values <= self.rounding]
        directions = np.zeros((len(self.theta), flat.shape[1]))
        directions[: self.size] = self.scale[:, np.newaxis] * flat
        bank = self.objective.columns(np.zeros(flat.shape[1], dtype=int))
        return bool((bank.mean_square_response(directions) <= 10 * self.rounding).all())

    def _lanczos(self) -> tuple[float, Array]:
        """Lowest eigenvalue and its vector by Lanczos iteration with reorthogonalisation."""
        vector = np.random.default_rng(0).standard_normal(self.size)
        basis = [vector / np.linalg.norm(vector)]
        diagonal: list[float] = []
        off_diagonal: list[float] = []
        while True:
            product = self._product(basis[-1])
            diagonal.append(float(basis[-1] @ product))
            for _ in range(2):
                for earlier in basis:
                    product -= (earlier @ product) * earlier
            norm = float(np.linalg.norm(product))
            values, vectors = eigh_tridiagonal(
                diagonal, off_diagonal, select="i", select_range=(0, 0)
            )
            error = norm * abs(vectors[-1, 0])
            if error <= CURVATURE_TOL * abs(values[0]) or len(basis) == min(PRODUCTS, self.size):
                return float(values[0]), np.transpose(basis) @ vectors[:, 0]
            off_diagonal.append(norm)
            basis.append(product / norm)

    def _product(self, vector: Array) -> Array:
        direction = np.zeros_like(self.theta)
        direction[: self.size, 0] = self.scale * vector
        product = self.objective.hessian_product(self.theta, direction)
        scaled: Array = self.scale * product[: self.size, 0]
        return scaled
