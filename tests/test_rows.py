"""Rows that come block by block from outside: the same fits as in memory."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, LogisticNeuronCV, coefficient_table, cost_surface, trace
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows, BlockRows
from trainer.estimators.data import prepare
from trainer.optimizers import OPTIMIZERS


class Files:
    """A source of rows: small files of unequal length."""

    def __init__(self, folder, X, y, weight=None, sizes=(1, 150, 7, 211)):
        self.paths, self.n_opened = [], 0
        ends = np.minimum(np.cumsum(sizes), len(y))
        for start, end in zip([0, *ends], [*ends, len(y)], strict=True):
            if end > start:
                parts = {"X": X[start:end], "y": y[start:end]}
                if weight is not None:
                    parts["weight"] = weight[start:end]
                self.paths.append(folder / f"{len(self.paths)}.npz")
                np.savez(self.paths[-1], **parts)

    def blocks(self):
        for path in self.paths:
            self.n_opened += 1
            with np.load(path) as part:
                yield tuple(part[name] for name in ("X", "y", "weight") if name in part)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), np.array(["benign", "malignant"])[y]


@pytest.fixture
def source(cancer, tmp_path):
    return Files(tmp_path, *cancer)


def test_every_sum_is_that_of_the_rows_in_memory(cancer, source):
    X, labels = cancer
    y, theta = (labels == "malignant").astype(float), np.full((31, 1), 0.1)
    whole = Objective(ArrayRows(X, y), 0.01)
    neuron = LogisticNeuron()
    neuron.classes_ = np.array(["benign", "malignant"])
    blocks = prepare(neuron, source, None, None, reset=True).objective(0.01, True)
    assert isinstance(blocks.rows, BlockRows)
    for name in ("value", "value_gradient_hessian", "score_products", "saturation"):
        for a, b in zip(getattr(whole, name)(theta), getattr(blocks, name)(theta), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(blocks.lipschitz(), whole.lipschitz(), rtol=1e-12)
    drawn = blocks.sample(np.random.default_rng(3), 200).rows
    expected = whole.sample(np.random.default_rng(3), 200).rows
    np.testing.assert_array_equal(drawn.X, expected.X)
    assert blocks.n_passes == pytest.approx(whole.n_passes)


@pytest.mark.parametrize("optimizer", ["auto", *OPTIMIZERS])
def test_every_optimizer_trains_from_files(cancer, source, optimizer):
    neuron = LogisticNeuron(optimizer=optimizer, alpha=0.1, max_iter=4000)
    neuron.fit(source)
    memory = LogisticNeuron(optimizer=optimizer, alpha=0.1, max_iter=4000).fit(*cancer)
    np.testing.assert_allclose(neuron.coef_, memory.coef_, atol=1e-8)
    assert neuron.classes_.tolist() == ["benign", "malignant"]
    assert neuron.termination_.reason == memory.termination_.reason
    assert neuron.score(*cancer) == memory.score(*cancer)


def test_minibatches_hold_every_row_once(cancer, source, monkeypatch):
    monkeypatch.setattr("trainer.core.rows.GATHERED_ROWS", 100)  # several groups of blocks
    data = prepare(LogisticNeuron(), source, None, None, reset=True)
    batches = list(data.rows.minibatches(np.random.default_rng(0), 32))
    assert [batch.n_rows for batch in batches] == [32] * 17 + [25]
    seen = np.vstack([batch.X for batch in batches])
    assert len(np.unique(seen, axis=0)) == len(np.unique(cancer[0], axis=0)) == len(seen)
    assert not np.array_equal(seen[:100], cancer[0][:100])
    assert sum(batch.weight_sum[0] for batch in batches) == pytest.approx(569)
    neuron = LogisticNeuron(optimizer="adam", batch_size=32, max_iter=30, alpha=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert neuron.fit(source).score(*cancer) > 0.97


@pytest.mark.parametrize("class_weight", [None, "balanced", {"benign": 3.0, "malignant": 1.0}])
def test_weights_and_class_weights(cancer, tmp_path, class_weight):
    X, y = cancer
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    source = Files(tmp_path, X, y, weight)
    neuron = LogisticNeuron(class_weight=class_weight, tol=1e-9).fit(source)
    memory = LogisticNeuron(class_weight=class_weight, tol=1e-9).fit(X, y, weight)
    np.testing.assert_allclose(neuron.coef_, memory.coef_, rtol=1e-8)


def test_classes_and_soft_labels(tmp_path):
    X, y = load_iris(return_X_y=True)
    neuron = LogisticNeuron(tol=1e-9).fit(Files(tmp_path, X, y, sizes=(3, 60)))
    memory = LogisticNeuron(tol=1e-9).fit(X, y)
    np.testing.assert_allclose(neuron.coef_, memory.coef_, rtol=1e-7, atol=1e-9)
    P = memory.predict_proba(X)
    soft = LogisticNeuron(tol=1e-9).fit(Files(tmp_path, X, P, sizes=(3, 60)))
    np.testing.assert_allclose(soft.coef_, LogisticNeuron(tol=1e-9).fit(X, P).coef_, rtol=1e-6)


def test_soft_labels_in_frames_are_refused():
    """Their columns name the classes, and could stand in another order in another block."""
    frame = pd.DataFrame({"yes": [0.2, 0.9], "no": [0.8, 0.1]})

    class Source:
        def blocks(self):
            yield np.eye(2), frame
            yield np.eye(2), frame[["no", "yes"]]

    with pytest.raises(ValueError, match=r"block 0 .*soft labels must be arrays.*got a DataFrame"):
        LogisticNeuron().fit(Source())


def test_sparse_blocks_frames_and_float32(cancer):
    X, y = cancer

    class Blocks:
        def __init__(self, convert):
            self.convert = convert

        def blocks(self):
            for start in range(0, len(y), 200):
                yield self.convert(X[start : start + 200]), y[start : start + 200]

    memory = LogisticNeuron(tol=1e-9).fit(X, y)
    for convert in (csr_array, pd.DataFrame):
        neuron = LogisticNeuron(tol=1e-9).fit(Blocks(convert))
        np.testing.assert_allclose(neuron.coef_, memory.coef_, rtol=1e-6)
    single = LogisticNeuron(tol=1e-5).fit(Blocks(np.float32))
    assert single.coef_.dtype == np.float32


def test_everything_after_fit_takes_a_source(cancer, source):
    X, y = cancer
    neuron = LogisticNeuron(alpha=0.01).fit(source)
    memory = LogisticNeuron(alpha=0.01).fit(X, y)
    for function in (
        lambda n, *rows: coefficient_table(n, *rows).to_numpy(),
        lambda n, *rows: trace(n, *rows)["J"].to_numpy(),
        lambda n, *rows: cost_surface(n, *rows, grid=5).J,
    ):
        np.testing.assert_allclose(
            function(neuron, source, None), function(memory, X, y), rtol=1e-6
        )
    with pytest.raises(ValueError, match="early_stopping needs X_val and y_val"):
        LogisticNeuron(early_stopping=True).fit(source)
    stopped = LogisticNeuron(early_stopping=True, n_iter_no_change=1)
    stopped.fit(source, X_val=X[:50], y_val=y[:50])
    memory = LogisticNeuron(early_stopping=True, n_iter_no_change=1)
    memory.fit(X, y, X_val=X[:50], y_val=y[:50])
    np.testing.assert_allclose(stopped.validation_curve_, memory.validation_curve_, rtol=1e-8)


def test_cross_validation_of_a_source(cancer, source):
    X, y = cancer
    alphas = np.logspace(-4, 0, 5)
    neuron = LogisticNeuronCV(alphas=alphas, cv=4, random_state=0, tol=1e-8).fit(source)
    assert neuron.scores_.shape == (4, 5)
    numbers = np.random.default_rng(0).permutation(len(y)) % 4
    folds = [(np.flatnonzero(numbers != f), np.flatnonzero(numbers == f)) for f in range(4)]
    memory = LogisticNeuronCV(alphas=alphas, cv=folds, random_state=0, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(neuron.scores_, memory.scores_, rtol=1e-6)
    assert neuron.alpha_ == memory.alpha_
    np.testing.assert_allclose(neuron.coef_, memory.coef_, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="cv must be an integer or None"):
        LogisticNeuronCV(cv=folds).fit(source)
    with pytest.raises(ValueError, match="scoring must be 'neg_brier_score'"):
        LogisticNeuronCV(alphas=2, scoring="accuracy").fit(source)
    with pytest.raises(ValueError, match="cv must not exceed the 569 rows"):
        LogisticNeuronCV(cv=1000).fit(source)


def yielding(*blocks):
    source = type("Source", (), {})()
    source.blocks = lambda: iter(blocks)
    return source


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (yielding(), "at least one block"),
        (yielding(([[1.0]], [0])), "at least two classes"),
        (yielding(([[1.0], [2.0]], [0, 1]), ([[1.0, 2.0]], [0])), "same features, got 2 after 1"),
        (
            yielding(([[1.0], [np.nan]], [0, 1])),
            "block 0 of the source of rows: Input X contains NaN",
        ),
        (yielding(([[1.0], [2.0]], [0])), "block 0 .* inconsistent numbers of samples"),
        (yielding(([[1.0], [2.0]],)), "block 0 of the source of rows"),
        (yielding(([[1.0], [2.0]], [0, 1], [1.0, -1.0])), "block 0 .*[Nn]egative"),
        (yielding(([[1.0], [1e160]], [0, 1])), r"block 0 .*at most 1e\+100 .*got 1e\+160; scale"),
        (
            yielding(([[1.0], [2.0]], [0, 1]), (csr_array([[1.0]]), [1])),
            "must be of one kind, got sparse rows and labels after dense rows and labels",
        ),
        (
            yielding(([[1.0], [2.0]], [0, 1]), ([[1.0]], [[0.5, 0.5]])),
            "got dense rows and 2 columns of soft labels after dense rows and labels",
        ),
        (
            yielding(([[1.0]], [[0.5, 0.5]]), ([[1.0]], [[0.5, 0.3, 0.2]])),
            "got dense rows and 3 columns of soft labels after dense rows and 2 columns",
        ),
        (yielding(([[1.0]], [0]), ([[1.0]], ["a"])), "one type in all blocks, got int and str"),
        (yielding(([[1.0]], [0], [0.0]), ([[1.0]], [1], [0.0])), "must leave rows with weight"),
        (yielding(([[1.0]], [0], [1e300]), ([[1.0]], [1], [1e300])), r"sum from 1e-100 to 1e\+100"),
    ],
)
def test_bad_blocks_are_named(source, words):
    with pytest.raises(ValueError, match=words):
        LogisticNeuron().fit(source)


def test_a_source_that_can_be_read_once_is_refused(cancer):
    X, y = cancer
    blocks = iter([(X, y)])
    source = type("Source", (), {"blocks": lambda self: blocks})()
    with pytest.raises(ValueError, match="must yield the same rows in every pass, got 0"):
        LogisticNeuron().fit(source)
    with pytest.raises(ValueError, match="y must be None where X is a source"):
        LogisticNeuron().fit(Files.__new__(Files), y)


def blocks_of(X, y, weights, size):
    return yielding(*[
        (X[i : i + size], y[i : i + size], *([] if w is None else [w]))
        for i, w in zip(range(0, len(y), size), weights, strict=True)
    ])  # fmt: skip


def test_blocks_without_weights_among_others_weigh_1(cancer, monkeypatch):
    monkeypatch.setattr("trainer.core.rows.GATHERED_ROWS", 300)
    X, y = cancer
    weight = np.ones(len(y))
    weight[200:400] = np.random.default_rng(0).integers(0, 3, 200)
    source = blocks_of(X, y, [None, weight[200:400], None], 200)
    neuron = LogisticNeuron(tol=1e-9).fit(source)
    np.testing.assert_allclose(
        neuron.coef_, LogisticNeuron(tol=1e-9).fit(X, y, weight).coef_, rtol=1e-8
    )
    rows = prepare(LogisticNeuron(), source, None, None, reset=True).rows
    batches = list(rows.minibatches(np.random.default_rng(0), 100))
    assert sum(batch.weight.sum() for batch in batches) == weight.sum()
    neuron = LogisticNeuronCV(alphas=2, cv=3).fit(source)
    assert np.isfinite(neuron.scores_).all()


@pytest.mark.parametrize("class_weight", [None, "balanced", {"benign": 0.0, "malignant": 1.0}])
def test_a_block_may_have_no_row_with_weight_or_no_row(cancer, class_weight):
    X, y = cancer
    order = np.argsort(y, kind="stable")  # whole blocks of one class
    X, y = X[order], y[order]
    weight = np.repeat([0.0, 1.0, 0.0], [100, 300, 169])
    parts = [weight[i : i + 100] for i in range(0, len(y), 100)]
    source = blocks_of(X, y, parts, 100)
    empty = (np.empty((0, 30)), np.empty(0), np.empty(0))
    filtered = yielding(empty, *source.blocks(), empty)
    fits = [
        LogisticNeuron(class_weight=class_weight, alpha=0.1, tol=1e-9).fit(*rows)
        for rows in ((filtered,), (X, y, weight))
    ]
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_samples_of_a_source_are_of_rows_with_weight(share):
    rng = np.random.default_rng(0)
    X, y = np.arange(4000.0)[:, np.newaxis], np.arange(4000) % 2
    weight = (rng.random(4000) < share).astype(float)
    source = blocks_of(X, y, np.split(weight, 4), 1000)
    rows = prepare(LogisticNeuron(), source, None, None, reset=True).rows
    drawn = np.concatenate([rows.sample(rng, 20).X.ravel() for _ in range(100)]).astype(int)
    assert len(drawn) == 2000
    assert weight[drawn].all()
    of_first_half = np.mean(drawn < 2000) - weight[:2000].sum() / weight.sum()
    assert abs(of_first_half) < 5 * 0.5 / np.sqrt(2000)  # any of them alike
    assert rows.sample(rng, 3000).n_rows == min(3000, weight.sum())
