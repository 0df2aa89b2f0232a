"""`mark` names each usual slip, and accuses no right answer."""

import importlib
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer import chain_rule, mark
from trainer.inspection import Mark, marking
from trainer.inspection.slips import GRADIENT_SLIPS, TASKS, Case, combined, complex_step, gradient

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
campaign = importlib.import_module("mark_campaign")

FORMS = ("a batch of rows", "a square batch of rows", "columns", "a batch of numbers")
CASES = [c for form in (*FORMS, "plain numbers") for p in (0, 1) for c in marking._cases(form, p)]


def function(source, name):
    names = {"np": np, "math": math}
    exec(source, names)
    return names[name]


# ------------------------------------------------------------- the formulas behind the marks


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.point}, {c.form}, {c.alpha}")
def test_without_slips_the_gradient_is_the_lessons_and_the_complex_steps(case):
    ours = gradient(case)
    by_w, by_b = chain_rule.backpropagation(case.X, case.y, case.w, case.b)
    by_step = complex_step(case)
    for part, value, step in (
        ("w", by_w + case.alpha * case.w, by_step[:-1]),
        ("b", by_b, by_step[-1]),
    ):
        scale = ours[part][1] + 1e-9
        np.testing.assert_array_less(np.abs(ours[part][0] - value), 1e-12 * scale)
        np.testing.assert_array_less(np.abs(step - value), 1e-9 * scale)


def test_the_points_are_what_they_are_called():
    for case in CASES:
        z = case.X @ case.w + case.b
        if case.point == "ordinary":
            assert (np.abs(z) < 5).all()
        if case.point == "trained" and case.form != "plain numbers":
            assert np.abs(complex_step(case)).max() < 1e-9
        if case.point == "saturated":
            assert np.median(np.abs(z)) > 7
        if case.point == "far out":
            assert np.abs(z).min() > 710


def test_every_slip_and_every_pair_is_told_from_right_at_an_ordinary_point():
    """By a hundred times what is allowed, in the form where the slip can be made."""
    for penalised in (False, True):
        slips = {n: s for n, s in GRADIENT_SLIPS.items() if penalised or "penalty" not in n}
        for candidate in combined(slips):
            apart = []
            for form in FORMS:
                for case in marking._cases(form, penalised)[:2]:
                    right, wrong = gradient(case), gradient(case, candidate)
                    for part in "wb":
                        difference = np.abs(wrong[part][0] - right[part][0])
                        apart.append(np.max(difference / right[part][1]))
            assert np.nanmax(apart) > 100 * marking.RTOL, candidate


# ------------------------------------------------------------------------------ the catalogue

WRONG = {
    "sigmoid": {
        "minus in exp": "lambda z: 1 / (1 + np.exp(z))",
        "tanh": "lambda z: np.tanh(z)",
        "twice": "lambda z: 1 / (1 + np.exp(-1 / (1 + np.exp(-z))))",
        "no 1": "lambda z: 1 / np.exp(-z)",
        "minus for plus": "lambda z: 1 / (1 - np.exp(-z))",
        "overflow": "lambda z: np.exp(z) / (np.exp(z) + 1)",
    },
    "z": {
        "no b": "lambda x, w, b: w * x",
        "minus b": "lambda x, w, b: w * x - b",
        "b in brackets": "lambda x, w, b: w * (x + b)",
        "x in brackets": "lambda x, w, b: (w + b) * x",
        "x for b": "lambda x, w, b: w * b + x",
        "w for b": "lambda x, w, b: b * x + w",
    },
    "h": {
        "no sigma": "lambda x, w, b: w * x + b",
        "minus in exp": "lambda x, w, b: 1 / (1 + np.exp(w * x + b))",
        "tanh": "lambda x, w, b: np.tanh(w * x + b)",
        "twice": "lambda x, w, b: 1 / (1 + np.exp(-1 / (1 + np.exp(-w * x - b))))",
        "no 1": "lambda x, w, b: 1 / np.exp(-(w * x + b))",
        "minus for plus": "lambda x, w, b: 1 / (1 - np.exp(-(w * x + b)))",
        "no b": "lambda x, w, b: 1 / (1 + np.exp(-w * x))",
        "minus b": "lambda x, w, b: 1 / (1 + np.exp(-w * x + b))",
        "b in brackets": "lambda x, w, b: 1 / (1 + np.exp(-w * (x + b)))",
        "x in brackets": "lambda x, w, b: 1 / (1 + np.exp(-(w + b) * x))",
        "x for b": "lambda x, w, b: 1 / (1 + np.exp(-(w * b + x)))",
        "w for b": "lambda x, w, b: 1 / (1 + np.exp(-(b * x + w)))",
        "overflow": "lambda x, w, b: 1 / (1 + math.exp(-(w * x + b)))",
    },
    "l": {
        "no square": "lambda y, sigma: y - sigma",
        "no square, sign": "lambda y, sigma: sigma - y",
        "absolute": "lambda y, sigma: abs(y - sigma)",
        "half": "lambda y, sigma: 0.5 * (sigma - y) ** 2",
        "cross-entropy": "lambda y, s: -(y * np.log(s) + (1 - y) * np.log(1 - s))",
        "difference of squares": "lambda y, sigma: y**2 - sigma**2",
        "z for sigma": "lambda y, z: (y - z) ** 2",
        "x for b": "lambda x, w, b, y: (y - 1 / (1 + np.exp(-(w * b + x)))) ** 2",
        "w for b": "lambda x, w, b, y: (y - 1 / (1 + np.exp(-(b * x + w)))) ** 2",
    },
    "dl_dsig": {
        "two": "lambda y, sigma: sigma - y",
        "sign": "lambda y, sigma: 2 * (y - sigma)",
        "z for sigma": "lambda y, z: 2 * (z - y)",
        "not derived": "lambda y, sigma: (sigma - y) ** 2",
        "cross-entropy": "lambda y, sigma: -y / sigma + (1 - y) / (1 - sigma)",
        "two, sign": "lambda y, sigma: y - sigma",
    },
    "dsig_dz": {
        "slope at z": "lambda z: z * (1 - z)",
        "tanh": "lambda z: 1 - 1 / (1 + np.exp(-z)) ** 2",
        "sigma alone": "lambda sigma: sigma",
        "1 - sigma alone": "lambda sigma: 1 - sigma",
        "plus": "lambda sigma: sigma * (1 + sigma)",
        "sign": "lambda sigma: sigma * (sigma - 1)",
        "slope twice": "lambda sigma: 1 / (2 + np.exp(sigma) + np.exp(-sigma))",
        "overflow": "lambda z: np.exp(z) / (1 + np.exp(z)) ** 2",
    },
    "dz_dw": {
        "w": "lambda x, w, b: w",
        "1": "lambda x: 1",
        "w times x": "lambda x, w: w * x",
        "z": "lambda x, w, b: w * x + b",
    },
    "dz_db": {
        "b": "lambda b: b",
        "x": "lambda x: x",
        "0": "lambda: 0",
        "w": "lambda x, w, b: w",
    },
}


def test_the_table_has_every_slip():
    for name, task in TASKS.items():
        if name not in marking.PARTS:
            assert set(task.slips) <= WRONG[name].keys(), name
    assert campaign.EDITS.keys() == GRADIENT_SLIPS.keys() | {"overflow"}


@pytest.mark.parametrize(("name", "slip"), [(n, s) for n, slips in WRONG.items() for s in slips])
def test_slips_in_the_single_functions_are_named(name, slip):
    answer = eval(WRONG[name][slip], {"np": np, "math": math})
    found = mark(answer, name)
    expected = TASKS[name].slips.keys()
    assert found.slips in ((slip,), tuple(slip.split(", ")))
    assert found.score == (0.75 if slip == "overflow" else 0.5 / len(found.slips))
    assert slip == "overflow" or all(
        TASKS[name].slips[s].sentence in found.verdict for s in found.slips
    )
    assert set(found.slips) <= {*expected, "overflow"}


GRADIENTS = list(campaign.wrong_answers(np.random.default_rng(1), 1))


@pytest.mark.parametrize("slip", campaign.EDITS)
def test_slips_in_gradients_are_named(slip):
    """For w, for b and for both, with and without a penalty, in three styles of code."""
    answers = [a for a in GRADIENTS if a.slips == {slip}]
    assert answers
    for k in np.random.default_rng(0).permutation(len(answers))[:12]:
        found = campaign.mark(answers[k])
        assert found.slips == (slip,), f"{answers[k].source}\n{found}"
        assert found.score == (0.75 if slip == "overflow" else 0.5)
        assert slip == "overflow" or GRADIENT_SLIPS[slip].sentence in found.verdict


def test_a_short_campaign(capsys):
    """10 000 right answers, all slips and all pairs: python scripts/mark_campaign.py."""
    assert campaign.main(["--right", "150", "--singles", "60", "--pairs", "60", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "150 of    150 accepted" in out


@pytest.mark.parametrize(
    "name", [name for name in TASKS if name not in marking.PARTS] + ["backpropagation"]
)
def test_the_lesson_itself_is_right(name):
    found = mark(getattr(chain_rule, name))
    assert (found.name, found.score, found.slips) == (name, 1.0, ())
    assert found.verdict.startswith("Right")
    assert found.table["right"].all()


# --------------------------------------------------------------------------- odd answers


def sigma(z):
    return 1 / (1 + np.exp(-z))


def test_arguments_are_passed_by_their_names_or_in_order():
    def by_name(b, weights, t, X):
        s = sigma(X @ weights + b)
        return X.T @ (2 * (s - t) * s * (1 - s)) / len(t)

    def by_order(p, q, r, s):
        out = sigma(p @ r + s)
        return p.T @ (2 * (out - q) * out * (1 - out)) / len(q)

    def by_position(*given):
        return by_order(*given)

    def with_default(x, y, w, b, verbose=False):
        return by_order(x, y, w, b)

    for answer in (by_name, by_order, by_position, with_default):
        assert mark(answer, "dJ_dw").right, answer.__name__
    with_alpha = mark(lambda x, y, w, b, alpha=0: by_order(x, y, w, b) + alpha * w, "dJ_dw")
    assert with_alpha.right


def test_what_a_function_computes_is_guessed_from_its_values():
    def both(x, y, w, b):
        s = sigma(x @ w + b)
        u = 2 * (s - y) * s * (1 - s)
        return x.T @ u / len(y), u.mean()

    assert mark(both).name == "backpropagation"
    assert mark(lambda x, y, w, b: both(x, y, w, b)[0]).name == "dJ_dw"
    assert mark(lambda x, y, w, b: both(x, y, w, b)[1]).name == "dJ_db"
    assert mark(lambda x, y, w, b: both(x, y, w, b)[1]).right
    assert mark(lambda x, y, w, b: both(x, y, w, b)[0] / 2).slips == ("two",)

    def grad_b(x, y, w, b):
        return both(x, y, w, b)[1] * 2

    assert mark(grad_b).name == "dJ_db"
    assert "2 times the right value at every point" in mark(grad_b).verdict


def test_each_of_two_gradients_can_be_wrong_in_its_own_way():
    def backpropagation(x, y, w, b):
        s = sigma(x @ w + b)
        u = 2 * (s - y) * s * (1 - s)
        return x.T @ u / len(y), -u.mean() / len(y)

    found = mark(backpropagation)
    assert set(found.slips) == {"sign", "mean twice"}
    assert found.score == pytest.approx((1 + 0.25) / 2)
    assert found.verdict.startswith(("dJ_db:", "Two slips. dJ_db:"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def dJ_dw(x, y, w, b): pass", "returns nothing; a return statement is missing"),
        ("def dJ_dw(x, y, w, b): return dj", r"NameError: name 'dj' is not defined \(line 1\)"),
        ("def dJ_dw(w, b, x): return y * x", "y never reaches it.*NameError: name 'y'"),
        ("def dJ_dw(x): return x", r"takes \(x\) and cannot be called with x, y, w, b"),
        ("def dJ_dw(x, y, w, b): return 'a'", "cannot be read as numbers"),
        ("def dJ_dw(x, y, w, b): return [[1, 2], [3]]", "cannot be read as numbers"),
        ("def dJ_dw(x, y, w, b): return np.ones((2, 2))", r"shape \(2, 2\), where shape \(3,\)"),
        ("def dJ_dw(x, y, w, b): exit()", "SystemExit"),
        ("def dJ_dw(x, y, w, b): return np.nan * w", "it gives nan"),
        ("def dJ_dw(x, y, w, b): return 0 * w", "gives 0, 0, 0, and the right value is 0.01"),
        ("def dJ_dw(x, y, w, b): return x.shape[5]", "IndexError"),
        ("def dJ_dw(x, y, w, b): return dJ_dw(x, y, w, b)", "RecursionError"),
        ("def dJ_dw(x, y, w, b): return w + 0j", "cannot be read as numbers"),
    ],
)
def test_failures_are_told_in_words(source, words):
    found = mark(function(source, "dJ_dw"))
    assert found.score == 0
    assert re.search(words, found.verdict), found.verdict
    assert "Traceback" not in found.verdict
    assert "\n" not in found.verdict


def test_a_failure_at_one_point_is_told():
    def dJ_dw(x, y, w, b):
        if np.abs(x @ w + b).max() > 6:
            raise ArithmeticError("too much")
        s = sigma(x @ w + b)
        return x.T @ (2 * (s - y) * s * (1 - s)) / len(y)

    assert "At the saturated point it raises ArithmeticError: too much" in mark(dJ_dw).verdict


def test_changed_arguments_are_told():
    def dJ_dw(x, y, w, b):
        s = sigma(x @ w + b)
        s -= y
        y -= 1
        w *= 2
        return x.T @ (2 * s * (s + y + 1) * (1 - s - y - 1)) / len(y)

    found = mark(dJ_dw)
    assert "It changes its argument w and y in place: work on a copy." in found.verdict
    assert (found.slips, found.score) == (("in place",), 0.75)

    def sigmoid(z):
        z *= -1
        return 1 / (1 + np.exp(z))

    assert mark(sigmoid).slips == ("in place",)


def test_printing_and_warnings_stay_inside(capsys):
    def h(x, w, b):
        print("z", x * w + b)
        return sigma(x * w + b)

    found = mark(h)
    assert (found.verdict, found.right) == ("Right.", True)
    assert mark(sigma, "sigmoid").verdict == (
        "Right. For z below about -709, exp(-z) overflows with a warning; the value stays right."
    )
    assert capsys.readouterr() == ("", "")


def test_the_verdict_says_for_which_input_a_gradient_is_right():
    def slopes(x, y, w, b):
        s = chain_rule.sigmoid(w * x + b)
        return 2 * (s - y) * s * (1 - s) * x

    for answer, words in (
        (lambda x, y, w, b: float(slopes(x, y, w, b)), "plain numbers (batches are optional)"),
        (
            lambda x, y, w, b: np.mean(slopes(x, y, w, b)),
            "plain numbers and for a batch of numbers",
        ),
        (lambda x, y, w, b: sum(slopes(x, y, w, b)) / len(y), "a batch of numbers"),
        (chain_rule.dJ_dw, "a batch of rows"),
    ):
        found = mark(answer, "dJ_dw")
        assert found.right
        assert found.verdict == f"Right, for {words}."


@pytest.mark.parametrize(
    ("dJ_dw", "slip"),
    [
        (lambda s, x, y: np.sum(2 * (s - y) * s * (1 - s) * x), "sum"),
        (lambda s, x, y: np.mean((s - y) * s * (1 - s) * x), "two"),
        (lambda s, x, y: np.mean(2 * (y - s) * s * (1 - s) * x), "sign"),
        (lambda s, x, y: np.mean((s - y) * x), "cross-entropy"),
        (lambda s, x, y: np.mean(2 * (s - y) * s * (1 - s) * x) / np.size(y), "mean twice"),
    ],
)
def test_what_is_meant_for_numbers_has_no_slip_of_matrices(dJ_dw, slip):
    """With the lesson's h it returns something for matrices, too."""
    found = mark(lambda x, y, w, b: dJ_dw(chain_rule.h(x, w, b), x, y), "dJ_dw")
    assert (found.score, found.slips) == (0.5, (slip,))


def test_a_function_that_is_right_for_numbers_but_not_for_batches_is_wrong():
    def sigmoid(z):
        return sigma(np.mean(z)) + 0 * z

    assert mark(sigmoid).score == 0


@pytest.mark.parametrize(
    ("answer", "of", "at", "slips"),
    [
        (-0.1621, "dJ_dw", (1, 1, 0.3, 0.3), ()),
        (-0.16213650568147556, None, (1, 1, 0.3, 0.3), ()),
        ([-0.162, -0.162], "backpropagation", (1, 1, 0.3, 0.3), ()),
        (-0.0811, "dJ_db", (1, 1, 0.3, 0.3), ("two",)),
        (-0.7087, "dJ_dw", (1, 1, 0.3, 0.3), ("no slope",)),
        (-0.3543, "dJ_db", (1, 1, 0.3, 0.3), ("cross-entropy",)),
    ],
)
def test_numbers_can_be_marked(answer, of, at, slips):
    found = mark(answer, of, at=at)
    assert found.slips == slips, found
    assert found.score == (0.5 if slips else 1)
    assert found.table["right"].all() == (not slips)


def test_arrays_can_be_marked():
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(20, 4)), rng.integers(0, 2, 20), rng.normal(size=4)
    right = chain_rule.dJ_dw(X, y, w, 0.2)
    assert mark(right, at=(X, y, w, 0.2)).right
    assert mark(right + 0.5 * w, at=(X, y, w, 0.2, 0.5)).right
    assert mark(right, "dJ_dw", at=(X, y, w, 0.2, 0.5)).slips == ("no penalty",)
    assert mark(20 * right, "dJ_dw", at=(X, y, w, 0.2)).slips == ("sum",)
    assert mark(-right / 2, "dJ_dw", at=(X, y, w, 0.2)).slips == ("two", "sign")
    assert "shape (3,), where shape (4,)" in mark(right[:3], "dJ_dw", at=(X, y, w, 0.2)).verdict
    assert "no usual slip" in mark(right + np.eye(4)[0], "dJ_dw", at=(X, y, w, 0.2)).verdict


def test_the_result_can_be_used_by_a_grader():
    found = mark(lambda x, y, w, b: x, "dJ_dw")
    assert isinstance(found, Mark)
    assert not found.right
    assert str(found) == f"dJ_dw: {found.verdict}"
    right = mark(chain_rule.dJ_dw)
    assert right.table.columns.tolist() == [
        "point", "input", "parameter", "got", "chain rule", "complex step", "difference", "right"
    ]  # fmt: skip
    assert set(right.table["point"]) == {"ordinary", "trained", "saturated", "far out"}
    np.testing.assert_allclose(right.table["chain rule"], right.table["complex step"], atol=1e-12)
    np.testing.assert_allclose(right.table["chain rule"], right.table["got"], atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"answer": abs, "of": "dJ"}, "of must be one of sigmoid, z, .*got 'dJ'"),
        ({"answer": abs, "at": (1, 1, 1, 1)}, "at is for an answer in numbers"),
        ({"answer": 1.0}, "at must say where .* got None"),
        ({"answer": 1.0, "at": (1, 1)}, "at must say where"),
        ({"answer": 1.0, "of": "z", "at": (1, 1, 1, 1)}, "numbers are marked as"),
        ({"answer": 1.0, "at": (1, 3, 1, 1)}, "y must hold targets between 0 and 1"),
    ],
)
def test_wrong_calls_are_errors(arguments, words):
    with pytest.raises(ValueError, match=words):
        mark(**arguments)


def test_functions_without_a_signature_and_of_other_kinds_can_be_marked():
    from scipy.special import expit

    class Neuron:
        def __call__(self, x, y, w, b):
            return chain_rule.dJ_dw(x, y, w, b)

    assert mark(expit, "sigmoid").right
    assert mark(Neuron(), "dJ_dw").right
    assert mark(np.square, "sigmoid").score == 0


def test_a_case_hands_out_copies():
    case = Case("ordinary", "a batch of rows", np.ones((2, 1)), np.ones(2), np.ones(1), 0.0)
    case.arguments["x"][:] = 5
    assert (case.X == 1).all()
