"""`train.py` on several files, files larger than memory, and a cluster of processes."""

import gzip
import json
import os
import pty
import re
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.feather
import pytest
from sklearn.metrics import brier_score_loss
from sklearn.pipeline import Pipeline

from trainer import LogisticNeuron, load_model, open_rows, save_model, too_large_for_memory
from trainer.commands import rows
from trainer.commands import train as script

dask = pytest.importorskip("dask", reason="rows on a cluster need the extra dask")
distributed = pytest.importorskip("distributed", reason="rows on a cluster need the extra dask")

SCRIPT = Path(__file__).parents[1] / "scripts" / "train.py"
SECONDS = 240
"""Longest time of a subprocess, on a machine that does other work too."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with one table in many forms."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    n = 900
    frame = pd.DataFrame(
        {
            "income": rng.normal(50, 9, n).round(3),
            "visits": rng.integers(0, 9, n).astype(float),
            "town": rng.choice(["Kyiv", "Oslo", "Lima"], n),
        }
    )
    frame.loc[::7, "income"] = np.nan
    score = (frame.income.fillna(50) - 50) / 9 + (frame.town == "Oslo")
    frame["clicked"] = np.where(score + rng.normal(size=n) > 0.3, "yes", "no")
    parts = frame[:200], frame[200:650], frame[650:]
    Path("logs").mkdir()
    for i, part in enumerate(parts):
        part.to_parquet(f"2026-{i}.parquet")
        part.to_csv(f"part-{i}.csv", index=False)
        text = part.to_csv(index=False).encode()
        Path("logs", f"{i}.csv.gz").write_bytes(gzip.compress(text))
    pyarrow.feather.write_feather(frame, "table.arrow")
    frame.to_csv("table.csv", index=False)
    return frame


def report(name):
    return json.loads((Path("runs") / name / "metrics.json").read_text())


SOURCES = {
    "pattern": (["2026-*.parquet"], "2026"),
    "several": (["part-0.csv", "part-1.csv", "part-2.csv"], "part-0"),
    "folder": (["logs"], "logs"),
    "arrow": (["table.arrow"], "table"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_files_give_the_fit_in_memory_of_the_same_rows(kind, place, capsys):
    given, name = SOURCES[kind]
    assert script.main([*given, "--target", "clicked", "--tol", "1e-9"]) == 0
    output = capsys.readouterr().out
    assert "read in pieces: " in output
    assert "left out, as they need all training rows in memory" in output
    source = given if len(given) > 1 else given[0]
    with open_rows(source, target="clicked", test_size=0.2, random_state=42) as opened:
        X, y = map(np.concatenate, zip(*((X, y) for X, y, _ in opened.blocks()), strict=True))
    assert len(y) == 720
    model = load_model(Path("runs") / name / "model.skops")
    expected = LogisticNeuron(tol=1e-9, random_state=42).fit(X, y)
    np.testing.assert_allclose(model[-1].coef_, expected.coef_, rtol=0, atol=1e-8)
    found = report(name)
    assert found["data"]["rows"] == 900
    assert found["data"]["classes"] == place.clicked.value_counts().sort_index().to_dict()
    p = model.predict_proba(opened.X_test)[:, 1]
    brier = brier_score_loss(opened.y_test == "yes", p)
    assert found["figures"]["test"]["LogisticNeuron"]["Brier"] == pytest.approx(brier, rel=1e-12)
    constant = np.mean((np.mean(y == "yes") - (opened.y_test == "yes")) ** 2)
    assert found["figures"]["test"]["constant"]["Brier"] == pytest.approx(constant, rel=1e-12)
    assert set(found["figures"]) == {"test"}
    files = {path.name for path in (Path("runs") / name).iterdir()}
    assert files == {
        "loss_curve.png", "calibration.png", "history.csv", "model.skops", "metrics.json"
    }  # fmt: skip


def test_above_the_memory_allowed_a_table_is_read_in_pieces(place, capsys):
    pd.concat([place] * 12).to_csv("long.csv", index=False)
    assert script.main(["long.csv", "--target", "clicked", "--memory", "1MB"]) == 0
    output = capsys.readouterr().out
    assert "long.csv: read in pieces: training on it in memory would take about" in output
    assert script.main(["long.csv", "--target", "clicked", "--memory", "2GB"]) == 0
    output = capsys.readouterr().out
    assert "pieces" not in output
    assert set(report("long")["figures"]) == {"train", "test"}


def test_the_memory_that_a_table_takes(place):
    n_cells = 60 * place.size  # of which a table in memory takes 40 bytes each
    long = pd.concat([place] * 60)
    long.to_csv("long.csv", index=False)
    long.to_parquet("long.parquet", index=False)
    Path("long.csv.gz").write_bytes(gzip.compress(Path("long.csv").read_bytes(), 1))
    for name in ("long.csv", "long.parquet", "long.csv.gz"):
        assert too_large_for_memory(name, n_cells * 30)
        assert too_large_for_memory(name, n_cells * 60) is None
    assert too_large_for_memory("nothing.csv") is None  # it is reported by whoever reads it
    with pytest.raises(ValueError, match="memory must be a number of bytes"):
        too_large_for_memory("table.csv", "2 parsecs")


def test_early_stopping_and_mini_batches(place):
    options = ["--optimizer", "adam", "--batch-size", "32", "--early-stopping"]
    assert script.main(["2026-*.parquet", "--target", "clicked", *options]) == 0
    history = pd.read_csv("runs/2026/history.csv")
    assert history.validation_cost.notna().all()
    found = report("2026")
    assert found["figures"]["test"]["LogisticNeuron"]["Brier"] < 0.23
    assert found["data"]["rows"] == 900


WRONG = {
    "no target": ("2026-*.parquet", ["--target must be given", "pattern"]),
    "unknown target": ("2026-*.parquet --target cliked", ['the nearest is "clicked"']),
    "no file of a pattern": ("*.nothing --target y", ["no file matches"]),
    "one file twice": (
        "part-0.csv ./part-0.csv --target clicked", ["given once, got ./part-0.csv twice"],
    ),
    "three classes": ("2026-*.parquet --target town", ["holds 3 classes", "--positive"]),
    "page of a replay": ("logs --target clicked --report", ["--report", "it is a folder"]),
    "suspects": ("logs --target clicked --suspects", ["--suspects", "it is a folder"]),
    "options that clash": (
        "logs --target clicked --optimizer lbfgs --batch-size 9", ["lbfgs", "batch_size"],
    ),
    "memory": ("table.csv --target clicked --memory lots", ["memory must be", "'lots'"]),
    "a toy set": ("iris --workers 2", ["--workers and --scheduler are for files"]),
    "both": ("logs --target clicked --workers 1 --scheduler a:1", ["give one"]),
    "batches": ("logs --target clicked --workers 1 --batch-size 9", ["--batch-size", "cluster"]),
    "no worker": ("logs --target clicked --workers 0", ["--workers", "'0'"]),
    "no wait": ("logs --target clicked --workers 1 --wait 0", ["--wait", "'0'"]),
    "out of reach": (
        "logs --target clicked --scheduler tcp://127.0.0.1:9 --wait 1",
        ["--scheduler: tcp://127.0.0.1:9 cannot be reached in 1 s"],
    ),
    "no address": ("logs --target clicked --scheduler what://is", ["--scheduler: what://is"]),
    "all of one class": ("rare --target clicked", ["--test-size 0.2 keeps out", "one class"]),
    "misfit": ("broken --target clicked", ['"income"', '"much"', "line 251 of b.csv"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_end_in_one_line(case, place, capsys):
    for folder in ("rare", "broken"):
        Path(folder).mkdir()
    place.to_csv("broken/a.csv", index=False)
    broken = place[:300].astype({"income": object})
    broken.loc[249, "income"] = "much"
    broken.to_csv("broken/b.csv", index=False)
    place.assign(clicked=[*["yes"] * 2, *["no"] * 898]).to_csv("rare/a.csv", index=False)
    options, words = WRONG[case]
    before = sorted(Path().rglob("*"))
    assert script.main(options.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: error: ")
    assert error.count("\n") == 1
    assert [word for word in words if word not in error] == [], error
    assert sorted(Path().rglob("*")) == before


def test_a_cluster_on_this_machine(place):
    command = [sys.executable, SCRIPT, "2026-*.parquet", "--target", "clicked", "--workers"]
    found = []
    for n_workers in ("1", "2"):
        done = subprocess.run(
            [*command, n_workers], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"read and kept by {n_workers} worker" in done.stdout
        assert "All rows were read" in done.stdout
        found.append(load_model("runs/2026/model.skops")[-1].coef_.tobytes())
    assert found[0] == found[1]


CLUSTER = """if True:
    import asyncio, sys
    WRONG
    from distributed import Scheduler, Worker
    async def main():
        async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
            async with Worker(scheduler.address, nthreads=1):
                print(scheduler.address, flush=True)
                await scheduler.finished()
    asyncio.run(main())
"""


@contextmanager
def cluster(wrong="", folder=None):
    """A scheduler and a worker, in a process of their own; its address."""
    command = [sys.executable, "-c", CLUSTER.replace("WRONG", wrong)]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "cwd": folder}
    with subprocess.Popen(command, **pipe) as process:
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('sys.modules["trainer"] = None', "got no package trainer on tcp://"),
        ("import trainer; trainer.__version__ = '0.0.9'", "got trainer 0.0.9 on tcp://"),
        ('sys.modules["pyarrow"] = None', "got no package pyarrow on tcp://"),
    ],
)
def test_workers_that_cannot_work(wrong, words, place, capsys):
    with cluster(wrong) as (address, _):
        assert script.main(["logs", "--target", "clicked", "--scheduler", address]) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), words in error) == (1, True), error


def test_a_shard_that_cannot_be_read(place, capsys):
    path = Path("2026-1.parquet")
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)  # the pages are damaged, and what describes them is not
    path.write_bytes(content)
    with cluster() as (address, _):
        options = ["--target", "clicked", "--scheduler", address]
        assert script.main(["2026-*.parquet", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "shard 1 of 3: 2026-1.parquet cannot be read as a table" in error


def test_a_scheduler_that_dies(place, capsys, monkeypatch):
    """Training that would take for ever ends within the wait."""
    endless = ["--optimizer", "gradient_descent", "--tol", "0", "--epochs", "1000000"]
    reached = []

    def kill(bar, what, n_done, n_all):
        if what == "pass 5" and not reached:
            reached.append(what)
            dask.config.set({"trainer.wait": 5})  # workers may need longer for their imports
            process.kill()

    monkeypatch.setattr(rows, "CONNECT_SECONDS", 10)  # a client that lost it connects again
    monkeypatch.setattr(rows.Bar, "__call__", kill)
    with cluster() as (address, process):
        options = ["--target", "clicked", "--scheduler", address]
        assert script.main(["logs", *options, *endless]) == 2
    error = capsys.readouterr().err
    assert reached, error
    assert error.count("\n") == 1
    assert "the cluster does not answer" in error


@pytest.mark.parametrize("options", [[], ["--workers", "1"]])
def test_a_terminal_shows_the_passes(place, options):
    main, worker = pty.openpty()
    command = [sys.executable, SCRIPT, "logs", "--target", "clicked", *options]
    with subprocess.Popen(command, stdout=worker, stderr=worker) as process:
        os.close(worker)
        shown = b""
        try:
            while piece := os.read(main, 4096):
                shown += piece
        except OSError:  # Linux: the other end is closed
            pass
        assert process.wait(timeout=SECONDS) == 0
    os.close(main)
    assert b"preparing" in shown
    assert b"pass 1" in shown
    assert b"Written to" in shown


ENTRANCES = {
    "pyarrow": {
        "train(['logs', '--target', 'clicked'])": "stream",
        "train(['2026-0.parquet', '--target', 'clicked'])": "parquet",
        "predict(['model.skops', 'table.csv', '-o', 'o.csv'])": "stream",
        "make_table(['9', 't.parquet'])": "stream",
        "python(trainer.open_rows, 'table.csv', target='clicked')": "stream",
    },
    "distributed": {
        "train(['logs', '--target', 'clicked', '--workers', '1'])": "dask",
        "simulate_scale(['100', '--workers', '1'])": "dask",
        "python(trainer.open_rows, 'table.csv', target='clicked', client=1)": "dask",
        "python(trainer.ShardedRows, [print])": "dask",
        "python(trainer.LogisticNeuron().fit, dask.zeros((9, 2)), dask.zeros(9))": "dask",
    },
    "dask": {"kill_workers(['--fits', '1'])": "dask"},
}


@pytest.mark.parametrize("hidden", ENTRANCES)
def test_each_entrance_names_the_extra_that_is_missing(hidden, place):
    with open_rows("table.csv", target="clicked") as opened:
        neuron = LogisticNeuron().fit(opened)
    model = Pipeline([("preprocessor", opened.preprocessor), ("neuron", neuron)])
    save_model(model, "model.skops")
    code = f"""
        import contextlib, io, json, sys
        import dask.array as dask
        sys.modules[{hidden!r}] = None
        sys.path.insert(0, {str(SCRIPT.parent)!r})
        from importlib import import_module
        import trainer

        def python(function, *args, **kwargs):
            try:
                function(*args, **kwargs)
            except ImportError as error:
                print(error, file=sys.stderr)
                return 2

        def run(module):
            return lambda argv: import_module(module).main(argv)

        train, predict = run("trainer.commands.train"), run("trainer.commands.predict")
        make_table, simulate_scale, kill_workers = map(
            run, ("make_table", "simulate_scale", "kill_workers")
        )
        found = []
        for call in {[*ENTRANCES[hidden]]}:
            with contextlib.redirect_stderr(io.StringIO()) as errors:
                found.append((eval(call), errors.getvalue()))
        print(json.dumps(found))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout.splitlines()[-1])
    for (status, error), (call, extra) in zip(found, ENTRANCES[hidden].items(), strict=True):
        assert status == 2, (call, error)
        assert f'pip install "logistic-neuron-trainer[{extra}]"' in error, call
        assert error.count("\n") == 1, (call, error)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_files_are_measured(form, tmp_path):
    command = [sys.executable, SCRIPT.with_name("measure_files.py"), "6000", "--format", form]
    done = subprocess.run(
        [*command, "--features", "5", "--folder", tmp_path], capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n| `train.py` |") == done.stdout.count("\n| `predict.py` |") == 1
    differences = re.findall(r"by (\d\S+e-\d+|0\.0e\+00)", done.stdout)
    assert len(differences) == 2
    assert max(map(float, differences)) < 1e-8
    assert list(tmp_path.iterdir()) == []


def test_rows_generated_on_workers_are_those_generated_here():
    command = [sys.executable, SCRIPT.with_name("simulate_scale.py"), "2e5", "--features", "4"]
    found = []
    for more in ([], ["--workers", "2"]):
        done = subprocess.run(
            [*command, *more], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.splitlines()[-1].split(" | ")[:3])
    assert found[0] == found[1]
    assert float(found[0][2]) < 0.1
