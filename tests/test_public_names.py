"""The public names: found by TAB and by type checkers, each with an example."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trainer

ROOT = Path(__file__).parents[1]


def test_tab_offers_every_public_name():
    assert set(trainer.__all__) <= set(dir(trainer))
    assert all(hasattr(trainer, name) for name in trainer.__all__)
    with pytest.raises(AttributeError, match="no attribute 'LogisticNeurone'"):
        _ = trainer.LogisticNeurone


@pytest.mark.parametrize("name", sorted(set(trainer.__all__) - {"OPTIMIZERS"}))
def test_every_public_name_has_an_example(name):
    assert ">>> " in (getattr(trainer, name).__doc__ or "")


def test_the_stub_names_what_the_package_does():
    """`trainer/__init__.pyi` is for type checkers, which do not run the lazy imports."""
    stub = ast.parse((ROOT / "trainer" / "__init__.pyi").read_text())
    found = {
        alias.name: node.module.removeprefix("trainer.")
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert found == trainer._LAZY


def test_types_survive_the_lazy_imports(tmp_path):
    """mypy on a user's script: every public name has a type, NumPy's decorators included."""
    pytest.importorskip("mypy")
    assert (ROOT / "trainer" / "py.typed").exists()
    script = tmp_path / "script.py"
    script.write_text(
        "import trainer\n"
        "neuron = trainer.LogisticNeuron(alpha=0.1).fit([[0.0], [1.0]], [0, 1])\n"
        "reveal_type(neuron)\n"
        "reveal_type(neuron.termination_.converged)\n"
        "trainer.LogisticNeuron(alfa=0.1)\n"
        "trainer.LogisticNeurone()\n"
        + "".join(f"reveal_type(trainer.{name})\n" for name in trainer.__all__)
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    command += ["--follow-imports=silent", "--ignore-missing-imports"]
    run = subprocess.run(
        [*command, script.name], cwd=tmp_path, capture_output=True, text=True, env={
            "MYPYPATH": str(ROOT), "PATH": "",
        },
    )  # fmt: skip
    lines = run.stdout.splitlines()
    assert 'Revealed type is "trainer.estimators.neuron.LogisticNeuron"' in lines[0], run.stdout
    assert 'Revealed type is "bool"' in lines[1]
    assert 'Unexpected keyword argument "alfa"' in run.stdout
    assert 'Module has no attribute "LogisticNeurone"' in run.stdout
    types = [line.partition("Revealed type is ")[2] for line in lines if "Revealed" in line][2:]
    assert len(types) == len(trainer.__all__)
    assert '"Any"' not in types
