"""The objective of a bank of K neurons: J, dJ and d²J of each neuron.

    J_k(θ) = Σ_i weight_i l(z_ik, y_ik) / Σ_i weight_i + alpha_k/2 ‖w_k‖²

The rows supply the sums, block by block. Here they are divided by the weights' sum and the
penalty is added. The bias, the last row of θ, is not penalised.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, eigsh

from trainer.core import kernels
from trainer.core.loss import SQUARED_ERROR, Loss
from trainer.core.rows import ArrayRows, Kernel, Rows, promoted

Array = npt.NDArray[Any]

MAX_EXACT_EIGENVALUE = 500
"""λmax comes from the Gram matrix up to this many parameters, from Lanczos iterations above."""


class PassCounter:
    """Number of rows read by an objective and by all objectives derived from it."""

    def __init__(self) -> None:
        self.n_rows_read = 0


class Objective:
    """Objective function of a bank of neurons over a set of rows, and its derivatives.

    Parameters
    ----------
    rows : Rows
        The training data, with targets as encoded by the loss (`Loss.encode`).
    alpha : float or array of shape (K,)
        L2 penalty on the weights, one for all neurons or one for each; >= 0.
    fit_intercept : bool
        If False, every bias keeps its initial value: its derivatives are reported as 0.
    loss : Loss
        Loss of one row.
    counter : PassCounter, optional
        Counts the rows read; a new one by default.

    Attributes
    ----------
    n_rows, n_parameters : int
        n, and d + 1.
    is_sparse : bool
        Whether the features are sparse: then a gradient is cheap compared with a Hessian.
    shares_curvature : bool
        Whether all neurons have the same Hessian at θ = 0.
    rounding : float
        Relative differences of J below this are indistinguishable from rounding errors.

    Examples
    --------
    >>> import numpy as np
    >>> from trainer import Objective
    >>> objective = Objective.from_arrays(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    >>> J, gradient = objective.value_and_gradient(np.zeros((2, 1)))
    >>> J.tolist(), gradient.tolist()
    ([0.25], [[-0.125], [0.0]])
    """

    def __init__(
        self,
        rows: Rows,
        alpha: float | Array = 0.0,
        fit_intercept: bool = True,
        loss: Loss = SQUARED_ERROR,
        counter: PassCounter | None = None,
    ) -> None:
        self.rows = rows
        self.alpha = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
        self.fit_intercept = fit_intercept
        self.loss = loss
        self.counter = PassCounter() if counter is None else counter
        self.n_rows, self.n_parameters = rows.n_rows, rows.n_features + 1
        self.is_sparse = rows.is_sparse
        self.shares_curvature = len(self.alpha) == 1 and len(rows.weight_sum) == 1
        self.rounding = 1e-14 if rows.dtype == np.float64 else 3e-8

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Array,
        weight: Array | None = None,
        alpha: float | Array = 0.0,
        fit_intercept: bool = True,
        loss: Loss = SQUARED_ERROR,
    ) -> "Objective":
        """The objective over rows in memory, with targets that are not yet encoded."""
        loss, y = loss.encode(y)
        return cls(ArrayRows(*promoted(X, y, weight)), alpha, fit_intercept, loss)

    @property
    def n_passes(self) -> float:
        """Number of passes over the rows so far."""
        return self.counter.n_rows_read / self.n_rows

    def over(self, rows: Rows) -> "Objective":
        """The same objective over other rows."""
        return self._with(rows, self.alpha)

    def with_penalty(self, factor: float) -> "Objective":
        """The same objective with alpha times `factor`."""
        return self._with(self.rows, factor * self.alpha)

    def _with(self, rows: Rows, alpha: Array) -> "Objective":
        return Objective(rows, alpha, self.fit_intercept, self.loss, self.counter)

    def _sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        self.counter.n_rows_read += self.n_rows
        return self.rows.map_sum(kernel, *args)

    def _sum_loss(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        return self._sum(partial(kernel, loss=self.loss), *args)

    def value(self, theta: Array) -> Array:
        """J, (K,)."""
        (sums,) = self._sum_loss(kernels.value_sums, theta)
        return self._with_penalty(sums, theta)

    def value_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """J (K,) and dJ/dθ (d + 1, K), in one pass over the rows."""
        values, sums = self._sum_loss(kernels.gradient_sums, theta)
        return self._with_penalty(values, theta), self._derivative(sums, theta)

    def gradient(self, theta: Array) -> Array:
        """dJ/dθ (d + 1, K) alone, for mini-batches: the second result of `value_and_gradient`."""
        (sums,) = self._sum_loss(kernels.gradient_only_sums, theta)
        return self._derivative(sums, theta)

    def value_gradient_hessian(self, theta: Array) -> tuple[Array, Array, Array]:
        """J (K,), dJ/dθ (d + 1, K) and d²J/dθ² (d + 1, d + 1, K), in one pass over the rows."""
        values, sums, hessian = self._sum_loss(kernels.hessian_sums, theta)
        hessian /= self.rows.weight_sum
        np.einsum("iik->ik", hessian)[:-1] += self.alpha
        return (
            self._with_penalty(values, theta),
            self._derivative(sums, theta),
            self._bias_held(hessian),
        )

    def score_products(self, theta: Array) -> Array:
        """Mean of the rows' (dl/dθ)(dl/dθ)ᵀ, without the penalty, (d + 1, d + 1, K)."""
        (sums,) = self._sum_loss(kernels.score_product_sums, theta)
        return self._bias_held(sums / self.rows.weight_sum)

    def gram(self) -> Array:
        """Mean G of x̃x̃ᵀ (d + 1, d + 1, 1 or K); a step s changes z by sᵀGs in mean square."""
        (sums,) = self._sum(kernels.gram_sums)
        return self._bias_held(sums / self.rows.weight_sum)

    def hessian_product(self, theta: Array, direction: Array) -> Array:
        """d²J/dθ² · s for a direction s (d + 1, K) of each neuron, in one pass."""
        direction = self._without_intercept(direction)
        (sums,) = self._sum_loss(kernels.hessian_product_sums, theta, direction)
        return self._derivative(sums, direction)

    def hessian_operator(self, theta: Array) -> Callable[[Array], Array]:
        """`hessian_product` at θ, as a function of the direction, for many products.

        Rows in memory keep d²l/dz², so that a product reads X twice instead of three times.
        """
        if not isinstance(self.rows, ArrayRows):
            return partial(self.hessian_product, theta)
        self.counter.n_rows_read += self.n_rows
        quadratic = self.over(self.rows.with_weights(kernels.curvatures, theta, self.loss))

        def product(direction: Array) -> Array:
            direction = self._without_intercept(direction)
            (sums,) = quadratic._sum(kernels.gram_product_sums, direction)
            return self._derivative(sums, direction)

        return product

    def curvature_bound(self, direction: Array) -> Array:
        """Upper bound (K,) of sᵀ d²J/dθ² s at every θ, for a direction s (d + 1, K).

        It is c · mean (dz/dθ·s)² + alpha ‖s_w‖², with c the largest d²l/dz² of any row.
        """
        penalty = self.alpha * np.vecdot(direction[:-1].T, direction[:-1].T)
        return self.loss.max_curvature * self.mean_square_response(direction) + penalty

    def mean_square_response(self, direction: Array) -> Array:
        """Mean of (dz/dθ·s)² over the rows (K,): how much a step s changes the z's."""
        direction = self._without_intercept(direction)
        (squares,) = self._sum(kernels.squared_response_sums, direction)
        return squares / self.rows.weight_sum

    def saturation(self, theta: Array) -> tuple[Array, Array]:
        """Means of dσ/dz (K,) and of the largest ``|dl/dz|`` of a label 0 or 1 (K,)."""
        dsig_dz, max_slope = self._sum_loss(kernels.saturation_sums, theta)
        return dsig_dz / self.rows.weight_sum, max_slope / self.rows.weight_sum

    def negative_curvature_fraction(self, theta: Array) -> Array:
        """Fraction of the weight (K,) on rows with d²l/dz² < 0.

        For the squared error these are the rows whose own label has a probability below 1/3.
        """
        (weight,) = self._sum_loss(kernels.negative_curvature_sums, theta)
        return weight / self.rows.weight_sum

    def lipschitz(self, batch_size: int | None = None) -> Array:
        """Lipschitz constant L (1,) or (K,) of dJ/dθ: c · λmax(X̃ᵀX̃)/n + alpha.

        X̃ is X with a column of ones and weighted rows, and c is the largest d²l/dz² of any
        row. Step lengths up to 1/L never increase J. A batch of m rows can have a larger
        constant than the whole, so for batches the mean row's own constant divided by m is
        added (after Gower et al., "SGD: general analysis and improved rates", ICML 2019, with
        the mean row in place of the steepest).
        """
        n_weightings = len(self.rows.weight_sum)
        largest = [
            self._largest_gram_eigenvalue(np.array([k])) / self.rows.weight_sum[k]
            for k in range(n_weightings)
        ]
        steepness = np.array(largest)
        if batch_size is not None:
            steepness += self.mean_square_row() / batch_size
        return self.loss.max_curvature * steepness + self.alpha

    def mean_square_row(self) -> Array:
        """Mean of ‖x̃‖² over the rows, (1,) or (K,)."""
        squares: Array = self.mean_square_features().sum(axis=0)
        return squares

    def mean_square_features(self) -> Array:
        """Mean of each column's x̃² over the rows (d + 1, 1 or K): the diagonal of `gram`."""
        (squares,) = self._sum(kernels.squared_feature_sums)
        return squares / self.rows.weight_sum

    def hessian_diagonal_at_zero(self) -> Array:
        """Diagonal of d²J/dθ² at θ = 0, where d²l/dz² is equal for all rows, (d + 1, 1 or K)."""
        diagonal = self.loss.curvature_at_zero * self.mean_square_features()
        diagonal = diagonal + np.zeros_like(self.alpha)
        diagonal[:-1] += self.alpha
        return diagonal

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["Objective"]:
        """The same objective over small random batches that together contain every row once."""
        for rows in self.rows.minibatches(rng, size):
            yield self.over(rows)

    def sample(self, rng: np.random.Generator, size: int) -> "Objective":
        """The same objective over `size` of the rows, drawn without replacement."""
        return self.over(self.rows.sample(rng, size))

    def select(self, neurons: Array) -> "Objective":
        """The objective of some of the bank's neurons."""
        alpha = self.alpha if len(self.alpha) == 1 else self.alpha[neurons]
        return self._with(self.rows.select(neurons), alpha)

    def _with_penalty(self, sums: Array, theta: Array) -> Array:
        squares = np.vecdot(theta[:-1].T, theta[:-1].T)
        return sums / self.rows.weight_sum + self.alpha * squares / 2

    def _derivative(self, sums: Array, direction: Array) -> Array:
        sums /= self.rows.weight_sum
        penalty = self.alpha * direction
        penalty[-1] = 0
        sums += penalty
        return self._without_intercept(sums)

    def _without_intercept(self, direction: Array) -> Array:
        if self.fit_intercept:
            return direction
        return np.vstack([direction[:-1], np.zeros_like(direction[-1:])])

    def _bias_held(self, matrix: Array) -> Array:
        if not self.fit_intercept:
            matrix[-1] = matrix[:, -1] = 0
        return matrix

    def _largest_gram_eigenvalue(self, column: Array) -> float:
        one = self.over(self.rows.select(column))

        def gram_product(direction: Array) -> Array:
            direction = self._without_intercept(direction.reshape(size, -1))
            (product,) = one._sum(kernels.gram_product_sums, direction)
            return self._without_intercept(product)

        size = self.rows.n_features + 1
        if size <= MAX_EXACT_EIGENVALUE:
            (gram,) = one._sum(kernels.gram_sums)
            return float(np.linalg.eigvalsh(self._bias_held(gram)[..., 0])[-1])
        operator = LinearOperator((size, size), matvec=gram_product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(size)
        # Lanczos approaches the eigenvalue from below, to a relative 1e-6; the last factor
        # makes sure that 1/L is a safe step.
        largest = eigsh(operator, k=1, v0=start, tol=1e-6, return_eigenvectors=False)
        return float(largest[0]) * (1 + 1e-5)
