"""Rows of files and streams of Arrow record batches: the same fits as of the table in memory."""

import gzip
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.feather
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from trainer import (
    LogisticNeuron,
    LogisticNeuronCV,
    load_dataset,
    load_model,
    make_preprocessor,
    open_rows,
    save_model,
    trace,
)
from trainer.sources.files import Draw
from trainer.sources.size import to_bytes


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 3_000
    frame = pd.DataFrame(
        {
            "income": rng.normal(50, 9, n).round(3),
            "visits": rng.integers(0, 9, n),
            "member": rng.random(n) < 0.3,
            "town": rng.choice(["Kyiv", "Oslo", "Lima, Peru"], n),
        }
    )
    frame.loc[::7, "income"] = np.nan
    frame.loc[::11, "town"] = None
    score = (frame.income.fillna(40) - 50) / 9 + (frame.town == "Oslo") + frame.member
    frame["bought"] = np.where(score + rng.normal(size=n) > 0.5, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def csv(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def memory(csv):
    """What the trainer does with the same table in memory."""
    data = load_dataset(csv, target="bought")
    preprocessor = make_preprocessor(data.X).fit(data.X)
    X = preprocessor.transform(data.X)
    neuron = LogisticNeuron(tol=1e-9).fit(X, data.y)
    return SimpleNamespace(data=data, X=X, neuron=neuron, preprocessor=preprocessor)


def gzipped(csv, folder):
    (folder / "table.csv.gz").write_bytes(gzip.compress(csv.read_bytes()))
    return folder / "table.csv.gz"


def divided(table, folder):
    for i, part in enumerate((table[:100], table[100:2222], table[2222:])):
        part.to_parquet(folder / f"{i}.parquet")
    return folder


def feather(table, folder):
    pyarrow.feather.write_feather(table, folder / "table.arrow")
    return str(folder / "*.arrow")


def ipc_stream(table, folder):
    with pa.OSFile(str(folder / "stream.ipc"), "wb") as file:
        whole = pa.Table.from_pandas(table)
        with pa.ipc.new_stream(file, whole.schema) as writer:
            writer.write_table(whole, max_chunksize=700)
    return folder / "stream.ipc"


SOURCES = {
    "csv": lambda table, csv, folder: csv,
    "gzipped csv": lambda table, csv, folder: gzipped(csv, folder),
    "folder of parquet": lambda table, csv, folder: divided(table, folder),
    "list": lambda table, csv, folder: sorted(divided(table, folder).iterdir()),
    "arrow file": lambda table, csv, folder: feather(table, folder),
    "arrow stream": lambda table, csv, folder: ipc_stream(table, folder),
    "dataset": lambda table, csv, folder: pa.dataset.dataset(divided(table, folder)),
    "lazy frame": lambda table, csv, folder: pl.scan_csv(csv),
    "lazy categories": lambda table, csv, folder: pl.scan_csv(csv).with_columns(
        pl.col("town").cast(pl.Categorical)
    ),
    "function": lambda table, csv, folder: (
        lambda: pa.Table.from_pandas(table).to_reader(max_chunksize=999)
    ),
    "reader": lambda table, csv, folder: pa.Table.from_pandas(table).to_reader(999),
    "iterator": lambda table, csv, folder: iter(pa.Table.from_pandas(table).to_batches(400)),
    "generator of frames": lambda table, csv, folder: (f for f in (table[:70], table[70:])),
    "frame": lambda table, csv, folder: table,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_fit_in_memory(kind, table, csv, memory, tmp_path):
    source = SOURCES[kind](table, csv, tmp_path)
    with open_rows(source, target="bought") as rows:
        assert (rows.n_rows, rows.n_features) == memory.X.shape
        assert rows.class_totals == dict(
            zip(*np.unique(memory.data.y, return_counts=True), strict=True)
        )
        neuron = LogisticNeuron(tol=1e-9).fit(rows)
        stored = np.vstack([X for X, _, _ in rows.blocks()])
    np.testing.assert_array_equal(stored, memory.X)
    np.testing.assert_allclose(neuron.coef_, memory.neuron.coef_, rtol=1e-9, atol=1e-12)
    assert neuron.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(
        rows.preprocessor.transform(memory.data.X), memory.X, rtol=0, atol=1e-15
    )


def test_the_pipeline_saved_predicts_on_a_frame(csv, memory, tmp_path):
    with open_rows(csv, target="bought") as rows:
        neuron = LogisticNeuron().fit(rows)
    model = Pipeline([("preprocessor", rows.preprocessor), ("neuron", neuron)])
    save_model(model, tmp_path / "model.skops")
    p = load_model(tmp_path / "model.skops").predict_proba(memory.data.X)
    np.testing.assert_allclose(p, memory.neuron.predict_proba(memory.X), atol=1e-4)


def small_blocks(monkeypatch):
    """Several batches, blocks and windows for a few thousand rows."""
    monkeypatch.setattr("trainer.sources.scratch.MAPPED_BYTES", 2**14)
    monkeypatch.setattr("trainer.sources.files.MAX_BATCH_ROWS", 333)


def test_blocks_weights_and_everything_after_fit(table, memory, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    weight = np.random.default_rng(1).integers(0, 4, len(table)).astype(float)
    source = pa.Table.from_pandas(table.assign(n=weight))
    rows = open_rows(source, target="bought", weight="n")
    X, y = memory.X, memory.data.y
    for settings in ({}, {"class_weight": "balanced"}, {"class_weight": {"no": 1, "yes": 3}}):
        neuron = LogisticNeuron(tol=1e-9, **settings).fit(rows)
        expected = LogisticNeuron(tol=1e-9, **settings).fit(X, y, weight)
        np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-8)
    np.testing.assert_allclose(
        trace(neuron, rows, None)["J"], trace(expected, X, y, weight)["J"], rtol=1e-10
    )
    neuron, expected = (LogisticNeuron(tol=1e-9).fit(*given) for given in ((rows,), (X, y, weight)))
    summary, of_memory = neuron.summary(rows, None), expected.summary(X, y, weight)
    np.testing.assert_allclose(summary.to_numpy(), of_memory.to_numpy(), rtol=1e-6)
    cv = LogisticNeuronCV(alphas=4, cv=3, random_state=0).fit(rows)
    numbers = np.random.default_rng(0).permutation(len(y)) % 3
    folds = [(np.flatnonzero(numbers != f), np.flatnonzero(numbers == f)) for f in range(3)]
    in_memory = LogisticNeuronCV(alphas=4, cv=folds, random_state=0).fit(X, y, weight)
    np.testing.assert_allclose(cv.scores_, in_memory.scores_, rtol=1e-5)


def test_a_sample_is_that_of_the_rows_in_memory(csv, memory, monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr("trainer.optimizers.auto.sample_size", lambda n_parameters: 400)
    with open_rows(csv, target="bought") as rows:
        neuron = LogisticNeuron(tol=1e-9, random_state=0).fit(rows)
    in_memory = LogisticNeuron(tol=1e-9, random_state=0).fit(memory.X, memory.data.y)
    assert neuron.history_["n_rows"].tolist() == in_memory.history_["n_rows"].tolist()
    np.testing.assert_allclose(neuron.loss_curve_, in_memory.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(neuron.coef_, in_memory.coef_, rtol=1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_mini_batches_from_a_file(csv, memory, monkeypatch, optimizer):
    small_blocks(monkeypatch)
    with open_rows(csv, target="bought") as rows, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(optimizer=optimizer, batch_size=64, max_iter=100, random_state=0)
        cost = neuron.fit(rows).loss_curve_[-1]
        in_memory = neuron.fit(memory.X, memory.data.y).loss_curve_[-1]
    assert abs(cost - in_memory) < 0.01 * in_memory < 0.01 * neuron.loss_curve_[0]


def test_classes_one_against_the_rest_and_float32(tmp_path):
    path = "data/wine.csv"
    with open_rows(path, target="cultivar", dtype="float32") as rows:
        neuron = LogisticNeuron(tol=1e-5).fit(rows)
        assert neuron.classes_.tolist() == ["class_0", "class_1", "class_2"]
        assert neuron.coef_.dtype == np.float32
    with open_rows(path, target="cultivar", positive="class_1") as rows:
        assert rows.positive == "class_1"
        neuron = LogisticNeuron(tol=1e-9).fit(rows)
    data = load_dataset(path, target="cultivar", positive="class_1")
    X = make_preprocessor(data.X).fit_transform(data.X)
    expected = LogisticNeuron(tol=1e-9).fit(X, data.y)
    assert neuron.classes_.tolist() == expected.classes_.tolist()
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-8)


def test_rows_kept_out_for_testing(table, monkeypatch):
    small_blocks(monkeypatch)
    numbered = table.assign(number=np.arange(len(table), dtype=float))
    rows = open_rows(numbered, target="bought", test_size=0.25, random_state=3)
    assert len(rows.X_test) == len(rows.y_test) == 750 == len(table) - rows.n_rows
    stored = np.vstack([X for X, _, _ in rows.blocks()])
    labels = np.concatenate([y for _, y, _ in rows.blocks()])
    training = numbered.drop(rows.X_test.number.astype(int))
    np.testing.assert_allclose(
        stored, rows.preprocessor.transform(training.drop(columns="bought")), atol=1e-12
    )
    np.testing.assert_array_equal(labels, training.bought)
    np.testing.assert_array_equal(numbered.bought[rows.X_test.number.astype(int)], rows.y_test)
    assert rows.class_totals == training.bought.value_counts().to_dict()
    stopped = LogisticNeuron(early_stopping=True).fit(
        rows, X_val=rows.preprocessor.transform(rows.X_test), y_val=rows.y_test
    )
    assert len(stopped.validation_curve_) > 1


def test_the_sample_is_drawn_from_all_rows(table, monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr("trainer.sources.files.MAX_SAMPLE_ROWS", 500)
    numbered = table.assign(number=np.arange(len(table), dtype=float))
    rows = open_rows(numbered, target="bought")
    assert "fitted on 500 rows drawn at random" in rows.notes[-1]
    scaler = rows.preprocessor.named_transformers_["numbers"][-1]
    place = rows.preprocessor.transformers_[0][2].index("number")
    # the mean of 500 numbers drawn from 0 to 2999 without replacement: 35 its standard deviation
    assert abs(scaler.mean_[place] - 1499.5) < 4 * 35
    assert rows.n_rows == 3_000


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


HEAD = "x,z,y\n"
GOOD = "".join(f"{i},{i * i % 7},{'ab'[i % 2]}\n" for i in range(100))


def test_types_are_those_of_all_files(tmp_path):
    write(tmp_path, a=HEAD + "1,2,a\n3,4,b\n" * 4, b=HEAD + "blue,2,a\nred,4,b\n" * 4)
    rows = open_rows(tmp_path, target="y")
    assert [name for name in rows.preprocessor.get_feature_names_out() if name[0] == "x"] == [
        "x_1", "x_3", "x_blue", "x_red",
    ]  # fmt: skip
    rows = open_rows(tmp_path / "a.csv", target="y", text=["x"])
    assert rows.preprocessor.get_feature_names_out().tolist() == ["z", "x_1", "x_3"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": HEAD + GOOD, "b": HEAD + GOOD + "\n7,oops,a\n"}, '"z".*"oops" in line 103 of b.csv'),
        ({"a": HEAD + GOOD + "1e300,1,a\n"}, r'1e\+300 in line 102 of a.csv, column "x"'),
        ({"a": HEAD + GOOD, "b": "x,w,y\n" + GOOD}, 'b.csv lacks "z" and has "w" besides'),
        ({"a": HEAD + GOOD + "1,2\n"}, "a.csv cannot be read as a table: .*Expected 3 columns"),
        ({"a": HEAD}, 'target column "y" must hold labels'),
        ({"a": "x,z,w\n" + GOOD}, 'column "y" is not in a.csv; choose from "x", "z", "w"'),
        ({"a": "x,x,y\n" + GOOD}, 'column names must differ, got "x"'),
        ({"a": "y\n1\n"}, "no comma, semicolon"),
        ({"a": HEAD + "1,2,b\n3,4,b\n"}, 'must hold two classes or more, got "b"'),
        ({"a": HEAD + "1,2,.5\n3,4,.25\n"}, "continuous numbers such as 0.5"),
        ({"a": HEAD + "".join(f"1,2,{i}\n" for i in range(60))}, "got 60 different numbers"),
        ({"a": HEAD + "5,7,a\n5,7,b\n"}, "no usable feature"),
        ({}, "is a folder without a table"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, files, words):
    with pytest.raises(ValueError, match=words) as caught:
        open_rows(write(tmp_path, **files), target="y")
    assert "\n" not in str(caught.value)


def test_a_line_is_counted_with_the_line_ends_inside_cells(tmp_path):
    text = "sep=;\nx;z;y\n" + '1,5;"two\nlines";a\n2,5;one;b\n' * 20 + "word;one;a\n"
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"\"word\" in line 63 of t\.csv"):
        open_rows(path, target="y")
    path.write_text(text.removesuffix("word;one;a\n"))
    rows = open_rows(path, target="y")
    assert rows.preprocessor.named_transformers_["numbers"][-1].mean_ == 2  # decimal commas


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": "data/nothing.csv"}, "there is no file"),
        ({"source": "data/*.nothing"}, "no file matches"),
        ({"source": 3}, "rows must be a path"),
        ({"source": []}, "must hold record batches|rows must be"),
        ({"memory": "much"}, "memory must be a number of bytes"),
        ({"dtype": "float16"}, "dtype must be"),
        ({"test_size": 1}, "test_size must be"),
        ({"columns": ["ash", "asch"]}, 'column "asch" is not in wine.csv; the nearest is "ash"'),
        ({"positive": "class_9"}, 'positive class "class_9" is not in'),
        ({"weight": "ash", "source": pd.DataFrame({"ash": [-1.0], "cultivar": "a"})}, "weights"),
    ],
)
def test_bad_arguments(arguments, words):
    given = {"source": "data/wine.csv", "target": "cultivar"} | arguments
    with pytest.raises(ValueError, match=words):
        open_rows(given.pop("source"), **given)


def test_types_that_clash_are_named(tmp_path):
    pd.DataFrame({"x": [1.0, 2], "y": ["a", "b"]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"x": ["1", "2"], "y": ["a", "b"]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"number in a\.parquet and text in b\.parquet"):
        open_rows(tmp_path, target="y")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"b\.parquet cannot be read as a table"):
        open_rows(tmp_path, target="y")


def test_a_function_that_gives_other_rows_is_refused(table):
    calls = []

    def stream():
        calls.append(0)
        return pa.Table.from_pandas(table[: 3000 - len(calls)]).to_batches()

    with pytest.raises(ValueError, match="the same rows in every pass"):
        open_rows(stream, target="bought")


def test_a_full_disk_is_noticed_before(csv, monkeypatch):
    usage = SimpleNamespace(free=10)
    monkeypatch.setattr("trainer.sources.scratch.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(ValueError, match=r"need 0.00 GB of scratch space, got 0.00 GB free"):
        open_rows(csv, target="bought")


def test_scratch_files_are_gone_whatever_happens(csv, tmp_path):
    rows = open_rows(csv, target="bought", folder=tmp_path)
    assert os.listdir(tmp_path) == []  # without a name from the start: SIGKILL leaves none
    rows.close()
    with pytest.raises(ValueError, match="closed"):
        LogisticNeuron().fit(rows)


def test_memory_is_flat(tmp_path):
    """Ten times the rows take no more memory: the scratch file is several times the difference."""
    code = """if True:
        import resource, sys
        import numpy as np, pyarrow as pa
        from trainer import LogisticNeuron, open_rows

        def stream():
            for i in range(int(sys.argv[1])):
                X = np.random.default_rng(i).standard_normal((20, 20_000))
                columns = {f"x{j}": x for j, x in enumerate(X)} | {"y": (X[0] > X[1]).astype(int)}
                yield pa.record_batch(columns)

        with open_rows(stream, target="y", memory="64MB") as rows:
            LogisticNeuron(alpha=0.01, max_iter=5, tol=1e-3).fit(rows)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, rows.nbytes // 2**20)
    """
    found = {}
    for n_batches in (4, 50):
        command = [sys.executable, "-c", code, str(n_batches)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[n_batches] = [int(figure) for figure in done.stdout.split()]
    (small, _), (large, n_scratch) = found.values()
    assert n_scratch > 150
    assert large - small < 75  # MB; the scratch file's mapped pages alone would add 140


def test_without_pyarrow_the_extra_is_named():
    code = """if True:
        import sys
        sys.modules["pyarrow"] = None
        import trainer
        try:
            trainer.open_rows("data/wine.csv", target="cultivar")
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "logistic-neuron-trainer[stream]"' in done.stdout


def test_a_csv_file_is_read_as_it_is_in_memory(tmp_path):
    """Blank lines before the header, and quotes that follow a space."""
    rng = np.random.default_rng(0)
    rows = zip(rng.normal(size=200), rng.choice(["red", "blue"], 200), "yn" * 100, strict=True)
    path = tmp_path / "t.csv"
    path.write_text("\n\nx, colour, y\n" + "".join(f'{x:.3f}, "{c}", "{y}"\n' for x, c, y in rows))
    rows, data = open_rows(path, target="y"), load_dataset(path, target="y")
    assert rows.classes.tolist() == np.unique(data.y).tolist() == ["n", "y"]
    known = rows.preprocessor.named_transformers_["text"].categories_[0]
    assert known.tolist() == sorted(data.X["colour"].unique()) == ["blue", "red"]


def test_a_header_may_be_long(tmp_path):
    names = [f"column_{i:06d}" for i in range(10_000)]
    cells = [",".join([str(i % 2)] * len(names)) for i in range(6)]
    path = tmp_path / "wide.csv"
    rows = "".join(f"{row},{'ab'[i % 2]}\n" for i, row in enumerate(cells))
    path.write_text(",".join([*names, "y"]) + "\n" + rows)
    assert open_rows(path, target="y").n_features == len(names)


def test_columns_may_be_an_iterator_and_text_must_be_columns(tmp_path):
    path = write(tmp_path, a=HEAD + GOOD)
    assert open_rows(path, target="y", columns=(name for name in ["x"])).n_features == 1
    with pytest.raises(ValueError, match=r'column "zz" is not in a\.csv'):
        open_rows(path, target="y", text=["zz"])


def test_draws_of_parts_join_into_a_fair_one():
    """A part whose draw was cut counts as one that was not."""
    rng = np.random.default_rng(0)

    def draw(size, n, value):
        found = Draw(size)
        batch = pa.record_batch({"x": np.full(n, value)})
        found.add(None, batch, 0, rng.random(n), np.arange(n))
        found.shrink()
        return found

    joined = draw(1_000, 100_000, 0.0)
    joined.extend(draw(1_000, 500, 1.0), 100_000)
    joined.shrink()
    n_large = (joined.numbers < 100_000).sum()
    assert n_large > 900  # 199 in 200 of all rows; it was 2 in 3


@pytest.mark.parametrize("memory", ["1e400", "nan", "1e-9"])
def test_memory_is_a_finite_number(memory):
    with pytest.raises(ValueError, match="memory must be a number of bytes"):
        to_bytes(memory)
