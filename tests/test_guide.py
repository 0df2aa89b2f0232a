"""The code in the guide and in the README runs as it is printed, block after block."""

import re
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import trainer
from trainer.core.termination import REASONS

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine BLAS's threads wait for each other far longer than small sets take."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Somewhere to write to that has the tables where the root has them."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(page):
    """Run a page's blocks in one namespace; a traceback points to the page's own lines."""
    text = (ROOT / page).read_text(encoding="utf-8")
    names = {"__name__": "guide"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
    assert len(blocks) == text.count("```python")
    for block in blocks:
        lines_above = text.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_above + block[1], str(ROOT / page), "exec"), names)
    return names


def test_the_readme(workplace, capsys):
    run("README.md")
    printed = capsys.readouterr().out
    # the lesson's numbers stand in comments beside the code that prints them
    told = re.findall(r"print\(.*#.*?(\d\.\d{9,})", (ROOT / "README.md").read_text("utf-8"))
    assert told
    assert [number for number in told if number not in printed] == []


def test_extending(workplace, capsys):
    run("docs/extending.md")
    assert "within tol" in capsys.readouterr().out


def test_the_guide(workplace, capsys):
    names = run("docs/guide.md")
    left = {path.name for path in workplace.iterdir()} - {"data"}
    pictures = {"penalty.png", "loss.png", "calibration.png", "surface.png"}
    assert left == {*pictures, "tumours.skops", "tumours.checkpoint"}

    # what the text beside the blocks says
    figures = names["compare_models"](names["models"], names["rows"], pos_label="malignant")
    brier = figures.loc["test", "Brier"]
    assert brier["neuron"] < brier["constant"] / 4
    assert abs(brier["neuron"] - brier["LogisticRegression"]) < 0.005
    alphas = names["neuron"].alphas_
    assert alphas[0] < names["neuron"].alpha_ < alphas[-1]
    assert names["table"].index[-1] == "intercept"
    assert "worst texture" in names["table"].index
    assert names["three"].classes_.tolist() == ["class_0", "class_1", "class_2"]
    clean = names["Z_test"], names["y_test"]
    assert names["final"].termination_.converged
    assert names["online"].score(*clean) > 0.9
    assert names["balanced"].score(*clean) > 0.9
    votes = np.column_stack([1 - names["votes"], names["votes"]])
    for kind, targets in (("balanced", names["y"]), ("soft", votes)):  # both have a table
        assert (names[kind].summary(names["Z"], targets)["std_err"] > 0).all()
    forecast = names["soft"].predict_proba(names["Z"])[:, 1]
    for side in (0.1, 0.8):
        assert forecast[names["votes"] == side].mean() == pytest.approx(side, abs=0.06)
    assert list(names["scores"]) == ["LogisticNeuron", "LogisticNeuronCV", "LogisticRegression"]
    assert min(names["scores"].values()) > 0.8


def test_every_reason_is_explained():
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert sorted(explained) == sorted(set(REASONS) - {"sample"})  # a sample is never the end


def test_the_derivation(capsys):
    run("docs/derivation.md")
    (q, m) = np.array(re.findall(r"-?\d\.\d+", capsys.readouterr().out), dtype=float).reshape(2, 2)
    text = (ROOT / "docs" / "derivation.md").read_text(encoding="utf-8")
    for number in (*q, *m):
        assert f"{number:.6f}" in text.replace("$", "")


def test_the_api_page_names_everything():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in trainer.__all__ if not re.search(rf"\b{name}\b", text)] == []
