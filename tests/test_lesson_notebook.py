"""`docs/lesson.ipynb` runs, shows what it computes, and its solutions are right."""

import json
import re
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from scipy.special import expit

from trainer import mark

matplotlib.use("agg")
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lesson.ipynb"
CELLS = json.loads(PAGE.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
INSTALL = "the notebook is run in Jupyter's kernel only with the extra 'notebook'"


def source(cell):
    return "".join(cell["source"])


def printed(cell):
    return "".join(
        "".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream"
    )


def rounded(text):
    """The text with its numbers to five digits; what is left of rounding alone is 0."""

    def shorter(found):
        value = float(found.group())
        return "0" if abs(value) < 1e-6 else f"{value:.5g}"

    return re.sub(r"-?\d+\.?\d*(?:e[-+]?\d+)?", shorter, text)


@pytest.fixture(scope="module")
def run():
    """What each cell prints now, and the names that are left."""
    import contextlib
    import io

    import matplotlib.pyplot as plt

    names, prints = {"__name__": "lesson"}, []
    show, plt.show = plt.show, lambda: plt.close("all")
    try:
        with matplotlib.rc_context():
            for k, cell in enumerate(CODE):
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(source(cell), f"cell {k}", "exec"), names)
                prints.append(out.getvalue())
    finally:
        plt.show = show
    return prints, names


def test_the_cells_print_what_the_page_shows(run):
    prints, _ = run
    for cell, now in zip(CODE, prints, strict=True):
        assert rounded(now) == rounded(printed(cell)), source(cell)


def test_the_page_is_whole():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    kinds = {output["output_type"] for output in outputs}
    assert kinds == {"stream", "display_data", "execute_result"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    assert PAGE.stat().st_size < 600_000
    assert not re.search(r"(/home|/root|/tmp|/work|site-packages)/", PAGE.read_text("utf-8"))


def test_what_the_text_says_of_the_figures(run):
    _, names = run
    assert names["best"].coef_[0, 0] == pytest.approx(-0.22, abs=0.005)
    table = {optimizer: (n, J) for optimizer, n, J in names["lines"]}
    assert table["newton"][0] < 20 < table["gradient_descent"][0]
    assert len({round(J, 6) for _, J in table.values()}) == 1


def test_the_factor_of_noise_rates_is_right(run):
    _, names = run
    x, y, w, b = names["x"], names["y"], names["w"], names["b"]
    sigma = expit(w * x + b)
    q, step = 0.7 * sigma, 1e-30  # the complex step
    at = 1 / (1 + np.exp(-((w + step * 1j) * x + b)))
    assert np.prod(list(names["factors"].values())) == pytest.approx(
        ((0.7 * at - y) ** 2).imag / step, rel=1e-12
    )
    assert names["q"].shape == names["noisy"].shape
    assert q == pytest.approx(names["recorded"](sigma, 0.0, 0.3), rel=1e-15)
    accuracy, brier = zip(*names["table"].values(), strict=True)
    assert accuracy[1] > accuracy[0]
    assert brier[1] < brier[0]


def test_the_solutions_get_full_marks(run):
    _, names = run
    text = "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "markdown")
    solutions = re.findall(r"<details>.*?```python\n(.*?)```\n\n</details>", text, re.DOTALL)
    exercises = [cell for cell in CODE if "print(mark(" in source(cell)]
    assert len(solutions) == len(exercises) == 8
    for solution, exercise in zip(solutions, exercises, strict=True):
        function, of = re.search(r'mark\((\w+), "(\w+)"\)', source(exercise)).groups()
        assert re.search(rf"^def {function}\(", solution)
        here = dict(names)
        exec(solution, here)
        found = mark(here[function], of)
        assert found.right, found
        assert not mark(names[function], of).right


@pytest.mark.filterwarnings("ignore")
def test_the_page_runs_in_jupyter():
    nbformat = pytest.importorskip("nbformat", reason=INSTALL)
    nbclient = pytest.importorskip("nbclient", reason=INSTALL)
    pytest.importorskip("ipykernel", reason=INSTALL)
    page = nbformat.read(PAGE, as_version=4)
    nbformat.validate(page)
    resources = {"metadata": {"path": str(PAGE.parent)}}
    nbclient.NotebookClient(page, timeout=60, kernel_name="python3", resources=resources).execute()
    for cell, shown in zip((c for c in page.cells if c.cell_type == "code"), CODE, strict=True):
        assert rounded(printed(cell)) == rounded(printed(shown))


def test_the_plan_for_a_class_speaks_of_what_is_there(capsys):
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    for path in re.findall(r"\b(?:docs|scripts)/[\w.]+\w", text):
        assert (ROOT / path).exists(), path
    titles = re.findall(r"^## (\d+)\. ", "\n".join(map(source, CELLS)), re.MULTILINE)
    assert titles == [str(k) for k in range(1, 14)]
    minutes = [
        tuple(map(int, pair)) for pair in re.findall(r"^\| (\d+)–(\d+) \|", text, re.MULTILINE)
    ]
    assert minutes[0][0] == 0
    assert minutes[-1][1] == 90
    assert all(end == begin for (_, end), (begin, _) in pairwise(minutes))
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, {})
    assert "The factor 2 is missing" in capsys.readouterr().out
