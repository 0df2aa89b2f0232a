"""Strange input, drawn by hypothesis, and what may come of it: an answer or an error in words."""

import time
import traceback
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, UndefinedMetricWarning

SECONDS = 20
"""Processor time that a call on small data may take."""

EXTREMES = [
    0.0, -0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1e-45, 1e-38, 1e-7, 1.0, -1.0, 1e10, 1e18, 3e38,
    1e100, -1e100, 1.1e100, 1e150, 1e160, -1e300, 1.7e308, np.nan, np.inf, -np.inf,
]  # fmt: skip

TOLD = (
    "noise_rates=", "X does not have valid feature names", "X has feature names",
    "The least populated class", "The number of unique classes", "A single label",
    "Number of classes in training fold",
)  # fmt: skip
"""Warnings to users, of the trainer and of scikit-learn."""


class FindingError(AssertionError):
    """An error that says nothing to a user."""


@contextmanager
def answered(outcome):
    """Run a call; a refusal in words ends it, and anything else is a finding.

    `outcome` is a list that gets the refusal's text. NumPy's warnings are errors.
    """
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in (ConvergenceWarning, DataConversionWarning, UndefinedMetricWarning):
            warnings.simplefilter("ignore", kind)
        for text in TOLD:
            warnings.filterwarnings("ignore", text)
        try:
            yield
        except (ValueError, TypeError) as error:
            judge(error)
            outcome.append(str(error))
    spent = time.process_time() - started
    if spent > SECONDS:
        raise FindingError(f"took {spent:.0f} s")


def judge(error):
    """A refusal is raised on purpose, by the trainer or by a check of scikit-learn's."""
    text = str(error)
    if not text.strip():
        raise FindingError(f"no word in {error!r}") from error
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = "/trainer/" in last.filename or "/sklearn/" in last.filename
    if not (ours and (last.line or "").startswith("raise")):
        raise FindingError(f"{type(error).__name__}: {text[:300]} at {last.line!r}") from error


# ------------------------------------------------------------------------ what is drawn

numbers = st.one_of(st.sampled_from(EXTREMES), st.floats(-10, 10), st.integers(-3, 3).map(float))
seeds = st.integers(0, 10**6)
exponents = st.sampled_from([-300, -150, -45, -20, -8, -2, 0, 0, 0, 0, 0, 2, 8, 15, 20, 38, 80, 99])


@st.composite
def matrices(draw, n_rows=None, n_columns=None, tame=False):
    """Features: of all scales, constant, with duplicates, of whole numbers, with odd entries."""
    rng = np.random.default_rng(draw(seeds))
    n = draw(st.sampled_from([0, 1, 2, 3, 5, 8, 8, 13, 13, 40, 40])) if n_rows is None else n_rows
    d = draw(st.sampled_from([0, *[1, 2, 3, 7] * 3])) if n_columns is None else n_columns
    kind = draw(st.sampled_from(["normal", "normal", "constant", "whole", "duplicates"]))
    X = rng.standard_normal((n, d))
    if kind == "constant":
        X[:] = rng.standard_normal(d)
    elif kind == "whole":
        X = rng.integers(-2, 3, (n, d)).astype(float)
    elif kind == "duplicates" and n and d:
        X = X[rng.integers(0, max(1, n // 3), n)][:, rng.integers(0, max(1, d // 2), d)]
    if not tame and n and d and draw(st.booleans()):
        X = X * 10.0 ** np.array(draw(st.lists(exponents, min_size=d, max_size=d)))
    if not tame and n and d:
        for value in draw(st.lists(numbers, max_size=2)) if draw(st.booleans()) else []:
            X[rng.integers(n), rng.integers(d)] = value
    return X


DTYPES = ["f8", "f8", "f8", "f4", "f4", "f2", "i1", "i8", "u1", "?", ">f8", "g", "O", "c16", "U9",
          "M8[s]"]  # fmt: skip
CONTAINERS = ["array", "array", "array", "fortran", "strided", "readonly", "list", "pandas",
              "polars", "arrow", "csr", "csc", "coo", "csr_matrix", "masked", "3d", "1d", "ragged",
              "objects"]  # fmt: skip


@st.composite
def rows(draw, tame=False):
    """Features in any dtype and container."""
    X = draw(matrices(tame=tame))
    is_odd = draw(st.integers(0, 3)) == 0
    dtype = draw(st.sampled_from(DTYPES if is_odd else DTYPES[:12]))
    container = draw(st.sampled_from(CONTAINERS if is_odd else CONTAINERS[:13]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dtype in ("i1", "i8", "u1", "?", "M8[s]"):
            X = np.nan_to_num(np.clip(X, -100, 100))
        X = X.astype(dtype)
    return packed(X, container)


def packed(X, container):
    """The same values in a container."""
    if container == "fortran":
        return np.asfortranarray(X)
    if container == "strided":
        return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    if container == "readonly":
        X.flags.writeable = False
    elif container == "list":
        return X.tolist()
    elif container == "pandas":
        return pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])])
    elif container in ("polars", "arrow"):
        try:
            frame = pl.DataFrame({f"c{j}": X[:, j].tolist() for j in range(X.shape[1])})
            return frame.to_arrow() if container == "arrow" else frame
        except (TypeError, ValueError, OverflowError):  # no such type there
            return X
    elif container in ("csr", "csc", "coo", "csr_matrix") and X.dtype.kind in "fiub":
        if X.dtype.char in "eg" or not X.dtype.isnative:
            return X
        kinds = {"csr": csr_array, "csc": csc_array, "coo": coo_array, "csr_matrix": csr_matrix}
        return kinds[container](X)
    elif container == "masked":
        return np.ma.masked_array(X, mask=np.zeros(X.shape, bool))
    elif container == "3d":
        return X[..., np.newaxis]
    elif container == "1d":
        return X.ravel()
    elif container == "ragged" and len(X) > 1 and X.shape[1] > 1:
        return [*X.tolist()[:-1], X.tolist()[-1][:-1]]
    elif container == "objects":
        odd = X.astype(object)
        if odd.size:
            odd.flat[0] = [1, 2]
        return odd
    return X


def length(X):
    """How many rows there are, as far as one can tell."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


PLAIN = ["two", "two", "three", "words", "booleans", "floats", "soft", "series"]
LABELS = ["two", "two", "two", "two", "three", "words", "booleans", "floats", "one", "continuous",
          "missing", "mixed", "none", "soft", "soft3", "wrong soft", "arrow soft", "column",
          "short", "series", "arrow", "bytes", "huge", "complex"]  # fmt: skip


@st.composite
def labels(draw, n, kinds=None):
    """Labels of n rows, most of them such as one can train on."""
    rng = np.random.default_rng(draw(seeds))
    if kinds is None:
        kinds = LABELS if draw(st.integers(0, 3)) == 0 else PLAIN
    kind = draw(st.sampled_from(kinds))
    y = np.arange(n) % (3 if "3" in kind or kind == "three" else 2)
    y = y if draw(st.booleans()) else rng.permutation(y)
    P = rng.random((n, 3 if "3" in kind else 2))
    P /= P.sum(axis=1, keepdims=True)
    made = {
        "words": lambda: np.array(["no", "yes"])[y],
        "booleans": lambda: y == 1,
        "floats": lambda: y.astype(float),
        "one": lambda: np.zeros(n),
        "continuous": lambda: y + 0.5,
        "missing": lambda: np.where(np.arange(n) == 0, np.nan, y),
        "mixed": lambda: np.array([("a", 1)[i] for i in y], dtype=object),
        "none": lambda: np.array([(None, "b")[i] for i in y], dtype=object),
        "soft": lambda: P,
        "soft3": lambda: P,
        "wrong soft": lambda: P + rng.choice([0, 1e-3, -1, np.nan, 1e300]),
        "arrow soft": lambda: pa.table({"no": P[:, 0], "yes": P[:, 1]}),
        "column": lambda: y[:, np.newaxis],
        "short": lambda: y[:-1],
        "series": lambda: pd.Series(y, dtype="category"),
        "arrow": lambda: pa.array(y),
        "bytes": lambda: np.array([b"no", b"yes"])[y],
        "huge": lambda: np.where(y == 1, 2**62, -(2**62)),
        "complex": lambda: y * 1j,
    }
    return made.get(kind, lambda: y)()


@st.composite
def weights(draw, n):
    """Weights of n rows, or None."""
    rng = np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(["none"] * 14 + ["whole", "wide", "scaled", "extremes", "zeros",
                                               "scalar", "short", "words", "column"]))  # fmt: skip
    made = {
        "whole": lambda: rng.integers(0, 3, n),
        "wide": lambda: 10.0 ** rng.uniform(-300, 300, n),
        "scaled": lambda: rng.random(n) * 10.0 ** draw(exponents),
        "extremes": lambda: rng.choice(EXTREMES, n),
        "zeros": lambda: np.zeros(n),
        "scalar": lambda: draw(numbers),
        "short": lambda: np.ones(max(0, n - 1)),
        "words": lambda: np.array(["a"] * n),
        "column": lambda: np.ones((n, 1)),
    }
    return made.get(kind, lambda: None)()


RULES = ["gradient_descent", "momentum", "nesterov", "adam", "normalized_gradient_descent"]


@st.composite
def parameters(draw):
    """Parameters of a LogisticNeuron, most of them valid; few iterations."""
    optimizer = draw(st.sampled_from(["auto", "auto", "newton", "lbfgs", *RULES]))
    found = {
        "optimizer": optimizer,
        "alpha": draw(st.sampled_from(["auto", "auto", 0.0, 1e-300, 1e-4, 1.0, 1e100, 1e300])),
        "max_iter": draw(st.sampled_from([0, 1, 5, 50, 1000])),
        "fit_intercept": draw(st.booleans()),
        "n_starts": draw(st.sampled_from([1, 4, 6])),
        "class_weight": draw(
            st.sampled_from([None] * 8 + ["balanced", {0: 1e308, 1: 1}, {0: 0, 1: 1e-320}, {7: 1}])
        ),
        "early_stopping": draw(st.sampled_from([False] * 4 + [True])),
        "noise_rates": draw(st.sampled_from([None] * 8 + ["symmetric", [0.1, 0.2], "learn"])),
        "init": draw(st.sampled_from([None] * 12 + [[1.0, 2.0], [1e300, 0.0], [np.nan, 0.0]])),
        "random_state": 0,
    }
    if optimizer in RULES:
        found["max_iter"] = min(found["max_iter"], 50)
        found["learning_rate"] = draw(st.sampled_from(["auto", "auto", 1e-300, 0.1, 10.0, 1e300]))
        found["batch_size"] = draw(st.sampled_from([None, 1, 4, 10**9]))
    return found


# ------------------------------------------------------------------- what is an answer


def dense(X):
    """Features as an array of float64."""
    if hasattr(X, "toarray"):
        X = X.toarray()
    return np.asarray(X.to_pandas() if hasattr(X, "to_pandas") else X, dtype=np.float64)


def check_neuron(neuron, X, y, weight=None):
    """Finite parameters, probabilities of 0 to 1 that sum to 1, and the cost that is claimed."""
    for name in ("coef_", "intercept_", "loss_curve_"):
        assert np.isfinite(getattr(neuron, name)).all(), name
    P = neuron.predict_proba(X)
    assert np.isfinite(P).all()
    assert (P >= 0).all()
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-5)
    assert set(neuron.predict(X).tolist()) <= set(neuron.classes_.tolist())
    y = np.asarray(y)
    if len(neuron.classes_) > 2 or y.ndim > 1 or neuron.noise_rates_ is not None:
        return
    if neuron.class_weight is not None or neuron.early_stopping:
        return
    x, target = dense(X), (y == neuron.classes_[1]).astype(float)
    w, b = neuron.coef_[0].astype(float), float(neuron.intercept_[0])
    of_row = np.ones(len(x)) if weight is None else np.broadcast_to(weight, len(x)).astype(float)

    def cost(scale):
        with np.errstate(all="ignore"):
            z = np.clip(x * scale @ w + scale * b, -1e6, 1e6)
            penalty = neuron.alpha_ / 2 * np.sum((scale * w) ** 2) if neuron.alpha_ else 0.0
            return float(np.average((target - expit(z)) ** 2, weights=of_row) + penalty)

    end = neuron.termination_
    single = neuron.coef_.dtype == np.float32
    if neuron.init is None and neuron.optimizer not in RULES:  # rules may rise above their start
        assert end.cost <= cost(0) * (1 + 1e-6)
    if not single:  # rounding to single precision can move a z of any size
        assert abs(end.cost - cost(1)) <= 1e-6 * max(1.0, abs(end.cost)) + 1e-9
        if end.converged:  # no step towards or away from 0 is worth taking
            for scale in (0.0, 0.5, 0.9, 1.1, 2.0):
                assert cost(1) <= cost(scale) * (1 + 1e-3) + 1e-6, (cost(1), scale, cost(scale))
