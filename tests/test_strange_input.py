"""Every public entrance with strange input: a finite, right answer, or an error in words.

A short run is a part of the suite, always with the same examples. CONTRIBUTING.md has the command
of a long one, with others each time.
"""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
import strange
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning

from trainer import (
    LogisticNeuron,
    LogisticNeuronCV,
    brier_decomposition,
    check_gradient,
    coefficient_table,
    consistency_band,
    cost_surface,
    explain,
    load_dataset,
    load_model,
    make_preprocessor,
    mark,
    open_rows,
    reliability_curve,
    save_model,
    suspect_labels,
    to_onnx,
    trace,
)

settings = st.sampled_from(["warn", "raise"])  # of NumPy, by the user


@given(st.data())
def test_fit(data):
    X = data.draw(strange.rows())
    y, weight = (data.draw(f(strange.length(X))) for f in (strange.labels, strange.weights))
    chosen, refusal = data.draw(strange.parameters()), []
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        neuron = LogisticNeuron(**chosen).fit(X, y, weight)
        strange.check_neuron(neuron, X, y, weight)


@given(st.data())
def test_fit_of_what_can_be_trained_on(data):
    """Finite numbers within the limits, of two classes: no refusal is due."""
    X = data.draw(strange.matrices(n_rows=20, tame=True))
    X = X * 10.0 ** np.array(data.draw(st.lists(strange.exponents, min_size=X.shape[1],
                                                max_size=X.shape[1])))  # fmt: skip
    if not X.shape[1]:
        return
    X = np.clip(X, -1e100, 1e100)
    y = data.draw(strange.labels(20, kinds=["two", "words", "three", "soft"]))
    weight = data.draw(st.sampled_from([None, 10.0 ** np.linspace(-90, 90, 20)]))
    optimizer = data.draw(st.sampled_from(["auto", "newton", "lbfgs", *strange.RULES]))
    alpha = data.draw(st.sampled_from(["auto", 1e-4, 1.0]))
    refusal = []
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        neuron = LogisticNeuron(optimizer=optimizer, alpha=alpha, max_iter=100, random_state=0)
        strange.check_neuron(neuron.fit(X, y, weight), X, y, weight)
    assert refusal == []


@given(st.data())
def test_rows_to_predict(data):
    """A neuron of any parameters gives a probability for any finite row."""
    d = data.draw(st.integers(1, 4))
    neuron = LogisticNeuron().fit(
        np.eye(d + 2, d) + np.arange(d + 2)[:, None], np.arange(d + 2) % 2
    )
    kind = data.draw(st.sampled_from(["f8", "f4"]))
    n_classes = data.draw(st.sampled_from([2, 3]))
    n_neurons = 1 if n_classes == 2 else 3
    finite = st.sampled_from([v for v in strange.EXTREMES if abs(v) < 3.1e38])
    theta = data.draw(st.lists(finite, min_size=n_neurons * (d + 1), max_size=n_neurons * (d + 1)))
    theta = np.reshape(theta, (n_neurons, d + 1)).astype(kind)
    neuron._set(coef_=theta[:, :-1], intercept_=theta[:, -1], classes_=np.arange(n_classes))
    X, refusal = data.draw(strange.matrices(n_rows=5, n_columns=d)), []
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        P = neuron.predict_proba(X)
        assert np.isfinite(X).all()
        assert np.isfinite(P).all()
        np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-5)
        assert neuron.predict(X).shape == (5,)
        assert not np.isnan(neuron.decision_function(X)).any()


@given(st.data())
def test_partial_fit(data):
    chosen = data.draw(strange.parameters())
    chosen["optimizer"] = data.draw(st.sampled_from(strange.RULES))
    classes = data.draw(st.sampled_from([None, [0, 1], [0, 1, 2], [0.0, np.nan], ["a", "b"], [1],
                                         [], [None, 1], 5, [[0, 1]], [True, False]]))  # fmt: skip
    neuron, refusal = LogisticNeuron(**chosen), []
    for _ in range(2):
        X = data.draw(strange.rows())
        y, weight = (data.draw(f(strange.length(X))) for f in (strange.labels, strange.weights))
        with strange.answered(refusal), np.errstate(all=data.draw(settings)):
            neuron.partial_fit(X, y, classes=classes, sample_weight=weight)
            assert np.isfinite(neuron.coef_).all()
            assert np.isfinite(neuron.predict_proba(X)).all()


@given(st.data())
def test_cross_validation(data):
    X = data.draw(strange.rows())
    n = strange.length(X)
    y, weight, refusal = data.draw(strange.labels(n)), data.draw(strange.weights(n)), []
    model = LogisticNeuronCV(
        alphas=data.draw(st.sampled_from([1, 3, [0.0, 1e300], [1e-300, 1.0], [], [np.nan], "a"])),
        cv=data.draw(st.sampled_from([None, 2, 3, 2**31, [([0], [1])], [([0, 1], [])], [], 1])),
        scoring=data.draw(
            st.sampled_from(["neg_brier_score", "accuracy", "roc_auc", "neg_log_loss"])
        ),
        fit_intercept=data.draw(st.booleans()),
        noise_rates=data.draw(st.sampled_from([None, None, None, "symmetric"])),
        max_iter=data.draw(st.sampled_from([0, 1, 50])),
        random_state=0,
    )
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        model.fit(X, y, weight)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.coefs_paths_).all()
        assert np.isfinite(model.scores_).any(axis=1).any()
        assert model.alpha_ in model.alphas_
        assert np.isfinite(model.predict_proba(X)).all()
        model.score(X, y if np.ndim(y) == 1 else np.asarray(y).argmax(axis=1), weight)


@given(st.data())
def test_suspects(data):
    X = data.draw(strange.rows())
    y, refusal = data.draw(strange.labels(strange.length(X))), []
    model = data.draw(
        st.sampled_from([LogisticNeuron(max_iter=50), LogisticNeuronCV(alphas=2, cv=2)])
    )
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        if isinstance(model, LogisticNeuronCV):
            model.fit(X, y)
        table = suspect_labels(model, X, y, cv=2)
        assert table["probability"].between(0, 1).all()
        assert sorted(table["row"]) == list(range(len(table)))


probabilities = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 5e-324, -1e-9, 1.1, np.nan, np.inf])),
    max_size=30,
)


@given(st.data())
def test_forecasts(data):
    p = np.array(data.draw(probabilities))
    if data.draw(st.booleans()):
        p = np.clip(np.nan_to_num(p), 0, 1)
    y, weight = (data.draw(f(len(p))) for f in (strange.labels, strange.weights))
    bins = {
        "n_bins": data.draw(st.sampled_from([None, 1, 3, 0, -1, 10**12, 2.5, "x"])),
        "strategy": data.draw(st.sampled_from(["uniform", "quantile", "best"])),
    }
    pos_label = data.draw(st.sampled_from([None, None, 1, "yes", 7]))
    for call in (
        lambda: brier_decomposition(y, p, sample_weight=weight, pos_label=pos_label, **bins),
        lambda: reliability_curve(y, p, sample_weight=weight, pos_label=pos_label),
        lambda: consistency_band(p, sample_weight=weight, n_resamples=20, random_state=0),
    ):
        refusal = []
        with strange.answered(refusal), np.errstate(all=data.draw(settings)):
            found = vars(call())
            assert all(np.isfinite(part).all() for part in found.values())
            if "within_bins" in found:
                parts = found["reliability"] - found["resolution"] + found["uncertainty"]
                assert found["brier"] == pytest.approx(parts + found["within_bins"], abs=1e-9)
            elif "brier" in found:
                parts = found["miscalibration"] - found["discrimination"] + found["uncertainty"]
                assert found["brier"] == pytest.approx(parts, abs=1e-9)
                assert (np.diff(found["prob_true"]) >= 0).all()


@given(st.data())
def test_explanations_and_checks_of_plain_numbers(data):
    X = data.draw(st.one_of(strange.rows(), strange.matrices(), strange.numbers))
    n, d = (*np.shape(X), 1, 1)[:2] if not isinstance(X, list) else (len(X), 2)
    w = data.draw(st.one_of(strange.numbers, st.lists(strange.numbers, min_size=d, max_size=d)))
    b = data.draw(st.one_of(strange.numbers, st.just("b"), st.just(None), st.just([1.0])))
    y = data.draw(st.one_of(strange.labels(n), st.sampled_from([0, 1, 0.5, np.nan])))
    refusal = []
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        table = explain((w, b), X, y, data.draw(strange.weights(n)))
        assert np.isfinite(table.iloc[:n].to_numpy(float)).all()
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        table = check_gradient(X, y, w, b)
        assert table["agrees"].all()
        assert np.isfinite(table["by the chain rule"]).all()


@given(st.data())
def test_what_is_told_of_a_fitted_neuron(data):
    X = data.draw(strange.rows(tame=data.draw(st.booleans())))
    n = strange.length(X)
    y, weight = data.draw(strange.labels(n)), data.draw(strange.weights(n))
    chosen = data.draw(strange.parameters())
    refusal = []
    neuron = LogisticNeuron(**chosen)
    with strange.answered(refusal):
        neuron.fit(X, y, weight)
    if refusal:
        return
    ranges = data.draw(st.sampled_from([None, None, [(0, 1), (0, 1e300)], [(-1e100, 1e100)] * 2,
                                        [(0, np.inf), (0, 1)], [(1, 0), (0, 1)], 3]))  # fmt: skip
    grid = data.draw(st.sampled_from([2, 5, 0, 2.5, "x"]))
    chosen = data.draw(st.sampled_from([(0, "intercept"), (0, 1), (0, 0), ("z", 1), 3, (-1, 0)]))
    level = data.draw(st.sampled_from([0.95, 0.5, 0, 1, np.nan, "x"]))
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        table = explain(neuron, X, y, weight)
        assert np.isfinite(table.iloc[:n].to_numpy(float)).all()
        foot = table.iloc[n:].to_numpy(float)
        assert not np.isinf(foot).any()
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        steps = trace(neuron, X, y, weight)
        assert np.isfinite(steps.to_numpy(float)).all()
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        surface = cost_surface(neuron, X, y, chosen, sample_weight=weight, ranges=ranges, grid=grid)
        assert np.isfinite(surface.J).all()
        assert np.isfinite(surface.gradient).all()
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        table = coefficient_table(neuron, X, y, weight, level=level)
        assert np.isfinite(table[["coef", "std_err", "lower", "upper"]].to_numpy()).all()
        assert (table["lower"] <= table["upper"]).all()


odd_things = st.one_of(
    strange.numbers, st.none(), st.text(max_size=3), st.just([]), st.just({}), strange.matrices(),
    st.just(np.array(["a"])), st.just(object()), st.just(1j), st.just(np.array([[1], [2]], object)),
)  # fmt: skip


@given(odd_things, st.sampled_from(["h", "sigmoid", "J", "dJ_dw", "dl_dz", None, "x"]))
def test_answers_to_mark(thing, of):
    refusal = []
    with strange.answered(refusal):
        found = mark(lambda *arguments: thing, of)
        assert not found.right
        assert str(found).strip()

    def failing(*arguments):
        raise RuntimeError("no")

    with strange.answered(refusal):
        assert not mark(failing, of).right


cells = st.one_of(
    st.sampled_from(["", "NaN", "1e999", "-0", "5e-324", "1e300", "1,5", "٣", "\ufeff", "'", " a ",
                     "1_000", "0x1", "inf", "None", "=1+1", "Ω", "\x00", "1e-320", "9" * 400]),
    st.integers(-3, 3).map(str), st.sampled_from(["a", "b", "c"]), st.text(max_size=4),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("strange")


@given(st.data())
def test_tables(place, data):
    """A CSV of any cells is a data set or a refusal; the same cells through `open_rows`."""
    n, d = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 4))
    tidy = data.draw(st.booleans())
    one = st.integers(-3, 3).map(str) if tidy else cells
    names = [f"c{j}" for j in range(d)] if tidy else data.draw(
        st.lists(st.text(max_size=3), min_size=d, max_size=d)
    )  # fmt: skip
    lines = [[*(data.draw(one) for _ in range(d)), data.draw(st.sampled_from("pqr"))]
             for _ in range(n)]  # fmt: skip
    frame = pd.DataFrame(lines, columns=[*names, "y"], dtype=object)
    text = io.StringIO()
    try:
        frame.to_csv(text, index=False)
        encoded = text.getvalue().encode()
    except Exception:  # a lone surrogate, or cells that the csv module does not write
        return
    path, refusal = place / "table.csv", []
    path.write_bytes(encoded)
    positive = data.draw(st.sampled_from([None, "p", "x"]))
    with strange.answered(refusal):
        found = load_dataset(str(path), target="y", positive=positive)
        with np.errstate(all=data.draw(settings)):
            X = make_preprocessor(found.X).fit_transform(found.X)
        assert np.isfinite(X).all()
    with strange.answered(refusal), open_rows(path, target="y", positive=positive) as rows:
        for X, *_ in rows.encoded(rows.classes, None).blocks():
            assert np.isfinite(X).all()


@given(st.data())
def test_preprocessors(data):
    columns = {
        "number": [1.0, np.nan, 5e-324],
        "large": [1e100, -1e100, 0.0],
        "larger": [1.7e308, -1.7e308, 0.0],
        "infinite": [np.inf, 1.0, 2.0],
        "empty": [np.nan] * 3,
        "text": ["a", None, "b"],
        "NA": ["a", pd.NA, "b"],
        "mixed": ["a", 1, 2.5],
        "lists": [[1], [2], [3]],
        "dates": pd.to_datetime(["2020-01-01"] * 3),
        "boolean": [True, False, True],
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "category": pd.Categorical(["a", "b", None]),
        "complex": [1j, 2j, 3j],
        "bytes": [b"a", b"b", b"c"],
        "unit": pd.to_timedelta([1, 2, 3], unit="s"),
    }
    chosen = data.draw(st.lists(st.sampled_from(list(columns)), max_size=3, unique=True))
    frame, refusal = pd.DataFrame({name: columns[name] for name in chosen}), []
    if data.draw(st.booleans()):
        frame = frame.iloc[:0]
    with strange.answered(refusal):
        preprocessor = make_preprocessor(frame)
        X = preprocessor.fit_transform(frame)
        assert np.isfinite(X).all()


@given(st.data())
def test_files(place, data):
    """What is saved comes back; what is exported predicts the same, or is refused."""
    X = data.draw(strange.rows(tame=True))
    y = data.draw(strange.labels(strange.length(X)))
    chosen, refusal = data.draw(strange.parameters()), []
    neuron = LogisticNeuron(**chosen)
    with strange.answered(refusal):
        neuron.fit(X, y)
    if refusal:
        return
    for ending in (".skops", ".json"):
        with strange.answered(refusal):
            save_model(neuron, place / f"model{ending}")
            again = load_model(place / f"model{ending}")
            np.testing.assert_array_equal(again.predict_proba(X), neuron.predict_proba(X))
    with strange.answered(refusal):
        graph = to_onnx(neuron)
        assert len(graph.SerializeToString()) > 0


@given(st.data())
def test_sources(data):
    """Blocks of any kind: the fit in memory, or a refusal."""
    made = []
    for _ in range(data.draw(st.integers(0, 3))):
        X = data.draw(strange.rows(tame=data.draw(st.booleans())))
        y = data.draw(strange.labels(strange.length(X)))
        made.append((X, y, data.draw(strange.weights(strange.length(X)))))

    class Source:
        def blocks(self):
            return iter(made)

    refusal = []
    with strange.answered(refusal), np.errstate(all=data.draw(settings)):
        neuron = LogisticNeuron(max_iter=50).fit(Source())
        assert np.isfinite(neuron.coef_).all()


def test_the_judge_sees_what_is_no_refusal():
    """An error from the depths, a warning of NumPy's, and what is not finite are findings."""
    X, y = load_breast_cancer(return_X_y=True)

    def index_out_of_range(*arguments):
        raise IndexError

    with pytest.raises(strange.FindingError), strange.answered([]):
        X.reshape(7)
    with pytest.raises(IndexError), strange.answered([]):
        index_out_of_range()
    with pytest.raises(RuntimeWarning), strange.answered([]):
        np.float64(1e308) * 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(max_iter=1).fit(X[:, :2], y)
    neuron.coef_ = neuron.coef_ * np.nan
    with pytest.raises(AssertionError, match="coef_"):
        strange.check_neuron(neuron, X[:, :2], y)
