"""The page on wrong labels: its code runs, its script runs, its sentences agree with its tables."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_classification
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "wrong_labels.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine BLAS's threads wait for each other far longer than small sets take."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("wrong_labels", ROOT / "scripts/wrong_labels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figures(title):
    """A table of the page: means by line and column."""
    section = PAGE.split(f"### {title}")[1]
    lines = re.findall(r"^\|(.*)\|$", section.split("###")[0].split("<!--")[0], re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {
        row[0]: {
            column: float(re.split("[±(]", value)[0])
            for column, value in zip(cells[0][1:], row[1:], strict=True)
            if value
        }
        for row in cells[2:]
    }


def test_the_code_of_the_page(capsys):
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        exec(block, names)
    X, y = names["X"], names["y"]
    assert names["known"].score(X, y) > names["plain"].score(X, y)
    assert "probability" in capsys.readouterr().out


def test_what_the_page_says_of_the_neuron():
    accuracy = figures("Accuracy on true labels, in points")
    assert abs(accuracy["LogisticNeuron"]["clean"]) < 0.3
    assert figures("Log loss × 1000")["LogisticNeuron"]["clean"] > 0
    gains = [accuracy["LogisticNeuron"][k] for k in ("uniform", "one-sided", "surest", "leverage")]
    assert abs(gains[0]) < 0.5
    assert gains == sorted(gains)
    clipped = accuracy["LogisticRegression, clipped"]["leverage"]
    assert gains[-1] / 2 < clipped < gains[-1]


def test_what_the_page_says_of_three_classes_and_more():
    brier = figures("Three classes and more")
    for table in ("iris", "wine", "digits"):
        one_against_rest = brier["LogisticRegression, one against the rest"][table]
        assert brier["LogisticRegression"][table] < one_against_rest
        assert one_against_rest < brier["LogisticNeuron"][table]
        for name in ("LogisticNeuron", "LogisticNeuronCV"):
            assert brier[f"{name}, temperature"][table] < 0.85 * brier[name][table]


def test_what_the_page_says_of_rates():
    brier = figures("Brier score × 1000")
    plain, one = brier["LogisticNeuron"], brier['noise_rates="symmetric"']
    assert one["clean"] <= plain["clean"] + 0.1
    assert one["uniform"] < plain["uniform"]
    accuracy = figures("Accuracy on true labels, in points")
    one_sided = accuracy['noise_rates="symmetric"']["one-sided"]
    assert abs(one_sided - accuracy["LogisticNeuron"]["one-sided"]) < 0.5
    assert accuracy['noise_rates="learn"']["uniform"] < accuracy["LogisticNeuron"]["uniform"] - 0.5
    assert accuracy["LogisticNeuronCV"]["uniform"] > accuracy["LogisticNeuron"]["uniform"] + 1
    assert brier["LogisticNeuronCV"]["uniform"] > plain["uniform"]
    rates = figures("Rates misjudged")
    for noise in ("uniform", "one-sided"):
        assert rates[f"{noise}, half the rates"]["worst"] < 0
        assert rates[f"{noise}, the true rates"]["mean"] < rates[f"{noise}, half the rates"]["mean"]
    assert rates["clean, 10 % for both"]["worst"] > 2
    by_size = figures("Accuracy below that of a fit to true labels")
    for size in ("3000 rows", "10000 rows", "30000 rows"):
        assert by_size[size]["learn"] > by_size[size]["true"] - 0.5 > by_size[size]["none"]
    assert by_size["300 rows"]["learn"] < by_size["300 rows"]["true"] - 0.5


def test_what_the_page_says_of_published_problems():
    found = figures("Published problems")
    assert len(found) == 5
    for problem, accuracy in found.items():
        least = 90 if "leverage" in problem else 83.5 if "far" in problem else 99.9
        assert accuracy["LogisticNeuron"] >= least
        assert accuracy["LogisticRegression"] < 75
        assert accuracy["the same, n_starts=1"] <= accuracy["LogisticNeuron"]
    tilted = found["leverage outliers, after Feng et al."]
    assert tilted["LogisticNeuron"] < tilted["the same, alpha=1e-5"] < 95


def test_what_the_page_says_of_suspects():
    found = figures("Finding the wrong labels")
    assert found["LogisticNeuronCV"]["first k"] > found["LogisticRegression"]["first k"]


def test_the_script_makes_the_tables(script, monkeypatch, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin figures -->\nold\n<!-- end figures -->\nafter\n")
    small = {name: make_classification(60, 4, random_state=k) for k, name in enumerate("ab")}
    monkeypatch.setattr(script, "tables", lambda: small)
    monkeypatch.setattr(script, "SIZES", (200,))
    monkeypatch.setattr(script, "SEVERAL_CLASSES", ("iris",))
    monkeypatch.setattr(script, "NOISES", script.NOISES[:2])
    monkeypatch.setattr(script, "problems", lambda seed: [("one", *small["a"], *small["a"])])
    monkeypatch.setattr(script, "PAGE", page)
    assert script.main(["--seeds", "2", "--write"]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- begin figures -->\nMade by")
    assert text.endswith("<!-- end figures -->\nafter\n")
    assert "old" not in text
    assert re.findall("^### .*", text, re.MULTILINE) == re.findall("^### .*", PAGE, re.MULTILINE)
    assert script.main(["--seeds", "0"]) == 2
    assert capsys.readouterr().err == "wrong_labels.py: error: --seeds must be >= 1\n"


def test_the_noises_are_what_they_are_called(script):
    rng = np.random.default_rng(0)
    X, y = make_classification(5000, 4, random_state=0)
    for noise in script.NOISES:
        rows, labels = noise.make(X, y, rng)
        wrong = labels != y
        if noise.rates is not None:
            for label, rate in enumerate(noise.rates):
                assert wrong[y == label].mean() == pytest.approx(rate, abs=0.03)
            np.testing.assert_array_equal(rows, X)
        elif noise.group == "leverage":
            assert wrong.mean() == pytest.approx(0.05, abs=0.01)
            np.testing.assert_array_equal(rows[wrong], 10 * X[wrong])
            np.testing.assert_array_equal(rows[~wrong], X[~wrong])
        else:
            assert wrong.mean() == pytest.approx(0.1, abs=0.01)
