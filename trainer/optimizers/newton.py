"""Trust-region Newton on the exact Hessian, negative curvature and all."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs

from trainer.optimizers.base import Array, Objective, State

MOST_NEGATIVE = 0.12020440345468385
"""No eigenvalue of d²J/dθ² lies further below 0 than this, measured by the Gram matrix."""


@dataclass(frozen=True)
class NewtonState(State):
    """State of trust-region Newton.

    The length of a step is how far it moves the z's, as a root mean square over the
    rows: √(sᵀGs) with the Gram matrix G.
    """

    hessian: Array
    """d²J/dθ², (d + 1, d + 1, K)."""
    gram: Array
    """G, (d + 1, d + 1, K)."""
    radius: Array
    """Longest step trusted, in units of z, (K,)."""
    stalled: Array
    """Neurons whose J no step lowers any more, (K,)."""


@dataclass(frozen=True)
class Newton:
    """θ ← θ + s, where s minimises J's second-order model within a radius.

    The radius is in units of z, so that the features' scales and their correlation do
    not matter. Where the Hessian is indefinite the step follows negative curvature.

    Parameters
    ----------
    first_radius, largest_radius : float
        Of the trust region: the root mean square change of the z's.

    References
    ----------
    Moré and Sorensen, "Computing a trust region step", SIAM J. Sci. Stat. Comput. 4,
    1983. Conn, Gould and Toint, "Trust-Region Methods", 2000.
    """

    first_radius: float = 2.0
    largest_radius: float = 4.0

    def init(self, objective: Objective, theta: Array) -> NewtonState:
        """State before the first iteration."""
        J, gradient, hessian = objective.value_gradient_hessian(theta)
        if theta.any():
            gram = objective.gram()
        else:  # at rest d²l/dz² is 1/8 for every row
            gram = 8 * hessian
            np.einsum("iik->ik", gram)[:-1] -= 8 * objective.alpha
        diagonal = np.arange(len(theta))
        # Collinear columns leave G singular and a column of zeros leaves it empty there;
        # this much more makes it a norm again.
        gram[diagonal, diagonal] *= 1 + 1e-10
        gram[diagonal, diagonal] += gram[diagonal, diagonal] == 0
        return NewtonState(
            theta=theta,
            J=J,
            gradient=gradient,
            hessian=hessian,
            gram=np.broadcast_to(gram, hessian.shape),
            radius=np.full(len(J), self.first_radius),
            stalled=np.zeros(len(J), dtype=bool),
        )

    def step(self, objective: Objective, state: NewtonState) -> NewtonState:
        """State after one trial step of each neuron; a step that fails shrinks its radius."""
        steps, predicted, lengths = np.empty_like(state.theta), [], []
        for k, radius in enumerate(state.radius.tolist()):
            g, H, G = state.gradient[:, k], state.hessian[..., k], state.gram[..., k]
            s = trust_region_step(g, H, G, radius)
            steps[:, k] = s
            predicted.append(-float(s @ g + s @ H @ s / 2))
            lengths.append(float(s @ G @ s) ** 0.5)
        theta = state.theta + steps
        J, gradient, hessian = objective.value_gradient_hessian(theta)

        noise = objective.rounding
        accepted, stalled, radii = np.ones(len(J), dtype=bool), [], []
        for k, (before, after, radius) in enumerate(
            zip(state.J.tolist(), J.tolist(), state.radius.tolist(), strict=True)
        ):
            if predicted[k] <= noise * before:  # J cannot tell any more; its slope can
                flatter = np.abs(gradient[:, k]).max() < np.abs(state.gradient[:, k]).max()
                accepted[k] = flatter and after <= before + noise * before
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
            theta, J, gradient, hessian, state.gram, np.array(radii), np.array(stalled)
        )


def trust_region_step(g: Array, H: Array, G: Array, radius: float) -> Array:
    """Minimise gᵀs + sᵀHs/2 over steps with √(sᵀGs) <= radius.

    The solution is s = -(H + λG)⁻¹ g for the smallest λ >= 0 that makes H + λG
    positive semidefinite and s short enough.

    Parameters
    ----------
    g : array of shape (p,)
        Gradient.
    H : array of shape (p, p)
        Hessian, perhaps indefinite.
    G : array of shape (p, p)
        Metric, positive definite.
    radius : float
        Longest step.

    Returns
    -------
    array of shape (p,)
    """
    low, high, shift = 0.0, np.inf, 0.0
    H = H.copy()
    # collinear columns leave directions without curvature, in which rounding alone would lead far
    np.einsum("ii->i", H)[:] += 1e-13 * np.einsum("ii->i", G)
    for _ in range(60):
        factor, not_definite = dpotrf(H + shift * G if shift else H)
        if not_definite:
            low = shift
            # above this H + λG is positive definite, whatever the data
            shift = MOST_NEGATIVE if high == np.inf and low < MOST_NEGATIVE else _middle(low, high)
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
    return s * min(1.0, radius / length)


def _middle(low: float, high: float) -> float:
    if high == np.inf:
        return 2 * low + 1e-10
    return np.sqrt(low * high) if low > 0 else high / 100


def _along_negative_curvature(
    g: Array, H: Array, G: Array, s: Array, factor: Array, radius: float
) -> Array:
    """The hard case: g has no part along the lowest curvature, so go on along it to the rim."""
    v = np.random.default_rng(0).standard_normal(len(g))
    for _ in range(3):
        v = dpotrs(factor, G @ v)[0]
        v /= np.sqrt(v @ G @ v)
    if v @ H @ v >= 0:
        return s
    # the two points where the line s + τv meets the rim; the lower one of the model
    b, c = s @ G @ v, s @ G @ s - radius**2
    root = np.sqrt(b * b - c)
    rims = [s + tau * v for tau in (-b - root, -b + root)]
    return min(rims, key=lambda rim: rim @ g + rim @ H @ rim / 2)
