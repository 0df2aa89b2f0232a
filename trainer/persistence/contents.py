"""What a model holds must fit together: checked before it is saved, and after it is loaded."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from numbers import Real
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    KFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.metadata_routing import MetadataRequest

import trainer
from trainer.core.termination import REASONS
from trainer.estimators.array_api import as_numpy
from trainer.optimizers.base import Optimizer, RuleState

Array = npt.NDArray[Any]

SPLITTERS = (
    KFold, RepeatedKFold, RepeatedStratifiedKFold, ShuffleSplit, StratifiedKFold,
    StratifiedShuffleSplit,
)  # fmt: skip


REQUESTS = "_metadata_request"
CALLBACKS = ("_skl_callbacks", "_callback_fit_ctx", "_parent_callback_ctx")
"""How scikit-learn's attributes begin that belong to a running process, not to a model."""


class ContentsError(ValueError):
    """A model does not fit together; the message names what is wrong, in half a sentence."""


@cache
def known_types() -> tuple[type, ...]:
    """All types of objects that a model may hold, each checked here."""
    neurons = (trainer.LogisticNeuron, trainer.LogisticNeuronCV)
    return (*neurons, *_values(), *SPLITTERS, LogisticRegression, *_TRANSFORMERS)


def _values() -> tuple[Any, ...]:
    """Dataclasses that a neuron holds: how it ended, its optimizer, and what that remembers."""
    return (trainer.Termination, RuleState, *trainer.OPTIMIZERS.values())


def full_name(kind: type) -> str:
    """The name of a type in a file."""
    return f"{kind.__module__}.{kind.__qualname__}"


def bare(value: Any) -> Any:
    """A copy to write to a file, which shares the arrays: no callbacks, requests as dicts.

    The requests that scikit-learn keeps for metadata routing refer back to their estimator, and
    a file cannot hold circular references. Arrays are NumPy's, in the machine's byte order.
    """
    value = as_numpy(value)
    if type(value) is np.ndarray and not value.dtype.isnative:
        return value.astype(value.dtype.newbyteorder("="))
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(map(bare, value))
    if type(value) not in known_types() or not isinstance(value, BaseEstimator):
        return value
    copy = object.__new__(type(value))
    for name, held in vars(value).items():
        if name == REQUESTS and isinstance(held, MetadataRequest):
            vars(copy)[name] = {
                method: dict(part.requests)
                for method, part in vars(held).items()
                if getattr(part, "requests", None)
            }
        elif not name.startswith(CALLBACKS):
            vars(copy)[name] = bare(held)
    return copy


def check_model(model: Any) -> None:
    """Check a fitted neuron, or a pipeline that ends in one.

    Raises
    ------
    ContentsError
        For the first thing that does not fit.
    """
    try:
        neuron = model
        if type(model) is Pipeline:
            _check_settings(model)
            neuron = model.steps[-1][1]
        if type(neuron) not in (trainer.LogisticNeuron, trainer.LogisticNeuronCV):
            raise ContentsError(
                "the model must be a LogisticNeuron, a LogisticNeuronCV, or a Pipeline that ends "
                f"in one, got {type(neuron).__name__}"
            )
        if type(model) is Pipeline:
            _check_chain(model, None)
        else:
            _check_neuron(neuron)
    except ContentsError:
        raise
    except Exception as error:  # a file from elsewhere can be wrong in any way
        raise ContentsError(f"the model does not fit together: {_one_line(error)}") from error


def _demand(holds: Any, rule: str, value: Any = None) -> None:
    if not holds:
        text = repr(value)
        text = text if len(text) <= 80 else f"{text[:80]}..."
        raise ContentsError(f"{rule}, got {' '.join(text.split())}")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _check_settings(estimator: Any) -> None:
    """The parameters, which scikit-learn knows the rules for, and the names of all attributes."""
    kind, held = type(estimator), vars(estimator)
    parameters = inspect.signature(kind.__init__).parameters.keys() - {"self"}
    for name in parameters:
        _demand(name in held, f"{kind.__name__} must hold its parameter {name}", sorted(held))
    for name in held.keys() - parameters:
        hides = hasattr(kind, name)
        _demand(not hides, f"{kind.__name__} must hold no attribute that hides its own", name)
        _demand(
            name.isidentifier() and (name.endswith("_") or name.startswith("_")),
            f"{kind.__name__} must hold parameters and fitted attributes only",
            name,
        )
    estimator._validate_params()
    for name in parameters:
        value = held[name]
        if isinstance(value, np.random.RandomState):
            state = value.get_state(legacy=False)
            place = state["state"]["pos"]  # NumPy reads there without a check
            _demand(state["bit_generator"] == "MT19937", "random_state must be MT19937", state)
            _demand(0 <= place <= 624, "random_state must stand at 0 to 624", place)
        elif isinstance(value, SPLITTERS):
            _check_splitter(value)
        elif isinstance(value, BaseEstimator):
            _check_settings(value)
        elif isinstance(value, Optimizer):
            _demand(_is_plain(value), "optimizer must hold its own parameters only", vars(value))
            value.__post_init__()  # which checks them
        else:
            is_type = name == "dtype" and isinstance(value, type)  # OneHotEncoder's
            _demand(
                is_type or _is_plain(value), f"{kind.__name__}'s {name} must be plain data", value
            )
    jobs = held.get("n_jobs")
    _demand(jobs is None or -256 <= jobs <= 256, "n_jobs must be None or -256 to 256", jobs)


def _is_plain(value: Any) -> bool:
    """Data alone, or lists of estimators, which are checked where they stand."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, _values()):
        names = {part.name for part in dataclasses.fields(value)}
        return vars(value).keys() == names and all(map(_is_plain, vars(value).values()))
    kinds = (str, int, float, np.generic, np.ndarray, np.dtype, slice)
    return value is None or isinstance(value, (*kinds, BaseEstimator))


def _check_splitter(splitter: Any) -> None:
    """A splitter must be what its own constructor makes of its values."""
    held = vars(splitter)
    values = {**held, **held.get("cvargs", {})}
    names = inspect.signature(type(splitter).__init__).parameters.keys() - {"self"}
    made = type(splitter)(**{name: values[name] for name in names})
    _demand(same(vars(made), held), f"{type(splitter).__name__} must be as it is made", held)


def same(a: Any, b: Any) -> bool:
    """Whether two values are of the same types and hold the same, NaN being equal to NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        if a.dtype == object:
            return same(a.tolist(), b.tolist())
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a), list(b)) and all(map(same, a.values(), b.values()))
    if isinstance(a, np.random.RandomState):
        return same(a.get_state(legacy=False), b.get_state(legacy=False))
    if isinstance(a, (BaseEstimator, *_values(), *SPLITTERS)):
        return same(vars(a), vars(b))
    return bool(a == b or (a != a and b != b))


def _check_array(
    value: Any, name: str, shape: tuple[int, ...], dtypes: str = "fd", finite: bool = True
) -> None:
    """An ndarray of this shape (-1 for any length) and one of these types, and finite."""
    rule = f"{name} must be an array of shape {shape}".replace("-1", "n")
    _demand(type(value) is np.ndarray, rule, type(value).__name__)
    fits = value.ndim == len(shape) and all(
        want in (-1, n) for want, n in zip(shape, value.shape, strict=True)
    )
    _demand(fits, rule, value.shape)
    _demand(value.dtype.char in dtypes, f"{name} must be of type {_named(dtypes)}", value.dtype)
    if finite and value.dtype.kind == "f":
        _demand(np.isfinite(value).all(), f"{name} must be finite", value[~np.isfinite(value)])


def _named(dtypes: str) -> str:
    return " or ".join(np.dtype(char).name for char in dtypes)


def _check_whole(value: Any, name: str, least: int = 0) -> None:
    _demand(type(value) is int and value >= least, f"{name} must be an int >= {least}", value)


def _check_neuron(neuron: Any, n_features: int | None = None) -> None:
    _check_settings(neuron)
    held = vars(neuron)
    _demand("coef_" in held, "the neuron must be fitted; call fit first", type(neuron).__name__)
    coef, classes = held["coef_"], held.get("classes_")
    check_classes(classes)
    n_neurons = 1 if len(classes) == 2 else len(classes)
    _check_array(coef, "coef_", (n_neurons, -1))
    _check_array(held.get("intercept_"), "intercept_", (n_neurons,), coef.dtype.char)
    _check_features(neuron, coef.shape[1])
    if n_features is not None:
        _demand(coef.shape[1] == n_features, f"coef_ must have {n_features} columns", coef.shape)
    _check_class_weight(neuron.class_weight)
    if isinstance(getattr(neuron, "init", None), BaseEstimator):
        _check_linear(neuron.init)

    _check_whole(held.get("n_iter_"), "n_iter_")
    _check_array(held.get("loss_curve_"), "loss_curve_", (-1,))
    alpha, name = held.get("alpha_", 0.0), held.get("optimizer_", "")
    is_penalty = isinstance(alpha, float) and 0 <= alpha < np.inf
    _demand(is_penalty, "alpha_ must be a number >= 0", alpha)
    _demand(type(name) is str, "optimizer_ must be a name", name)
    for rates in ("noise_rates_", "noise_rates_std_err_"):
        if held.get(rates) is not None:
            _check_array(held[rates], rates, (len(classes),), finite=rates == "noise_rates_")
    validation = held.get("validation_curve_")
    if validation is not None:
        _check_array(validation, "validation_curve_", neuron.loss_curve_.shape)
    ends = held.get("terminations_", [])
    _demand(
        type(ends) is list and len(ends) in (0, n_neurons),
        "terminations_ must be one a neuron",
        ends,
    )
    for end in [*ends, *([held["termination_"]] if "termination_" in held else [])]:
        _check_termination(end)
    for name, value in held.items():
        if name.startswith("_"):
            _demand(_is_plain(value), f"{name} must be plain data", value)
    if hasattr(neuron, "history_"):  # one from JSON has none
        _demand(len(neuron.history_), "history_ must have rows", 0)
    if isinstance(neuron, trainer.LogisticNeuronCV):
        _check_choice(neuron, n_neurons)
    else:
        _check_goes_on(neuron)


def check_classes(classes: Any) -> None:
    """Labels of a neuron: at least two, different, in order."""
    _demand(type(classes) is np.ndarray and classes.ndim == 1, "classes_ must be an array", classes)
    _demand(len(classes) >= 2, "classes_ must be at least two", classes)
    text = classes.dtype == object and all(type(label) is str for label in classes)
    _demand(
        text or classes.dtype.kind in "biufUS",
        "classes_ must be numbers, booleans or text",
        classes,
    )
    _demand((classes[:-1] < classes[1:]).all(), "classes_ must be different and in order", classes)


def _check_features(estimator: Any, n_features: int) -> None:
    held = vars(estimator)
    _check_whole(held.get("n_features_in_"), "n_features_in_", 1)
    _demand(
        held["n_features_in_"] == n_features,
        f"n_features_in_ must be {n_features}, as the other attributes are",
        held["n_features_in_"],
    )
    if "feature_names_in_" in held:
        names = held["feature_names_in_"]
        _check_array(names, "feature_names_in_", (n_features,), "O")
        _demand(all(type(name) is str for name in names), "feature_names_in_ must be text", names)


def _check_class_weight(weights: Any) -> None:
    if isinstance(weights, dict):
        fits = (
            isinstance(w, Real) and np.isfinite(float(w)) and float(w) >= 0
            for w in weights.values()
        )
        _demand(all(fits), "class_weight must hold finite numbers >= 0", weights)


def _check_linear(model: Any) -> None:
    """A fitted linear classifier that is another's `init`."""
    if type(model) is LogisticRegression:
        check_classes(model.classes_)
        n_neurons = 1 if len(model.classes_) == 2 else len(model.classes_)
        _check_array(model.coef_, "coef_ of init", (n_neurons, -1))
        _check_array(model.intercept_, "intercept_ of init", (n_neurons,))
        _check_features(model, model.coef_.shape[1])
    else:
        _demand(
            type(model) in (trainer.LogisticNeuron, trainer.LogisticNeuronCV),
            "init must be numbers, a LogisticRegression or a neuron; give its numbers",
            type(model).__name__,
        )
        _check_neuron(model)


def _check_termination(end: Any) -> None:
    kind = trainer.Termination
    _demand(type(end) is kind, "termination_ must be a Termination", type(end).__name__)
    hints, held = get_type_hints(kind), vars(end)
    names = [field.name for field in dataclasses.fields(kind)]
    _demand(sorted(held) == sorted(names), f"Termination must hold {names}", sorted(held))
    for name in names:
        wanted = (int, float) if hints[name] is float else hints[name]
        value = held[name].item() if isinstance(held[name], np.generic) else held[name]
        _demand(
            not isinstance(wanted, type | tuple) or isinstance(value, wanted),
            f"Termination's {name} must be {hints[name]}",
            value,
        )
        if isinstance(value, str):
            _demand(value.isprintable(), f"Termination's {name} must be printable", value)
    _demand(end.reason in REASONS, f"reason must be one of {', '.join(REASONS)}", end.reason)


def _check_choice(neuron: Any, n_neurons: int) -> None:
    """What cross-validation leaves behind."""
    held = vars(neuron)
    alphas = held.get("alphas_")
    _check_array(alphas, "alphas_", (-1,), "d")
    in_order = (alphas >= 0).all() and (np.diff(alphas) > 0).all()
    _demand(in_order, "alphas_ must be >= 0 and in rising order", alphas)
    alpha = held.get("alpha_")
    _demand(type(alpha) is float and alpha in alphas, "alpha_ must be one of alphas_", alpha)
    _check_array(held.get("scores_"), "scores_", (-1, len(alphas)), finite=False)
    shape = (len(neuron.scores_), len(alphas), n_neurons, neuron.n_features_in_ + 1)
    _check_array(held.get("coefs_paths_"), "coefs_paths_", shape)
    results = held.get("cv_results_")
    _demand(
        type(results) is dict and "param_alpha" in results, "cv_results_ must be a dict", results
    )
    for name, column in results.items():
        _check_array(column, f"cv_results_[{name!r}]", alphas.shape, "fdil", finite=False)
    _demand(same(results["param_alpha"], alphas), "param_alpha must be alphas_", results)


def _check_goes_on(neuron: Any) -> None:
    """An update rule's memory must be finite and of the neuron's shape: a copy goes on a step."""
    if not hasattr(neuron, "partial_fit") or neuron.class_weight == "balanced":
        return
    for state in getattr(neuron, "_rule_state", None) or ():
        for part in vars(state).values():
            arrays = part if isinstance(part, tuple) else (part,)
            finite = all(np.isfinite(a).all() for a in arrays if isinstance(a, np.ndarray))
            _demand(finite, "the optimizer's memory must be finite", part)
    if neuron.classes_.dtype.kind == "f" and (neuron.classes_ % 1).any():
        return  # names of soft labels, which are no labels
    settings = neuron.get_params(deep=False) | {"class_weight": None, "early_stopping": False}
    copy = type(neuron)(**settings)
    vars(copy).update({k: v for k, v in vars(neuron).items() if k not in vars(copy)})
    copy.random_state = 0
    if hasattr(neuron, "feature_names_in_"):
        del copy.feature_names_in_  # X has none
    try:
        copy.partial_fit(np.zeros((2, neuron.n_features_in_)), neuron.classes_[:2])
    except trainer.DivergenceError:
        return  # of a learning rate that is the user's own
    shape = copy.coef_.shape
    _demand(shape == neuron.coef_.shape, "the optimizer's memory must be of coef_'s shape", shape)


def _check_width(value: Any, name: str, wanted: int | None) -> None:
    if wanted is not None:
        _demand(value == wanted, f"{name} must take {wanted} columns", value)


def _check_chain(
    pipeline: Any, n_features: int | None, names: list[str] | None = None
) -> int | None:
    """A pipeline, each step of which takes what the one before gives; the last one's columns.

    `names` are those of the columns that come in, where they are known.
    """
    steps = pipeline.steps
    _check_names([name for name, _ in steps])
    _demand(pipeline.memory is None, "a pipeline's memory must be None", pipeline.memory)
    _demand(
        pipeline.transform_input is None, "transform_input must be None", pipeline.transform_input
    )
    for _, step in steps:
        if type(step) in (trainer.LogisticNeuron, trainer.LogisticNeuronCV):
            _demand(step is steps[-1][1], "a neuron must be the last step", type(step).__name__)
            _check_neuron(step, n_features)
            _check_labels(step, names)
            n_features = None
        elif not _passes(step):
            n_features = _check_transformer(step, n_features, names)
            names = _names_out(step)
    return n_features


def _check_labels(step: Any, names: list[str] | None) -> None:
    """The names that a step was fitted with must be those of the columns that it gets."""
    held = vars(step).get("feature_names_in_")
    if held is not None and names is not None:
        _demand(held.tolist() == names, f"feature_names_in_ must be {names}", held)


def _names_out(step: Any) -> list[str] | None:
    try:
        return list(step.get_feature_names_out())
    except (AttributeError, ValueError):  # it has none, or they are not different
        return None


def _check_names(names: Any) -> None:
    fits = all(type(name) is str for name in names) and len(set(names)) == len(names)
    _demand(fits and len(names), "steps must have different names", names)


def _passes(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _check_transformer(step: Any, n_features: int | None, names: list[str] | None = None) -> int:
    """A fitted transformer that takes so many columns; how many it gives."""
    _demand(
        type(step) in _TRANSFORMERS,
        f"a step must be one of {', '.join(sorted(kind.__name__ for kind in _TRANSFORMERS))}",
        type(step).__name__,
    )
    _check_settings(step)
    if type(step) is Pipeline:
        width = _check_chain(step, n_features, names)
        _demand(width is not None, "a pipeline within must end in a transformer", step)
        return int(width or 0)
    given = vars(step).get("n_features_in_")
    _demand(given is not None, f"{type(step).__name__} must be fitted", sorted(vars(step)))
    _check_features(step, given)
    _check_width(given, type(step).__name__, n_features)
    _check_labels(step, names)
    for name, value in vars(step).items():
        if name.endswith("_") or name.startswith("_"):
            _demand(_is_plain(value), f"{name} must be plain data", value)
    config = vars(step).get("_sklearn_output_config", {})
    _demand(
        isinstance(config, dict) and set(config.values()) <= {"default", "pandas", "polars", None},
        "set_output must be default, pandas or polars",
        config,
    )
    return _TRANSFORMERS[type(step)](step, given)


def _check_vectors(step: Any, needed: dict[str, bool], d: int) -> int:
    """Vectors of a number a column, the needed ones there; what is divided by is not 0."""
    for name in ("mean_", "var_", "scale_", "min_", "center_", "max_abs_"):
        value = vars(step).get(name)
        if value is not None or needed.get(name):
            _check_array(value, f"{type(step).__name__}'s {name}", (d,))
            if name == "scale_":
                _demand((value > 0).all(), "scale_ must be > 0", value)
    return d


def _check_standard(step: Any, d: int) -> int:
    _check_vectors(step, {"mean_": step.with_mean, "scale_": step.with_std}, d)
    if step.with_mean and step.with_std:
        with np.errstate(over="ignore"):
            at_zero = step.mean_ / step.scale_
        _demand(np.isfinite(at_zero).all(), "mean_ / scale_ must be finite", at_zero)
    return d


def _check_robust(step: Any, d: int) -> int:
    return _check_vectors(step, {"center_": step.with_centering, "scale_": step.with_scaling}, d)


def _check_min_max(step: Any, d: int) -> int:
    return _check_vectors(step, {"min_": True, "scale_": True}, d)


def _check_max_abs(step: Any, d: int) -> int:
    return _check_vectors(step, {"scale_": True}, d)


def _check_nothing(step: Any, d: int) -> int:
    return d


def _check_pca(step: Any, d: int) -> int:
    _check_array(step.components_, "components_", (-1, d))
    k = len(step.components_)
    _demand(k > 0, "components_ must have rows", k)
    _check_array(step.mean_, "mean_", (d,))
    _check_array(step.explained_variance_, "explained_variance_", (k,))
    _demand((step.explained_variance_ >= 0).all(), "explained_variance_ must be >= 0", k)
    return k


def _check_imputer(step: Any, d: int) -> int:
    values = step.statistics_
    _check_array(values, "statistics_", (d,), "fdO?bhilBHIL", finite=False)
    _demand(isinstance(step._fit_dtype, np.dtype), "_fit_dtype must be a dtype", step._fit_dtype)
    _demand(step.indicator_ is None, "indicator_ must be None; leave out add_indicator", True)
    if values.dtype == object:
        plain = (value is None or isinstance(value, str | Real) for value in values)
        _demand(all(plain), "statistics_ must be numbers or text", values)
        missing = np.array([value is None or value != value for value in values])
    else:
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(d, dtype=bool)
        _demand(not np.isinf(values.astype(float)).any(), "statistics_ must be finite", values)
    if step.keep_empty_features:
        _demand(not missing.any(), "statistics_ must not be missing", values)
    return int((~missing).sum())


def _check_one_hot(step: Any, d: int) -> int:
    """Columns of 0 and 1: scikit-learn indexes by these numbers unchecked."""
    of_columns = {
        "categories_": step.categories_,
        "_n_features_outs": step._n_features_outs,
        "_infrequent_indices": getattr(step, "_infrequent_indices", [None] * d),
        "_default_to_infrequent_mappings": getattr(
            step, "_default_to_infrequent_mappings", [None] * d
        ),
    }
    for name, value in of_columns.items():
        _demand(type(value) is list and len(value) == d, f"{name} must be a list of {d}", value)
    _demand(type(step._infrequent_enabled) is bool, "_infrequent_enabled must be a bool", step)
    drops = []
    for name in ("drop_idx_", "_drop_idx_after_grouping"):
        value = vars(step).get(name)
        if value is not None:
            _check_array(value, name, (d,), "Ol")
        drops.append([None] * d if value is None else value.tolist())
    for i, categories in enumerate(step.categories_):
        n = _check_categories(categories)
        rare, mapping = (of_columns[name][i] for name in list(of_columns)[2:])
        _demand((rare is None) == (mapping is None), "infrequent categories must be mapped", rare)
        if rare is not None:
            _demand(step._infrequent_enabled, "_infrequent_enabled must be True", False)
            _check_array(rare, "_infrequent_indices", (-1,), "il")
            fits = (
                len(rare) > 0 and rare.min() >= 0 and rare.max() < n and (np.diff(rare) > 0).all()
            )
            _demand(fits, f"_infrequent_indices must be below {n}, in order", rare)
            n -= len(rare) - 1
            expected = np.full(n + len(rare) - 1, n - 1)
            expected[np.setdiff1d(np.arange(len(expected)), rare)] = np.arange(n - 1)
            fits = isinstance(mapping, np.ndarray) and mapping.dtype.kind == "i"
            _demand(
                fits and np.array_equal(mapping, expected), "categories must be mapped", mapping
            )
        first, dropped = (group[i] for group in drops)
        _demand((dropped is None) == (first is None), "dropped categories must agree", dropped)
        if dropped is not None:
            fits = _is_index(dropped, n) and _is_index(first, len(categories))
            fits = fits and (first if mapping is None else mapping[first]) == dropped
            _demand(fits, "dropped categories must agree", dropped)
            n -= 1
        _demand(
            step._n_features_outs[i] == n, f"_n_features_outs must be {n}", step._n_features_outs
        )
    return int(sum(step._n_features_outs))


def _is_index(value: Any, n: int) -> bool:
    return (
        isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(0 <= value < n)
    )


def _check_categories(categories: Any) -> int:
    """Different ones, in order, what is missing last."""
    _demand(type(categories) is np.ndarray and categories.ndim == 1, "categories_ must be arrays")
    _demand(len(categories) > 0, "categories_ must not be empty", categories)
    values = categories.tolist()
    while values and (values[-1] is None or values[-1] != values[-1]):
        values.pop()  # None, then NaN
    _demand(len(categories) - len(values) <= 2, "categories_ must be different", categories)
    plain = all(isinstance(value, str | bytes | Real) for value in values)
    _demand(plain, "categories_ must be numbers or text", categories)
    in_order = all(a < b for a, b in pairwise(values))
    _demand(in_order, "categories_ must be different and in order", categories)
    return len(categories)


def _check_columns(step: Any, d: int) -> int:
    """A ColumnTransformer: the columns of each transformer, and the place of its output."""
    fitted = step.transformers_
    for group in (step.transformers, fitted):
        fits = type(group) is list and all(type(part) is tuple and len(part) == 3 for part in group)
        _demand(fits, "transformers must be tuples of three", group)
        _check_names([name for name, _, _ in group])
    n = len(step.transformers)
    given = [name for name, _, _ in step.transformers]
    parts = [name for name, _, _ in fitted]
    _demand(
        parts in (given, [*given, "remainder"]), "transformers_ must be the transformers", parts
    )
    for _, part, _ in step.transformers:
        if isinstance(part, BaseEstimator):
            _check_unfitted(part)
    indices, places = step._transformer_to_input_indices, step.output_indices_
    for value in (indices, places):
        fits = type(value) is dict and value.keys() == {*given, "remainder"}
        _demand(fits, "indices must name every transformer", value)
    labels = vars(step).get("feature_names_in_")
    _demand(type(step._columns) is list and len(step._columns) == n, "_columns must be a list", n)
    _demand(type(step._remainder) is tuple, "_remainder must be a tuple", step._remainder)
    taken: set[int] = set()
    for (name, _, columns), column in zip(
        fitted, [*step._columns, step._remainder[2]], strict=False
    ):
        _demand(same(columns, column), f"_columns must be those of {name}", column)
    start = 0
    for name, part, columns in fitted:
        found = _column_indices(columns, labels, d)
        _demand(indices[name] == found, f"indices of {name} must be {found}", indices[name])
        taken |= set(found) if name != "remainder" else set()
        width = 0
        if found and not (isinstance(part, str) and part == "drop"):
            names = None if labels is None else labels[found].tolist()
            width = len(found) if _passes(part) else _check_transformer(part, len(found), names)
        stop = start + width
        expected = slice(start, stop) if width else slice(0, 0)
        kept = places[name]
        fits = kept == expected or (width == 0 and kept == slice(start, start))
        _demand(fits, f"results of {name} must stand at {expected}", kept)
        start = stop
    rest = sorted(set(range(d)) - taken)
    _demand(indices["remainder"] == rest, f"the remainder must be {rest}", indices["remainder"])
    weights = step.transformer_weights
    _demand(weights is None, "transformer_weights must be None", weights)
    _demand(type(step.sparse_output_) is bool, "sparse_output_ must be a bool", step.sparse_output_)
    return start


def _column_indices(columns: Any, labels: Any, d: int) -> list[int]:
    """The numbers of the columns that a transformer takes."""
    several = [columns] if isinstance(columns, str | int) else columns
    if isinstance(several, slice):
        several = list(range(d))[several]
    _demand(isinstance(several, list | np.ndarray), "columns must be listed", columns)
    if len(several) and all(isinstance(column, bool | np.bool) for column in several):
        _demand(len(several) == d, f"a mask of columns must have {d} values", columns)
        several = np.flatnonzero(several)
    found = []
    for column in several:
        if isinstance(column, str):
            _demand(labels is not None, "columns must be numbers where there are no names", column)
            place = labels.tolist().index(column)
        else:
            _demand(
                isinstance(column, int | np.integer), "columns must be names or numbers", column
            )
            place = int(column) + (d if column < 0 else 0)
        _demand(0 <= place < d, f"columns must be below {d}", column)
        found.append(place)
    return found


def _check_unfitted(step: Any) -> None:
    _check_settings(step)
    if isinstance(step, Pipeline):
        for _, part in step.steps:
            if isinstance(part, BaseEstimator):
                _check_unfitted(part)


_TRANSFORMERS: dict[type, Callable[[Any, int], int]] = {
    ColumnTransformer: _check_columns,
    FunctionTransformer: _check_nothing,
    MaxAbsScaler: _check_max_abs,
    MinMaxScaler: _check_min_max,
    Normalizer: _check_nothing,
    OneHotEncoder: _check_one_hot,
    PCA: _check_pca,
    Pipeline: _check_nothing,
    RobustScaler: _check_robust,
    SimpleImputer: _check_imputer,
    StandardScaler: _check_standard,
}
