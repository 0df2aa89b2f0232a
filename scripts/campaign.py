"""What the trainer claims about its end, against an independent referee on random problems.

The referee shares no code with the trainer: cost, gradient and Hessian by the textbook's
formulas on columns scaled to a root mean square of 1, SciPy's minimisers, NumPy's eigenvalues
(50 digits for small problems), a linear program for separability.

Checked are that

- nothing is called converged if a minimiser lowers J from there by more than 1e-4 of it;
- the lowest curvature has the right sign;
- `separable` is said only of data that the linear program separates, and the limit of an
  unbounded ray is the share of rows left wrong;
- nothing is called converged where J has no finite minimum.

    python scripts/campaign.py --problems 500
"""

import argparse
import importlib
import importlib.util
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog, minimize
from scipy.special import expit

from trainer import LogisticNeuron

Array = npt.NDArray[Any]

SHARE, NEGLIGIBLE = 1e-4, 1e-10
"""What `converged` promises: J within this share of itself, or this much, of its minimum."""

EXACT = 6
"""Up to this many parameters the sign of the curvature is found with 50 digits."""


@dataclass(frozen=True)
class Problem:
    """Rows, labels and the settings of the neuron to train on them."""

    X: Array
    y: Array
    alpha: float
    fit_intercept: bool
    optimizer: str
    is_sparse: bool
    kind: str


def draw(rng: np.random.Generator, largest: int) -> Problem:
    """A random problem: any shape, any scales, labels from clean to hopeless."""
    is_large = rng.random() < 0.06
    if is_large:
        n, d = int(rng.integers(100, 2000)), int(rng.integers(largest // 4, largest + 1))
    else:
        n, d = (int(np.exp(rng.uniform(np.log(a), np.log(b)))) for a, b in ((8, 2000), (1, 60)))
    X = rng.standard_normal((n, d))
    shape = rng.choice(["plain", "heavy", "collinear", "low rank", "one-hot", "offset"])
    if shape == "heavy":
        X = rng.standard_t(1.5, (n, d))
    elif shape == "collinear" and d > 1:
        X[:, -1] = X[:, 0]
        X[:, d // 2] = 0
    elif shape == "low rank":
        X = X[:, : max(1, d // 3)] @ rng.standard_normal((max(1, d // 3), d))
    elif shape == "one-hot":
        X = (rng.integers(0, d, n)[:, np.newaxis] == np.arange(d)).astype(float)
    elif shape == "offset":
        X += 10 * rng.standard_normal(d)
    z = X @ rng.standard_normal(d)
    z = (z - np.median(z)) / (np.abs(z - np.median(z)).mean() + 1e-300)
    labels = rng.choice(["logistic", "separable", "nearly separable", "flipped", "random"])
    y = rng.random(n) < expit(3 * z)
    if labels in ("separable", "nearly separable"):
        y = z > 0
    if labels in ("nearly separable", "flipped"):
        y = y ^ (rng.random(n) < (0.02 if labels == "nearly separable" else 0.2))
    if labels == "random":
        y = rng.random(n) < 0.5
    y[:2] = [False, True]
    scale = {
        "one": 1.0,
        "small": 10.0 ** rng.uniform(-9, 0),
        "large": 10.0 ** rng.uniform(0, 9),
        "mixed": 10.0 ** rng.uniform(-9, 9, d),
    }[scales := rng.choice(["one", "small", "large", "mixed"])]
    return Problem(
        X=X * scale,
        y=y.astype(int),
        alpha=float(rng.choice([0, 0, 1e-8, 1e-6, 1e-4, 1 / (2 * n), 1e-2])),
        fit_intercept=bool(rng.random() < 0.7),
        optimizer=str(rng.choice(["auto", "newton", "lbfgs"]) if d < 300 else "auto"),
        is_sparse=bool(rng.random() < 0.15),
        kind=f"{n} x {d}, {shape}, {labels}, scales {scales}",
    )


class Referee:
    """J and its derivatives by the parameters of columns scaled to a root mean square of 1."""

    def __init__(self, problem: Problem) -> None:
        X, alpha = problem.X, problem.alpha
        self.scale = np.sqrt((X * X).mean(axis=0))
        self.scale[self.scale == 0] = 1
        self.X, self.y = X / self.scale, problem.y
        self.alpha = alpha / self.scale**2
        if problem.fit_intercept:
            self.X = np.column_stack([self.X, np.ones(len(X))])
            self.alpha, self.scale = np.append(self.alpha, 0), np.append(self.scale, 1)

    def J(self, u: Array) -> float:
        """Mean squared error and penalty."""
        residual = expit(self.X @ u) - self.y
        return float((residual**2).mean() + (self.alpha * u * u).sum() / 2)

    def gradient(self, u: Array) -> Array:
        """dJ/du."""
        z = self.X @ u
        slope = 2 * (expit(z) - self.y) * expit(z) * expit(-z)
        result: Array = self.X.T @ slope / len(z) + self.alpha * u
        return result

    def hessian(self, u: Array) -> Array:
        """d²J/du²."""
        z = self.X @ u
        v = expit(z) * expit(-z)
        bend = 2 * v * (v + (expit(z) - self.y) * (expit(-z) - expit(z)))
        result: Array = (self.X * bend[:, np.newaxis]).T @ self.X / len(z) + np.diag(self.alpha)
        return result

    def curvature(self, u: Array) -> tuple[float, float]:
        """Lowest eigenvalue of the Hessian over its diagonal at 0, and how sure it is."""
        diagonal = (self.X**2).mean(axis=0) / 8 + self.alpha
        scale = np.where(diagonal > 0, diagonal, 1) ** -0.5
        if len(u) <= EXACT and len(self.X) <= 300:
            return self._exact_curvature(u, scale), 1e-40
        H = self.hessian(u) * np.outer(scale, scale)
        return float(np.linalg.eigvalsh(H)[0]), len(u) * 1e-14

    def _exact_curvature(self, u: Array, scale: Array) -> float:
        mpmath: Any = importlib.import_module("mpmath")
        with mpmath.workdps(50):
            H = mpmath.diag([mpmath.mpf(float(a)) for a in self.alpha])
            rows = [[mpmath.mpf(float(x)) for x in row] for row in self.X]
            at = [mpmath.mpf(float(value)) for value in u]
            for row, y in zip(rows, self.y.tolist(), strict=True):
                s = 1 / (1 + mpmath.exp(-mpmath.fdot(row, at)))
                v = s * (1 - s)
                bend = 2 * v * (v + (s - y) * (1 - 2 * s)) / len(rows)
                for i, a in enumerate(row):
                    for j, b in enumerate(row):
                        H[i, j] += bend * a * b
            factors = [mpmath.mpf(float(value)) for value in scale]
            M = mpmath.matrix(len(u), len(u))
            for i in range(len(u)):
                for j in range(len(u)):
                    M[i, j] = H[i, j] * factors[i] * factors[j]
            return float(min(mpmath.eigsy(M, eigvals_only=True)))

    def lowest(self, u: Array) -> float:
        """Lowest J that SciPy's minimisers reach from `u`."""
        minimise: Any = minimize  # its overloads do not know of keywords in a dictionary
        methods: dict[str, dict[str, Any]] = {"trust-exact": {"hess": self.hessian}, "BFGS": {}}
        if len(u) > 300:
            methods = {"L-BFGS-B": {}}
        found = [self.J(u)]
        for method, more in methods.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                end = minimise(
                    self.J, u, jac=self.gradient, method=method, tol=1e-12,
                    options={"maxiter": 500}, **more,
                )  # fmt: skip
            found.append(self.J(end.x))
        return min(found)

    def is_separable(self) -> bool:
        """Whether some parameters put every row strictly on its side."""
        signed = self.X * (2 * self.y - 1)[:, np.newaxis]
        n_parameters = self.X.shape[1]
        program = linprog(
            np.zeros(n_parameters), A_ub=-signed, b_ub=-np.ones(len(signed)),
            bounds=[(None, None)] * n_parameters, method="highs",
        )  # fmt: skip
        return bool(program.status == 0)


def faults(problem: Problem) -> tuple[str, list[str]]:
    """How training ended, and what the referee objects to."""
    neuron: Any = LogisticNeuron(
        alpha=problem.alpha,
        fit_intercept=problem.fit_intercept,
        optimizer=problem.optimizer,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        neuron.fit(sparse.csr_array(problem.X) if problem.is_sparse else problem.X, problem.y)
    end = neuron.termination_
    referee = Referee(problem)
    theta = neuron.coef_[0].astype(float)
    if problem.fit_intercept:
        theta = np.append(theta, neuron.intercept_)
    u = theta * referee.scale
    J, found = referee.J(u), []

    if end.converged:
        lowest = referee.lowest(u)
        if J - lowest > max(SHARE * J, NEGLIGIBLE):
            found.append(f"called converged at J = {J:.9g}, a minimiser reaches {lowest:.9g}")
    curvature, unsure = referee.curvature(u)
    told = end.smallest_curvature
    hidden = len(u) * 2e-14
    if np.isfinite(told) and np.sign(told) != np.sign(curvature):
        unsure = max(unsure, hidden if told == 0 else hidden / 2)
        if abs(curvature) > unsure:
            found.append(f"lowest curvature {told:.3g} told, {curvature:.3g} found")
    if not np.isfinite(told):
        found.append("no lowest curvature told")
    if end.reason == "separable" and not referee.is_separable():
        found.append("called separable, the linear program finds no solution")
    if end.reason == "unbounded":
        far = referee.J(u * 1e6)
        wrong = float(np.mean((referee.X @ u > 0) != problem.y))
        if far > J or abs(far - wrong) > 0.25 * np.mean(referee.X @ u == 0) + 1e-9:
            found.append(f"called unbounded at J = {J:.6g}, J = {far:.6g} far out")
    return end.reason if end.converged or end.reason != "gradient" else "not shown", found


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; 1 if the referee objects to anything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the first problem (default: 0)")
    parser.add_argument(
        "--largest", type=int, default=2000, help="most columns of a problem (default: 2000)"
    )
    options = parser.parse_args(arguments)
    if options.problems < 1 or options.seed < 0 or options.largest < 4:
        parser.error("problems must be >= 1, seed >= 0 and largest >= 4")
    if importlib.util.find_spec("mpmath") is None:
        parser.error("the referee needs mpmath; install it with: pip install mpmath")
    ends: Counter[str] = Counter()
    n_faulty = 0
    for seed in range(options.seed, options.seed + options.problems):
        problem = draw(np.random.default_rng(seed), options.largest)
        end, found = faults(problem)
        ends[end] += 1
        n_faulty += bool(found)
        for fault in found:
            print(f"seed {seed} ({problem.kind}, alpha {problem.alpha:.3g}): {fault}")
    told = ", ".join(f"{end} {count}" for end, count in ends.most_common())
    print(f"{options.problems} problems: {told}; the referee objects to {n_faulty}")
    return int(n_faulty > 0)


if __name__ == "__main__":
    sys.exit(main())
