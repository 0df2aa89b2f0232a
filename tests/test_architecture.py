"""Imports point from the upper layers to the lower ones, and load no more than they need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trainer

ROOT = Path(__file__).parents[1]

# From bottom to top: a layer may import itself, the layers above its line, and these packages.
LAYERS = {
    "chain_rule": {"numpy"},
    "optimizers": {"numpy", "scipy"},
    "core.parallel": {"numpy", "joblib", "threadpoolctl"},
    "core.loss": {"numpy"},
    "core.kernels": {"numpy", "scipy"},
    "core.rows": {"numpy", "scipy"},
    "core.objective": {"numpy", "scipy"},
    "core.termination": set(),
    "core.training": {"numpy"},
    "core.multistart": {"numpy", "scipy"},
    "core.optimality": {"numpy", "scipy"},
    "core.row_space": {"numpy"},
    "core.solve": {"numpy"},
    "datasets": {"numpy", "pandas", "pyarrow", "sklearn"},
    "sources": {"numpy", "pandas", "sklearn", "pyarrow", "dask", "distributed"},
    "persistence.files": set(),
    "persistence.sealed": {"numpy"},
    "persistence.states": {"numpy"},
    "estimators": {"numpy", "scipy", "pandas", "sklearn"},
    "persistence": {"numpy", "sklearn", "skops", "onnx", "skl2onnx"},
    "inspection": {"numpy", "pandas", "sklearn"},
    "plots": {"numpy", "sklearn", "matplotlib", "rich"},
    "commands": {"numpy", "pandas", "sklearn", "matplotlib", "rich", "pyarrow"}
    | {"dask", "distributed"},
    "__main__": set(),
}
# Packages that `import trainer` must not load on top of scikit-learn: they are imported on use.
LAZY = ["matplotlib", "pandas", "skops"]


def source_files():
    return sorted((ROOT / "trainer").rglob("*.py"))


def layer_of(module):
    """The layer of a module named from below `trainer`, as in "core.rows"; None has none."""
    return next((name for name in LAYERS if f"{module}.".startswith(f"{name}.")), None)


def imported(tree):
    """Dotted names of all modules that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute in this project"
            yield node.module
            if node.module.split(".")[0] == "trainer":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def misplaced(layer, modules):
    """The imports that point upwards, or to a package that the layer does without."""
    order, wrong = list(LAYERS), []
    for module in modules:
        top, _, rest = module.partition(".")
        if top in sys.stdlib_module_names or module == "trainer":
            continue
        if top == "trainer":
            of = layer_of(rest)
            if of is None and any(name.startswith(f"{rest}.") for name in LAYERS):
                continue  # `from trainer.core import rows` is judged by trainer.core.rows
            if of is None or order.index(of) > order.index(layer):
                wrong.append(module)
        elif top not in LAYERS[layer]:
            wrong.append(module)
    return wrong


MODULES = {
    str(p.relative_to(ROOT)): ".".join(p.relative_to(ROOT / "trainer").with_suffix("").parts)
    for p in source_files()
    if p.name != "__init__.py" or p.read_text().count("import")
}
MODULES.pop("trainer/__init__.py")


@pytest.mark.parametrize("path", MODULES)
def test_imports_point_the_right_way(path):
    modules = list(imported(ast.parse((ROOT / path).read_text())))
    assert misplaced(layer_of(MODULES[path]), modules) == []


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("chain_rule", "from trainer.core.rows import ArrayRows"),
        ("chain_rule", "import scipy"),
        ("core.rows", "from trainer.core import objective"),
        ("core.objective", "import trainer.core.training"),
        ("optimizers", "def f():\n    from trainer.core.objective import Objective"),
        ("core.training", "import sklearn.base"),
        ("estimators", "import matplotlib.pyplot as plt"),
        ("inspection", "from trainer.plots.style import COLOURS"),
        ("datasets", "from trainer.inspection import trace"),
    ],
)
def test_an_import_the_wrong_way_is_noticed(layer, line):
    assert misplaced(layer, imported(ast.parse(line)))


def test_scripts_use_public_names_only():
    public = {f"trainer.{name}" for name in [*trainer.__all__, "chain_rule"]}
    for folder in (ROOT / "scripts", ROOT / "trainer" / "commands"):
        for path in folder.rglob("*.py"):
            inside = {m for m in imported(ast.parse(path.read_text())) if m.startswith("trainer.")}
            own = ("trainer.commands", "trainer.__main__")
            assert {m for m in inside - public if not m.startswith(own)} == set(), path


def loaded_by(statement, packages):
    code = f"import sys; {statement}; print([m for m in {sorted(packages)} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_loads_no_plotting_and_no_pandas():
    ours = loaded_by("from trainer import LogisticNeuron", LAZY)
    assert ours == loaded_by("import sklearn.linear_model", LAZY)


@pytest.mark.parametrize("statement", ["import trainer", "import trainer.chain_rule"])
def test_the_lesson_needs_numpy_alone(statement):
    packages = {package for needed in LAYERS.values() for package in needed}
    assert loaded_by(statement, packages - {"numpy"}) == "[]\n"


def test_every_public_name_is_there():
    for name in trainer.__all__:
        assert getattr(trainer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trainer.nothing
