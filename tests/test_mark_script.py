"""`python scripts/mark.py` as a learner and a grader run it."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.commands import mark as script

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "mark.py"
EXERCISES = ROOT / "docs" / "exercises.py"
SOLUTION = Path(__file__).with_name("exercises_solution.py")

# The lesson's code in our words: y never reaches its dJ_dw, which returns a name that does not
# exist; h is called with w, b, x where it takes x, w, b; dsig_dz and dz_db are not there.
LESSON = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def z(x, w, b):
    return w * x + b

def h(x, w, b):
    print("z", z(x, w, b), "sigma", sigmoid(z(x, w, b)))
    return sigmoid(z(x, w, b))

def l(x, w, b, y):
    loss = (y - h(x, w, b)) ** 2
    print("loss", loss)
    return loss

def dl_dsig(y, sigma):
    return 2 * (sigma - y)

def dz_dw(x):
    return x

def dJ_dw(w, b, x):
    dJ_dz = dl_dsig(1, h(w, b, x)) * dsig_dz(z(x, w, b))
    return dj_dw

def dJ_db(w, b, x, y):
    sigma = h(w, b, x)
    return dl_dsig(y, sigma) * sigma * (1 - sigma)
"""


@pytest.fixture
def student(tmp_path):
    """Write a student's file; its path."""

    def write(source, name="student.py"):
        path = tmp_path / name
        path.write_text(source, encoding="utf-8")
        return path

    return write


def signatures(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.unparse(node.args) for node in functions}


def test_the_solution_answers_the_sheet_and_gets_full_marks():
    assert signatures(SOLUTION) == signatures(EXERCISES)
    assert list(signatures(EXERCISES)) == list(script.FUNCTIONS)
    for name in script.FUNCTIONS:
        found = script.result(SOLUTION, name)
        assert found["score"] == 1, f"{name}: {found}"
        assert found["verdict"].startswith("Right"), name


def test_the_sheet_gets_no_marks():
    for name in script.FUNCTIONS:
        found = script.result(EXERCISES, name)
        assert (found["score"], "returns nothing" in found["verdict"]) == (0, True)


@pytest.mark.parametrize(
    ("name", "score", "words"),
    [
        ("sigmoid", 1, "Right. For z below about -709, exp(-z) overflows with a warning"),
        ("z", 1, "Right."),
        ("h", 1, "Right."),
        ("l", 1, "Right."),
        ("dl_dsig", 1, "Right."),
        ("dz_dw", 1, "Right."),
        ("dJ_dw", 0, "y never reaches it: it takes (w, b, x). It raises NameError: name 'dsig_dz'"),
        ("dJ_db", 0.5, "The arguments of h are in the wrong order: z came out as w·b + x"),
    ],
)
def test_the_lessons_code_is_marked_for_what_it_is(student, name, score, words, capsys):
    found = script.result(student(LESSON), name)
    assert found["score"] == score
    assert words in found["verdict"]
    assert capsys.readouterr().out == ""


def test_a_name_that_is_returned_but_never_defined_is_told(student):
    source = LESSON + "\ndef dsig_dz(z):\n    return sigmoid(z) * (1 - sigmoid(z))\n"
    assert "NameError: name 'dj_dw' is not" in script.result(student(source), "dJ_dw")["verdict"]


def test_a_function_is_not_blamed_for_those_that_it_calls(student):
    source = SOLUTION.read_text(encoding="utf-8").replace("exp(-np.abs(z))", "exp(np.abs(z))")
    source = source.replace("return 2 * (sigma - y)", "return sigma - y")
    path = student(source)
    assert script.result(path, "sigmoid")["score"] < 1
    assert script.result(path, "dl_dsig")["score"] == 0.5
    for name, needed in (
        ("h", "sigmoid"),
        ("dsig_dz", "sigmoid"),
        ("dJ_dw", "dl_dsig and sigmoid"),
    ):
        found = script.result(path, name)
        assert found["score"] == 1
        assert f"(Marked with the right {needed} in place of yours.)" in found["verdict"]
    wrong = source.replace("np.mean(dl_dsig", "-np.mean(dl_dsig")
    found = script.result(student(wrong), "dJ_db")
    assert found["score"] == 0.5
    assert "The sign is wrong" in found["verdict"]


def run(*arguments):
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_a_file_is_marked_line_by_line_whatever_its_functions_do(student):
    path = student(
        "import os\nprint('loading')\n"
        "def dl_dsig(y, sigma):\n    while True: pass\n"
        "def dsig_dz(z): os._exit(3)\n"
        "dz_dw = lambda x: x\n"
        "z = 5\n"
    )
    began = time.monotonic()
    done = run(path, "--time-limit", "3")
    assert (done.returncode, done.stderr) == (1, "")
    assert time.monotonic() - began < 60
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert list(lines) == [*script.FUNCTIONS, "total"]
    assert lines["dl_dsig"] == "0.00  It did not end within 3 seconds."
    assert lines["dsig_dz"] == "0.00  It ended the process, status 3."
    assert lines["dz_dw"] == "1.00  Right."
    assert lines["z"] == "0.00  It is not a function."
    assert lines["h"] == "0.00  It is missing."
    assert lines["total"] == "1 of 10"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def h(:\n", "line 1: invalid syntax"),
        ("x = 1\n", "defines none of the lesson's functions: sigmoid, z,"),
        ("def h(x, w, b): pass\n\0", "null bytes"),
    ],
)
def test_a_file_that_cannot_be_marked_is_one_line_and_status_2(student, source, words, capsys):
    assert script.main([str(student(source))]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mark.py: error: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "there is no file nowhere.py"),
        (["pyproject.toml"], "must be a Python file"),
        ([], "required"),
        (["a.py", "--time-limit", "0"], "must be a number > 0"),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(arguments, words, capsys):
    assert script.main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_file_that_does_not_load_is_told_once(student, capsys):
    path = student("def h(x, w, b): pass\nraise KeyError('no')\n")
    assert script.main([str(path)]) == 2
    assert "cannot be loaded: KeyError: 'no'" in capsys.readouterr().err
