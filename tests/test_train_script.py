"""`python scripts/train.py` as people run it: good runs, bad input, Ctrl-C, a terminal."""

import gzip
import hashlib
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import mixed_table
from sklearn.metrics import accuracy_score, brier_score_loss
from sklearn.model_selection import train_test_split

from trainer.commands import train as script
from trainer.datasets.toy import list_datasets, load_dataset
from trainer.persistence.models import load_model

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "train.py"

ALWAYS = {"loss_curve.png", "calibration.png", "history.csv", "metrics.json", "model.skops"}
GENERATED = {"moons", "circles", "blobs", "classification", "gaussian_quantiles"}
# A good table: 30 rows, two numbers, a text, two classes of 15.
TABLE = pd.DataFrame(
    {
        "age": np.arange(30) % 7,
        "hours": np.arange(30) % 11 + 0.5,
        "town": ["Kyiv", "Oslo", "Lima"] * 10,
        "income": ["low", "high"] * 15,
    }
)


def contents(folder):
    """All below a folder: names, and of files their bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def report(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def figures(folder, part="test"):
    return report(folder)["figures"][part]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with tables, and an earlier run of each name used below."""
    monkeypatch.chdir(tmp_path)
    for name in ("breast_cancer", "iris", "table"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "metrics.json").write_text("earlier figures")
        (tmp_path / "runs" / name / "notes.txt").write_text("the user's own")
    TABLE.to_csv("table.csv", index=False)
    return tmp_path


def changed(**columns):
    return TABLE.assign(**columns).to_csv(index=False).encode()


HEAD = b"age,hours,town,income\n"
# Options after the table's content (None: no table of its own), and words of the message.
BAD = {
    "no such file": (None, "gone.csv --target income", ["no file", "gone.csv"]),
    "folder": (None, "runs --target income", ["runs", "folder"]),
    "empty file": (b"", "--target income", ["table.csv", "empty"]),
    "header alone": (HEAD, "--target income", ["table.csv", "no rows"]),
    "binary": (bytes(range(256)) * 9, "--target income", ["table.csv", "not a table"]),
    "prose": (b"Dear all\nthis is a letter\n", "--target income", ["not a table"]),
    "ragged": (HEAD + b"1,2,Kyiv,low,9\n", "--target income", ["not a table"]),
    "damaged gzip": (gzip.compress(HEAD)[:-9], "--target income", ["gzip"]),
    "damaged parquet": (b"PAR1 and so on", "--target income", ["Parquet"]),
    "twice a column": (HEAD.replace(b"hours", b"age") + b"1,2,a,b\n", "--target income", ['"age"']),
    "no target": (changed(), "", ["--target", '"income"']),
    "unknown target": (changed(), "--target incme", ['"incme"', 'nearest is "income"']),
    "one class": (changed(income="low"), "--target income", ["two classes", '"low"']),
    "three classes": (changed(), "--target town", ["3 classes", "--positive"]),
    "unknown class": (changed(), "--target town --positive Osol", ['nearest is "Oslo"']),
    "continuous target": (changed(y=np.arange(30) / 7), "--target y", ["classes", "numbers"]),
    "target all missing": (changed(income=""), "--target income", ["no values"]),
    "no usable feature": (b"id,y\n1,a\n1,b\n1,a\n1,b\n", "--target y", ["no usable feature"]),
    "infinity": (changed(hours=np.inf), "--target income", ["finite", '"hours"']),
    "too small to split": (b"x,y\n1,a\n2,a\n3,b\n4,b\n", "--target y", ["--test-size"]),
    "too small to hold out": (
        b"x,y\n1,a\n1,a\n3,b\n3,b\n1,a\n3,b\n",
        "--target y --test-size 0.34 --early-stopping",
        ["early_stopping"],
    ),
    "unknown data set": (None, "breast_cacner", ['nearest is "breast_cancer"']),
    "target of a toy set": (None, "iris --target species", ["iris", "target"]),
    "class of a toy set": (None, "iris --positive rose", ["rose", "setosa"]),
    "unknown option": (None, "--penalty 3", ["--penalty", "--help"]),
    "unknown optimizer": (None, "--optimizer adm", ["'adm'", "'adam'"]),
    "learning rate 0": (None, "--optimizer adam --learning-rate 0", ["> 0", "'0'"]),
    "learning rate nan": (None, "--optimizer adam --learning-rate nan", ["> 0", "'nan'"]),
    "learning rate of a solver": (
        None,
        "--optimizer lbfgs --learning-rate 0.1",
        ["lbfgs", "learning_rate"],
    ),
    "batches of a solver": (None, "--optimizer lbfgs --batch-size 9", ["lbfgs", "batch_size"]),
    "batch size 0": (None, "--optimizer adam --batch-size 0", ["--batch-size", ">= 1"]),
    "no epoch": (None, "--epochs 0", ["--epochs", ">= 1", "'0'"]),
    "half an epoch": (None, "--epochs 0.5", ["--epochs", "integer"]),
    "alpha < 0": (None, "--alpha -1", ["--alpha", ">= 0", "'-1'"]),
    "alpha infinite": (None, "--alpha inf", ["--alpha", "finite"]),
    "tol < 0": (None, "--tol -0.001", ["--tol", ">= 0"]),
    "test size 0": (None, "--test-size 0", ["--test-size", "between 0 and 1"]),
    "test size 1": (None, "--test-size 1", ["--test-size", "between 0 and 1"]),
    "test size of no row": (None, "--test-size 0.001", ["--test-size 0.001", "569 rows"]),
    "seed < 0": (None, "--seed -1", ["--seed", "'-1'"]),
    "seed of letters": (None, "--seed one", ["--seed", "'one'"]),
    "output is a file": (None, "--output table.csv", ["--output", "table.csv", "folder"]),
    "output below a file": (None, "--output table.csv/runs", ["--output", "table.csv", "folder"]),
    "output under a folder's name": (None, "--output odd", ["--output", "model.skops", "folder"]),
    "divergence": (
        None,
        "--optimizer gradient_descent --learning-rate 1e9 --alpha 1",
        ["diverged", "learning_rate=1000000000.0", "smaller"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_line(case, place, capsys):
    table, options, words = BAD[case]
    (place / "odd" / "breast_cancer" / "model.skops").mkdir(parents=True)
    argv = options.split()
    if table is not None:
        (place / "table.csv").write_bytes(table)
        argv.insert(0, "table.csv")
    before = contents(place)

    assert script.main(argv) == 2

    error = capsys.readouterr().err
    assert error.startswith("train.py: error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert [word for word in words if word not in error] == []
    assert contents(place) == before


@pytest.mark.parametrize("case", ["unknown target", "output is a file"])
def test_bad_input_from_the_shell(case, place):
    _, options, words = BAD[case]
    argv = ["table.csv", *options.split()] if "target" in case else options.split()
    before = contents(place)
    run = subprocess.run([sys.executable, SCRIPT, *argv], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert all(word in run.stderr for word in words)
    assert contents(place) == before


def test_breast_cancer_from_the_shell(tmp_path):
    run = subprocess.run(
        [sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stderr == ""
    for words in (
        "569 rows, 30 features",
        "37.3 %",
        "Converged after",
        "within tol",
        "ROC AUC",
        "LogisticRegression",
        "runs/breast_cancer: loss_curve.png, calibration.png, history.csv",
    ):
        assert words in run.stdout
    folder = tmp_path / "runs" / "breast_cancer"
    assert set(os.listdir(tmp_path / "runs")) == {"breast_cancer"}
    assert set(os.listdir(folder)) == ALWAYS
    test = figures(folder)
    assert test["LogisticNeuron"]["accuracy"] >= 0.95
    assert test["LogisticNeuron"]["Brier"] <= test["constant"]["Brier"] / 5
    assert test["LogisticRegression"]["Brier"] <= test["constant"]["Brier"] / 5

    history = pd.read_csv(folder / "history.csv")
    assert history["iteration"].tolist() == list(range(len(history)))
    assert history.loc[0, "cost"] == pytest.approx(0.25)  # σ(0) = 1/2 for every row
    assert history["cost"].iloc[-1] < 0.02
    assert history["validation_cost"].notna().all()


def test_the_model_saved_gives_the_figures_reported(tmp_path):
    options = ["--seed", "3", "--test-size", "0.25", "--output", str(tmp_path)]
    assert script.main(["wine", *options]) == 0
    data = load_dataset("wine")
    _, X_test, _, y_test = train_test_split(
        data.X, data.y, test_size=0.25, stratify=data.y, random_state=3
    )
    model = load_model(tmp_path / "wine" / "model.skops")
    p = model.predict_proba(X_test)[:, list(model.classes_).index("class_0")]
    reported = figures(tmp_path / "wine")["LogisticNeuron"]
    assert brier_score_loss(y_test == "class_0", p) == pytest.approx(reported["Brier"], rel=1e-12)
    assert accuracy_score(y_test, model.predict(X_test)) == reported["accuracy"]


@pytest.mark.parametrize("name", sorted(set(list_datasets()) - {"breast_cancer", "wine"}))
def test_every_toy_set_runs(name, tmp_path, capsys):
    assert script.main([name, "--output", str(tmp_path)]) == 0
    found = set(os.listdir(tmp_path / name))
    assert found == ALWAYS | ({"decision_boundary.png"} if name in GENERATED else set())
    assert all((tmp_path / name / file).stat().st_size > 100 for file in found)
    assert f"{name}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("breast_cancer.csv", ["--target", "diagnosis"]),
        ("iris.csv", ["--target", "species", "--positive", "setosa"]),
        ("wine.csv", ["--target", "cultivar", "--positive", "class_1"]),
        ("moons.csv", ["--target", "moon"]),
    ],
)
def test_every_table_in_data_runs(file, options, tmp_path):
    assert script.main([str(ROOT / "data" / file), *options, "--output", str(tmp_path)]) == 0
    folder = tmp_path / file.removesuffix(".csv")
    assert (folder / "decision_boundary.png").exists() == (file == "moons.csv")
    test = figures(folder)
    assert test["LogisticNeuron"]["Brier"] < 0.6 * test["constant"]["Brier"]


def test_rows_without_a_target_are_told_of(place, capsys):
    table = TABLE.copy()
    table.loc[:1, "income"] = None
    table.to_csv("table.csv", index=False)
    assert script.main(["table.csv", "--target", "income"]) == 0
    assert "2 of 30 rows dropped" in capsys.readouterr().out
    assert report(place / "runs" / "table")["data"]["rows"] == 28


def test_the_target_may_be_left_out(place, capsys):
    TABLE.drop(columns="town").to_csv("plain.csv", index=False)
    assert script.main(["plain.csv"]) == 0
    out = capsys.readouterr().out
    note = 'no target given: column "income" is taken, the only one of classes'
    assert f"Note: {note}" in out
    assert report(place / "runs" / "plain")["data"]["notes"] == [note]
    assert script.main(["table.csv", "--seed", "3"]) == 2
    error = capsys.readouterr().err
    assert '"town" (3 classes), "income" (2 classes), as in: python ' in error
    assert error.endswith(" table.csv --seed 3 --target income\n")
    assert script.main(shlex.split(error.split(" as in: ")[1])[2:]) == 0


def test_odd_cells_are_told_of(place, capsys):
    table = TABLE.astype({"hours": object})
    table.loc[3, "hours"] = "12 or so"
    table.to_csv("table.csv", index=False)
    assert script.main(["table.csv", "--target", "income"]) == 0
    assert (
        'Note: 1 cell of column "hours" taken as missing among numbers, such as "12 or so" in '
        "line 5\n"
    ) in capsys.readouterr().out


def test_metrics_hold_the_checksums_of_the_other_files(place):
    assert script.main(["iris"]) == 0
    folder = place / "runs" / "iris"
    sums = report(folder)["sha256"]
    assert set(sums) == ALWAYS - {"metrics.json"}
    for name, known in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == known


def test_a_long_name_makes_a_folder(place):
    long = "表" * 80
    TABLE.to_csv(f"{long}.csv", index=False)
    assert script.main([f"{long}.csv", "--target", "income"]) == 0
    assert (place / "runs" / long[:66]).is_dir()  # of three bytes each
    assert report(place / "runs" / long[:66])["data"]["name"] == long


def test_the_same_seed_gives_the_same_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "draw", lambda *arguments: None)
    options = ["moons", "--optimizer", "adam", "--batch-size", "32", "--epochs", "20"]
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        assert script.main([*options, "--seed", seed, "--output", str(tmp_path / name)]) == 0
    one, two, three = (report(tmp_path / name / "moons") for name in ("one", "two", "three"))
    for each in (one, two):
        assert each["termination"].pop("seconds") > 0
        each.pop("sha256")  # seconds stand in the model's file too
    assert one == two
    assert one["figures"] != three["figures"]


def test_a_run_replaces_its_own_files_only(place):
    folder = place / "runs" / "iris"
    (folder / "decision_boundary.png").write_text("of an earlier set of that name")
    assert script.main(["iris"]) == 0
    assert set(os.listdir(folder)) == ALWAYS | {"notes.txt"}
    assert (folder / "notes.txt").read_text() == "the user's own"
    assert report(folder)["data"]["rows"] == 150
    assert not list((place / "runs").glob(".*"))


def test_too_few_epochs_are_told_in_one_line(place, capsys):
    assert script.main(["iris", "--max-iter", "3"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("train.py: warning: ")
    assert "max_iter" in captured.err
    assert "Stopped after 3 iterations" in captured.out
    assert report(place / "runs" / "iris")["termination"]["reason"] == "max_iter"


def test_early_stopping_watches_training_rows(place):
    options = ["--early-stopping", "--optimizer", "nesterov", "--tol", "0"]
    assert script.main(options) == 0
    ending = report(place / "runs" / "breast_cancer")["termination"]
    assert ending["reason"] in {"early_stopping", "plateau"}


def test_a_failure_after_training_leaves_the_earlier_run(place, monkeypatch, capsys):
    def fail(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(script, "draw", fail)
    before = contents(place)
    assert script.main(["iris"]) == 2
    assert "no space left" in capsys.readouterr().err
    assert contents(place) == before


def test_interrupted_while_drawing(place, monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "draw", interrupt)
    before = contents(place)
    assert script.main(["iris"]) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert contents(place) == before


def test_ctrl_c_stops_training_and_reports(tmp_path):
    options = ["--optimizer", "gradient_descent", "--epochs", "100000000", "--tol", "0"]
    # a shell's background job, and all it starts, ignores the signal
    answer = signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, answer)
    try:
        while not process.stdout.readline().startswith("Training"):
            assert process.poll() is None
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "the best parameters are kept" in out
    assert err.count("\n") == 1
    assert "interrupted" in err
    assert set(os.listdir(tmp_path / "runs" / "breast_cancer")) == ALWAYS
    folder = tmp_path / "runs" / "breast_cancer"
    assert report(folder)["termination"]["reason"] == "interrupted"
    assert figures(folder, "train")["LogisticNeuron"]["accuracy"] > 0.9


def test_on_a_terminal_it_shows_progress_and_takes_it_away(tmp_path):
    ours, its = pty.openpty()
    options = ["--optimizer", "adam", "--epochs", "2000", "--tol", "0", "--output", str(tmp_path)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *options], stdout=its, stderr=subprocess.DEVNULL, env=environment
    )
    os.close(its)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end has closed
            break
    os.close(ours)
    assert process.wait() == 0
    assert b"iteration 2000" in shown
    assert b"\x1b[2K" in shown  # the line is erased
    assert b"Stopped after 2000 iterations" in shown
    assert load_model(tmp_path / "breast_cancer" / "model.skops")["neuron"].n_iter_ == 2000


def test_list_shows_every_set_with_a_line(capsys):
    assert script.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list_datasets())
    assert all(name in line for name, line in zip(list_datasets(), lines, strict=True))
    assert min(map(len, lines)) > 30


def test_help_explains_each_option_with_its_default(capsys):
    assert script.main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    options = (
        "--list --target --positive --optimizer --learning-rate --epochs --max-iter "
        "--batch-size --alpha --tol --test-size --seed --output --early-stopping --checkpoint "
        "--resume --memory --workers --scheduler --wait"
    )
    for option in options.split():
        assert f" {option} " in text
    assert text.count("(default: ") == 15
    for default in ("breast_cancer", "auto", "1000", "1e-06", "0.2", "runs"):
        assert f"(default: {default})" in text


def test_a_large_table_of_numbers_and_text(place, capsys):
    mixed_table(20_000).to_csv("people.csv.gz", index=False)
    assert script.main(["people.csv.gz", "--target", "income"]) == 0
    assert "20000 rows, 7 features" in capsys.readouterr().out
    test = figures(place / "runs" / "people")
    assert test["LogisticNeuron"]["Brier"] < test["LogisticRegression"]["Brier"] + 0.001
    assert test["LogisticNeuron"]["Brier"] < 0.65 * test["constant"]["Brier"]
    assert test["LogisticNeuron"]["accuracy"] > 0.8


def test_suspects_are_written_with_their_lines(place):
    table = TABLE.copy()
    table["hours"] = np.where(table["income"] == "high", 60.0, 20.0) + np.arange(30) % 3
    table.loc[7, "income"] = "low"  # line 9 of the file, with the header above
    table.loc[[3, 12], "income"] = None  # dropped: the lines of the others stay
    table.to_csv("wrong.csv", index=False)
    assert script.main(["wrong.csv", "--target", "income", "--suspects"]) == 0
    suspects = pd.read_csv("runs/wrong/suspects.csv")
    assert suspects["line"].iloc[0] == 9
    assert suspects["label"].iloc[0] == "low"
    assert len(suspects) == 28
    text = Path("wrong.csv").read_text()
    Path("wrong.csv").write_text("sep=,\n\n" + text.replace("Oslo", '"Os\nlo"', 1))
    n_more = 2 + (text[: text.index("Oslo")].count("\n") < 8)
    assert script.main(["wrong.csv", "--target", "income", "--suspects"]) == 0
    assert pd.read_csv("runs/wrong/suspects.csv")["line"].iloc[0] == 9 + n_more
    table.to_parquet("wrong.parquet")
    assert script.main(["wrong.parquet", "--target", "income", "--suspects"]) == 0
    assert "line" not in pd.read_csv("runs/wrong/suspects.csv")
    assert script.main(["iris", "--suspects"]) == 0
    assert "line" not in pd.read_csv("runs/iris/suspects.csv")
