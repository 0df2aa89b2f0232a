"""ONNX export: another runtime gives the same labels and probabilities, on both tails too."""

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris, load_wine, make_moons
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

import trainer
from trainer import (
    LogisticNeuron,
    LogisticNeuronCV,
    load_dataset,
    load_model,
    make_preprocessor,
    save_model,
    to_onnx,
)
from trainer.commands import export

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnx") is None, reason="onnx is not installed"
)
needs_runtime = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="onnx or onnxruntime is not installed",
)
SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "export.py"

# Sums of products may be added in another order, which moves z by some of its last digits.
SAME = 1e-12


def fed(inputs, X):
    """The rows as the graph's inputs want them."""
    if [value.name for value in inputs] == ["X"]:
        return {"X": np.asarray(X, dtype=np.float64)}
    columns = {}
    for value in inputs:
        column = X[value.name]
        if value.type == "tensor(string)":
            values = column.astype(object).where(column.notna(), "").to_numpy(dtype=object)
        else:
            values = column.to_numpy(dtype=np.float64)
        columns[value.name] = values.reshape(-1, 1)
    return columns


def run(graph, X):
    """Labels and probabilities of the graph under onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString())
    assert [value.name for value in session.get_outputs()] == ["label", "probabilities"]
    return session.run(None, fed(session.get_inputs(), X))


def assert_same(model, X):
    labels, probabilities = run(to_onnx(model), X)
    np.testing.assert_array_equal(labels, model.predict(X))
    expected = model.predict_proba(X)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, expected, rtol=SAME, atol=0)


def trained(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how training ended is not the matter here
        return model.fit(X, y)


@needs_runtime
@pytest.mark.parametrize("name", trainer.list_datasets())
def test_every_toy_set(name):
    data = load_dataset(name)
    model = make_pipeline(make_preprocessor(data.X), LogisticNeuron())
    assert_same(trained(model, data.X, data.y), data.X)


@needs_runtime
@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits])
@pytest.mark.parametrize("kind", [int, str, float])
def test_more_than_two_classes(load, kind):
    X, y = load(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticNeuron(max_iter=50))
    assert_same(trained(model, X, y.astype(kind)), X)


@needs_runtime
@pytest.mark.parametrize(
    "labels",
    [[0, 1], [False, True], ["no", "ja, ç"], [1.0, 2.0], np.array(["a", "b"], dtype=object)],
    ids=str,
)
def test_labels_keep_their_kind(labels):
    X, y = make_moons(60, random_state=0)
    model = LogisticNeuron().fit(X, np.asarray(labels)[y])
    found, _ = run(to_onnx(model), X)
    assert [type(label) for label in found.tolist()] == [
        type(label) for label in model.predict(X).tolist()
    ]
    assert_same(model, X)


@needs_runtime
def test_a_mixed_table_with_what_is_missing_rare_and_new():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n) * 1e3),
            "town": rng.choice(["Kyiv", "Oslo", "Līma"], n),
            "label": rng.random(n) < 0.5,  # a column may be called as an output is
            "street": rng.integers(0, 90, n).astype(str),
            "value_1": pd.Categorical(rng.choice([10, 20, 30], n)),
            "empty": np.full(n, np.nan),
        }
    )
    frame.loc[::7, "town"] = None
    y = np.where(frame["street"].str.len() > 1, "long", "short")
    model = make_pipeline(make_preprocessor(frame), LogisticNeuronCV(alphas=3, cv=3))
    trained(model, frame, y)
    later = frame.assign(
        town=frame["town"].where(frame.index % 3 > 0, "Rome"),
        street=frame["street"].where(frame.index % 5 > 0, "unheard of"),
        value_1=frame["value_1"].cat.add_categories([40]).where(frame.index % 4 > 0, 40),
    )
    graph = to_onnx(model)
    outputs = [value.name for value in graph.graph.output]
    assert outputs[0] != "label"
    assert outputs[1] == "probabilities"
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for X in (frame, later):
        labels, probabilities = session.run(None, fed(session.get_inputs(), X))
        np.testing.assert_array_equal(labels, model.predict(X))
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=SAME, atol=0)


@needs_runtime
def test_far_out_on_both_tails_and_at_the_boundary():
    """p(z) at z = -300 is exp(-300) to all digits; z = 0 is the first class, as in `predict`."""
    neuron = LogisticNeuron().fit([[-1.0], [1.0]], ["left", "right"])
    neuron.coef_, neuron.intercept_ = np.array([[1.0]]), np.array([0.0])
    z = np.array([[-745.0], [-700.0], [-300.0], [-34.0], [-0.0], [0.0], [5e-324], [34.0], [300.0]])
    labels, probabilities = run(to_onnx(neuron), z)
    assert labels.tolist() == ["left"] * 6 + ["right"] * 3
    np.testing.assert_array_equal(labels, neuron.predict(z))
    np.testing.assert_allclose(probabilities[:3, 1], np.exp(z[:3, 0]), rtol=SAME, atol=0)
    np.testing.assert_allclose(probabilities[-1, 0], np.exp(-300.0), rtol=SAME)
    np.testing.assert_allclose(probabilities, neuron.predict_proba(z), rtol=SAME, atol=0)


@needs_runtime
def test_many_classes_all_far_out():
    """Where every σ is too small to be held, the shares are still right."""
    X, y = load_iris(return_X_y=True)
    neuron = trained(LogisticNeuron(), X, y)
    neuron.coef_ = np.array([[1.0, 0, 0, 0], [1.0, 1.0, 0, 0], [1.0, 0, 1.0, 0]])
    neuron.intercept_ = np.zeros(3)
    X = np.array(
        [[-800.0, 1, 2, 0], [-740.0, 0, -1, 0], [-300.0, 5, 1, 0], [800.0, 1, 2, 0], [0, 0, 0, 0]]
    )
    assert_same(neuron, X)


@needs_runtime
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_neuron_in_single_precision_answers_rows_in_double(dtype):
    X, y = make_moons(80, noise=0.2, random_state=0)
    assert_same(LogisticNeuron(tol=1e-3).fit(X.astype(dtype), y), X)


@needs_runtime
@pytest.mark.parametrize(
    "steps",
    [
        [SimpleImputer(), StandardScaler(with_mean=False)],
        [SimpleImputer(missing_values=0.1), StandardScaler(with_std=False)],
        ["passthrough", FunctionTransformer()],
        [ColumnTransformer([("a", StandardScaler(), [2, 0]), ("b", "drop", [1])])],
        [ColumnTransformer([("a", StandardScaler(), [2, 0])], remainder="passthrough")],
        [ColumnTransformer([("a", OneHotEncoder(), [3])], remainder=StandardScaler())],
        [OneHotEncoder(drop="first", min_frequency=4, handle_unknown="ignore")],
        [OneHotEncoder(drop="if_binary", max_categories=3, handle_unknown="ignore")],
        [Pipeline([("a", StandardScaler()), ("b", None)])],
    ],
    ids=str,
)  # fmt: skip
def test_other_steps(steps):
    X, y = load_iris(return_X_y=True)
    assert_same(trained(make_pipeline(*steps, LogisticNeuron()), X, y), X)


@needs_runtime
def test_a_column_that_was_empty_is_left_out_where_the_imputer_does():
    X = np.array([[np.nan, 1.0, 2.0], [np.nan, np.nan, 3.0], [np.nan, 5.0, 7.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(SimpleImputer(), LogisticNeuron()).fit(X, [0, 1, 1])
        assert model[-1].n_features_in_ == 2
        assert_same(model, X)


@needs_onnx
def test_the_graph_is_small_and_of_versions_that_runtimes_read():
    X, y = make_moons(60, random_state=0)
    graph = to_onnx(LogisticNeuron().fit(X, y))
    assert graph.ir_version == 10
    assert {o.domain: o.version for o in graph.opset_import} == {"": 21, "ai.onnx.ml": 4}
    assert "Sigmoid" not in {node.op_type for node in graph.graph.node}
    assert len(graph.SerializeToString()) < 1500
    assert graph.producer_version == trainer.__version__


@needs_onnx
@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([MinMaxScaler()], "ONNX export knows .*StandardScaler, got MinMaxScaler; transform"),
        (
            [SimpleImputer(missing_values="x", strategy="most_frequent"), OneHotEncoder()],
            "for text",
        ),
    ],
)
def test_steps_without_a_counterpart_are_refused(steps, message):
    X, y = make_moons(60, random_state=0)
    rows = X if len(steps) == 1 else np.array([["x", "y"], ["z", "y"]] * 30, dtype=object)
    model = trained(make_pipeline(*steps, LogisticNeuron()), rows, y)
    with pytest.raises(ValueError, match=message):
        to_onnx(model)


@needs_onnx
def test_what_onnx_cannot_say_is_refused():
    X, y = make_moons(60, random_state=0)
    with pytest.raises(ValueError, match="ONNX has no labels of type"):
        to_onnx(LogisticNeuron().fit(X, np.array([b"a", b"b"])[y]))
    with pytest.raises(ValueError, match="the neuron must be fitted"):
        to_onnx(LogisticNeuron())
    text = np.array([["a"], [""], [None]] * 20, dtype=object)
    model = trained(make_pipeline(OneHotEncoder(), LogisticNeuron()), text, y)
    with pytest.raises(ValueError, match="one missing text, the empty one"):
        to_onnx(model)


def test_without_onnx_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    X, y = make_moons(60, random_state=0)
    with pytest.raises(ImportError, match=r'pip install "logistic-neuron-trainer\[onnx\]"'):
        to_onnx(LogisticNeuron().fit(X, y))


@needs_onnx
def test_the_command_line_writes_onnx_beside_the_model(tmp_path):
    import onnx

    X, y = make_moons(60, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, y)
    save_model(model, tmp_path / "model.skops")
    line = [sys.executable, "-W", "error", SCRIPT, tmp_path / "model.skops"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Written to {tmp_path}/model.onnx\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.skops"]
    assert onnx.load(tmp_path / "model.onnx") == to_onnx(model)


def test_the_command_line_writes_json(tmp_path, capsys):
    X, y = make_moons(60, random_state=0)
    neuron = LogisticNeuron().fit(X, y)
    save_model(neuron, tmp_path / "model.skops")
    assert export.main([f"{tmp_path}/model.skops", "-o", f"{tmp_path}/neuron.json"]) == 0
    assert capsys.readouterr() == (f"Written to {tmp_path}/neuron.json\n", "")
    assert load_model(tmp_path / "neuron.json").coef_.tolist() == neuron.coef_.tolist()


def test_a_pipeline_is_no_json(tmp_path, capsys):
    X, y = make_moons(60, random_state=0)
    save_model(make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, y), tmp_path / "m.skops")
    assert export.main([f"{tmp_path}/m.skops", "-o", f"{tmp_path}/m.json"]) == 2
    assert "m.skops a Pipeline; choose .onnx" in capsys.readouterr().err
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: model"),
        (["model.skops", "--format", "x"], "unrecognized arguments"),
        (["missing.skops"], "there is no model file"),
        (["text.skops"], "text.skops is not a model file"),
        (
            ["model.skops", "-o", "model.pmml"],
            "--output must end in .onnx or .json, got 'model.pmml'",
        ),
        (["model.skops", "-o", "none/model.json"], "--output: there is no folder"),
        (["model.skops", "-o", "folder.json"], "must be a file, got a folder"),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_line(arguments, message, tmp_path, capsys):
    X, y = make_moons(60, random_state=0)
    save_model(LogisticNeuron().fit(X, y), tmp_path / "model.skops")
    (tmp_path / "text.skops").write_text("no model")
    (tmp_path / "folder.json").mkdir()
    names = [str(tmp_path / a) if "." in a and not a.startswith("-") else a for a in arguments]
    before = sorted(tmp_path.iterdir())
    assert export.main(names) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("export.py: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(
    importlib.util.find_spec("skl2onnx") is None, reason="skl2onnx is not installed"
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("load", [load_iris, load_wine, make_moons])
def test_skl2onnx_gives_the_same_probabilities(load, dtype):
    """In a pipeline with a step that `to_onnx` does not have, and labels of two kinds."""
    import onnxruntime
    import skl2onnx

    is_made = load is make_moons
    X, y = make_moons(200, noise=0.3, random_state=0) if is_made else load(return_X_y=True)
    X = X.astype(dtype)
    trainer.register_skl2onnx()
    for labels in (y, np.array(["a", "b", "c"])[y]):
        model = make_pipeline(MinMaxScaler(), LogisticNeuron()).fit(X, labels)
        graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        predicted, proba = session.run(None, {session.get_inputs()[0].name: X})
        np.testing.assert_array_equal(predicted, model.predict(X))
        tolerance = 1e-14 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(proba, model.predict_proba(X), rtol=tolerance)
    if dtype == np.float32:  # ONNX has ZipMap, skl2onnx's default, for float32 alone
        zipped = skl2onnx.to_onnx(model, X[:1])
        session = onnxruntime.InferenceSession(zipped.SerializeToString())
        row = session.run(None, {session.get_inputs()[0].name: X[:1]})[1][0]
        assert list(row.values()) == pytest.approx(model.predict_proba(X[:1])[0], rel=1e-5)
