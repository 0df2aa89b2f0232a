"""The loss of one row as a function of z and y: its value, its derivatives, its constants.

This is the only file that depends on the squared error of a sigmoid. Kernels, objective and
optimizers work with whatever a `Loss` returns; `docs/extending.md` shows how to add another one.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.parallel import scratch

Array = npt.NDArray[Any]


class Loss:
    """A twice differentiable loss l(z, y) of one row; subclasses implement `evaluate`.

    Attributes
    ----------
    max_value : float
        Largest value for targets in [0, 1]; inf if there is none. Training has diverged when
        J exceeds its first value by more than this.
    min_curvature, max_curvature : float
        Bounds of d²l/dz² for targets in [0, 1]. The upper bound limits the Lipschitz constant
        of the gradient; the lower bound limits how far a Hessian can be from positive definite.
    curvature_at_zero : float
        d²l/dz² at z = 0 for y = 0 and y = 1: the Hessian at θ = 0 is this times the Gram matrix.
    """

    max_value: float = np.inf
    min_curvature: float = 0.0
    max_curvature: float
    curvature_at_zero: float

    def encode(self, y: Array) -> tuple["Loss", Array]:
        """The loss to use and the targets in its encoding; by default both are unchanged."""
        return self, y

    def evaluate(self, z: Array, y: Array, order: int) -> tuple[Array, ...]:
        """l, and with `order` 1 or 2 also dl/dz and d²l/dz², element by element.

        Parameters
        ----------
        z : array of shape (m, K)
            Weighted sums; may be overwritten.
        y : array of shape (m, 1) or (m, K)
            Targets as encoded by `encode`; must not be overwritten.
        order : int
            Highest derivative required: 0, 1 or 2.

        Returns
        -------
        tuple of order + 1 arrays of shape (m, K)
            No two share memory. Both the caller and the next call may overwrite them.
        """
        raise NotImplementedError

    def max_slope(self, z: Array) -> Array:
        """Largest |dl/dz| that a target of 0 or 1 could have at z; may overwrite `z`."""
        slopes = []
        for target in (0.0, 1.0):
            loss, y = self.encode(np.full((1, 1), target, z.dtype))
            slopes.append(np.abs(loss.evaluate(z.copy(), y, 1)[1]))
        return np.maximum(*slopes)


class SquaredError(Loss):
    """l = (y - σ(z))², the Brier score of one row.

    With r = σ - y and v = dσ/dz = σ(1 - σ):

        dl/dz = 2 r v,    d²l/dz² = 2 v² + 2 r v (1 - 2σ)

    For y = 0 and y = 1 all three keep full relative precision on both tails. Any other finite
    target is accepted too. The constants hold for y in [0, 1]; the two curvature bounds are the
    extrema of the quartic 2 p (1 - p)² (3p - 1), where p is the probability of the row's label.
    """

    max_value = 1.0
    min_curvature = -0.12020440345468385  # at a margin (2y - 1)z of -1.851958
    max_curvature = 0.15405857012135051  # at a margin of 0.465663
    curvature_at_zero = 1 / 8

    def encode(self, y: Array) -> tuple[Loss, Array]:
        """Encode targets that are all 0 or 1 as signs 1 - 2y, which need less arithmetic."""
        signs = 1 - 2 * y
        return (SignedSquaredError(), signs) if (np.abs(signs) == 1).all() else (self, y)

    def evaluate(self, z: Array, y: Array, order: int) -> tuple[Array, ...]:
        """See `Loss.evaluate`."""
        sigma, one_minus_sigma = _sigmoid_pair(z)
        residual = (1 - y) * sigma  # σ - y computed without cancellation on the tails
        residual -= y * one_minus_sigma
        if order == 0:
            residual *= residual
            return (residual,)
        curvature = one_minus_sigma - sigma if order == 2 else None
        slope = sigma
        slope *= one_minus_sigma
        if curvature is not None:
            curvature *= residual
            curvature += slope
            curvature *= slope
            curvature *= 2
        slope *= residual
        slope *= 2
        residual *= residual
        return (residual, slope) if curvature is None else (residual, slope, curvature)

    def max_slope(self, z: Array) -> Array:
        """2 σ(1 - σ), as |dl/dσ| <= 2."""
        return 2 * sigmoid_derivative(z)


class SignedSquaredError(SquaredError):
    """`SquaredError` for y of 0 and 1, encoded as s = 1 - 2y: the sign of z on the wrong side.

    With q = σ(s z), the probability of the wrong label, and p = 1 - q:

        l = q²,    dl/dz = 2 s p q²,    d²l/dz² = 2 p q² (3p - 1)
    """

    def encode(self, y: Array) -> tuple[Loss, Array]:
        """Already encoded."""
        return self, y

    def evaluate(self, z: Array, y: Array, order: int) -> tuple[Array, ...]:
        """See `Loss.evaluate`."""
        z *= y
        wrong, right = _sigmoid_pair(z)
        if order == 0:
            wrong *= wrong
            return (wrong,)
        curvature = 3 * right - 1 if order == 2 else None
        wrong *= wrong
        right *= wrong
        right *= 2
        if curvature is not None:
            curvature *= right
        right *= y
        return (wrong, right) if curvature is None else (wrong, right, curvature)


class RecordedSquaredError(SquaredError):
    """l = (y - q)² with q = offset + slope·σ(z), the squared error of a label as recorded.

    With t = (y - offset) / slope it is slope² (t - σ)². Targets lie between `low` and `high`.
    """

    def __init__(self, offset: float, slope: float, low: float = 0.0, high: float = 1.0) -> None:
        # Python's floats: NumPy's would turn arrays in single precision into double
        self.offset, self.slope = offset, slope = float(offset), float(slope)
        ends = (low - offset) / slope, (high - offset) / slope
        self.largest_residual = max(abs(t - sigma) for t in ends for sigma in (0, 1))
        self.max_value = (slope * self.largest_residual) ** 2
        bounds = np.array([_curvature_bounds(t) for t in ends]) * slope**2
        self.min_curvature = float(bounds[:, 0].min())
        self.max_curvature = float(bounds[:, 1].max())
        self.curvature_at_zero = slope**2 / 8

    def encode(self, y: Array) -> tuple[Loss, Array]:
        """Targets are stored as they are."""
        return self, y

    def evaluate(self, z: Array, y: Array, order: int) -> tuple[Array, ...]:
        """See `Loss.evaluate`."""
        parts = super().evaluate(z, (y - self.offset) / self.slope, order)
        for part in parts:
            part *= self.slope**2
        return parts

    def max_slope(self, z: Array) -> Array:
        """2 slope² max|t - σ| σ(1 - σ)."""
        return 2 * self.slope**2 * self.largest_residual * sigmoid_derivative(z)


def _curvature_bounds(t: float) -> tuple[float, float]:
    """Smallest and largest d²/dz² (t - σ)² = 2v² + 2(σ - t)v(1 - 2σ), v = σ(1 - σ), over σ."""
    sigma = np.polynomial.Polynomial([0, 1])
    v = sigma * (1 - sigma)
    curvature = 2 * v**2 + 2 * (sigma - t) * v * (1 - 2 * sigma)
    turns = curvature.deriv().roots()
    at = turns.real[(np.abs(turns.imag) < 1e-9) & (turns.real > 0) & (turns.real < 1)]
    values = curvature(at)
    return float(values.min(initial=0)), float(values.max(initial=0))


SQUARED_ERROR = SquaredError()


def sigmoid_derivative(z: Array) -> Array:
    """dσ/dz = σ(1 - σ), exact on both tails; overwrites `z`."""
    sigma, one_minus_sigma = _sigmoid_pair(z)
    sigma *= one_minus_sigma
    return sigma


def sigmoid(z: npt.ArrayLike) -> Array:
    """σ(z) to full relative precision on both tails."""
    z = np.asarray(z)
    small = np.exp(-np.abs(z))
    return np.where(z < 0, small, 1) / (1 + small)


def _sigmoid_pair(z: Array) -> tuple[Array, Array]:
    """σ and 1 - σ with one exponential; overwrites `z`.

    z is clipped just before exp(z) overflows; beyond that, 1 - σ is no normal number.
    """
    np.minimum(z, 708.0 if z.dtype == np.float64 else 87.0, out=z)
    sigma = np.exp(z, out=scratch("sigma", z.shape, z.dtype))
    np.add(sigma, 1.0, out=z)
    np.reciprocal(z, out=z)
    sigma *= z
    return sigma, z
