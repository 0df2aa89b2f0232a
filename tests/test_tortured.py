"""Every tortured table and option ends in a model, or in one line and the exit status 2."""

import json
from pathlib import Path

import numpy as np
import pytest
import tortured

from trainer import load_dataset, load_model
from trainer.commands import train as script


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder for runs without pictures, which take most of the time."""
    monkeypatch.setattr(script, "matplotlib_settings", lambda: None)
    monkeypatch.chdir(tmp_path)
    for name in ("tables", "places"):
        (tmp_path / name).mkdir()
    return tmp_path


def complaints(argv, capsys):
    """What is not as it should be after a command line; and its exit status."""
    try:
        status = script.main(argv)
    except BaseException as error:
        return [repr(error)], None
    out, err = capsys.readouterr()
    lines = err.splitlines()
    # a line may stand before the error where training has begun, or reading in pieces
    begun = "diverged" in err or (out.count("\n") == 1 and "read in pieces" in out)
    wrong = {
        f"exit status {status}": status not in (0, 2),
        "an error of the program": "internal error" in err,
        "not one line": status == 2 and (len(lines) != 1 or (out and not begun)),
        "an error and status 0": status == 0 and "error: " in err,
        "a line of another kind": not all(line.startswith("train.py: ") for line in lines),
        "a long line": max(map(len, lines), default=0) > 1000,
        "control characters": not (out + err).replace("\n", "").isprintable(),
        "hidden files left": bool(list(Path("runs").glob(".*"))),
    }
    return [f"{what}: {err[:300]}" for what, holds in wrong.items() if holds], status


def check(command_lines, capsys):
    """Run command lines, given by name; the statuses by name."""
    found, statuses = {}, {}
    for name, argv in command_lines.items():
        found[name], statuses[name] = complaints(argv, capsys)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    return statuses


@pytest.mark.parametrize("kind", ["text", "bytes", "Parquet"])
def test_tables(kind, place, capsys):
    tables = tortured.write_tables(place / "tables", kind)
    if not tables:
        pytest.skip("no pyarrow")
    statuses = check({name: [str(path), "--target", "y"] for name, path in tables.items()}, capsys)
    good = [path for name, path in tables.items() if statuses[name] == 0]
    assert 2 < len(good) < len(tables) - 5
    for path in good[::9]:
        folder = place / "runs" / path.stem
        figures = json.loads((folder / "metrics.json").read_text())["figures"]["test"]
        assert 0 <= figures["LogisticNeuron"]["Brier"] <= 1
        data = load_dataset(path, target="y")
        p = load_model(folder / "model.skops").predict_proba(data.X)
        assert np.isfinite(p).all()


def test_tables_without_a_target(place, capsys):
    tables = {}
    for kind in ("text", "bytes", "Parquet"):
        tables |= tortured.write_tables(place / "tables", kind)
    check({name: [str(tables[name])] for name in list(tables)[::6]}, capsys)


def test_names_and_things_that_are_no_file(place, capsys):
    places = tortured.write_places(place / "places")
    lines = {name: ["--target=y", "--", str(path)] for name, path in places.items()}
    statuses = check(lines, capsys)
    assert {name: statuses[name] for name in places if statuses[name] == 0}.keys() == {
        *(f"a name {what}" for what in tortured.NAMES),
        "a link",
    }


def test_options(place, capsys):
    (place / "table.csv").write_text(tortured.PLAIN)
    lines = {repr(argv): argv for argv in tortured.options("table.csv")}
    assert len(lines) > 300
    statuses = check(lines, capsys)
    assert sum(status == 2 for status in statuses.values()) > 200


def test_there_are_enough_of_them():
    assert len(tortured.TEXTS) + len(tortured.BYTES) + len(tortured.NAMES) > 150
