"""Mark a learner's function of the lesson: whether it is right, and which factor is wrong."""

import inspect
import io
import traceback
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer import chain_rule
from trainer.estimators.neuron import LogisticNeuron
from trainer.inspection.gradient_check import checked_problem
from trainer.inspection.slips import (
    TASKS,
    Case,
    Slip,
    Slips,
    Task,
    combined,
    complex_step,
    gradient_slips,
)

Array = npt.NDArray[Any]
Binding = dict[str, str] | list[str]

RTOL, RTOL_NUMBERS = 1e-4, 1e-3
"""Tolerances for a function's value and for numbers, which may be written with four digits,
relative to the mean size of the samples' contributions. float32 stays below 1e-5 at all points.
The known mistakes differ from the correct value by more than 1e-2 at one point or more."""
ATOL = 1e-6
"""The same in units of the input: the error of 1 - σ in float32 if the neuron is saturated."""
ALPHA = 0.3
"""Penalty passed to a function that takes one: it contributes about as much as the loss."""

PARTS = {"dJ_dw": "w", "dJ_db": "b", "backpropagation": "wb"}
ALIASES = {
    "x": {"x", "xs", "x_train", "features", "inputs", "input"},
    "y": {"y", "ys", "y_train", "y_true", "t", "target", "targets", "label", "labels"},
    "w": {"w", "ws", "weight", "weights"},
    "b": {"b", "bias", "intercept"},
    "z": {"z", "zs"},
    "sigma": {"sigma", "sig", "s", "a", "σ", "output", "outputs", "y_hat", "p"},
    "alpha": {"alpha", "α", "l2", "lam", "lambda_", "reg", "penalty"},
}


@dataclass(frozen=True)
class Mark:
    """Result of `mark`.

    Parameters
    ----------
    name : str
        The function of the lesson that was marked.
    verdict : str
        What is right, or which factor is wrong, in one or two sentences.
    score : float
        1 if right; .75 if only its arithmetic fails (an overflow for large ``|z|``, a modified
        argument); .5 for one identified mistake, .25 for two; 0 otherwise. For a function that
        returns both dJ/dw and dJ/db it is the mean of the two, unless both have the same mistakes.
    slips : tuple of str
        Names of the mistakes.
    table : DataFrame
        One row per point and parameter: point, input (its form), parameter, got, chain rule,
        complex step, difference (relative to the mean size of the samples' contributions), right.
    """

    name: str
    verdict: str
    score: float
    slips: tuple[str, ...] = ()
    table: Any = field(default=None, repr=False, compare=False)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return self.score == 1

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict}"


def mark(answer: Any, of: str | None = None, *, at: tuple[Any, ...] | None = None) -> Mark:
    """Mark a gradient, or another function of the lesson, and say which factor is wrong.

    A function is called at ordinary points, at a trained and at saturated points, and for such
    large ``|z|`` that a naive exp overflows. Its values are compared with the chain rule and the
    complex step. If they differ, they are compared with the results of common mistakes, alone and
    in pairs. The function is called in this process and without a time limit;
    ``scripts/mark.py`` runs each function in a separate process.

    Parameters
    ----------
    answer : callable or array-like
        A function for plain numbers, a batch of numbers or a batch of rows. Arguments are passed by
        name if they are called x, y, w, b, z, sigma, alpha (or X, t, weights, bias, ...), otherwise
        in the lesson's order, x, y, w, b. A function that takes alpha must add the gradient of the
        penalty α/2 ‖w‖². Alternatively the numerical values of a gradient at the point `at`.
    of : str, optional
        The function of the lesson that it should be: sigmoid, z, h, l, dl_dsig, dsig_dz, dz_dw,
        dz_db, dJ_dw, dJ_db, or backpropagation for (dJ/dw, dJ/db). By default the name of the
        function, or else the gradient that its values fit best.
    at : tuple (X, y, w, b) or (X, y, w, b, alpha), optional
        The point at which a numerical answer was computed.

    Returns
    -------
    Mark
        verdict, score, slips, table.

    Raises
    ------
    ValueError
        If `of` is not in the lesson, or `at` is missing, superfluous or does not fit. Errors in the
        answer itself are not raised but reported in the verdict.

    Examples
    --------
    >>> def dJ_dw(x, y, w, b):
    ...     sigma = 1 / (1 + np.exp(-(w * x + b)))
    ...     return 2 * (sigma - y) * x
    >>> found = mark(dJ_dw)
    >>> print(found)
    dJ_dw: The factor dσ/dz is missing: multiply by σ(1 - σ).
    >>> found.score, found.slips
    (0.5, ('no slope',))
    >>> mark(-0.1621, "dJ_dw", at=(1, 1, 0.3, 0.3)).right
    True
    """
    if of is not None and of not in TASKS:
        raise ValueError(f"of must be one of {', '.join(TASKS)}, got {of!r}")
    if callable(answer):
        if at is not None:
            raise ValueError("at is for an answer in numbers, got a function; leave it out")
        name = getattr(answer, "__name__", "")
        known = of or (name if name in TASKS else None)
        marks = [_mark_function(answer, task) for task in ([known] if known else _guesses(name))]
    else:
        if at is None or len(at) not in (4, 5):
            raise ValueError(
                "at must say where an answer in numbers was computed, (X, y, w, b) or "
                f"(X, y, w, b, alpha), got {at!r}"
            )
        if of is not None and of not in PARTS:
            raise ValueError(
                f"numbers are marked as dJ_dw, dJ_db or backpropagation, got of={of!r}; give "
                "the function itself"
            )
        marks = [_mark_numbers(answer, task, at) for task in ([of] if of else PARTS)]
    return max(marks, key=lambda found: (found.score, len(found.table)))


def _guesses(name: str) -> list[str]:
    """Gradients that a function with an unknown name may compute."""
    ending = {"w": ["dJ_dw"], "b": ["dJ_db"]}
    return ending.get(name.lower()[-1:], ["backpropagation", "dJ_dw", "dJ_db"])


# ----------------------------------------------------------------------------- the points


@cache
def _cases(form: str, penalised: bool) -> tuple[Case, ...]:
    """Two or more ordinary points, a trained point, saturated points, and points with large |z|."""
    alpha = ALPHA if penalised else 0.0
    if form == "plain numbers":
        # x, y, w, b
        numbers = {
            "ordinary": [(0.7, 1, -1.3, 0.4), (-1.9, 0, 0.6, -0.8), (2.1, 0, 0.9, 0.35)],
            "trained": [(1.6, 1, 2.4, 0.9)],
            "saturated": [(1.5, 1, -7.2, -0.7), (-0.8, 0, -11.0, 2.5)],
            "far out": [(1.2, 1, -760.0, -2.2), (1.2, 0, 760.0, 2.2), (1.2, 1, -760.0, 2.2)],
        }
        return tuple(
            Case(point, form, np.array([[x]]), np.array([float(y)]), np.array([w]), b, alpha)
            for point, values in numbers.items()
            for x, y, w, b in values
        )
    rng = np.random.default_rng(5)
    cases = []
    sizes = {"a batch of numbers": [(7, 1), (5, 1)], "a square batch of rows": [(4, 4), (4, 4)]}
    for n, d in sizes.get(form, [(7, 3), (5, 4)]):
        # Signs and sizes are chosen so that no sum over samples, features or both is near 0.
        X = rng.uniform(0.5, 1.9, (n, d)) * np.where(rng.random((n, d)) < 0.3, -1, 1)
        w = rng.uniform(0.5, 1.2, d) * np.resize([-1, 1], d)
        cases.append(Case("ordinary", form, X, np.resize([0.0, 0.0, 1.0], n), w, 0.6, alpha))
    first = cases[0]
    # Every sample also occurs with the label 1, so that J has a minimum even without a penalty.
    X, y = np.vstack([first.X, first.X]), np.append(first.y, np.ones(len(first.y)))
    if form != "a square batch of rows":  # twice as many rows are not square
        neuron = LogisticNeuron(alpha=alpha, tol=1e-10, n_starts=1, random_state=0).fit(X, y)
        w, b = neuron.coef_[0].astype(float), float(neuron.intercept_[0])
        cases.append(Case("trained", form, X, y, w, b, alpha))
    size = np.abs(first.X @ first.w)
    for point, b, factor in (
        ("saturated", 0.6, 8 / np.median(size)),
        ("far out", 2.2, 800 / size.min()),
        ("far out", 2.2, -800 / size.min()),
    ):
        cases.append(Case(point, form, first.X, first.y, factor * first.w, b, alpha))
    return tuple(cases)


def _expected(name: str, case: Case) -> dict[str, Array]:
    """The lesson's values for each part."""
    if name not in PARTS:
        batch = Case(case.point, "a batch of rows", case.X, case.y, case.w, case.b).arguments
        value = getattr(chain_rule, name)(**{key: batch[key] for key in TASKS[name].arguments})
        return {"": np.broadcast_to(np.squeeze(value), len(case.y))}
    by_w, by_b = chain_rule.backpropagation(case.X, case.y, case.w, case.b)
    return {"w": by_w + case.alpha * case.w, "b": np.asarray(by_b)}


# ---------------------------------------------------------------------- calling a function


class Outcome(NamedTuple):
    """Result of a call: a value for each part, or a description of the problem."""

    case: Case
    values: dict[str, Array]
    problem: str = ""
    overflow: bool = False
    changed: tuple[str, ...] = ()


def _binding(function: Any, task: Task) -> tuple[Binding | None, str]:
    """The lesson's name of each parameter, or of each position, or None if they do not fit.

    The second value is empty, or says what does not fit.
    """
    canonical = list(task.arguments)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # of a built-in or a ufunc
        return canonical, ""
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return canonical, ""
    parameters = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    known = {p.name: name for p in parameters if (name := _lesson_name(p.name))}
    required = [p.name for p in parameters if p.default is p.empty]
    given = set(known.values())
    understood = len(given) == len(known) and known.keys() >= set(required)
    missing = [name for name in canonical if not _derivable(name, given, task)]
    if understood and not missing:
        return known, ""
    names = ", ".join(p.name for p in parameters)
    if understood and missing == ["y"] and {"x", "w", "b"} <= given:
        return known, f"y never reaches it: it takes ({names})."
    if len(required) in (len(canonical), len(canonical) + ("alpha" in given)):
        return [*canonical, "alpha"][: len(required)], ""
    return None, (
        f"It takes ({names}) and cannot be called with {', '.join(canonical) or 'no argument'}: "
        "use the lesson's arguments, in its order or by its names."
    )


def _lesson_name(parameter: str) -> str | None:
    return next((name for name, known in ALIASES.items() if parameter.lower() in known), None)


def _derivable(name: str, given: set[str], task: Task) -> bool:
    """Whether a function with these arguments can compute this quantity."""
    if name in given:
        return True
    if name == "z":
        return {"x", "w", "b"} <= given or (task is TASKS["dsig_dz"] and "sigma" in given)
    return name == "sigma" and _derivable("z", given, task)


def _run(function: Any, binding: Binding, case: Case, parts: str) -> Outcome:
    """Call the function once, with copies of its arguments, and read what it returns."""
    given, before = case.arguments, case.arguments
    error = ""
    result = None
    with redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if isinstance(binding, dict):
                result = function(**{own: given[name] for own, name in binding.items()})
            else:
                result = function(*(given[name] for name in binding))
        except (Exception, SystemExit) as raised:
            error = _told(raised)
    overflow = error.startswith("OverflowError") or any(
        "overflow" in str(w.message) for w in caught
    )
    changed = tuple(name for name in given if not np.array_equal(given[name], before[name]))
    if error:
        return Outcome(case, {}, f"it raises {error}", overflow, changed)
    values, problem = _read(result, case, parts)
    return Outcome(case, values, problem, overflow, changed)


def _told(error: BaseException) -> str:
    """An exception in one line, with the line of the learner's file."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    own = [f.lineno for f in frames if f.filename == frames[0].filename]
    where = f" (line {own[-1]})" if own else ""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if words else ''}{words[:160]}{where}"


def _read(result: Any, case: Case, parts: str) -> tuple[dict[str, Array], str]:
    """The values of each part, or a description of what is wrong with their type."""
    if result is None:
        return {}, "it returns nothing; a return statement is missing"
    try:
        if parts == "wb":
            if isinstance(result, tuple | list) and len(result) == 2:
                of_w, of_b = (_floats(value) for value in result)
            else:
                both = _floats(result).ravel()
                d = len(case.w)
                if len(both) not in (d + 1, 2 * d, 2):
                    return {}, f"it returns {_shape(result)}, not the pair (dJ/dw, dJ/db)"
                # without x, dJ/dw is one number; with x, dJ/db is d
                of_w, of_b = (
                    both[:d] if len(both) > 2 else both[0],
                    both[1 if len(both) == 2 else d :],
                )
                of_b = of_b.squeeze()
            return {"w": of_w, "b": of_b}, ""
        if isinstance(result, tuple) and case.form == "plain numbers" and len(result) != 1:
            return {}, f"it returns {len(result)} values, not one"
        return {parts: _floats(result)}, ""
    except (TypeError, ValueError):
        return {}, f"it returns {_shape(result)}, which cannot be read as numbers"


def _floats(value: Any) -> Array:
    value = np.asarray(value)
    if value.dtype.kind == "c":
        raise ValueError
    return value.astype(float)


def _shape(result: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shape = np.asarray(result).shape
            return f"an array of shape {shape}" if shape else f"{result!r:.60}"
        except ValueError:
            return f"a {type(result).__name__}"


def _fits(outcome: Outcome, expected: dict[str, Array]) -> bool:
    """Whether the values have the expected shapes."""
    return bool(outcome.values) and all(
        value.shape == expected[part].shape
        or (value.size == expected[part].size and value.size == 1)
        or (value.shape == (*expected[part].shape, 1) and outcome.case.form == "columns")
        for part, value in outcome.values.items()
    )


# ------------------------------------------------------------------------------- comparing


@np.errstate(all="ignore")
def _apart(outcome: Outcome, values: dict[str, tuple[Array, Array]], rtol: float) -> float:
    """Largest difference from these values, in units of what is allowed; inf for another shape."""
    case = outcome.case
    worst = 0.0
    for part, got in outcome.values.items():
        value, scale = values[part]
        if np.isnan(value).any():
            return np.nan
        inputs = (
            np.abs(case.X).mean(axis=0) if part == "w" and value.ndim else np.abs(case.X).mean()
        )
        allowed = rtol * scale + ATOL * np.maximum(1.0, inputs)
        if got.size == value.size:
            got = got.reshape(value.shape)
        elif not got.size or (got.size != 1 and value.size != 1):
            return np.inf
        ratio = np.abs(got - value) / allowed
        worst = max(worst, float(np.where(np.isnan(ratio), np.inf, ratio).max()))
    return worst


def _expected_with_scale(name: str, case: Case) -> dict[str, tuple[Array, Array]]:
    scales = TASKS[name].formula(case, frozenset())
    return {part: (value, scales[part][1]) for part, value in _expected(name, case).items()}


def _explanations(
    task: Task, slips: dict[str, Slip], outcomes: list[Outcome], rtol: float
) -> list[Slips]:
    """The smallest sets of mistakes that give these values at every point, the closest first."""
    near = [outcome for outcome in outcomes if outcome.values]
    found: list[tuple[float, int, Slips]] = []
    if not near:
        return []
    for k, candidate in enumerate(combined(slips)):
        if found and len(candidate) > len(found[0][2]):
            break
        worst = -1.0  # no point so far at which the mistake can be made
        for outcome in near:
            with np.errstate(all="ignore"):
                apart = _apart(outcome, task.formula(outcome.case, candidate), rtol)
            worst = max(worst, -1.0 if np.isnan(apart) else apart)
            if worst > 1:
                break
        if 0 <= worst <= 1:
            found.append((worst, k, candidate))
    return [candidate for _, _, candidate in sorted(found)]


# -------------------------------------------------------------------------------- marking

ARITHMETIC = {"overflow", "in place"}
"""Mistakes in the arithmetic, not in the chain rule."""


def _mark_function(function: Any, name: str) -> Mark:
    task, parts = TASKS[name], PARTS.get(name, "")
    binding, complaint = _binding(function, task)
    if binding is None:
        return Mark(name, complaint, 0.0, (), _table(name, []))
    penalised = "alpha" in (binding.values() if isinstance(binding, dict) else binding)
    slips = gradient_slips(parts, penalised) if parts else task.slips

    def run(form: str) -> list[Outcome]:
        """Outcomes at all points of a form, or at the first only if there is no value there."""
        outcomes: list[Outcome] = []
        for case in _cases(form, penalised):
            outcomes.append(_run(function, binding, case, parts))
            if not outcomes[0].values:
                break
        return outcomes

    forms = ["a batch of rows", "columns", "a batch of numbers", "plain numbers"]
    if not parts:
        forms = ["plain numbers", "a batch of numbers"]
        forms += ["a batch of rows"] if "w" in task.arguments else []
    unfit: list[list[Outcome]] = []
    judged: list[Outcome] | None = None
    for form in forms:
        if judged and form != "columns":
            break
        outcomes = run(form)
        if not _fits(outcomes[0], _expected(name, outcomes[0].case)):
            unfit.append(outcomes)
            continue
        if judged is None or not _wrong(name, outcomes):
            judged = outcomes
        if not parts or not _wrong(name, judged):
            break  # for a gradient that is wrong for rows, try y and w as columns
    if judged and not parts and not _wrong(name, judged):
        batch = run("a batch of numbers")  # may be silently wrong although right for a number
        if _fits(batch[0], _expected(name, batch[0].case)) and name != "dz_db":
            judged = batch if _wrong(name, batch) else [*judged, *batch]
    if judged and parts and judged[0].case.form == "a batch of numbers":
        single = run("plain numbers")
        if not any(_is_wrong(name, outcome) for outcome in [*single, *judged]):
            judged = [*single, *judged]
    if parts and unfit and unfit[0][0].problem and unfit[0][0].case.form == "a batch of rows":
        square = run("a square batch of rows")
        named = _explanations(task, slips, _near(square), RTOL)
        if named and "transposed" in named[0]:
            judged, unfit = square, []
    if judged is not None:
        odd = [outcome for outcomes in unfit for outcome in _near(outcomes) if outcome.values]
        return _verdict(name, task, slips, judged, odd, complaint)
    for outcomes in unfit:
        if _explanations(task, slips, _near(outcomes), RTOL):
            return _verdict(name, task, slips, outcomes, [], complaint)
    words = _told_problems(name, [outcomes[0] for outcomes in unfit])
    return Mark(name, f"{complaint} {words}".strip(), 0.0, (), _table(name, []))


def _near(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.case.point != "far out"]


def _is_wrong(name: str, outcome: Outcome, part: str | None = None, rtol: float = RTOL) -> bool:
    expected = _expected(name, outcome.case)
    if not _fits(outcome, expected):
        return True
    if part is not None:
        outcome = outcome._replace(values={part: outcome.values[part]})
    return _apart(outcome, _expected_with_scale(name, outcome.case), rtol) > 1


def _wrong(name: str, outcomes: list[Outcome]) -> bool:
    """Whether a value is wrong at a point where overflow is not an issue."""
    return any(_is_wrong(name, outcome) for outcome in _near(outcomes))


def _verdict(
    name: str,
    task: Task,
    slips: dict[str, Slip],
    outcomes: list[Outcome],
    odd: list[Outcome],
    complaint: str,
) -> Mark:
    """The mark for values of the right shape; `odd` are outcomes of forms with another shape."""
    near, far = _near(outcomes), [o for o in outcomes if o.case.point == "far out"]
    sentences = [complaint] if complaint else []
    named: tuple[str, ...] = ()
    score = 1.0
    if any(_is_wrong(name, outcome) for outcome in near):
        score, named, told = _named(name, task, slips, near, odd)
        sentences += told
    changed = sorted({argument for outcome in outcomes for argument in outcome.changed})
    failed = next((outcome for outcome in far if _is_wrong(name, outcome)), None)
    if failed is not None and _overflows(failed, task, named):
        named = (*named, "overflow")
        what = failed.problem or "it returns nan"
        sentences.append(
            f"An exp overflows: at z = {_weighted_sum(failed.case):.0f} {what}. exp(-|z|) cannot."
        )
    elif failed is not None and score == 1:
        score = 0.0
        sentences.append(_numbers(name, failed))
    if changed:
        named = (*named, "in place")
        sentences.append(
            f"It changes its argument {' and '.join(changed)} in place: work on a copy."
        )
    if score == 1 and named:
        score = 0.75
    if score == 1:
        words = {
            "columns": "batches with y and w as columns",
            "plain numbers": "plain numbers (batches are optional)",
        }
        forms = list(dict.fromkeys(outcome.case.form for outcome in near))
        told = [words.get(forms[0], forms[0])] if len(forms) == 1 else forms
        sentences = [f"Right, for {' and for '.join(told)}." if name in PARTS else "Right."]
        if name == "sigmoid" and any(outcome.overflow for outcome in far):
            sentences.append(
                "For z below about -709, exp(-z) overflows with a warning; the value stays right."
            )
    if len(set(named) - ARITHMETIC) == 2 and not complaint:
        sentences.insert(0, "Two slips.")
    return Mark(name, " ".join(sentences), score, named, _table(name, outcomes))


def _named(
    name: str, task: Task, slips: dict[str, Slip], near: list[Outcome], odd: list[Outcome]
) -> tuple[float, tuple[str, ...], list[str]]:
    """Score, mistakes and sentences for wrong values."""
    groups = [[*near, *odd], near] if odd else [near]
    explained = [_explanations(task, slips, outcomes, RTOL) for outcomes in groups]
    # A mistake that cannot be made for an odd form does not explain it: fewer mistakes come first.
    if found := min(filter(None, explained), key=lambda sets: len(sets[0]), default=None):
        return _told_slips(slips, found[0])
    parts = PARTS.get(name, "")
    if len(parts) == 2:
        scores: list[float] = []
        named: list[str] = []
        sentences: list[str] = []
        for part, what in (("w", "dJ_dw"), ("b", "dJ_db")):
            own = [o._replace(values={part: o.values[part]}) for o in near if o.values]
            score: float = 1
            if any(_is_wrong(name, o) for o in own):
                score, slips_of_part, told = _named(
                    what, TASKS[what], gradient_slips(part, "no penalty" in slips), own, []
                )
                named += slips_of_part
                sentences.append(f"{what}: {' '.join(told)}")
            scores.append(score)
        return sum(scores) / 2, tuple(dict.fromkeys(named)), sentences
    raised = next((outcome for outcome in near if outcome.problem), None)
    if raised is not None:
        return 0.0, (), [f"At the {raised.case.point} point {raised.problem}."]
    factor = _constant_factor(name, near)
    if factor is not None:
        return 0.0, (), [f"It is {factor:.4g} times the right value at every point."]
    wrong = next(outcome for outcome in near if _is_wrong(name, outcome))
    return 0.0, (), [_numbers(name, wrong)]


def _told_slips(slips: dict[str, Slip], found: Slips) -> tuple[float, tuple[str, ...], list[str]]:
    names = tuple(name for name in slips if name in found)
    return 0.5 / len(names), names, [slips[name].sentence for name in names]


def _told_problems(name: str, unfit: list[Outcome]) -> str:
    """A sentence on why a function returns no value of the right shape in any form."""
    told: dict[str, str] = {}
    for outcome in unfit:
        told.setdefault(outcome.problem or _wrong_shape(name, outcome), outcome.case.form)
    for problem in told:
        if "NameError" in problem:  # it occurs in every form and causes the other problems
            told = {problem: ""}
            break
    if len(told) > 2:  # the most general and the simplest form are the most informative
        told = dict([next(iter(told.items())), list(told.items())[-1]])
    words = next(iter(told))
    if len(told) > 1:
        words = "; ".join(f"with {form} {problem}" for problem, form in told.items())
    return f"{words[0].upper()}{words[1:]}."


def _wrong_shape(name: str, outcome: Outcome) -> str:
    expected = _expected(name, outcome.case)
    return " and ".join(
        f"it returns shape {value.shape}, where shape {expected[part].shape} is right"
        for part, value in outcome.values.items()
        if value.shape != expected[part].shape
    )


def _overflows(outcome: Outcome, task: Task, named: tuple[str, ...]) -> bool:
    """Whether a value is not finite although it would be, even with the named mistakes."""
    with np.errstate(all="ignore"):
        values = task.formula(outcome.case, frozenset(named) & task.slips.keys())
    expected = all(np.isfinite(values[part][0]).all() for part in outcome.values or values)
    return expected and (
        bool(outcome.problem) or not all(np.isfinite(v).all() for v in outcome.values.values())
    )


def _weighted_sum(case: Case) -> float:
    z = case.X @ case.w + case.b
    return float(z[np.abs(z).argmax()])


def _numbers(name: str, outcome: Outcome) -> str:
    """A sentence with the first wrong value and the correct one."""
    expected = _expected_with_scale(name, outcome.case)
    for part, got in outcome.values.items():
        if _apart(outcome._replace(values={part: got}), expected, RTOL) > 1:
            break
    value, point = expected[part][0], outcome.case
    where = ""
    if point.form == "plain numbers":
        where = f" (x = {point.X[0, 0]:g}, y = {point.y[0]:g}, w = {point.w[0]:g}, b = {point.b:g})"
    return (
        f"At the {point.point} point{where} it gives {_short(got)}, and the right value is "
        f"{_short(value)}; no usual slip gives that at every point."
    )


def _short(value: Array) -> str:
    flat = np.ravel(value)
    return ", ".join(f"{number + 0.0:.6g}" for number in flat[:3]) + (
        ", ..." if flat.size > 3 else ""
    )


@np.errstate(all="ignore")
def _constant_factor(name: str, outcomes: list[Outcome]) -> float | None:
    """The ratio of the values to the correct ones, if it is the same at all points."""
    ratios: list[float] = []
    for outcome in outcomes:
        for part, got in outcome.values.items():
            value, scale = _expected_with_scale(name, outcome.case)[part]
            large = np.abs(value) > 0.01 * scale + 100 * ATOL
            if got.size == value.size:
                ratios += (got.reshape(value.shape)[large] / value[large]).tolist()
    middle = float(np.median(ratios)) if ratios else np.nan
    same = len(ratios) > 2 and np.allclose(ratios, middle, rtol=100 * RTOL)
    return middle if same and middle else None


def _mark_numbers(answer: Any, name: str, at: tuple[Any, ...]) -> Mark:
    X, y, w, b = checked_problem(*at[:4])
    alpha = float(at[4]) if len(at) == 5 else 0.0
    form = "a batch of rows" if np.ndim(at[2]) else "a batch of numbers"
    case, parts, task = Case("given", form, X, y, w, b, alpha), PARTS[name], TASKS[name]
    values, problem = _read(answer, case, parts)
    outcome = Outcome(case, values, problem)
    table = _table(name, [outcome], RTOL_NUMBERS)
    if problem or not _fits(outcome, _expected(name, case)):
        what = problem or _wrong_shape(name, outcome)
        return Mark(name, f"{what[0].upper()}{what[1:]}.", 0.0, (), table)
    if not _is_wrong(name, outcome, rtol=RTOL_NUMBERS):
        return Mark(name, "Right.", 1.0, (), table)
    slips = gradient_slips(parts, alpha > 0)
    found = _explanations(task, slips, [outcome], RTOL_NUMBERS)
    if not found:
        return Mark(name, _numbers(name, outcome), 0.0, (), table)
    score, named, _ = _told_slips(slips, found[0])
    told = [" ".join(_told_slips(slips, candidate)[2]) for candidate in found[:2]]
    return Mark(name, " Or: ".join(told), score, named, table)


@np.errstate(all="ignore")
def _table(name: str, outcomes: list[Outcome], rtol: float = RTOL) -> Any:
    import pandas as pd

    rows = []
    for outcome in outcomes:
        case, task = outcome.case, TASKS[name]
        expected, step = _expected_with_scale(name, case), None
        if name in PARTS:
            by_step = complex_step(case)
            step = {"w": by_step[:-1], "b": by_step[-1]}
        elif task.derivative is not None:
            step = {"": np.asarray(task.derivative(case)).imag / 1e-30}
        for part in PARTS.get(name, "") or [""]:
            value, scale = (np.atleast_1d(np.asarray(entry)) for entry in expected[part])
            got = outcome.values.get(part, np.array(np.nan))
            fits = got.size == value.size
            shown = np.ravel(got) if fits else np.full(value.shape, np.nan)
            checked = np.full(value.shape, np.nan) if step is None else np.ravel(step[part])
            allowed = np.where(scale > 0, scale, 1)
            rows += [
                {
                    "point": case.point,
                    "input": case.form,
                    "parameter": f"{part}{k}" if len(value) > 1 else part,
                    "got": shown[k],
                    "chain rule": value[k],
                    "complex step": checked[min(k, len(checked) - 1)],
                    "difference": abs(shown[k] - value[k]) / allowed[k],
                    "right": bool(outcome.values) and not _is_wrong(name, outcome, part, rtol),
                }
                for k in range(len(value))
            ]
    columns = ["point", "input", "parameter", "got", "chain rule", "complex step"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "right"])
