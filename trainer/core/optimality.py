"""Optimality checks beyond the gradient: whether a minimum is reached, and whether one exists.

The gradient is also small at a saddle point, on a plateau where every row is saturated, as the
weights of separable data grow without bound, and wherever the scale of the features makes it
small. Curvature, Newton's step and the objective along the ray through θ distinguish these
cases. All of them are computed in units of the features, so that the result does not depend on
the features' scale.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh_tridiagonal
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse.linalg import LinearOperator, cg

from trainer.core.objective import Objective
from trainer.optimizers.preconditioner import sample_for_curvature

Array = npt.NDArray[Any]

LARGEST_HESSIAN = 2_000
"""Up to this many parameters, the Hessian is formed and its eigenvalues are computed.

With 1 200 parameters this took .2 to .3 s. Lanczos iteration to 1e-2 took as long, had not
converged after 321 products in 8 of 24 cases, and gave a positive value for two singular Hessians.
"""

HESSIAN_ENTRIES = 2**22
"""Number of entries in the Hessians of the neurons that are checked at once (32 MB)."""

LARGEST_EIGENVALUES = 100
"""Up to this many parameters all eigenvalues are computed; above, Cholesky's factor shows that
there is no negative one, and inverse iteration finds the smallest. With 1 001 parameters that took
30 ms instead of 130."""

PRODUCTS = 32
"""Above that, Lanczos and conjugate gradients each use at most this many Hessian products.

The smallest eigenvalue of 4 000 x 1 000 normal features was .00275; it was estimated as .0087,
.0049, .0038 and .0029 after 10, 20, 30 and 80 products. Its sign is clear after 20, and a
product costs as much as an iteration of training.
"""

SHARE_PER_TOL = 100
NEGLIGIBLE_PER_TOL = 1e-4
"""At a minimum, J can still decrease by at most 100 tol × J, or by at most 1e-4 tol.

With the default tol = 1e-6 these are 1e-4 of J, or 1e-10 where J is almost 0.
"""

CAUTION = 4
"""The second-order model may be wrong by this factor: J is not quadratic on its tails.

Without it, one of 500 random problems ended 2.1e-4 of J above its minimum (1 313 x 1 297,
separable, alpha = 1e-8).
"""

LONGEST_STEP = 0.1
"""At a minimum, Newton's step changes the z's by at most this (root mean square).

For longer steps the second-order model is not valid: where all rows are saturated, it predicts
almost no decrease, from steps that change the z's by 1 or more.
"""

SATURATED = 1e-4
"""A neuron is saturated if no labels could give a gradient worth more than this fraction of J."""

CURVATURE_TOL = 1e-2
"""Relative accuracy of an eigenvalue that is computed iteratively."""


@dataclass(frozen=True)
class OptimalityReport:
    """What is known of a neuron's parameters beyond the gradient.

    Attributes
    ----------
    status : str
        "minimum": no direction has negative curvature and, by Newton's step, J exceeds the
        minimum by at most 100 tol × J (or 1e-4 tol); or J is below 1e-4 tol.
        "unfinished": no direction has negative curvature, but J can decrease further.
        "saddle": there is a direction of negative curvature.
        "saturated": the neuron is so saturated that the gradient would be this small whatever
        the labels.
        "unbounded": J keeps decreasing along the ray through θ, so that no finite point on it
        is a minimum.
        "separable": unbounded, and θ classifies every row correctly.
    limit : float
        Limit of J along the ray through θ if it is unbounded: with labels of 0 and 1, the
        fraction of rows that this direction misclassifies (a row on the boundary counts 1/4).
    smallest_curvature : float
        Smallest eigenvalue of D^-½ H D^-½, where H = d²J/dθ² and D is the diagonal of H at
        θ = 0. It has the sign of the smallest eigenvalue of H (Sylvester's law of inertia) and
        no units: 1 is the curvature along one feature at θ = 0. It is 0 if rounding hides the
        sign. Where there are more than twice as many rows, it is computed on a sample of 4 000, or
        of 10 rows for each parameter if these are more, but at most 10 000; with more than 2 500
        parameters, on all rows. If it is negative on the sample, the curvature in the same
        direction is computed on all rows, and is reported if it is negative too; otherwise the
        smallest eigenvalue on all rows is. With more than 2 000 parameters it is computed
        iteratively, from above: a negative value proves that there is negative curvature, but a
        positive one does not prove that there is none.
    remaining_decrease : float
        How much J can still decrease, by Newton's step, as a fraction of J; infinite if the
        curvature is negative.
    scaled_gradient : float
        Largest component of D^-½ dJ/dθ / √8, in absolute value: the largest component of dJ/dθ
        if every feature had a root mean square of 1.
    mean_sigmoid_derivative : float
        Mean of σ(1 - σ) over the rows: 1/4 at θ = 0, near 0 if the neuron is saturated.
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
    """Check, for each neuron of a bank, what a small gradient does not prove.

    Parameters
    ----------
    objective : Objective
        Objective of a bank of K neurons.
    theta : array of shape (d + 1, K)
        Parameters at the end of training.
    tol : float
        Tolerance on the gradient. It also sets how close J must be to its minimum: within
        100 tol × J, or 1e-4 tol.
    hessians : dict of arrays of shape (d + 1, d + 1), optional
        d²J/dθ² at `theta`, by number of the neuron, where it is known.
    known : tuple of arrays of shape (K,) and (d + 1, K), optional
        J and dJ/dθ at `theta`, if they are known.

    Returns
    -------
    list of OptimalityReport
        One for each neuron.
    """
    J, gradient = objective.value_and_gradient(theta) if known is None else known
    sample = sample_for_curvature(objective)
    mean_sigmoid_derivative, mean_max_slope = sample.saturation(theta)
    diagonal = sample.hessian_diagonal_at_zero() + np.zeros(len(J))
    enough = np.maximum(allowed_share(objective, tol) * J, NEGLIGIBLE_PER_TOL * tol) / CAUTION

    def place(over: Objective, k: int, hessian: Array | None) -> _Place:
        index = np.array([k])
        curvature = _Curvature(over, index, theta[:, index], diagonal[:, k], hessian)
        return curvature.place(gradient[:, k], enough[k])

    every = list(range(len(J)))
    places = [place(sample, k, H) for k, H in _hessians(sample, theta, every, hessians or {})]
    negative = [k for k in every if places[k].smallest < 0]
    if negative and sample is not objective:  # may be due to the sample alone
        directions = np.hstack([places[k].direction for k in negative])
        products = objective.select(np.array(negative)).hessian_product(
            theta[:, negative], directions
        )
        smallest = np.vecdot(directions.T, products.T).tolist()
        for k, value in zip(negative, smallest, strict=True):
            if value < 0:
                places[k] = places[k]._replace(smallest=value)
        due = [k for k, value in zip(negative, smallest, strict=True) if not value < 0]
        for k, hessian in _hessians(objective, theta, due, {}):
            places[k] = place(objective, k, hessian)
    steps = np.zeros_like(gradient)
    for k in every:
        steps[: len(places[k].step), k] = places[k].step
    # by Cauchy and Schwarz; the steps are so short at most minima that this saves a pass
    lengths = np.abs(steps) * np.sqrt(diagonal / objective.loss.curvature_at_zero)
    moved = lengths.sum(axis=0) ** 2
    if (moved > LONGEST_STEP**2).any():
        moved = sample.mean_square_response(steps)
    return [
        OptimalityReport(
            *_status(objective, theta, k, tol, *found),
            smallest_curvature=found[0].smallest,
            remaining_decrease=found[0].decrease / found[1] if found[1] > 0 else 0.0,
            scaled_gradient=found[0].scaled_gradient,
            mean_sigmoid_derivative=float(mean_sigmoid_derivative[k]),
        )
        for k, found in enumerate(
            zip(places, J.tolist(), mean_max_slope.tolist(), moved.tolist(), strict=True)
        )
    ]


def _hessians(
    objective: Objective, theta: Array, neurons: list[int], known: dict[int, Array]
) -> Iterator[tuple[int, Array | None]]:
    """d²J/dθ² of each of the neurons, computed for many at once; None where it is too large."""
    n_at_once = max(1, HESSIAN_ENTRIES // len(theta) ** 2)
    for start in range(0, len(neurons), n_at_once):
        some = neurons[start : start + n_at_once]
        due = [k for k in some if k not in known]
        found: dict[int, Array] = {}
        if due and len(theta) <= LARGEST_HESSIAN:
            computed = objective.select(np.array(due)).value_gradient_hessian(theta[:, due])[2]
            found = {k: computed[..., j] for j, k in enumerate(due)}
        for k in some:
            yield k, known.get(k, found.get(k))


def _status(
    objective: Objective,
    theta: Array,
    k: int,
    tol: float,
    place: "_Place",
    J: float,
    mean_max_slope: float,
    moved: float,
) -> tuple[str, float]:
    """Status of neuron `k`, and the limit of J along its ray, if it is unbounded."""
    if not np.isfinite(place.scaled_gradient):
        return "unfinished", np.nan
    if objective.alpha[min(k, len(objective.alpha) - 1)] == 0 and theta[:, k].any():
        limit = _limit_of_falling_ray(objective.select(np.array([k])), theta[:, [k]])
        if limit is not None:
            return "separable" if limit == 0 else "unbounded", limit
    negligible = NEGLIGIBLE_PER_TOL * tol
    if J <= negligible:  # it is never below 0
        return "minimum", np.nan
    is_low = CAUTION * place.decrease <= max(allowed_share(objective, tol) * J, negligible)
    if is_low and place.is_convex and moved <= LONGEST_STEP**2:
        return "minimum", np.nan
    # whatever the labels, no component of D^-½ gradient exceeds √(4 mean max|dl/dz|)
    if 2 * mean_max_slope <= SATURATED * J:
        return "saturated", np.nan
    return "saddle" if place.smallest < 0 else "unfinished", np.nan


def allowed_share(objective: Objective, tol: float) -> float:
    """Fraction of J by which it may exceed its minimum: 100 tol, but not less than rounding."""
    return max(SHARE_PER_TOL * tol, 100 * objective.rounding)


def _limit_of_falling_ray(objective: Objective, theta: Array) -> float | None:
    """Limit of J(tθ) as t → ∞ if J decreases monotonically from t = 1/2 on; else None."""
    norm = float(np.abs(theta).max())
    far = min(1e100, float(np.sqrt(np.finfo(objective.rows.dtype).max)))  # no z may overflow
    factors = np.append(2.0 ** np.arange(-1, 12), far / norm)
    neurons = np.zeros(len(factors), dtype=int)
    J = objective.select(neurons).value(theta * factors)
    noise = objective.rounding * J[0]
    falls = J[0] > J[1] + noise and (np.diff(J) <= noise).all() and J[-1] < J[0]
    return float(J[-1]) if falls else None


class _Place(NamedTuple):
    """The second-order model at a point, in units of the features."""

    smallest: float
    direction: Array
    """Direction of the smallest curvature, (d + 1, 1), if that is negative."""
    is_convex: bool
    decrease: float
    """gᵀH⁻¹g/2; infinite if the curvature is negative."""
    step: Array
    """Newton's step -H⁻¹g, without the bias if there is none."""
    scaled_gradient: float


class _Curvature:
    """M = D^-½ H D^-½ of one neuron: as a matrix if that is affordable, else as an operator."""

    def __init__(
        self,
        bank: Objective,
        neuron: Array,
        theta: Array,
        diagonal: Array,
        hessian: Array | None,
    ) -> None:
        self.bank, self.neuron, self.theta = bank, neuron, theta
        self.size = size = len(theta) if bank.fit_intercept else len(theta) - 1
        self.scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)[:size])
        self.rounding = size * bank.rounding
        """The sign of an eigenvalue smaller than this is uncertain."""
        self.matrix: Array | None = None
        if hessian is None:
            self.multiply = bank.select(neuron).hessian_operator(theta)
        else:
            self.matrix = hessian[:size, :size] * np.outer(self.scale, self.scale)

    def place(self, gradient: Array, enough: float) -> _Place:
        """Curvature and Newton's step at the point, whose gradient is `gradient` (d + 1,).

        The decrease of J need not be computed exactly if a bound shows that it is below `enough`.
        """
        scaled = self.scale * gradient[: self.size]
        largest = float(np.abs(scaled).max(initial=0) / np.sqrt(8))
        nowhere = np.zeros_like(self.theta)
        if not self.size:  # rows of zeros span nothing, and without a bias J is a constant
            return _Place(0.0, nowhere, True, 0.0, np.zeros(0), largest)
        is_finite = self.matrix is None or np.isfinite(self.matrix).all()
        if not (is_finite and np.isfinite(largest)):  # features so large that J overflows
            return _Place(np.nan, nowhere, False, np.inf, np.zeros(self.size), np.inf)
        value, vector = self._smallest()
        if value < -self.rounding:
            if self.matrix is not None:
                vector = np.linalg.eigh(self.matrix)[1][:, 0]
            nowhere[: self.size, 0] = self.scale * vector
            return _Place(value, nowhere, False, np.inf, np.zeros(self.size), largest)
        if value > self.rounding:
            solution, decrease = self._solved(scaled, value, enough)
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

    def _solved(self, scaled: Array, smallest: float, enough: float) -> tuple[Array, float]:
        """Solution x of M x = `scaled`, and scaledᵀx/2 or an upper bound; M is definite."""
        solution: Array
        if self.matrix is not None:
            solution = dpotrs(dpotrf(self.matrix)[0], scaled)[0]
            return solution, float(scaled @ solution) / 2
        longest = scaled / smallest  # no product is needed if this step, too, gains little
        if longest @ scaled / 2 <= enough:
            return longest, float(longest @ scaled) / 2
        operator = LinearOperator((self.size,) * 2, matvec=self._product, dtype=np.float64)
        solution = cg(operator, scaled, rtol=1e-2, maxiter=PRODUCTS)[0]
        left = scaled - self._product(solution)  # worst case: in the flattest direction
        return solution, float(scaled @ solution + left @ left / smallest) / 2

    def _moves_no_z(self, vectors: Array) -> bool:
        """Whether the directions without curvature come from collinear or empty columns."""
        directions = np.zeros((len(self.theta), vectors.shape[1]))
        directions[: self.size] = self.scale[:, np.newaxis] * vectors
        bank = self.bank.select(np.repeat(self.neuron, vectors.shape[1]))
        return bool((bank.mean_square_response(directions) <= 10 * self.rounding).all())

    def _smallest(self) -> tuple[float, Array]:
        """Smallest eigenvalue and its eigenvector, which is not computed if M is a matrix."""
        if self.matrix is None:
            return self._lanczos(self._product)
        if self.size > LARGEST_EIGENVALUES:
            factor, failed = dpotrf(self.matrix)
            if not failed:  # the smallest eigenvalue of -M⁻¹ is -1 by the smallest of M
                value, _ = self._lanczos(lambda vector: -dpotrs(factor, vector)[0])
                return -1 / value, np.empty(0)
        return float(np.linalg.eigvalsh(self.matrix)[0]), np.empty(0)

    def _lanczos(self, multiply: Callable[[Array], Array]) -> tuple[float, Array]:
        """Smallest eigenvalue and its eigenvector by Lanczos iteration with reorthogonalisation."""
        vector = np.random.default_rng(0).standard_normal(self.size)
        basis = [vector / np.linalg.norm(vector)]
        diagonal: list[float] = []
        off_diagonal: list[float] = []
        while True:
            product = multiply(basis[-1])
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
        scaled: Array = self.scale * self.multiply(direction)[: self.size, 0]
        return scaled
