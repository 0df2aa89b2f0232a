"""Mark a file of the lesson's functions: what is right, and what is wrong.

logistic-neuron mark docs/exercises.py

Functions are found by the lesson's names: sigmoid, z, h, l, dl_dsig, dsig_dz,
dz_dw, dz_db, dJ_dw, dJ_db, and backpropagation if it is there. Each is marked
on its own, in a separate process with a time limit. Where it calls another
function that is wrong, the right one takes its place. The exit status is 0 if
all are right, 1 if not, 2 if the file cannot be marked.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import trainer
from trainer.commands.console import Signals, run_program, say
from trainer.commands.options import Parser, number

FUNCTIONS = (
    "sigmoid", "z", "h", "l", "dl_dsig", "dsig_dz", "dz_dw", "dz_db", "dJ_dw", "dJ_db",
)  # fmt: skip
OPTIONAL = ("backpropagation",)
SAME_NAME = {"σ": "sigma", "sig": "sigma", "s": "sigma"}
PROCESSES = min(4, os.cpu_count() or 1)


def main(argv: list[str] | None = None, program: str = "mark.py") -> int:
    """Run the command line; the exit status."""
    return run_program(program, work, argv)


def work(arguments: list[str], signals: Signals) -> int:
    """Mark the file, or one of its functions."""
    options = make_parser().parse_args(arguments)
    if not options.file.is_file():
        raise ValueError(f"there is no file {options.file}; check its name and folder")
    if options.only:
        mark_one(options.file, options.only)
    return mark_all(options.file, options.time_limit)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(__doc__)
    parser.add_argument("file", type=Path, help="Python file with the functions")
    parser.add_argument(
        "--time-limit",
        type=number(float, "a number > 0", lambda v: 0 < v < 86400),
        default=10.0,
        metavar="SECONDS",
        help="for each function, loading the file included (default: %(default)s)",
    )
    parser.add_argument("--only", choices=[*FUNCTIONS, *OPTIONAL], help=argparse.SUPPRESS)
    return parser


# ------------------------------------------------------------------------ the whole file


def mark_all(path: Path, limit: float) -> int:
    """Mark all functions and print a line each; the exit status."""
    from concurrent.futures import ThreadPoolExecutor

    defined = names_in(path)
    asked = [*FUNCTIONS, *(name for name in OPTIONAL if name in defined)]
    if not defined & set(asked):
        raise ValueError(f"{path} defines none of the lesson's functions: {', '.join(FUNCTIONS)}")
    with ThreadPoolExecutor(PROCESSES) as pool:
        marking = {
            name: pool.submit(in_process, path, name, limit) for name in asked if name in defined
        }
        marks = {name: future.result() for name, future in marking.items()}
    unloaded = [found["unloaded"] for found in marks.values() if "unloaded" in found]
    if len(unloaded) == len(marks):
        raise ValueError(f"{path} cannot be loaded: {unloaded[0]}")
    width = max(map(len, asked))
    total = 0.0
    for name in asked:
        found = marks.get(name, {"verdict": "It is missing.", "score": 0.0})
        verdict = found.get("verdict") or f"The file cannot be loaded: {found['unloaded']}"
        total += found.get("score", 0.0)
        say(f"{name:<{width}}  {found.get('score', 0.0):4.2f}  {verdict}", hang=width + 8)
    say(f"{'total':<{width}}  {total:g} of {len(asked)}")
    return 0 if total == len(asked) else 1


def names_in(path: Path) -> set[str]:
    """Names that the file's top level defines."""
    import ast

    if path.suffix not in ("", ".py"):
        raise ValueError(f"{path} must be a Python file, .py")
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else str(path)
        raise ValueError(f"{where}: {getattr(error, 'msg', error)}") from error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)  # an assigned lambda
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names


def in_process(path: Path, name: str, limit: float) -> dict[str, Any]:
    """The mark of one function, from a process that is given `limit` seconds once it is ready."""
    import json
    import subprocess

    command = [sys.executable, "-P", "-m", "trainer.commands.mark", str(path), "--only", name]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(  # unbuffered: readline must not take what communicate is to read
        command, bufsize=0, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the trainer is imported: from now on the time is the file's
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            return {"verdict": f"It did not end within {limit:g} seconds.", "score": 0.0}
    try:
        return dict(json.loads(output))
    except ValueError:
        return {"verdict": f"It ended the process, status {process.returncode}.", "score": 0.0}


# ---------------------------------------------------------------------------- one function


def mark_one(path: Path, name: str) -> NoReturn:
    """Mark one function in this process; write the result as JSON where standard output was."""
    import json

    channel = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the file prints is not read
    _ = trainer.mark  # imported now, before the time begins
    channel.write("ready\n")
    channel.flush()
    json.dump(result(path, name), channel)
    channel.close()
    os._exit(0)  # without the time that closing down takes


def result(path: Path, name: str) -> dict[str, Any]:
    """Verdict and score, or why the file cannot be loaded."""
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            module = load(path)
    except (Exception, SystemExit) as error:
        return {"unloaded": f"{type(error).__name__}: {error}"}
    function = getattr(module, name, None)
    if not callable(function):
        return {"verdict": "It is not a function.", "score": 0.0}
    found = trainer.mark(function, name)
    if not found.right:
        replaced = replace_others(module, name)
        again = trainer.mark(function, name)
        if again.score > found.score:
            others = " and ".join(needed_of(module, replaced, function, name, again.score))
            words = f"{again.verdict} (Marked with the right {others} in place of yours.)"
            return {"verdict": words, "score": again.score}
    return {"verdict": found.verdict, "score": found.score}


def load(path: Path) -> Any:
    """The file as a module."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("student", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["student"] = module
    spec.loader.exec_module(module)
    return module


def replace_others(module: Any, name: str) -> dict[str, Any]:
    """Put the lesson's functions in the place of the file's others; those that were there."""
    import inspect

    from trainer import chain_rule as lesson

    replaced = {}
    for other in (*FUNCTIONS, *OPTIONAL):
        own = getattr(module, other, None)
        if other != name and inspect.isfunction(own):
            replaced[other] = own
            setattr(module, other, in_the_form_of(own, getattr(lesson, other)))
    return replaced


def needed_of(
    module: Any, replaced: dict[str, Any], function: Any, name: str, score: float
) -> list[str]:
    """Those of the file's functions that must stay replaced, or the mark is lower."""
    needed = []
    for other, own in reversed(replaced.items()):  # those that call others first
        right = getattr(module, other)
        setattr(module, other, own)
        if trainer.mark(function, name).score < score:
            setattr(module, other, right)
            needed.append(other)
    return needed


def in_the_form_of(own: Any, right: Callable[..., Any]) -> Callable[..., Any]:
    """The lesson's function, to be called with the arguments of the file's."""
    import inspect

    from trainer import chain_rule as lesson

    signature = inspect.signature(own)
    wanted = list(inspect.signature(right).parameters)

    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {SAME_NAME.get(key, key).lower(): v for key, v in bound.arguments.items()}
        if not set(wanted) <= given.keys() and len(given) == len(wanted):
            given = dict(zip(wanted, bound.arguments.values(), strict=True))
        if {"x", "w", "b"} <= given.keys():
            given.setdefault("z", lesson.z(given["x"], given["w"], given["b"]))
        if "z" in given:
            given.setdefault("sigma", lesson.sigmoid(given["z"]))
        if not set(wanted) <= given.keys():
            return own(*args, **kwargs)  # nothing is known of its arguments
        return right(**{key: given[key] for key in wanted})

    return function


if __name__ == "__main__":
    sys.exit(main())
