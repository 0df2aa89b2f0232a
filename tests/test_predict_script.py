"""`scripts/predict.py`: a saved model applied to tables in pieces."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from trainer import LogisticNeuron, open_rows, save_model
from trainer.commands import predict as script

SCRIPT = Path(__file__).parents[1] / "scripts" / "predict.py"


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 1_000
    frame = pd.DataFrame(
        {
            "user": [f"u{i}" for i in range(n)],
            "income": rng.normal(50, 9, n).round(3),
            "member": rng.random(n) < 0.3,
            "town": rng.choice(["Kyiv", "Oslo", "Lima"], n),
        }
    )
    frame.loc[::7, "income"] = np.nan
    score = (frame.income.fillna(50) - 50) / 9 + (frame.town == "Oslo") + frame.member
    return frame.assign(bought=np.where(score + rng.normal(size=n) > 0.5, "yes", "no"))


@pytest.fixture(scope="module")
def saved(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    features = ["income", "member", "town"]
    with open_rows(table, target="bought", columns=features) as rows:
        neuron = LogisticNeuron().fit(rows)
    model = Pipeline([("preprocessor", rows.preprocessor), ("neuron", neuron)])
    save_model(model, folder / "model.skops")
    table.to_csv(folder / "table.csv", index=False)
    expected = model.predict_proba(table[features].astype({"member": float, "town": object}))
    return folder, expected


@pytest.fixture
def predict(capsys):
    """Run the program in this process; its status and errors."""
    return lambda *arguments: (script.main([*map(str, arguments)]), capsys.readouterr().err)


def test_probabilities_labels_and_ids_in_order(table, saved, predict):
    folder, expected = saved
    table.to_parquet(folder / "part.parquet")
    out = folder / "out.csv"
    status, errors = predict(
        folder / "model.skops", folder / "table.csv", folder / "part.parquet", "-o", out,
        "--id", "user", "--rows", 300,
    )  # fmt: skip
    assert status == 0, errors
    assert 'table.csv: columns not used: "bought"' in errors
    found = pd.read_csv(out)
    assert found.columns.tolist() == ["user", "label", "p_no", "p_yes"]
    assert found.user.tolist() == table.user.tolist() * 2
    np.testing.assert_allclose(found[["p_no", "p_yes"]], np.vstack([expected] * 2), rtol=1e-12)
    assert ((found.label == "yes") == (found.p_yes > 0.5)).all()
    out = folder / "out.parquet"
    status, errors = predict(folder / "model.skops", folder / "table.csv", "-o", out)
    assert status == 0, errors
    assert pd.read_parquet(out).row.tolist() == list(range(1_000))


def test_a_pipe(saved):
    folder, expected = saved
    text = (folder / "table.csv").read_bytes()
    command = [sys.executable, SCRIPT, folder / "model.skops", "-", "-o", "-"]
    done = subprocess.run(command, capture_output=True, input=text, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 1_001
    assert float(lines[1].split(",")[3]) == pytest.approx(expected[0, 1])


def test_columns_that_differ_are_told_by_name(table, saved, predict):
    folder, _ = saved
    other = table[["town", "income", "member"]].astype({"town": object})
    other.loc[:4, "town"] = "Rome"
    other["member"] = other.member.astype(str)
    other.to_parquet(folder / "other.parquet")
    model = folder / "model.skops"
    status, errors = predict(model, folder / "other.parquet", "-o", folder / "o.csv")
    assert status == 0, errors
    assert "other.parquet: columns in another order" in errors
    assert 'column "member" is text, numbers in training' in errors
    assert "column 'town': 5 of 1000 rows hold a category that" in errors
    for change, words in (
        ({"town": "twn"}, 'lacks 1 of the 3 columns needed: "town"; the nearest is "twn"'),
        (
            {"town": "income", "income": "town"},
            'column "income" holds numbers, got "Rome" in row 1',
        ),
    ):
        other.rename(columns=change).to_parquet(folder / "wrong.parquet")
        status, errors = predict(model, folder / "wrong.parquet", "-o", folder / "wrong.csv")
        assert (status, words in errors) == (2, True), errors
        assert not (folder / "wrong.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.skops", "{table}", "-o", "-"], "nothing.skops"),
        (["{model}", "nothing.csv", "-o", "-"], "there is no file nothing.csv"),
        (["{model}", "{table}", "-o", "out.txt"], "-o must end in .csv or .parquet"),
        (["{model}", "{table}", "-o", "nowhere/out.csv"], "there is no folder nowhere"),
        (["{model}", "{table}", "-o", "-", "--id", "usr"], 'the nearest is "user"'),
        (["{model}", "{table}", "-o", "-", "--rows", "0"], "--rows must be an integer >= 1"),
    ],
)
def test_mistakes_end_in_one_line(saved, predict, arguments, words):
    folder, _ = saved
    places = {"model": folder / "model.skops", "table": folder / "table.csv"}
    status, errors = predict(*(argument.format(**places) for argument in arguments))
    assert (status, words in errors) == (2, True), errors
    assert errors.splitlines()[-1].startswith("predict.py: error: ")


def test_whole_numbers_stay_whole_and_gaps_gaps(table, saved, predict):
    folder, _ = saved
    few = table[:5].assign(id=pd.array([2**53 + 1, None, 2**53 + 3, 4, 5], dtype="Int64"))
    few["late"] = [None, None, "a", None, "b"]
    few.to_parquet(folder / "ids.parquet")
    for name in ("id", "late"):
        out = folder / "ids_out.parquet"
        status, errors = predict(
            folder / "model.skops", folder / "ids.parquet", "-o", out, "--id", name, "--rows", 2
        )
        assert status == 0, errors
        found = pd.read_parquet(out, dtype_backend="pyarrow")[name]
        assert found.fillna(0 if name == "id" else "").tolist() == (
            [2**53 + 1, 0, 2**53 + 3, 4, 5] if name == "id" else ["", "", "a", "", "b"]
        )
    few.rename(columns={"id": "label"}).to_parquet(folder / "ids.parquet")
    status, errors = predict(
        folder / "model.skops", folder / "ids.parquet", "-o", out, "--id", "label"
    )
    assert (status, "column 'label' of its own" in errors) == (2, True)


@pytest.mark.parametrize("given", ["table.csv", "*.csv", "model.skops"])
def test_what_is_read_is_not_overwritten(saved, predict, tmp_path, monkeypatch, given):
    folder, _ = saved
    for name in ("table.csv", "model.skops"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    output, table = (given, "table.csv") if given == "model.skops" else ("./table.csv", given)
    if given == "model.skops":
        output = "model.csv"
        (tmp_path / output).symlink_to("model.skops")
    before = (tmp_path / "table.csv").read_bytes(), (tmp_path / "model.skops").read_bytes()
    status, errors = predict("model.skops", table, "-o", output)
    assert (status, "-o must not be" in errors) == (2, True), errors
    assert before == (
        (tmp_path / "table.csv").read_bytes(),
        (tmp_path / "model.skops").read_bytes(),
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_half_file(table, saved, sent):
    folder, _ = saved
    out = folder / "interrupted"
    out.mkdir(exist_ok=True)
    pd.concat([table] * 300).to_csv(folder / "long.csv", index=False)
    command = [sys.executable, SCRIPT, folder / "model.skops", folder / "long.csv"]
    command += ["-o", out / "out.csv", "--rows", "100"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not os.listdir(out) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert os.listdir(out) != ["out.csv"]
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert errors.endswith("predict.py: interrupted: nothing was written\n")
    assert os.listdir(out) == []
