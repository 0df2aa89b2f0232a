"""Trust-region Newton with the exact Hessian, including negative curvature."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs

from trainer.optimizers.base import Array, Optimizer, SmoothObjective, State


@dataclass(frozen=True)
class NewtonState(State):
    """State of trust-region Newton.

    The length of a step s is the root mean square change of the z's over the rows:
    √(sᵀGs), with the Gram matrix G.
    """

    gram: Array
    """G, (d + 1, d + 1, K)."""
    radius: Array
    """Trust-region radius, in units of z, (K,)."""


@dataclass
class Newton(Optimizer):
    """θ ← θ + s, where s minimises the second-order model of J within a radius.

    The radius is in units of z, so that the features' scales and correlations do not matter.
    If the Hessian is indefinite, the step follows negative curvature.

    Parameters
    ----------
    first_radius, largest_radius : float
        Initial and maximum radius of the trust region: the root mean square change of the z's.

    References
    ----------
    Moré and Sorensen, "Computing a trust region step", SIAM J. Sci. Stat. Comput. 4,
    1983. Conn, Gould and Toint, "Trust-Region Methods", 2000.
    """

    first_radius: float = 2.0
    largest_radius: float = 4.0

    needs: ClassVar[tuple[str, ...]] = ("value_gradient_hessian", "gram")

    def __post_init__(self) -> None:
        """Check the parameters."""
        self._check("first_radius", 1e-8, np.inf)
        self._check("largest_radius", self.first_radius, np.inf)

    def init(self, objective: SmoothObjective, theta: Array) -> NewtonState:
        """State before the first iteration."""
        J, gradient, hessian = objective.value_gradient_hessian(theta)
        if theta.any():
            gram = objective.gram()
        else:  # the curvature at z = 0 is the same for every row: no pass is needed
            gram = hessian.copy()
            np.einsum("iik->ik", gram)[:-1] -= objective.alpha
            gram /= objective.loss.curvature_at_zero
        diagonal = np.arange(len(theta))
        # G is singular for collinear columns, and has a zero diagonal entry for a column of
        # zeros; these terms make it positive definite.
        gram[diagonal, diagonal] *= 1 + 1e-10
        gram[diagonal, diagonal] += gram[diagonal, diagonal] == 0
        return NewtonState(
            theta,
            J,
            gradient,
            hessian=hessian,
            gram=np.broadcast_to(gram, hessian.shape),
            radius=np.full(len(J), self.first_radius),
            stalled=np.zeros(len(J), dtype=bool),
        )

    def step(self, objective: SmoothObjective, state: NewtonState) -> NewtonState:
        """State after one trial step of each neuron; a rejected step reduces its radius."""
        assert state.hessian is not None
        most_negative = -objective.loss.min_curvature
        steps, predicted, lengths = np.empty_like(state.theta), [], []
        for k, radius in enumerate(state.radius.tolist()):
            g, H, G = state.gradient[:, k], state.hessian[..., k], state.gram[..., k]
            s = trust_region_step(g, H, G, radius, most_negative)
            steps[:, k] = s
            predicted.append(-float(s @ g + s @ H @ s / 2))
            lengths.append(max(float(s @ G @ s), 0.0) ** 0.5)
        theta = state.theta + steps
        J, gradient, hessian = objective.value_gradient_hessian(theta)

        noise = objective.rounding
        accepted, stalled, radii = np.ones(len(J), dtype=bool), [], []
        for k, (before, after, radius) in enumerate(
            zip(state.J.tolist(), J.tolist(), state.radius.tolist(), strict=True)
        ):
            if predicted[k] <= noise * before:  # rounding hides the decrease: test the gradient
                was, now = (np.abs(g[:, k]).max() for g in (state.gradient, gradient))
                accepted[k] = now < was / 2 and after <= before + noise * before
            else:
                ratio = (before - after) / predicted[k]
                accepted[k] = ratio > 1e-4
                if not ratio > 0.25:
                    radius = lengths[k] / 4
                elif ratio > 0.75 and lengths[k] > 0.8 * radius:
                    radius = min(2 * radius, self.largest_radius)
            radii.append(radius)
            stalled.append(not accepted[k] and predicted[k] <= noise * before)
        if not accepted.all():
            theta = np.where(accepted, theta, state.theta)
            J = np.where(accepted, J, state.J)
            gradient = np.where(accepted, gradient, state.gradient)
            hessian = np.where(accepted, hessian, state.hessian)
        return NewtonState(
            theta, J, gradient, state.gram, np.array(radii),
            hessian=hessian, stalled=np.array(stalled),
        )  # fmt: skip


def trust_region_step(g: Array, H: Array, G: Array, radius: float, most_negative: float) -> Array:
    """Minimise gᵀs + sᵀHs/2 over steps with √(sᵀGs) <= radius.

    The solution is s = -(H + λG)⁻¹ g for the smallest λ >= 0 that makes H + λG
    positive semidefinite and s short enough.

    Parameters
    ----------
    g : array of shape (p,)
        Gradient.
    H : array of shape (p, p)
        Hessian, possibly indefinite.
    G : array of shape (p, p)
        Metric, positive definite apart from rounding.
    radius : float
        Longest step.
    most_negative : float
        H plus this times G is positive semidefinite, apart from rounding.

    Returns
    -------
    array of shape (p,)
    """
    low, high, shift, s = 0.0, np.inf, 0.0, None
    H = np.array(H, order="C")
    # without curvature along collinear columns, rounding alone could cause long steps
    H.ravel()[:: len(H) + 1] += 1e-13 * G.diagonal()
    for _ in range(60):
        factor, not_definite = dpotrf(H + shift * G if shift else H)
        if not_definite:
            if shift == 0 and not np.isfinite(H).all():
                return np.zeros_like(g)
            low = shift
            # above this H + λG is positive definite, whatever the data
            shift = most_negative if high == np.inf and low < most_negative else _middle(low, high)
            continue
        s = dpotrs(factor, -g)[0]
        Gs = G @ s
        length = np.sqrt(s @ Gs)
        if length <= radius and (shift == 0 or length >= 0.9 * radius):
            return s
        if length <= radius:
            high = shift
            if high - low <= 1e-4 * high:
                return _along_negative_curvature(g, H, G, s, factor, radius)
        elif length <= 1.1 * radius:
            return s
        else:
            low = shift
        half = dtrtrs(factor, Gs, trans=1)[0]
        newton = shift + (length / radius - 1) * length**2 / (half @ half)
        shift = newton if low < newton < high else _middle(low, high)
    if s is None:  # H and G are inaccurate by rounding: use the gradient scaled by the features
        s = -g / np.where(G.diagonal() > 0, G.diagonal(), 1)
        length = np.sqrt(max(float(s @ G @ s), float(np.finfo(float).tiny)))
    return s * min(1.0, radius / length)


def _middle(low: float, high: float) -> float:
    if high == np.inf:
        return 2 * low + 1e-10
    return np.sqrt(low * high) if low > 0 else high / 100


def _along_negative_curvature(
    g: Array, H: Array, G: Array, s: Array, factor: Array, radius: float
) -> Array:
    """The hard case: g has no component along the lowest curvature; follow it to the boundary."""
    v = np.random.default_rng(0).standard_normal(len(g))
    for _ in range(3):
        v = dpotrs(factor, G @ v)[0]
        v /= np.sqrt(v @ G @ v)
    if v @ H @ v >= 0:
        return s
    # of the two points where the line s + τv meets the boundary, the one with the lower model
    b, c = s @ G @ v, s @ G @ s - radius**2
    root = np.sqrt(b * b - c)
    steps = [s + tau * v for tau in (-b - root, -b + root)]
    return min(steps, key=lambda step: step @ g + step @ H @ step / 2)
