"""The cost of a bank of K neurons: J, dJ and d²J, each neuron's own.

    J_k(θ) = Σ_i weight_i (y_i - σ(z_i))² / Σ_i weight_i + alpha_k/2 ‖w_k‖²

The sums come from the rows, block by block; here they are divided once and the
penalty is added. The bias, the last row of θ, is not penalised.
"""

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, eigsh

from trainer.chain_rule import MAX_CURVATURE
from trainer.core import kernels
from trainer.core.rows import Rows

Array = npt.NDArray[Any]

EXACT_EIGENVALUE_LIMIT = 500
"""Up to this many parameters λmax is read off the Gram matrix, above by Lanczos iteration."""


class Objective:
    """Cost and derivatives of a bank of neurons over a set of rows.

    Parameters
    ----------
    rows : Rows
        The training data.
    alpha : float or array of shape (K,)
        L2 penalty on the weights, one for all neurons or one each; >= 0.
    fit_intercept : bool
        False holds every bias where it starts: its derivatives are reported as 0.
    """

    def __init__(self, rows: Rows, alpha: float | Array = 0.0, fit_intercept: bool = True) -> None:
        self.rows = rows
        self.alpha = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
        self.fit_intercept = fit_intercept
        self.rounding = 1e-14 if rows.dtype == np.float64 else 3e-8
        """Costs closer than this, relative to J, cannot be told apart."""

    def value(self, theta: Array) -> Array:
        """J (K,)."""
        (cost,) = self.rows.map_sum(kernels.cost_sums, theta)
        return self._with_penalty(cost, theta)

    def value_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """J (K,) and dJ/dθ (d + 1, K), in one pass over the rows."""
        cost, sums = self.rows.map_sum(kernels.gradient_sums, theta)
        return self._with_penalty(cost, theta), self._derivative(sums, theta)

    def gradient(self, theta: Array) -> Array:
        """dJ/dθ (d + 1, K) alone, for mini-batches: what `value_and_gradient` gives second."""
        (sums,) = self.rows.map_sum(kernels.slope_sums, theta)
        return self._derivative(sums, theta)

    def value_gradient_hessian(self, theta: Array) -> tuple[Array, Array, Array]:
        """J (K,), dJ/dθ (d + 1, K) and d²J/dθ² (d + 1, d + 1, K), in one pass over the rows."""
        cost, sums, hessian = self.rows.map_sum(kernels.hessian_sums, theta)
        hessian /= self.rows.weight_sum
        np.einsum("iik->ik", hessian)[:-1] += self.alpha
        return (
            self._with_penalty(cost, theta),
            self._derivative(sums, theta),
            self._bias_held(hessian),
        )

    def score_products(self, theta: Array) -> Array:
        """Mean of the rows' (dl/dθ)(dl/dθ)ᵀ (d + 1, d + 1, K): how their gradients scatter about 0.

        The penalty is no row's, and stays out.
        """
        (sums,) = self.rows.map_sum(kernels.score_product_sums, theta)
        return self._bias_held(sums / self.rows.weight_sum)

    def gram(self) -> Array:
        """Mean of x̃x̃ᵀ (d + 1, d + 1, 1 or K): sᵀGs is the mean square that a step s moves z."""
        (sums,) = self.rows.map_sum(kernels.gram_sums)
        return self._bias_held(sums / self.rows.weight_sum)

    def hessian_product(self, theta: Array, direction: Array) -> Array:
        """d²J/dθ² · s for a direction s (d + 1, K) of each neuron, in one pass."""
        direction = self._without_intercept(direction)
        (sums,) = self.rows.map_sum(kernels.hessian_product_sums, theta, direction)
        return self._derivative(sums, direction)

    def curvature_bound(self, direction: Array) -> Array:
        """Upper bound (K,) of sᵀ d²J/dθ² s at every θ, for a direction s (d + 1, K).

        As d²l/dz² <= 0.154059 for every row, it is 0.154059 · mean (dz/dθ·s)² + alpha ‖s_w‖².
        """
        penalty = self.alpha * np.vecdot(direction[:-1].T, direction[:-1].T)
        return MAX_CURVATURE * self.mean_square_response(direction) + penalty

    def mean_square_response(self, direction: Array) -> Array:
        """Mean of (dz/dθ·s)² over the rows (K,): how far a step s moves the z's."""
        direction = self._without_intercept(direction)
        (squares,) = self.rows.map_sum(kernels.squared_response_sums, direction)
        return squares / self.rows.weight_sum

    def saturation(self, theta: Array) -> tuple[Array, Array]:
        """Mean of σ(1 - σ) (K,), and the steepest gradient that any labels could have here (K,).

        As |dl/dσ| <= 2, no component of the data's gradient exceeds 2 · mean σ(1 - σ)|x|.
        """
        slopes, sums = self.rows.map_sum(kernels.saturation_sums, theta)
        mean = slopes / self.rows.weight_sum
        return mean, 2 * np.maximum(mean, (sums / self.rows.weight_sum).max(axis=0))

    def misfit(self, theta: Array) -> Array:
        """Share of the weight (K,) on rows of negative curvature: their label has p < 1/3."""
        (weight,) = self.rows.map_sum(kernels.misfit_sums, theta)
        return weight / self.rows.weight_sum

    def lipschitz(self, batch_size: int | None = None) -> Array:
        """Lipschitz constant L (1,) or (K,) of dJ/dθ: 0.154059 · λmax(X̃ᵀX̃)/n + alpha.

        X̃ is X with the column of ones, its rows weighted. Step lengths up to 1/L never
        raise J. A batch of m rows can be steeper than the whole: for it the mean row's own
        constant over m is added (after Gower et al., "SGD: general analysis and improved
        rates", ICML 2019, with the mean row in place of the steepest).
        """
        n_weightings = len(self.rows.weight_sum)
        largest = [
            self._largest_gram_eigenvalue(np.array([k])) / self.rows.weight_sum[k]
            for k in range(n_weightings)
        ]
        steepness = np.array(largest)
        if batch_size is not None:
            steepness += self.mean_square_row() / batch_size
        return MAX_CURVATURE * steepness + self.alpha

    def mean_square_row(self) -> Array:
        """Mean of ‖x̃‖² over the rows, (1,) or (K,)."""
        squares: Array = self.mean_square_columns().sum(axis=0)
        return squares

    def mean_square_columns(self) -> Array:
        """Mean of each column's x̃² over the rows (d + 1, 1 or K): the diagonal of `gram`."""
        (squares,) = self.rows.map_sum(kernels.squared_column_sums)
        return squares / self.rows.weight_sum

    def diagonal_at_rest(self) -> Array:
        """Diagonal of d²J/dθ² at θ = 0, where every d²l/dz² is 1/8, (d + 1, 1 or K)."""
        diagonal = self.mean_square_columns() / 8 + np.zeros_like(self.alpha)
        diagonal[:-1] += self.alpha
        return diagonal

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["Objective"]:
        """The same cost over small random batches that together hold every row once.

        It is one object that moves on to the next batch: use it before asking for another.
        """
        batch = copy(self)
        for batch.rows in self.rows.minibatches(rng, size):
            yield batch

    def sample(self, rng: np.random.Generator, size: int) -> "Objective":
        """The same cost over `size` of the rows, drawn without replacement."""
        return Objective(self.rows.sample(rng, size), self.alpha, self.fit_intercept)

    def columns(self, index: Array) -> "Objective":
        """The objective of some of the bank's neurons."""
        part = copy(self)
        part.rows = self.rows.columns(index)
        part.alpha = self.alpha if len(self.alpha) == 1 else self.alpha[index]
        return part

    def _with_penalty(self, cost_sums: Array, theta: Array) -> Array:
        squares = np.vecdot(theta[:-1].T, theta[:-1].T)
        return cost_sums / self.rows.weight_sum + self.alpha * squares / 2

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
        rows = self.rows.columns(column)

        def gram_product(direction: Array) -> Array:
            direction = self._without_intercept(direction.reshape(size, -1))
            (product,) = rows.map_sum(kernels.gram_product_sums, direction)
            return self._without_intercept(product)

        size = self.rows.n_features + 1
        if size <= EXACT_EIGENVALUE_LIMIT:
            (gram,) = rows.map_sum(kernels.gram_sums)
            return float(np.linalg.eigvalsh(self._bias_held(gram)[..., 0])[-1])
        operator = LinearOperator((size, size), matvec=gram_product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(size)
        # Lanczos comes from below, to a relative 1e-6: the last factor keeps 1/L a safe step.
        largest = eigsh(operator, k=1, v0=start, tol=1e-6, return_eigenvectors=False)
        return float(largest[0]) * (1 + 1e-5)
