"""What several tests need."""

import mpmath
import numpy as np

from trainer.core.solve import solve
from trainer.core.training import train
from trainer.optimizers import OPTIMIZERS

ALL = ["auto", *OPTIMIZERS]


def minimise(objective, name, theta, *, max_iter=1000, tol=1e-6, seed=0, **parameters):
    """Train with the optimizer of that name, or as "auto" does."""
    if name == "auto":
        return solve(objective, None, theta, n_starts=1, seed=seed, max_iter=max_iter, tol=tol)
    return train(objective, OPTIMIZERS[name](**parameters), theta, max_iter=max_iter, tol=tol)


def costs(result):
    """J after every iteration, (n_iter + 1, K)."""
    return np.array([record.cost for record in result.history.records])


Z_FAR = np.concatenate([np.linspace(-700, 700, 281), np.linspace(-12, 12, 241) + 0.013])


@np.vectorize(otypes=[object, object])
def exact(y, z):
    """dl/dz and d²l/dz² with 50 digits."""
    with mpmath.workdps(50):
        y, z = mpmath.mpf(float(y)), mpmath.mpf(float(z))
        sigma = 1 / (1 + mpmath.exp(-z))
        one_minus = 1 / (1 + mpmath.exp(z))
        v = sigma * one_minus
        # σ - y, without the 50 digits' own cancellation at |z| = 700
        residual = -one_minus if y == 1 else sigma - y
        first = 2 * residual * v
        second = 2 * v * (v + residual * (one_minus - sigma))
        return first, second


def rounded(y, z):
    """The derivatives of `exact` in float64."""
    return tuple(np.asarray(derivative, dtype=float) for derivative in exact(y, z))
