"""Calibration in figures: the isotonic curve, its band, and both decompositions of the score."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm, sem
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import brier_score_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

from trainer import (
    LogisticNeuron,
    brier_decomposition,
    brier_difference,
    consistency_band,
    reliability_curve,
)
from trainer.inspection import evaluation


def forecasts(n=400, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 0.8, n)
    return (rng.random(n) < p**1.3).astype(int), p, rng.integers(0, 4, n)


def of_a_model(model, X, y):
    X = StandardScaler().fit_transform(X)
    p = model.fit(X[::2], y[::2]).predict_proba(X[1::2])[:, 1]
    return y[1::2], p, None


def ties():
    y, p, weight = forecasts(1000, seed=1)
    return y, np.round(p, 1), weight / 3


SETS = {
    "continuous forecasts": lambda: (*forecasts()[:2], None),
    "weights": lambda: forecasts(700, seed=2),
    "ties and weights": ties,
    "neuron": lambda: of_a_model(LogisticNeuron(), *load_breast_cancer(return_X_y=True)),
    "naive Bayes, many of 0 and 1": lambda: of_a_model(
        GaussianNB(), *load_breast_cancer(return_X_y=True)
    ),
    "forest of 7 trees": lambda: of_a_model(
        RandomForestClassifier(7, random_state=0), load_iris().data, (load_iris().target == 1) * 1
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_curve_and_parts_agree_with_model_diagnostics(name):
    pytest.importorskip("model_diagnostics", reason="needs the package model-diagnostics")
    from model_diagnostics.calibration import plot_reliability_diagram
    from model_diagnostics.scoring import SquaredError, decompose

    y, p, weight = SETS[name]()
    curve = reliability_curve(y, p, sample_weight=weight)
    counted = slice(None) if weight is None else weight > 0
    w = None if weight is None else weight[counted]
    (parts,) = decompose(y[counted], p[counted], w, scoring_function=SquaredError()).to_dicts()
    assert curve.miscalibration == pytest.approx(parts["miscalibration"], abs=1e-12)
    assert curve.discrimination == pytest.approx(parts["discrimination"], abs=1e-12)
    assert curve.uncertainty == pytest.approx(parts["uncertainty"], abs=1e-12)
    assert curve.brier == pytest.approx(parts["score"], abs=1e-12)
    ax = plot_reliability_diagram(y[counted], p[counted], w, ax=Figure().subplots())
    x, recalibrated = ax.get_lines()[-1].get_data()
    ours = np.interp(x, curve.prob_pred, curve.prob_true)
    np.testing.assert_allclose(ours, recalibrated, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_the_parts_sum_to_the_brier_score(name):
    y, p, weight = SETS[name]()
    curve = reliability_curve(y, p, sample_weight=weight)
    total = curve.miscalibration - curve.discrimination + curve.uncertainty
    score = brier_score_loss(y, p, sample_weight=weight)
    assert curve.brier == pytest.approx(score, rel=1e-12)
    assert total == pytest.approx(score, rel=1e-12)
    assert curve.miscalibration > 0
    assert curve.discrimination > 0


def test_the_curve_is_the_max_min_of_means():
    """The isotonic regression by its definition, over all ranges of distinct forecasts."""
    y, p, weight = forecasts(40, seed=3)
    p = np.round(p, 2)
    curve = reliability_curve(y, p, sample_weight=weight)
    values = np.unique(p[weight > 0])
    np.testing.assert_array_equal(curve.prob_pred, values)

    def mean(first, last):
        inside = (p >= values[first]) & (p <= values[last])
        return np.average(y[inside], weights=weight[inside])

    n = len(values)
    for i, recalibrated in enumerate(curve.prob_true):
        lowest = (min(mean(first, last) for last in range(i, n)) for first in range(i + 1))
        assert recalibrated == pytest.approx(max(lowest), abs=1e-14)
    np.testing.assert_allclose(curve.weight, [weight[p == value].sum() for value in values])


def test_calibrated_and_constant_forecasts_have_one_part_each():
    y, p = np.array([0, 0, 0, 1, 0, 1, 1, 1]), np.repeat([0.25, 0.75], 4)
    calibrated = reliability_curve(y, p)
    assert calibrated.miscalibration == pytest.approx(0, abs=1e-16)
    assert calibrated.discrimination == pytest.approx(0.25**2)
    constant = reliability_curve(y, np.full(8, 0.3))
    assert constant.miscalibration == pytest.approx(0.2**2)
    assert (constant.discrimination, constant.prob_true.tolist()) == (0, [0.5])


@pytest.mark.parametrize("compute", [reliability_curve, brier_decomposition])
def test_one_class_against_the_rest(compute):
    y = np.array(["a", "b", "c", "b", "a", "c"])
    p = np.array([0.1, 0.8, 0.3, 0.6, 0.2, 0.7])
    parts, expected = compute(y, p, pos_label="b"), compute((y == "b") * 1, p)
    for name, value in vars(parts).items():
        np.testing.assert_array_equal(value, getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("edges", [None, np.linspace(0, 1, 6)], ids=["isotonic", "bins"])
def test_calibrated_curves_are_in_the_band_as_often_as_it_says(edges, weighed):
    """At every forecast; where shares have few values, more often."""
    rng = np.random.default_rng(0)
    p = np.sort(rng.beta(0.7, 0.9, 150))
    weight = rng.integers(1, 4, 150).astype(float) if weighed else None
    band = consistency_band(
        p, sample_weight=weight, edges=edges, level=0.9, n_resamples=2000, random_state=1
    )
    inside = []
    for _ in range(600):
        y = (rng.random(150) < p).astype(int)
        if edges is None:
            curve = reliability_curve(y, p, sample_weight=weight)
        else:
            curve = brier_decomposition(y, p, sample_weight=weight, n_bins=5)
        np.testing.assert_allclose(curve.prob_pred, band.prob_pred)
        inside.append((band.lower <= curve.prob_true) & (curve.prob_true <= band.upper))
    covered = np.mean(inside, axis=0)
    error = 3 * np.sqrt(0.9 * 0.1 / 600)
    assert covered.min() > 0.9 - 1.5 * error  # the lowest of up to 150 places
    interior = (p > 0.2) & (p < 0.8) if edges is None else slice(1, 4)
    assert 0.9 - error < covered[interior].mean() < 0.9 + 2 * error


def test_forecasts_that_are_too_sure_leave_the_band():
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    y = (rng.random(2000) < 0.5 + 0.4 * (p - 0.5)).astype(int)
    curve, band = reliability_curve(y, p), consistency_band(p, random_state=0)
    at = np.searchsorted(curve.prob_pred, band.prob_pred)
    outside = (curve.prob_true[at] > band.upper) | (curve.prob_true[at] < band.lower)
    assert outside[band.prob_pred < 0.3].mean() > 0.9
    assert outside[band.prob_pred > 0.7].mean() > 0.9


def test_a_band_is_the_same_with_a_seed_and_never_too_long():
    _, p, weight = forecasts(3000)
    first, second = (consistency_band(p, n_resamples=20, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first.lower, second.lower)
    assert len(first.prob_pred) == 500
    assert (first.prob_pred[0], first.prob_pred[-1]) == (p.min(), p.max())
    assert (np.diff(first.lower) >= 0).all()
    assert (first.lower <= first.prob_pred).mean() > 0.9
    few = consistency_band(p[:50], sample_weight=weight[:50], n_resamples=20)
    assert len(few.prob_pred) == np.count_nonzero(weight[:50])


@pytest.mark.parametrize("weighed", [False, True])
def test_a_band_of_pooled_forecasts_is_that_of_all(weighed, monkeypatch):
    rng = np.random.default_rng(0)
    p = rng.beta(0.7, 0.9, 5000)
    options = {"sample_weight": rng.integers(1, 4, 5000).astype(float) if weighed else None}
    all_of_them = consistency_band(p, n_resamples=1000, random_state=0, **options)
    monkeypatch.setattr(evaluation, "BAND_GROUPS", 600)
    pooled = consistency_band(p, n_resamples=1000, random_state=1, **options)
    at = np.linspace(0.02, 0.98, 97)
    for side in ("lower", "upper"):
        found, expected = (
            np.interp(at, band.prob_pred, getattr(band, side)) for band in (pooled, all_of_them)
        )
        assert np.abs(found - expected).max() < 0.02  # the band is .1 wide, and drawn at random
        assert np.abs((found - expected).mean()) < 0.003  # .001 between two draws of the same


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_brier_score_is_the_sum_of_its_binned_parts(strategy, weighed):
    y, p, weight = forecasts()
    options = {"sample_weight": weight} if weighed else {}
    parts = brier_decomposition(y, p, n_bins=7, strategy=strategy, **options)
    score = brier_score_loss(y, p, **options)
    assert parts.brier == pytest.approx(score, rel=1e-12)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(score, rel=1e-12)
    assert abs(parts.within_bins) > 1e-5


def test_binned_forecasts_leave_nothing_within_bins():
    """Murphy's own case: his three parts, summed over the forecasts' values."""
    y, p, weight = forecasts()
    p = np.floor(p * 5) / 5 + 0.1
    parts = brier_decomposition(y, p, sample_weight=weight, n_bins=5)
    assert parts.within_bins == pytest.approx(0, abs=1e-15)
    share = np.average(y, weights=weight)
    reliability = resolution = 0.0
    for value in np.unique(p):
        here = p == value
        observed = np.average(y[here], weights=weight[here])
        reliability += weight[here].sum() / weight.sum() * (value - observed) ** 2
        resolution += weight[here].sum() / weight.sum() * (observed - share) ** 2
    assert parts.reliability == pytest.approx(reliability, rel=1e-12)
    assert parts.resolution == pytest.approx(resolution, rel=1e-12)
    assert parts.uncertainty == pytest.approx(np.average((y - share) ** 2, weights=weight))


def test_the_part_within_bins_is_what_their_means_leave():
    y, p, _ = forecasts()
    parts = brier_decomposition(y, p, n_bins=7)
    means = np.empty_like(p)
    for low, high in itertools.pairwise(parts.edges):
        here = (low < p) & (p <= high)
        means[here] = p[here].mean() if here.any() else 0
    expected = brier_score_loss(y, p) - brier_score_loss(y, means)
    assert parts.within_bins == pytest.approx(expected, rel=1e-9)


def repeated(function, **options):
    y, p, weight = forecasts()
    by_weight = function(y, p, sample_weight=weight, **options)
    return by_weight, function(np.repeat(y, weight), np.repeat(p, weight), **options)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_weights_count_as_repeated_rows_in_bins(strategy):
    weighed, twice = repeated(brier_decomposition, n_bins=6, strategy=strategy)
    for name in vars(weighed).keys() - {"n_rows"}:
        values = (getattr(parts, name) for parts in (weighed, twice))
        np.testing.assert_allclose(*values, rtol=1e-10, err_msg=name)
    assert weighed.n_rows.sum() == np.count_nonzero(forecasts()[2])
    np.testing.assert_array_equal(twice.n_rows, twice.weight)


def test_weights_count_as_repeated_rows_in_the_curve():
    weighed, twice = repeated(reliability_curve)
    for name, value in vars(weighed).items():
        np.testing.assert_allclose(value, getattr(twice, name), rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("compute", [reliability_curve, brier_decomposition])
@pytest.mark.parametrize(
    ("y", "options", "words"),
    [
        ([0, 1], {"y_prob": [0.2, 1.2]}, "between 0 and 1, got 1.2; give a column of"),
        ([0, 1], {"y_prob": [0.2, np.nan]}, "got nan"),
        (["a", "b"], {}, r"pos_label must be .* labels \['a', 'b'\] and pos_label=None; name one"),
        (["a", "b"], {"pos_label": "c"}, "pos_label='c'"),
        ([0, 1], {"pos_label": 2}, "pos_label=2"),
        ([-1, 1], {"pos_label": 0}, "pos_label=0"),
        ([0, 1], {"pos_label": "1"}, "pos_label='1'"),
        ([0, 2], {}, r"got labels \[0, 2\]"),
        ([0, 1], {"sample_weight": [0, 0]}, "at least one non-zero"),
        ([0, 1, 1], {}, "inconsistent numbers of samples"),
    ],
)
def test_forecasts_that_cannot_be_judged_are_an_error(compute, y, options, words):
    with pytest.raises(ValueError, match=words):
        compute(y, **{"y_prob": [0.2, 0.7], **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_bins": -1}, "n_bins must be an integer from 1 to 1000000, got -1"),
        ({"strategy": "even"}, '"uniform" or "quantile", got \'even\''),
    ],
)
def test_bins_that_cannot_be_made_are_an_error(options, words):
    with pytest.raises(ValueError, match=words):
        brier_decomposition([0, 1], [0.2, 0.7], **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_resamples": 0}, "n_resamples must be 1 or more, got 0"),
        ({"level": 95}, "level must be between 0 and 1, got 95"),
    ],
)
def test_bands_that_cannot_be_drawn_are_an_error(options, words):
    with pytest.raises(ValueError, match=words):
        consistency_band([0.2, 0.7], **options)


class Fixed:
    """A classifier whose probability of "yes" is a column of X."""

    classes_ = np.array(["no", "yes"])

    def __init__(self, column):
        self.column = column

    def predict_proba(self, X):
        p = np.asarray(X)[:, self.column]
        return np.column_stack([1 - p, p])


def test_the_difference_of_two_scores_has_the_paired_interval():
    rng = np.random.default_rng(0)
    P, y = rng.random((50, 2)), rng.choice(["no", "yes"], 50)
    difference, margin = brier_difference(Fixed(0), Fixed(1), P, y, "yes", level=0.9)
    scores = [brier_score_loss(y, p, pos_label="yes") for p in P.T]
    assert difference == pytest.approx(scores[0] - scores[1], rel=1e-12)
    losses = (P - (y == "yes")[:, np.newaxis]) ** 2
    low, high = norm.interval(0.9, difference, sem(losses[:, 0] - losses[:, 1]))
    assert (difference - margin, difference + margin) == pytest.approx((low, high), rel=1e-12)


def test_the_interval_of_the_difference_covers_it():
    """Forecasts p - 0.2 and p + 0.3 of rows of probability p: the true difference is -0.05."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(1000):
        p = rng.uniform(0.3, 0.7, 150)
        y = np.where(rng.random(150) < p, "yes", "no")
        P = np.column_stack([p - 0.2, p + 0.3])
        difference, margin = brier_difference(Fixed(0), Fixed(1), P, y, "yes")
        covered.append(abs(difference + 0.05) <= margin)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 1000))


def test_weights_whose_sum_is_no_number_are_refused():
    with pytest.raises(ValueError, match=r"sample_weight must have a sum from .* got inf; divide"):
        brier_decomposition([0, 1, 1], [0.2, 0.6, 0.7], sample_weight=np.full(3, 1e308))
