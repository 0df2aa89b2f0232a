"""The house: who may import whom, which packages stand in which room, how long a file may be."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A room may import the rooms named here and the outside packages named here, nothing else.
ROOMS = {
    "chain_rule": (set(), {"numpy"}),
    "kernels": (set(), {"numpy"}),
    "rows": (set(), {"numpy", "scipy.sparse", "joblib", "threadpoolctl"}),
    "objective": ({"chain_rule", "kernels", "rows"}, {"numpy", "scipy"}),
    "optimizers": ({"optimizers"}, {"numpy", "scipy"}),
    "training": ({"objective", "optimizers"}, {"numpy"}),
    "certificate": ({"objective"}, {"numpy", "scipy"}),
    "starts": ({"objective", "optimizers"}, {"numpy", "sklearn"}),
    "search": (
        {"objective", "optimizers", "training", "starts", "certificate"},
        {"numpy"},
    ),
    "targets": (set(), {"numpy", "sklearn"}),
    "holdout": (set(), {"numpy"}),
    "callbacks": (set(), {"sklearn.callback"}),
    "answers": ({"chain_rule", "inference"}, {"numpy", "scipy", "sklearn", "pandas"}),
    "neuron": (
        {
            "rows",
            "objective",
            "optimizers",
            "training",
            "search",
            "starts",
            "answers",
            "targets",
            "holdout",
            "callbacks",
        },
        {"numpy", "sklearn"},
    ),
    "model_selection": (
        {"callbacks", "neuron", "objective", "optimizers", "rows", "search", "targets", "training"},
        {"numpy", "scipy", "sklearn"},
    ),
    "datasets": ({"tables"}, {"numpy", "pandas", "sklearn"}),
    "tables": (set(), {"numpy", "pandas", "sklearn"}),
    "inspection": (
        {"chain_rule", "neuron", "objective", "rows", "targets"},
        {"numpy", "sklearn", "pandas"},
    ),
    "plots": ({"inspection", "evaluation"}, {"numpy", "sklearn", "matplotlib"}),
    "inference": ({"objective", "rows", "targets"}, {"numpy", "scipy", "pandas", "sklearn"}),
    "evaluation": (set(), {"numpy", "pandas", "sklearn"}),
    "persistence": ({"neuron"}, {"numpy", "sklearn", "skops"}),
    "__init__": ({"neuron", "training", "optimizers"}, set()),
}
# Packages that `import trainer` must not load on top of scikit-learn: they are imported on use.
LAZY = ["matplotlib", "pandas", "skops"]


def source_files():
    return sorted((ROOT / "trainer").rglob("*.py"))


def room_of(path):
    parts = path.relative_to(ROOT / "trainer").with_suffix("").parts
    return parts[0]


def imported(tree):
    """Dotted names of all modules that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute in this project"
            yield node.module
            if node.module == "trainer":
                yield from (f"trainer.{alias.name}" for alias in node.names)


def misplaced(room, modules):
    """The imports that point the wrong way."""
    rooms, packages = ROOMS[room]
    wrong = []
    for module in modules:
        top, *rest = module.split(".")
        if top in sys.stdlib_module_names or module == "trainer":
            continue
        if top == "trainer":
            if rest[0] not in rooms and rest[0] != room:
                wrong.append(module)
        elif not any(module == p or module.startswith(f"{p}.") for p in packages):
            wrong.append(module)
    return wrong


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_the_right_way(path):
    assert misplaced(room_of(path), imported(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("chain_rule", "from trainer.rows import ArrayRows"),
        ("chain_rule", "import scipy"),
        ("rows", "from trainer import objective"),
        ("objective", "from trainer.optimizers.lbfgs import LBFGS"),
        ("optimizers", "def f():\n    from trainer.objective import Objective"),
        ("training", "import sklearn.base"),
        ("neuron", "import matplotlib.pyplot as plt"),
        ("inspection", "from trainer.plots.style import COLOURS"),
        ("datasets", "from trainer.neuron import LogisticNeuron"),
    ],
)
def test_an_import_the_wrong_way_is_noticed(room, line):
    assert misplaced(room, imported(ast.parse(line)))


def test_scripts_use_public_names_only():
    for path in (ROOT / "scripts").glob("*.py"):
        inside = [m for m in imported(ast.parse(path.read_text())) if m.startswith("trainer.")]
        import trainer

        assert [m for m in inside if m.split(".")[1] not in trainer.__all__] == [], path


def test_import_loads_no_plotting_and_no_pandas():
    loaded = {}
    for module in ("sklearn.linear_model", "trainer"):
        code = f"import sys, {module}; print([m for m in {LAZY} if m in sys.modules])"
        command = [sys.executable, "-c", code]
        loaded[module] = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert loaded["trainer"] == loaded["sklearn.linear_model"]


def test_every_public_name_is_there():
    import trainer

    for name in trainer.__all__:
        assert getattr(trainer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trainer.nothing


def test_files_fit_in_one_sitting():
    for path in [*source_files(), *(ROOT / "scripts").glob("*.py")]:
        lines = path.read_text().splitlines()
        code = [line for line in lines if line.strip()]
        assert len(code) <= 420, f"{path.name} has {len(code)} lines: split it along the idea"


def test_the_map_in_contributing_is_the_tree():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    mapped = set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    there = {
        name for name in tracked.stdout.split() if name.endswith(".py") and (ROOT / name).exists()
    }
    there = {name for name in there if not name.startswith("tests/")}  # a file a room, one row
    assert {name for name in mapped if name.endswith(".py")} == there
    assert all((ROOT / name).exists() for name in mapped)


def test_one_formula_stands_in_one_place():
    """2(σ - y) and exp(-|z|) are written in the lesson and its fast twins alone."""
    for path in source_files():
        if path.name not in ("chain_rule.py", "kernels.py"):
            text = path.read_text()
            assert "np.exp(" not in text, path
            assert not re.search(r"2 \* \(sigma - y\)", text), path
