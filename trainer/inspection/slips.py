"""Common mistakes in the lesson's functions: the value that each gives, and a message about it.

A formula takes a case and the mistakes to make in it. Without mistakes it is the lesson's formula;
tests compare it with `trainer.chain_rule`. Mistakes at the same site exclude each other; all
others can be combined.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.chain_rule import sigmoid

Array = npt.NDArray[Any]
Slips = frozenset[str]
Values = dict[str, tuple[Array, Array]]  # by part, "w" and "b" or "": the value, and its scale


@dataclass(frozen=True)
class Case:
    """One neuron and its samples, and the form in which a function is given them.

    Parameters
    ----------
    point : str
        "ordinary", "trained", "saturated", "far out", or "given".
    form : str
        "a batch of rows", "a square batch of rows", "columns" (a batch of rows, with y and w of
        shape (n, 1) and (d, 1)), "a batch of numbers" or "plain numbers".
    X, y, w : array of shape (n, d), (n,) and (d,)
        Samples, targets and weights.
    b, alpha : float
        Bias and penalty.
    """

    point: str
    form: str
    X: Array
    y: Array
    w: Array
    b: float
    alpha: float = 0.0

    @property
    def arguments(self) -> dict[str, Any]:
        """Possible arguments of a function, by the lesson's names; fresh copies."""
        z = self.X @ self.w + self.b
        arguments: dict[str, Any] = {"x": self.X, "y": self.y, "w": self.w, "z": z}
        if self.form == "columns":
            arguments |= {"y": self.y[:, np.newaxis], "w": self.w[:, np.newaxis]}
        elif self.form in ("a batch of numbers", "plain numbers"):
            arguments |= {"x": self.X[:, 0], "w": float(self.w[0])}
        arguments["sigma"] = sigmoid(arguments["z"])
        if self.form == "plain numbers":
            arguments = {name: float(np.ravel(value)[0]) for name, value in arguments.items()}
        arguments |= {"b": self.b, "alpha": self.alpha}
        return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}


class Slip(NamedTuple):
    """A mistake: the site where it occurs, and the message about it."""

    site: str
    sentence: str


class Task(NamedTuple):
    """A function of the lesson: arguments in order, formula, derivative and possible mistakes."""

    arguments: tuple[str, ...]
    formula: Callable[[Case, Slips], Values]
    slips: dict[str, Slip]
    derivative: Callable[[Case], Any] | None = None  # by the complex step


def combined(slips: dict[str, Slip]) -> Iterator[Slips]:
    """Each mistake alone, then each pair of mistakes at different sites."""
    yield from (frozenset([name]) for name in slips)
    for pair in combinations(slips, 2):
        if not set(slips[pair[0]].site.split()) & set(slips[pair[1]].site.split()):
            yield frozenset(pair)


# ------------------------------------------------------------------------- the gradients

GRADIENT_SLIPS = {
    "two": Slip("two", "The factor 2 is missing: dl/dσ is 2(σ - y)."),
    "sign": Slip(
        "sign", "The sign is wrong: dl/dσ is 2(σ - y), not 2(y - σ); y - σ has the derivative -1."
    ),
    "no slope": Slip("slope", "The factor dσ/dz is missing: multiply by σ(1 - σ)."),
    "slope at z": Slip("slope", "dσ/dz is taken at z: it is σ(1 - σ), not z(1 - z)."),
    "tanh": Slip("slope", "dσ/dz is the derivative of tanh, 1 - σ²: for σ it is σ(1 - σ)."),
    "cross-entropy": Slip(
        "two slope",
        "This is the gradient of cross-entropy, mean (σ - y)x: for the squared error the factors "
        "2 and dσ/dz = σ(1 - σ) are missing.",
    ),
    "twice": Slip("sigma", "σ is applied twice: the output is σ(z), not σ(σ(z))."),
    "slope twice": Slip(
        "slope sigma",
        "σ is applied twice in dσ/dz, which is σ(z)(1 - σ(z)): give a function that applies σ "
        "itself z, not σ(z).",
    ),
    "x for b": Slip(
        "order", "The arguments of h are in the wrong order: z came out as w·b + x, not w·x + b."
    ),
    "w for b": Slip(
        "order", "The arguments of h are in the wrong order: z came out as x·b + w, not w·x + b."
    ),
    "no x": Slip("x", "x is forgotten in dJ/dw: multiply by dz/dw = x, sample by sample."),
    "transposed": Slip("x", "X is used for Xᵀ: dJ/dw sums over samples, Xᵀ times dl/dz."),
    "bias times x": Slip("bias", "dJ/db is multiplied by x: dz/db is 1, whatever x is."),
    "sum": Slip("mean", "The sum is taken for the mean: divide by the number of samples, n."),
    "mean twice": Slip("mean", "The mean is taken twice: divide by n once, not by n²."),
    "n - 1": Slip("mean", "The mean is taken with the wrong n: divide by n, not by n - 1."),
    "d for n": Slip(
        "mean",
        "The mean is taken with the wrong n: divide by the number of samples, not of features.",
    ),
    "n times d": Slip(
        "mean",
        "The mean is taken with the wrong n: divide by the number of samples, not by X.size, the "
        "number of all values in X.",
    ),
    "no penalty": Slip("penalty", "The penalty is forgotten in dJ/dw: add α w."),
    "half penalty": Slip(
        "penalty", "The penalty adds α/2 w to dJ/dw: α/2 w² has the derivative α w."
    ),
    "penalty over n": Slip(
        "penalty", "The penalty is divided by n: it is outside the mean, add α w."
    ),
    "penalty on b": Slip("penalty_b", "The penalty is on b, too: it is on w alone."),
}
_OF_W = {"no x", "transposed", "no penalty", "half penalty", "penalty over n"}
_OF_B = {"bias times x", "penalty on b"}
_OF_PENALTY = {"no penalty", "half penalty", "penalty over n", "penalty on b"}
_OF_NUMBERS = {"x for b", "w for b"}


def gradient_slips(parts: str, penalised: bool) -> dict[str, Slip]:
    """The mistakes that a gradient with these parts, "w", "b" or "wb", can contain."""
    left_out = set(_OF_PENALTY) if not penalised else set()
    for part, own in (("w", _OF_W), ("b", _OF_B)):
        if part not in parts:
            left_out |= own
    return {name: slip for name, slip in GRADIENT_SLIPS.items() if name not in left_out}


def gradient(case: Case, slips: Slips = frozenset()) -> Values:
    """dJ/dw and dJ/db with the given mistakes, and the mean size of the samples' contributions.

    A value is nan where the slip cannot be made: then a function with it raises.
    """
    X, y, w, b = case.X, case.y, case.w, case.b
    n, d = X.shape
    z = X @ w + b
    if slips & _OF_NUMBERS:
        one = w[0] * b + X[:, 0] if "x for b" in slips else X[:, 0] * b + w[0]
        z = one if d == 1 else np.full(n, np.nan)
    sigma = sigmoid(sigmoid(z)) if "twice" in slips else sigmoid(z)
    at = sigmoid(sigma) if "slope twice" in slips else sigma
    slope = at * (1 - at)
    if "tanh" in slips:
        slope = 1 - sigma**2
    if "slope at z" in slips:
        slope = z * (1 - z)
    if slips & {"no slope", "cross-entropy"}:
        slope = np.ones(n)
    upstream = (sigma - y) * slope
    upstream = upstream if slips & {"two", "cross-entropy"} else 2 * upstream
    upstream = -upstream if "sign" in slips else upstream
    # nan for a division by 0: with one sample, n - 1
    over = {
        "sum": 1,
        "mean twice": n * n,
        "n - 1": n - 1 or np.nan,
        "d for n": d,
        "n times d": n * d,
    }
    divisor = next((over[name] for name in slips & over.keys()), n)

    def mean(parts: Array) -> tuple[Array, Array]:
        return parts.sum(axis=0) / divisor, np.abs(parts).sum(axis=0) / divisor

    of_x, of_b = mean(upstream[:, np.newaxis] * X), mean(upstream)
    of_w = of_x
    if "no x" in slips:
        of_w = of_b
    if "transposed" in slips:
        turned = upstream[:, np.newaxis] * X.T if n == d else np.full((n, d), np.nan)
        of_w = of_x if d == 1 else mean(turned)
    if "bias times x" in slips:
        of_b = of_x[0].squeeze(), of_x[1].squeeze()
    share = {"no penalty": 0.0, "half penalty": 0.5, "penalty over n": 1 / n}
    penalty = next((share[name] for name in slips & share.keys()), 1.0) * case.alpha * w
    penalty_b = case.alpha * b if "penalty on b" in slips else 0.0
    return {
        "w": (of_w[0] + penalty, of_w[1] + np.abs(penalty)),
        "b": (of_b[0] + penalty_b, of_b[1] + abs(penalty_b)),
    }


def complex_step(case: Case) -> Array:
    """dJ/dw and dJ/db from J itself, by the complex step: the imaginary part of J at θ + ih."""
    step = 1e-30
    theta = np.append(case.w, case.b)
    moved = theta[:, np.newaxis] + 1j * step * np.eye(len(theta))  # a column a parameter
    z = case.X @ moved[:-1] + moved[-1]
    J = ((case.y[:, np.newaxis] - _analytic_sigmoid(z)) ** 2).mean(axis=0)
    return (J + case.alpha / 2 * (moved[:-1] ** 2).sum(axis=0)).imag / step


def _analytic_sigmoid(z: Array) -> Array:
    """σ of complex z without overflow, by the sign of the real part, as |z| is not analytic."""
    e = np.exp(np.where(z.real < 0, z, -z))
    return np.where(z.real < 0, e, 1) / (1 + e)


# ---------------------------------------------------------------------- the other functions


class _Known(NamedTuple):
    """The quantities of the elementwise formulas, by sample."""

    x: Array
    y: Array
    w: float
    b: float
    z: Array
    s: Array


def _sigmoid(k: _Known, slips: Slips) -> Any:
    return _one_of(
        slips,
        {
            "minus in exp": lambda: sigmoid(-k.z),
            "tanh": lambda: np.tanh(k.z),
            "twice": lambda: sigmoid(k.s),
            "no 1": lambda: np.exp(k.z),
            "minus for plus": lambda: 1 / (1 - np.exp(-k.z)),
        },
        k.s,
    )


def _z(k: _Known, slips: Slips) -> Any:
    return _one_of(
        slips,
        {
            "no b": lambda: k.w * k.x,
            "minus b": lambda: k.w * k.x - k.b,
            "b in brackets": lambda: k.w * (k.x + k.b),
            "x in brackets": lambda: (k.w + k.b) * k.x,
            "x for b": lambda: k.w * k.b + k.x,
            "w for b": lambda: k.x * k.b + k.w,
        },
        k.z,
    )


def _h(k: _Known, slips: Slips) -> Any:
    if "no sigma" in slips:
        return k.z
    of_z, of_sigma = slips & _Z_SLIPS.keys(), slips & _SIGMOID_SLIPS.keys()
    z = np.asarray(_z(k, of_z))
    return _sigmoid(k._replace(z=z, s=sigmoid(z)), of_sigma)


def _l(k: _Known, slips: Slips) -> Any:
    return _one_of(
        slips,
        {
            "no square": lambda: k.y - k.s,
            "no square, sign": lambda: k.s - k.y,
            "absolute": lambda: np.abs(k.y - k.s),
            "half": lambda: (k.y - k.s) ** 2 / 2,
            "cross-entropy": lambda: -np.log(np.where(k.y == 1, k.s, 1 - k.s)),
            "difference of squares": lambda: k.y**2 - k.s**2,
            "z for sigma": lambda: (k.y - k.z) ** 2,
            "x for b": lambda: (k.y - sigmoid(k.w * k.b + k.x)) ** 2,
            "w for b": lambda: (k.y - sigmoid(k.x * k.b + k.w)) ** 2,
        },
        (k.y - k.s) ** 2,
    )


def _dl_dsig(k: _Known, slips: Slips) -> Any:
    if "not derived" in slips:
        return (k.y - k.s) ** 2
    if "cross-entropy" in slips:
        return (k.s - k.y) / (k.s * (1 - k.s))
    difference = (k.z if "z for sigma" in slips else k.s) - k.y
    return difference * (1 if "two" in slips else 2) * (-1 if "sign" in slips else 1)


def _dsig_dz(k: _Known, slips: Slips) -> Any:
    twice = sigmoid(k.s)
    return _one_of(
        slips,
        {
            "slope at z": lambda: k.z * (1 - k.z),
            "tanh": lambda: 1 - k.s**2,
            "sigma alone": lambda: k.s,
            "1 - sigma alone": lambda: 1 - k.s,
            "plus": lambda: k.s * (1 + k.s),
            "sign": lambda: -k.s * (1 - k.s),
            "slope twice": lambda: twice * (1 - twice),
        },
        k.s * (1 - k.s),
    )


def _dz_dw(k: _Known, slips: Slips) -> Any:
    alternatives = {
        "w": lambda: k.w,
        "1": lambda: 1.0,
        "w times x": lambda: k.w * k.x,
        "z": lambda: k.z,
    }
    return _one_of(slips, alternatives, k.x)


def _dz_db(k: _Known, slips: Slips) -> Any:
    alternatives = {"b": lambda: k.b, "x": lambda: k.x, "0": lambda: 0.0, "w": lambda: k.w}
    return _one_of(slips, alternatives, 1.0)


def _one_of(slips: Slips, wrong: dict[str, Callable[[], Any]], right: Any) -> Any:
    return wrong[next(iter(slips))]() if slips else right


def _by_sample(formula: Callable[[_Known, Slips], Any]) -> Callable[[Case, Slips], Values]:
    """The formula for the samples of a case."""

    def values(case: Case, slips: Slips = frozenset()) -> Values:
        z = case.X @ case.w + case.b
        x = case.X[:, 0] if case.X.shape[1] == 1 else np.full(len(z), np.nan)
        known = _Known(x, case.y, float(case.w[0]), case.b, z, sigmoid(z))
        with np.errstate(all="ignore"):
            value = np.broadcast_to(np.asarray(formula(known, slips), dtype=float), z.shape)
        return {"": (value, np.abs(value))}

    return values


def _exclusive(**sentences: str) -> dict[str, Slip]:
    """Mistakes at one site."""
    return {name.replace("_", " "): Slip("all", text) for name, text in sentences.items()}


_WRONG_ORDER = {
    "x for b": Slip("all", "The arguments are in the wrong order: z came out as w·b + x."),
    "w for b": Slip("all", "The arguments are in the wrong order: z came out as x·b + w."),
}
_SIGMOID_SLIPS = _exclusive(
    minus_in_exp="The minus in exp(-z) is missing, or exp(-z) stands above the line: the result is "
    "1 - σ(z).",
    tanh="This is tanh(z): σ(z) is 1 / (1 + exp(-z)).",
    twice=GRADIENT_SLIPS["twice"].sentence,
    no_1="The 1 + below the line is missing: σ(z) is 1 / (1 + exp(-z)).",
    minus_for_plus="Below the line it is 1 + exp(-z), not 1 - exp(-z).",
)
_Z_SLIPS = _WRONG_ORDER | _exclusive(
    no_b="The bias is missing: z is w·x + b.",
    minus_b="The bias is subtracted: z is w·x + b.",
    b_in_brackets="b is multiplied by w: z is w·x + b, not w·(x + b).",
    x_in_brackets="b is multiplied by x: z is w·x + b, not (w + b)·x.",
)

# What a derivative is the derivative of: a function of its argument, for the complex step.
TASKS: dict[str, Task] = {
    "sigmoid": Task(("z",), _by_sample(_sigmoid), _SIGMOID_SLIPS),
    "z": Task(("x", "w", "b"), _by_sample(_z), _Z_SLIPS),
    "h": Task(
        ("x", "w", "b"),
        _by_sample(_h),
        {name: slip._replace(site="z") for name, slip in _Z_SLIPS.items()}
        | {name: slip._replace(site="sigma") for name, slip in _SIGMOID_SLIPS.items()}
        | {"no sigma": Slip("z sigma", "σ is missing: this is z, the output is σ(z).")},
    ),
    "l": Task(
        ("y", "sigma"),
        _by_sample(_l),
        _WRONG_ORDER
        | _exclusive(
            no_square="The square is missing: l is (y - σ)².",
            absolute="This is |y - σ|: l is the square, (y - σ)².",
            half="There is a factor 1/2: l is (y - σ)².",
            difference_of_squares="This is y² - σ²: l is the square of the difference, (y - σ)².",
            z_for_sigma="z is used for σ: l is (y - σ)² with σ = σ(z).",
        )
        | {
            "no square, sign": Slip("all", "The square is missing: l is (y - σ)²."),
            "cross-entropy": Slip("all", "This is the cross-entropy: l is (y - σ)²."),
        },
    ),
    "dl_dsig": Task(
        ("y", "sigma"),
        _by_sample(_dl_dsig),
        {
            "two": GRADIENT_SLIPS["two"],
            "sign": GRADIENT_SLIPS["sign"],
            "z for sigma": Slip("at", "z is used for σ: dl/dσ is 2(σ - y) with σ = σ(z)."),
            "not derived": Slip(
                "at two sign", "This is the loss (y - σ)² itself: its derivative is 2(σ - y)."
            ),
            "cross-entropy": Slip(
                "at two sign",
                "This is the derivative of cross-entropy, (σ - y) / (σ(1 - σ)): that of the "
                "squared error is 2(σ - y).",
            ),
        },
        lambda case: (case.y - (sigmoid(case.X @ case.w + case.b) + 1e-30j)) ** 2,
    ),
    "dsig_dz": Task(
        ("z",),
        _by_sample(_dsig_dz),
        _exclusive(
            slope_at_z=GRADIENT_SLIPS["slope at z"].sentence,
            tanh=GRADIENT_SLIPS["tanh"].sentence,
            sigma_alone="The factor 1 - σ is missing: dσ/dz is σ(1 - σ).",
            plus="It is σ(1 - σ), not σ(1 + σ).",
            sign="The sign is wrong: dσ/dz is σ(1 - σ), never negative.",
            slope_twice=GRADIENT_SLIPS["slope twice"].sentence,
        )
        | {"1 - sigma alone": Slip("all", "The factor σ is missing: dσ/dz is σ(1 - σ).")},
        lambda case: _analytic_sigmoid(case.X @ case.w + case.b + 1e-30j),
    ),
    "dz_dw": Task(
        ("x",),
        _by_sample(_dz_dw),
        _exclusive(
            w="This is w: z = w·x + b has the derivative x with respect to w.",
            w_times_x="This is w·x: z = w·x + b has the derivative x with respect to w.",
            z="This is z itself: z = w·x + b has the derivative x with respect to w.",
        )
        | {"1": Slip("all", "This is dz/db: dz/dw is x.")},
        lambda case: case.X[:, 0] * (case.w[0] + 1e-30j) + case.b,
    ),
    "dz_db": Task(
        (),
        _by_sample(_dz_db),
        _exclusive(
            b="This is b: z = w·x + b has the derivative 1 with respect to b.",
            x="This is dz/dw: dz/db is 1.",
            w="This is w: z = w·x + b has the derivative 1 with respect to b.",
        )
        | {
            "0": Slip("all", "dz/db is 1, not 0: if b rises by 1, z rises by 1."),
        },
        lambda case: case.X[:, 0] * case.w[0] + (case.b + 1e-30j),
    ),
    "dJ_dw": Task(("x", "y", "w", "b"), gradient, gradient_slips("w", True)),
    "dJ_db": Task(("x", "y", "w", "b"), gradient, gradient_slips("b", True)),
    "backpropagation": Task(("x", "y", "w", "b"), gradient, gradient_slips("wb", True)),
}
