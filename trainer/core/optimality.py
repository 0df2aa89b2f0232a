"""What a small gradient does not prove: that this is a minimum, a finite one, and reached.

The gradient is also small at a saddle, on a plateau where every row is saturated, on the way
to infinity of separable data, and wherever the features' scale makes it so. Curvature,
Newton's step and the cost along the ray through θ tell these apart. All of them are taken in
the features' own units, so that the verdict does not depend on their scale.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, cg

from trainer.core.objective import Objective

Array = npt.NDArray[Any]

SAMPLE_ROWS = 20_000
"""Above this many rows the curvature is that of a random sample of as many."""

LARGEST_HESSIAN = 2_000
"""Up to this many parameters the Hessian is formed and its eigenvalues are computed.

At 1 200 parameters that took .2 to .3 s. Lanczos iteration to 1e-2 took as long, had not
converged after 321 products in 8 of 24 cases, and told a positive value of two singular Hessians.
"""

PRODUCTS = 80
"""Above that, Lanczos and conjugate gradient iterations take so many Hessian products each."""

SHARE_PER_TOL = 100
NEGLIGIBLE_PER_TOL = 1e-4
"""At a minimum, J can fall by at most 100 tol of itself, or by at most 1e-4 tol.

With the default tol = 1e-6 these are 1e-4 of J, or 1e-10 where J is next to nothing.
"""

CAUTION = 4
"""The second-order model may be wrong by this factor: J's tails are not quadratic.

Without it, one of 500 random problems ended 2.1e-4 of J above its minimum (1 313 x 1 297,
separable, alpha = 1e-8).
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
        "saturated": so saturated that the gradient would be this small whatever the labels.
        "unbounded": J keeps falling along the ray through θ, so that no finite point on it is
        a minimum.
        "separable": unbounded, and θ classifies every row correctly.
    limit : float
        Limit of J along the ray through θ, where it is unbounded: with labels of 0 and 1, the
        share of the rows that this direction leaves wrong (a row on the boundary counts 1/4).
    smallest_curvature : float
        Lowest eigenvalue of D^-½ H D^-½, with H = d²J/dθ² and D the diagonal of H at θ = 0. It
        has the sign of the lowest eigenvalue of H (Sylvester's law of inertia) and no units:
        1 is the curvature along one feature at θ = 0. It is 0 where rounding hides the sign.
        Of more than 20 000 rows it is that of a sample; if that is negative, it is that of all
        rows, in the same direction if it is negative there too. Of more than 2 000 parameters
        it is iterated for, and not below the eigenvalue: a negative value is proved, a positive
        one is not.
    remaining_decrease : float
        How far J can fall from here by Newton's step, as a share of J; infinite where the
        curvature is negative.
    scaled_gradient : float
        Largest component of D^-½ dJ/dθ / √8, in absolute value: that of dJ/dθ if the features
        had a root mean square of 1.
    mean_sigmoid_derivative : float
        Mean of σ(1 - σ) over the rows: 1/4 at θ = 0, near 0 where the neuron is saturated.
    """

    status: str
    limit: float
    smallest_curvature: float
    remaining_decrease: float
    scaled_gradient: float
    mean_sigmoid_derivative: float


def check_optimality(
    objective: Objective,
    theta: Array,
    tol: float,
    hessians: dict[int, Array] | None = None,
    known: tuple[Array, Array] | None = None,
) -> list[OptimalityReport]:
    """Look beyond the gradient of each neuron of a bank.

    Parameters
    ----------
    objective : Objective
        Cost of a bank of K neurons.
    theta : array of shape (d + 1, K)
        Where training ended.
    tol : float
        What counts as no slope. It sets how close J must be to its minimum too: to 100 tol of
        itself, or 1e-4 tol.
    hessians : dict of arrays of shape (d + 1, d + 1), optional
        d²J/dθ² there by number of the neuron, where it is known.
    known : tuple of arrays of shape (K,) and (d + 1, K), optional
        J and dJ/dθ there, if they are known.

    Returns
    -------
    list of OptimalityReport
        One for each neuron.
    """
    J, gradient = objective.value_and_gradient(theta) if known is None else known
    sample = objective
    if objective.n_rows > SAMPLE_ROWS:
        sample = objective.sample(np.random.default_rng(0), SAMPLE_ROWS)
    mean_sigmoid_derivative, mean_max_slope = sample.saturation(theta)
    diagonal = sample.hessian_diagonal_at_zero() + np.zeros(len(J))
    steps, places = np.zeros_like(gradient), []
    for k in range(len(J)):
        index = np.array([k])
        at, hessian = theta[:, index], (hessians or {}).get(k)
        curvature = _Curvature(sample.select(index), at, diagonal[:, k], hessian)
        place = curvature.place(gradient[:, k])
        if place.smallest < 0 and sample is not objective:  # perhaps by the sample's chance
            whole = objective.select(index)
            product = whole.hessian_product(at, place.direction)
            smallest = float(np.vecdot(place.direction.T, product.T)[0])
            if smallest < 0:
                place = place._replace(smallest=smallest)
            else:
                place = _Curvature(whole, at, diagonal[:, k], None).place(gradient[:, k])
        steps[: curvature.size, k] = place.step
        places.append(place)
    moved = sample.mean_square_response(steps)
    return [
        OptimalityReport(
            *_status(objective.select(np.array([k])), theta[:, [k]], tol, *found),
            smallest_curvature=found[0].smallest,
            remaining_decrease=found[0].decrease / found[1] if found[1] > 0 else 0.0,
            scaled_gradient=found[0].scaled_gradient,
            mean_sigmoid_derivative=float(mean_sigmoid_derivative[k]),
        )
        for k, found in enumerate(
            zip(places, J.tolist(), mean_max_slope.tolist(), moved.tolist(), strict=True)
        )
    ]


def _status(
    objective: Objective,
    theta: Array,
    tol: float,
    place: "_Place",
    J: float,
    mean_max_slope: float,
    moved: float,
) -> tuple[str, float]:
    """Status of one neuron, and the limit of J along its ray, if it is unbounded."""
    if not np.isfinite(place.scaled_gradient):
        return "unfinished", np.nan
    if objective.alpha[0] == 0 and theta.any():
        limit = _limit_of_falling_ray(objective, theta)
        if limit is not None:
            return "separable" if limit == 0 else "unbounded", limit
    negligible = NEGLIGIBLE_PER_TOL * tol
    if J <= negligible:  # it is never below 0
        return "minimum", np.nan
    is_low = CAUTION * place.decrease <= max(allowed_share(objective, tol) * J, negligible)
    if is_low and place.is_convex and moved <= LONGEST_STEP**2:
        return "minimum", np.nan
    # no component of the gradient, over √D, exceeds √(4 mean max|dl/dz|), whatever the labels
    if 2 * mean_max_slope <= SATURATED * J:
        return "saturated", np.nan
    return "saddle" if place.smallest < 0 else "unfinished", np.nan


def allowed_share(objective: Objective, tol: float) -> float:
    """Share of J by which it may exceed its minimum: 100 tol, as far as rounding lets one tell."""
    return max(SHARE_PER_TOL * tol, 100 * objective.rounding)


def _limit_of_falling_ray(objective: Objective, theta: Array) -> float | None:
    """Limit of J(tθ) for t → ∞, if J falls all the way from t = 1/2; else None."""
    norm = float(np.abs(theta).max())
    far = min(1e100, float(np.sqrt(np.finfo(objective.rows.dtype).max)))  # no z may overflow
    factors = np.append(2.0 ** np.arange(-1, 12), far / norm)
    neurons = np.zeros(len(factors), dtype=int)
    J = objective.select(neurons).value(theta * factors)
    noise = objective.rounding * J[0]
    falls = J[0] > J[1] + noise and (np.diff(J) <= noise).all() and J[-1] < J[0]
    return float(J[-1]) if falls else None


class _Place(NamedTuple):
    """What the second-order model says of a point, in the features' own units."""

    smallest: float
    direction: Array
    """Of that curvature, (d + 1, 1), where it is negative."""
    is_convex: bool
    decrease: float
    """gᵀH⁻¹g/2, infinite where the curvature is negative."""
    step: Array
    """Newton's step -H⁻¹g, without the bias if there is none."""
    scaled_gradient: float


class _Curvature:
    """M = D^-½ H D^-½ at a point: formed where that is affordable, else by its products."""

    def __init__(
        self, objective: Objective, theta: Array, diagonal: Array, hessian: Array | None
    ) -> None:
        self.objective, self.theta = objective, theta
        self.size = size = len(theta) if objective.fit_intercept else len(theta) - 1
        self.scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)[:size])
        self.rounding = size * objective.rounding
        """Eigenvalues this small have no certain sign."""
        self.matrix: Array | None = None
        if hessian is None and size <= LARGEST_HESSIAN:
            hessian = objective.value_gradient_hessian(theta)[2][..., 0]
        if hessian is not None:
            self.matrix = hessian[:size, :size] * np.outer(self.scale, self.scale)

    def place(self, gradient: Array) -> _Place:
        """Curvature and Newton's step where the gradient is `gradient` (d + 1,)."""
        scaled = self.scale * gradient[: self.size]
        largest = float(np.abs(scaled).max(initial=0) / np.sqrt(8))
        nowhere = np.zeros_like(self.theta)
        is_finite = self.matrix is None or np.isfinite(self.matrix).all()
        if not (is_finite and np.isfinite(largest)):  # features so large that J overflows
            return _Place(np.nan, nowhere, False, np.inf, np.zeros(self.size), np.inf)
        if self.matrix is None:
            value, vector = self._lanczos()
        else:
            value, vector = float(np.linalg.eigvalsh(self.matrix)[0]), np.empty(0)
        if value < -self.rounding:
            if self.matrix is not None:
                vector = np.linalg.eigh(self.matrix)[1][:, 0]
            nowhere[: self.size, 0] = self.scale * vector
            return _Place(value, nowhere, False, np.inf, np.zeros(self.size), largest)
        if value > self.rounding:
            solution, decrease = self._solved(scaled, value)
            return _Place(value, nowhere, True, decrease, -self.scale * solution, largest)
        if self.matrix is None:
            return _Place(0.0, nowhere, False, np.inf, np.zeros(self.size), largest)
        values, vectors = np.linalg.eigh(self.matrix)
        curved = values > self.rounding
        parts = scaled @ vectors[:, curved]
        step = -self.scale * (vectors[:, curved] @ (parts / values[curved]))
        decrease = float(parts @ (parts / values[curved])) / 2
        is_convex = self._moves_no_z(vectors[:, ~curved])
        return _Place(0.0, nowhere, is_convex, decrease, step, largest)

    def _solved(self, scaled: Array, smallest: float) -> tuple[Array, float]:
        """Solution x of M x = `scaled`, and scaledᵀx/2 or a bound of it; M is definite."""
        solution: Array
        if self.matrix is not None:
            solution = np.linalg.solve(self.matrix, scaled)
            return solution, float(scaled @ solution) / 2
        operator = LinearOperator((self.size,) * 2, matvec=self._product, dtype=np.float64)
        solution = cg(operator, scaled, rtol=1e-2, maxiter=PRODUCTS)[0]
        left = scaled - self._product(solution)  # at worst in the flattest direction
        return solution, float(scaled @ solution + left @ left / smallest) / 2

    def _moves_no_z(self, vectors: Array) -> bool:
        """Whether directions without curvature are those of collinear or empty columns."""
        directions = np.zeros((len(self.theta), vectors.shape[1]))
        directions[: self.size] = self.scale[:, np.newaxis] * vectors
        bank = self.objective.select(np.zeros(vectors.shape[1], dtype=int))
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
