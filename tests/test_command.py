"""`logistic-neuron` and `python -m trainer`: names, quick answers, and another package's name."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import trainer
from trainer import __main__ as command
from trainer.commands import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def typed(monkeypatch, tmp_path):
    """Run the command line as if this had been typed."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        program, *arguments = line.split()
        monkeypatch.setattr(sys, "argv", [f"/usr/bin/{program}", *arguments])
        return command.main()

    return run


def module(*arguments, **options):
    line = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, **options)


def test_the_command_is_installed_under_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, function = project["scripts"]["logistic-neuron"].split(":")
    assert getattr(importlib.import_module(module), function) is command.main


def test_help_has_a_line_about_each_program(typed, capsys):
    assert typed("logistic-neuron") == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: logistic-neuron COMMAND")
    for name, line in COMMANDS.items():
        assert f"  {name:<7}  {line}\n" in text
    assert typed("logistic-neuron --version") == 0
    assert trainer.__version__ in capsys.readouterr().out
    run = module("--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == text.replace("logistic-neuron", "python -m trainer")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_program_calls_itself_what_was_typed(name, typed, capsys):
    assert typed(f"logistic-neuron {name} --help") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: logistic-neuron {name} [-h]")
    assert "scripts/" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert typed(f"logistic-neuron {name} --nonsense") == 2
    assert capsys.readouterr().err.startswith(f"logistic-neuron {name}: error: ")
    script = [sys.executable, str(ROOT / "scripts" / f"{name}.py")]
    run = subprocess.run([*script, "--help"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"usage: {name}.py [-h]")
    assert f"python scripts/{name}.py " in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80
    assert "logistic-neuron " not in run.stdout


def test_an_unknown_command_is_told_the_nearest(typed, capsys):
    assert typed("logistic-neuron trian iris") == 2
    message = "logistic-neuron: error: there is no command 'trian'; the nearest is 'train', --help"
    assert capsys.readouterr().err.startswith(message)


def test_the_command_to_copy_is_the_one_typed(typed, capsys):
    Path("t.csv").write_text("a,b,c\n" + "x,y,1\nv,w,2\n" * 9)
    assert typed("logistic-neuron train t.csv") == 2
    assert ", as in: logistic-neuron train t.csv --target" in capsys.readouterr().err


def test_signals_are_handled_as_before_when_it_ends(typed):
    before = signal.getsignal(signal.SIGINT)
    assert typed("logistic-neuron --version") == 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("imported", "status", "said"),
    [
        ("argparse", -signal.SIGINT, ""),
        ("pandas", 130, "logistic-neuron train: interrupted: nothing was written\n"),
    ],
)
def test_ctrl_c_during_an_import_prints_a_line_at_most(imported, status, said, tmp_path):
    code = (
        "import builtins, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from trainer.__main__ import main\n"
        "load = builtins.__import__\n"
        "def imported(name, *more, **else_):\n"
        f"    if name == {imported!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return load(name, *more, **else_)\n"
        "builtins.__import__ = imported\n"
        "sys.argv = ['logistic-neuron', 'train', 'iris']\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (status, said)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_may_leave(name, tmp_path):
    (tmp_path / "one.py").write_text("z = lambda x, w, b: w * x + b\n")  # a process a function
    arguments = {
        "train": "--list",
        "mark": "one.py",
        "explain": "--all --data iris",
    }.get(name, "--help")
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m trainer {name} {arguments} | true"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.stderr == ""
    assert run.returncode == (1 if name == "mark" else 0)  # the exercises are not solved


# The name trainer


def test_another_package_of_the_name_that_is_imported_instead(tmp_path):
    """As pip leaves it where the other was installed last, into the same folder."""
    other = tmp_path / "trainer"
    shutil.copytree(ROOT / "trainer", other, ignore=shutil.ignore_patterns("__pycache__"))
    (other / "__init__.py").write_text("__all__ = ['Trainer']\nclass Trainer: pass\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = module("train", cwd=tmp_path, env=environment)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        f"python -m trainer train: error: the package 'trainer' in {other} is another one of that "
        "name; install logistic-neuron-trainer in an environment of its own\n"
    )
    shutil.rmtree(other)
    other.mkdir()
    (other / "__init__.py").touch()
    line = [sys.executable, str(ROOT / "scripts" / "train.py")]
    run = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("train.py: error: ")  # an editable installation may be found yet
    assert "trainer" in run.stderr
    assert run.stderr.count("\n") == 1


def test_another_package_of_the_name_that_this_one_hides(tmp_path):
    folder = tmp_path / "trainer-0.0.36.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: trainer\nVersion: 0.0.36\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    line = [sys.executable, "-c", "from trainer import Trainer"]
    run = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.stderr.splitlines()[-1] == (
        "ImportError: 'trainer' is logistic-neuron-trainer's package here and has no 'Trainer', "
        "but trainer 0.0.36 is installed too: install one of them in an environment of its own"
    )
    with pytest.raises(AttributeError, match="module 'trainer' has no attribute 'Trainer'"):
        _ = trainer.Trainer
