"""Rows on a real Dask cluster of processes: the fits in memory, bit for bit on any cluster."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import StandardScaler

from trainer import Checkpoint, LogisticNeuron, LogisticNeuronCV, ShardedRows, open_rows
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.estimators.data import prepare

pytest.importorskip("distributed", reason="rows on a cluster need the extra dask")
da = pytest.importorskip("dask.array", reason="rows on a cluster need the extra dask")
dd = pytest.importorskip("dask.dataframe", reason="rows on a cluster need the extra dask")
dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def data():
    X, y = load_breast_cancer(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), np.array(["benign", "malignant"])[y]
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    chunks = (100, 7, 200, 262)
    shards = {"X": da.from_array(X, chunks=(chunks, (10, 20))), "y": da.from_array(y, chunks=200)}
    shards["weight"] = da.from_array(weight, chunks=len(y))
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(30)]).assign(y=y)
    return SimpleNamespace(
        X=X, y=y, weight=weight, shards=SimpleNamespace(**shards), frame=frame,
        ddf=dd.from_pandas(frame, npartitions=5),
    )  # fmt: skip


def test_sums_over_shards_are_those_of_memory(client, data):
    y, theta = (data.y == "malignant").astype(float), np.full((31, 1), 0.1)
    whole = Objective(ArrayRows(data.X, y), 0.01)
    prepared = prepare(LogisticNeuron(), data.shards.X, data.shards.y, None, reset=True)
    shards = prepared.objective(0.01, True)
    for name in ("value", "value_gradient_hessian", "score_products", "saturation"):
        for a, b in zip(getattr(whole, name)(theta), getattr(shards, name)(theta), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(shards.lipschitz(), whole.lipschitz(), rtol=1e-12)
    drawn = shards.sample(np.random.default_rng(3), 200).rows
    expected = whole.sample(np.random.default_rng(3), 200).rows
    np.testing.assert_array_equal(drawn.X, expected.X)


@pytest.mark.parametrize("optimizer", ["auto", "newton", "lbfgs", "adam"])
def test_arrays(client, data, optimizer):
    settings = {"optimizer": optimizer, "alpha": 0.1, "tol": 1e-8, "max_iter": 4000}
    if optimizer == "adam":  # two hundred rounds are enough to compare
        settings |= {"max_iter": 200, "tol": 0.05}
    neuron = LogisticNeuron(**settings).fit(data.shards.X, data.shards.y)
    expected = LogisticNeuron(**settings).fit(data.X, data.y)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, atol=1e-8)
    assert neuron.termination_.reason == expected.termination_.reason


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("optimizer", ["auto", "adam"])
def test_a_fit_goes_on_from_its_checkpoint(client, data, optimizer, tmp_path):
    """And only with the same shards."""
    path = tmp_path / "fit.checkpoint"
    settings = {"optimizer": optimizer, "max_iter": 12, "tol": 1e-9}
    expected = LogisticNeuron(**settings).fit(data.shards.X, data.shards.y)

    class Stops(Checkpoint):
        def on_fit_task_end(self, estimator, context):
            super().on_fit_task_end(estimator, context)
            return context.task_id == 2

    neuron = LogisticNeuron(**settings).set_callbacks(Stops(path, every=0))
    neuron.fit(data.shards.X, data.shards.y)
    assert neuron.termination_.reason == "interrupted"
    neuron.set_callbacks().fit(data.shards.X, data.shards.y, resume=path)
    assert neuron.coef_.tobytes() == expected.coef_.tobytes()
    assert neuron.loss_curve_.tobytes() == expected.loss_curve_.tobytes()
    assert replace(neuron.termination_, seconds=0) == replace(expected.termination_, seconds=0)
    with pytest.raises(ValueError, match="sample_weight had other values"):
        neuron.fit(data.shards.X, data.shards.y, data.shards.weight, resume=path)
    with pytest.raises(ValueError, match="X had other values"):
        neuron.fit(data.shards.X.rechunk({0: 100}), data.shards.y.rechunk(100), resume=path)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"benign": 3.0, "malignant": 1.0}])
def test_weights_and_class_weights(client, data, class_weight):
    neuron = LogisticNeuron(class_weight=class_weight, tol=1e-9)
    neuron.fit(data.shards.X, data.shards.y, data.shards.weight)
    expected = LogisticNeuron(class_weight=class_weight, tol=1e-9).fit(data.X, data.y, data.weight)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-8)


def test_frames_with_filters(client, data):
    X, y = data.ddf.drop(columns="y"), data.ddf.y
    neuron = LogisticNeuron(tol=1e-9).fit(X, y)
    expected = LogisticNeuron(tol=1e-9).fit(data.frame.drop(columns="y"), data.frame.y)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-8)
    assert neuron.feature_names_in_.tolist() == expected.feature_names_in_.tolist()
    assert (
        neuron.predict(data.frame.drop(columns="y")).tolist()
        == neuron.predict(X).compute().tolist()
    )
    late = data.ddf.loc[301:]  # whole partitions are empty
    neuron = LogisticNeuron(tol=1e-9).fit(late.drop(columns="y"), late.y)
    rest = data.frame[301:]
    expected = LogisticNeuron(tol=1e-9).fit(rest.drop(columns="y"), rest.y)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-8)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_predictions_are_lazy(client, data):
    neuron = LogisticNeuron(tol=1e-6).fit(data.X, data.y)
    for method in ("predict", "predict_proba", "decision_function"):
        lazy = getattr(neuron, method)(data.shards.X)
        expected = getattr(neuron, method)(data.X)
        assert isinstance(lazy, da.Array)
        assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
        equal = np.testing.assert_array_equal if method == "predict" else close
        equal(lazy.compute(), expected)
        of_frame = getattr(neuron, method)(data.ddf.drop(columns="y").to_dask_array(lengths=True))
        equal(of_frame.compute(), expected)
    assert neuron.score(data.shards.X, data.shards.y) == neuron.score(data.X, data.y)
    with pytest.raises(ValueError, match="X has 2 features, but LogisticNeuron is expecting 30"):
        neuron.predict(data.shards.X[:, :2])


def test_classes_and_float32(client):
    X, y = load_iris(return_X_y=True)
    Xd, yd = da.from_array(X, chunks=(40, -1)), da.from_array(y, chunks=40)
    neuron = LogisticNeuron(tol=1e-9).fit(Xd, yd)
    expected = LogisticNeuron(tol=1e-9).fit(X, y)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-6, atol=1e-9)
    assert neuron.predict_proba(Xd).compute().shape == (150, 3)
    single = LogisticNeuron(tol=1e-4).fit(Xd.astype(np.float32), y)  # y may be at hand
    assert single.coef_.dtype == np.float32


def test_cross_validation(client, data):
    alphas = np.logspace(-3, 0, 3)
    neuron = LogisticNeuronCV(alphas=alphas, cv=3, random_state=0, tol=1e-8)
    neuron.fit(data.shards.X, data.shards.y)
    numbers = np.random.default_rng(0).permutation(len(data.y)) % 3
    folds = [(np.flatnonzero(numbers != f), np.flatnonzero(numbers == f)) for f in range(3)]
    expected = LogisticNeuronCV(alphas=alphas, cv=folds, random_state=0, tol=1e-8)
    expected.fit(data.X, data.y)
    np.testing.assert_allclose(neuron.scores_, expected.scores_, rtol=1e-6)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=1e-6, atol=1e-9)


def test_the_same_bits_with_one_two_and_four_workers(cluster, client, data, files):
    found = []
    folder = files("parquet")
    for n_workers in (2, 1, 4):
        cluster.scale(n_workers)
        deadline = time.monotonic() + 60
        while len(client.scheduler_info()["workers"]) != n_workers:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        neuron = LogisticNeuron(tol=1e-9, random_state=0).fit(data.shards.X, data.shards.y)
        with open_rows(folder, target="y", client=client) as rows:
            of_files = LogisticNeuron(tol=1e-9, random_state=0).fit(rows)
        found.append(tuple(n.coef_.tobytes() + n.loss_curve_.tobytes() for n in (neuron, of_files)))
    cluster.scale(2)
    assert len(set(found)) == 1


def test_a_killed_worker_changes_no_bit(client, data):
    def fit():
        rule = {"optimizer": "gradient_descent", "max_iter": 40, "tol": 0.02}
        return LogisticNeuron(**rule).fit(data.shards.X, data.shards.y)

    expected = fit()
    for delay in (0.1, 0.5):
        pids = list(client.run(os.getpid).values())
        killer = threading.Timer(delay, os.kill, (pids[0], signal.SIGKILL))
        killer.start()
        neuron = fit()
        killer.join()
        assert neuron.coef_.tobytes() == expected.coef_.tobytes()
        assert neuron.loss_curve_.tobytes() == expected.loss_curve_.tobytes()
        client.wait_for_workers(2, timeout=60)


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (lambda d: (d.shards.X, None), "y must hold the labels"),
        (lambda d: (d.shards.X, d.shards.X[:, :2]), "y must be one column of labels"),
        (lambda d: (d.shards.X, d.shards.y[:100]), "y must have as many rows as X, got 100"),
        (lambda d: (d.ddf[["x0"]], d.y), "y must be a Dask collection"),
        (lambda d: (d.shards.X / 0, d.shards.y), "shard 0 of 4: Input X? ?contains"),
        (lambda d: (d.shards.X, d.shards.y, -d.shards.weight), "shard 0 of 4: sample_weight must"),
        (lambda d: (d.shards.X, d.shards.X[:, 0]), "y must hold classes"),
        (lambda d: (d.shards.X, da.zeros(569, chunks=100)), "at least two classes"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_cannot_be_trained_on_is_refused_in_one_line(client, data, fit, words):
    with pytest.raises(ValueError, match=words) as caught:
        LogisticNeuron().fit(*fit(data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rates", ["learn", [0.1, 0.1]])
def test_rates_of_wrong_labels_are_refused(client, data, rates):
    with pytest.raises(ValueError, match="noise_rates must be None for rows on a cluster"):
        LogisticNeuron(noise_rates=rates).fit(data.shards.X, data.shards.y)


def test_mini_batches_are_refused(client, data):
    with pytest.raises(ValueError, match="batch_size must be None for rows on a cluster"):
        LogisticNeuron(optimizer="adam", batch_size=32).fit(data.shards.X, data.shards.y)


def test_without_a_client(data):
    with pytest.raises(ValueError, match=r"start one with distributed\.Client\(\)"):
        LogisticNeuron().fit(data.shards.X, data.shards.y)


def test_the_wait_has_a_bound(client, data):
    slow = data.shards.X.map_blocks(lambda block: (time.sleep(3), block)[1], dtype=float)
    with (
        dask.config.set({"trainer.wait": 0.5}),
        pytest.raises(TimeoutError, match=r"no shard was done for 0\.5 s"),
    ):
        LogisticNeuron().fit(slow, data.shards.y)


def test_a_worker_with_another_version_is_named(client, data, monkeypatch):
    monkeypatch.setattr("trainer.__version__", "0.0.0")
    with pytest.raises(ValueError, match=r"must have trainer 0\.0\.0, got trainer"):
        LogisticNeuron().fit(data.shards.X, data.shards.y)


@pytest.fixture
def files(data, tmp_path):
    """A function that writes the table, with weights, in several files, and names them."""

    def write(suffix):
        table = data.frame.assign(n=data.weight)
        for i, start in enumerate(range(0, 569, 200)):
            path = tmp_path / f"{i}.{suffix}"
            part = table[start : start + 200]
            part.to_csv(path, index=False) if "csv" in suffix else part.to_parquet(path)
        return tmp_path

    return write


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_workers_read_files(client, data, files, suffix, class_weight):
    settings = {"target": "y", "weight": "n"}
    neuron = LogisticNeuron(tol=1e-9, class_weight=class_weight)
    with open_rows(files(suffix), **settings) as local:
        X, y, weight = map(np.concatenate, zip(*local.blocks(), strict=True))
        expected = LogisticNeuron(tol=1e-9, class_weight=class_weight).fit(X, y, weight)
    with open_rows(files(suffix), **settings, client=client) as rows:
        neuron.fit(rows)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(neuron.intercept_, expected.intercept_, rtol=0, atol=1e-8)
    assert (rows.n_rows, rows.class_totals) == (local.n_rows, local.class_totals)
    frame = data.frame.drop(columns="y")
    np.testing.assert_allclose(
        rows.preprocessor.transform(frame), local.preprocessor.transform(frame), atol=1e-14
    )
    with pytest.raises(ValueError, match="the rows are closed"):
        LogisticNeuron().fit(rows)


def test_files_on_a_cluster_with_rows_kept_out_classes_and_folds(client, tmp_path):
    iris = load_iris(as_frame=True).frame
    iris["target"] = np.array(["setosa", "versicolor", "virginica"])[iris.target]
    iris = iris.sample(frac=1, random_state=0).assign(number=np.arange(150.0))
    for i in range(3):
        iris[i * 50 : i * 50 + 50].to_parquet(tmp_path / f"{i}.parquet", index=False)
    rows = open_rows(tmp_path, target="target", test_size=0.2, client=client)
    assert (rows.n_rows, len(rows.X_test)) == (120, 30)
    training = iris[~iris.number.isin(rows.X_test.number)]
    X, y = rows.preprocessor.transform(training.drop(columns="target")), training.target
    settings = {"tol": 1e-9, "alpha": 1e-3, "random_state": 0}
    neuron, expected = LogisticNeuron(**settings).fit(rows), LogisticNeuron(**settings).fit(X, y)
    np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=0, atol=1e-8)
    rows = open_rows(tmp_path, target="target", positive="setosa", test_size=0.2, client=client)
    y = np.where(training.target == "setosa", "setosa", "not setosa")
    cv = LogisticNeuronCV(alphas=[1e-3, 1e-1], cv=3, random_state=0).fit(rows)
    numbers = np.random.default_rng(0).permutation(120) % 3
    folds = [(np.flatnonzero(numbers != f), np.flatnonzero(numbers == f)) for f in range(3)]
    in_memory = LogisticNeuronCV(alphas=[1e-3, 1e-1], cv=folds, random_state=0).fit(X, y)
    np.testing.assert_allclose(cv.scores_, in_memory.scores_, rtol=1e-5)


def make_shard(start, stop):
    rng = np.random.default_rng(start)
    X = rng.standard_normal((stop - start, 3))
    return X, (X.sum(axis=1) + rng.standard_normal(len(X)) > 0).astype(int), rng.random(len(X))


@pytest.mark.parametrize("keep", [True, False])
def test_functions_load_shards(client, keep):
    bounds, rounds = [(0, 300), (300, 310), (310, 900)], []
    loaders = [partial(make_shard, *of) for of in bounds]
    rows = ShardedRows(loaders, keep=keep, progress=lambda what, n, n_all: rounds.append(what))
    X, y, weight = map(np.concatenate, zip(*(load() for load in loaders), strict=True))
    for settings in ({}, {"class_weight": {0: 1.0, 1: 3.0}}):
        neuron = LogisticNeuron(tol=1e-10, **settings).fit(rows)
        expected = LogisticNeuron(tol=1e-10, **settings).fit(X, y, weight)
        np.testing.assert_allclose(neuron.coef_, expected.coef_, rtol=0, atol=1e-8)
    cv = LogisticNeuronCV(alphas=[0.1, 0.01], cv=2, random_state=0).fit(rows)
    numbers = np.random.default_rng(0).permutation(900) % 2
    folds = [(np.flatnonzero(numbers != f), np.flatnonzero(numbers == f)) for f in range(2)]
    in_memory = LogisticNeuronCV(alphas=[0.1, 0.01], cv=folds, random_state=0).fit(X, y, weight)
    np.testing.assert_allclose(cv.scores_, in_memory.scores_, rtol=1e-5)
    assert {"reading", "pass 1"} <= set(rounds)


def test_functions_that_fail(client):
    with pytest.raises(ValueError, match="shard 1 of 2: integer division or modulo by zero"):
        ShardedRows([partial(make_shard, 0, 9), partial(divmod, 1, 0)])
    with pytest.raises(ValueError, match="loaders must hold a function for each shard"):
        ShardedRows([])


def test_without_dask_the_extra_is_named():
    code = """if True:
        import sys
        sys.modules["distributed"] = None
        from trainer.sources.cluster import active_client
        try:
            active_client()
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "logistic-neuron-trainer[dask]"' in done.stdout
