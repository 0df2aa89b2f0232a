"""What several tests need."""

import mpmath
import numpy as np
import pandas as pd

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


def mixed_table(n, seed=0):
    """A table as people have them: numbers of all scales, text with missing values, and an income.

    Income depends on a sum of effects, so that logistic regression's probabilities are right.
    """
    rng = np.random.default_rng(seed)
    age, hours = rng.integers(17, 80, n), np.clip(rng.normal(40, 12, n), 1, 99).round()
    gain = np.where(rng.random(n) < 0.08, rng.lognormal(8, 1, n), 0).round()
    schools = np.array(["none", "school", "college", "master", "doctor"])
    school = rng.choice(5, n, p=[0.1, 0.45, 0.3, 0.1, 0.05])
    work = rng.choice(
        ["private", "state", "self", "farm", "army"], n, p=[0.7, 0.14, 0.1, 0.058, 0.002]
    )
    married = rng.random(n) < 0.5
    z = -4.3 + 0.05 * (age - 40) + 0.06 * (hours - 40) + 1.3 * (school - 1) + 2.4 * married
    z += 0.0003 * gain - 0.8 * (work == "farm")
    table = pd.DataFrame(
        {
            "age": age,
            "hours": hours,
            "gain": gain,
            "school": schools[school],
            "work": np.where(rng.random(n) < 0.05, None, work),
            "married": np.where(married, "yes", "no"),
            "town": rng.choice([f"town {k}" for k in range(60)], n),
        }
    )
    table["income"] = np.where(rng.random(n) < 1 / (1 + np.exp(-z)), ">50K", "<=50K")
    return table
