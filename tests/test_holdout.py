"""Rows held out by what is in them: equal rows together, a weight of 2 as two rows."""

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix
from scipy.stats import chi2, kstest

from trainer import LogisticNeuron
from trainer.estimators.holdout import held_out, row_keys


def problem(n=400, d=4, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.6)
    z = X @ rng.normal(size=(d, n_classes)) + rng.gumbel(size=(n, n_classes))
    return X, z.argmax(axis=1)


def test_equal_rows_go_together_and_strata_part_them():
    X, y = problem(50)
    order = np.random.default_rng(1).permutation(200)
    X4, y4 = np.tile(X, (4, 1))[order], np.tile(y, 4)[order]
    mask = held_out(X4, y4, None, 0.3, seed=0)
    for x in X:
        for stratum in (0, 1):
            assert len(set(mask[(X4 == x).all(axis=1) & (y4 == stratum)])) <= 1
    zeros, ones = (row_keys(X, np.full(50, k), 0) for k in (0, 1))
    assert not (zeros == ones).any()


def test_order_of_the_rows_does_not_matter():
    X, y = problem()
    order = np.random.default_rng(2).permutation(len(X))
    mask = held_out(X, y, None, 0.25, seed=5)
    np.testing.assert_array_equal(held_out(X[order], y[order], None, 0.25, seed=5), mask[order])


def test_weights_are_repeated_rows():
    X, y = problem()
    counts = np.random.default_rng(3).integers(0, 4, len(X))
    weighted = held_out(X, y, counts, 0.2, seed=1)
    repeated = held_out(X.repeat(counts, axis=0), y.repeat(counts), None, 0.2, seed=1)
    np.testing.assert_array_equal(weighted.repeat(counts), repeated)
    assert not weighted[counts == 0].any()


@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
def test_sparse_is_dense(kind):
    X, y = problem()
    X[0, 0] = -0.0
    sparse = kind(X)
    dense = row_keys(X, y, 7)
    np.testing.assert_array_equal(row_keys(sparse, y, 7), dense)
    # stored zeros, columns out of order and an entry in two parts are the same row
    odd = kind(([1.0, 0.0, 2.0, 3.0], [3, 1, 0, 0], [0, 4]), shape=(1, 4))
    plain = np.array([[5.0, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(
        row_keys(odd, np.zeros(1, int), 7), row_keys(plain, np.zeros(1, int), 7)
    )
    assert odd.nnz == 4


def test_blocks_are_the_whole(monkeypatch):
    X, y = problem()
    whole = row_keys(X, y, 0)
    monkeypatch.setattr("trainer.estimators.holdout.BLOCK_ROWS", 37)
    np.testing.assert_array_equal(row_keys(X, y, 0), whole)
    np.testing.assert_array_equal(row_keys(csr_array(X), y, 0), whole)


def test_minus_zero_is_zero_and_precision_and_layout_do_not_matter():
    X = np.array([[0.0, 1.0], [-0.0, 1.0]])
    keys = row_keys(X, np.zeros(2, int), 0)
    assert keys[0] == keys[1]
    X, y = problem()
    X = X.astype(np.float32)
    np.testing.assert_array_equal(row_keys(X, y, 0), row_keys(X.astype(float), y, 0))
    np.testing.assert_array_equal(row_keys(X, y, 0), row_keys(np.asfortranarray(X), y, 0))


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_about_the_fraction_of_each_stratums_weight(fraction):
    X, y = problem(600, n_classes=3)
    X[:, 0] = np.arange(600)  # no two rows alike
    weight = np.random.default_rng(4).random(len(X))
    mask = held_out(X, y, weight, fraction, seed=2)
    for stratum in range(3):
        of_stratum = y == stratum
        share = weight[of_stratum & mask].sum() / weight[of_stratum].sum()
        assert fraction <= share < fraction + weight.max() / weight[of_stratum].sum()


def test_another_seed_holds_out_other_rows():
    X, y = problem()
    masks = np.array([held_out(X, y, None, 0.25, seed) for seed in range(200)])
    assert len(np.unique(masks, axis=0)) == 200
    # each of the distinct rows, one of zeros among them, is held out as often as by fair draws
    _, distinct = np.unique(np.column_stack([X, y]), axis=0, return_index=True)
    assert any(not X[i].any() for i in distinct)
    times = masks[:, distinct].sum(axis=0)
    expected = 200 * masks.mean()
    statistic = ((times - expected) ** 2 / (expected * (1 - masks.mean()))).sum()
    assert chi2.ppf(1e-4, len(times)) < statistic < chi2.ppf(1 - 1e-4, len(times))


@pytest.mark.parametrize("kind", ["counting", "one-hot", "halves"])
def test_keys_are_uniform_however_regular_the_rows(kind):
    n = 4096
    number = np.arange(n)
    X = {
        "counting": number[:, np.newaxis] * 1.0,
        "one-hot": np.column_stack([number // 64, number % 64]) * 1.0,
        "halves": (number[:, np.newaxis] >> np.arange(12) & 1) * 0.5,
    }[kind]
    for seed in range(4):
        keys = row_keys(X, np.zeros(n, int), seed)
        assert len(np.unique(keys)) == n
        assert kstest(keys / 2**64, "uniform").pvalue > 1e-4
        low_bits = np.bincount((keys & np.uint64(63)).astype(int), minlength=64)
        assert ((low_bits - 64) ** 2 / 64).sum() < chi2.ppf(1 - 1e-4, 63)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_early_stopping_with_weights_is_with_repeated_rows(n_classes, class_weight):
    X, y = problem(n_classes=n_classes)
    counts = np.random.default_rng(5).integers(0, 4, len(X))
    for optimizer in ("newton", "lbfgs", "adam"):
        model = LogisticNeuron(
            optimizer=optimizer,
            early_stopping=True,
            class_weight=class_weight,
            validation_fraction=0.3,
            n_iter_no_change=4,
            random_state=0,
        )
        weighted = model.fit(X, y, counts).coef_
        n_iter, curve = model.n_iter_, model.validation_curve_
        repeated = model.fit(X.repeat(counts, axis=0), y.repeat(counts)).coef_
        np.testing.assert_allclose(weighted, repeated, rtol=1e-6)
        assert model.n_iter_ == n_iter
        np.testing.assert_allclose(model.validation_curve_, curve, rtol=1e-6)


def test_early_stopping_of_soft_labels_and_sparse_rows():
    X, y = problem(n_classes=3)
    settings = {"early_stopping": True, "validation_fraction": 0.3, "random_state": 0}
    dense = LogisticNeuron(**settings).fit(X, 0.8 * np.eye(3)[y] + 0.2 / 3)
    sparse = LogisticNeuron(**settings).fit(csr_array(X), 0.8 * np.eye(3)[y] + 0.2 / 3)
    assert {end.reason for end in dense.terminations_} <= {"early_stopping", "gradient"}
    np.testing.assert_allclose(sparse.validation_curve_, dense.validation_curve_, rtol=1e-6)


def test_the_cost_watched_is_that_of_the_rows_held_out():
    X, y = problem()
    model = LogisticNeuron(early_stopping=True, alpha=0.01, random_state=3).fit(X, y)
    mask = held_out(X, y, None, 0.1, seed=3)
    brier = np.mean((model.predict_proba(X[mask])[:, 1] - y[mask]) ** 2)
    assert model.validation_curve_.min() == pytest.approx(brier, rel=1e-10)


def test_nothing_to_hold_out_is_an_error():
    for X, y in (([[0.0], [1.0]], [0, 1]), ([[0.0], [0.0], [1.0]], [0, 0, 1])):
        with pytest.raises(ValueError, match=r"n_samples = \d, one of each class; give X_val"):
            LogisticNeuron(early_stopping=True).fit(X, y)
    mask = held_out(np.array([[0.0], [1.0], [2.0]]), np.array([0, 0, 1]), None, 0.9, 0)
    assert mask.tolist() in ([True, False, False], [False, True, False])
