"""Model files from elsewhere: within limits, whole, fitting together, or refused in a sentence."""

import importlib
import io
import json
import os
import pickle
import re
import signal
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_moons
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from trainer import (
    OPTIMIZERS,
    LogisticNeuron,
    LogisticNeuronCV,
    load_model,
    make_preprocessor,
    save_model,
)
from trainer.persistence.files import write_atomically

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
campaign = importlib.import_module("soak_models").campaign
soak = importlib.import_module("soak_mutations")

X, Y = make_moons(60, noise=0.2, random_state=0)
IRIS, SPECIES = load_iris(return_X_y=True)
NAN = float("nan")


@pytest.fixture(scope="module")
def neuron():
    return LogisticNeuron().fit(X, Y)


@pytest.fixture(scope="module")
def chosen():
    return LogisticNeuronCV(alphas=3, cv=KFold(3, shuffle=True, random_state=0)).fit(IRIS, SPECIES)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200)),
            "town": rng.choice(["Kyiv", "Oslo", "Lima"], 200),
            "street": rng.integers(0, 80, 200).astype(str),
        }
    )


@pytest.fixture(scope="module")
def pipeline(frame):
    y = np.where(frame["town"] == "Oslo", "north", "south")
    return make_pipeline(make_preprocessor(frame), LogisticNeuron()).fit(frame, y)


@pytest.fixture(scope="module")
def in_parts():
    neuron = LogisticNeuron(optimizer="adam", random_state=np.random.RandomState(0))
    for _ in range(3):
        neuron.partial_fit(X, Y, classes=[0, 1])
    return neuron


def file_of(model):
    """The model in a file whose seal is right, whatever it holds."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        return soak.sealed({name: archive.read(name) for name in archive.namelist()})


def refusal(data, tmp_path, ending=".skops"):
    """In one printable line, why a file is refused."""
    path = tmp_path / f"model{ending}"
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the caller looks at the message
        load_model(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < 700
    return message.removeprefix(str(path))


def schema_changed(model, change):
    """The model's file with its schema changed, sealed."""
    members = soak.opened(file_of(model))
    schema = json.loads(members["schema.json"])
    change(schema["content"])
    return soak.sealed({**members, "schema.json": json.dumps(schema).encode()})


def attribute(name, node):
    """A change of a schema: one attribute more, or another one."""

    def change(content):
        if name not in content["content"]:
            content["key_types"]["content"].append(soak.node("TypeNode", "builtins.str"))
        content["content"][name] = node

    return change


# Contents that do not fit together.


def setting(name, value):
    def change(model):
        neuron = model[-1] if isinstance(model, Pipeline) else model
        vars(neuron)[name] = value(vars(neuron)[name]) if callable(value) else value

    change.__name__ = name
    return change


def lacking(name):
    def change(model):
        del vars(model)[name]

    return change


UNFIT = [
    (setting("coef_", lambda w: w * NAN), "coef_ must be finite"),
    (setting("coef_", lambda w: w + np.inf), "coef_ must be finite"),
    (setting("coef_", lambda w: w.astype(bool)), "coef_ must be of type float32 or float64"),
    (setting("coef_", lambda w: w.astype(int)), "coef_ must be of type float32 or float64"),
    (setting("coef_", lambda w: w.astype(np.float16)), "coef_ must be of type float32 or float64"),
    (setting("coef_", lambda w: w[0]), "coef_ must be an array of shape"),
    (setting("coef_", lambda w: np.vstack([w, w])), "coef_ must be an array of shape"),
    (setting("coef_", lambda w: w[:, :1]), "n_features_in_ must be 1"),
    (setting("coef_", lambda w: w.tolist()), "coef_ must be an array of shape .* got 'list'"),
    (setting("intercept_", lambda b: np.append(b, b)), "intercept_ must be an array of shape"),
    (setting("intercept_", lambda b: b.astype(np.float32)), "intercept_ must be of type float64"),
    (setting("intercept_", None), "intercept_ must be an array"),
    (setting("classes_", lambda c: c[::-1].copy()), "classes_ must be different and in order"),
    (setting("classes_", np.array([1, 1])), "classes_ must be different and in order"),
    (setting("classes_", np.array([0, 1, 2])), "coef_ must be an array of shape"),
    (setting("classes_", np.array([0])), "classes_ must be at least two"),
    (setting("classes_", np.array([0, NAN])), "classes_ must be different and in order"),
    (setting("classes_", np.array(["a", 1], dtype=object)), "classes_ must be numbers"),
    (setting("n_features_in_", -1), "n_features_in_ must be an int >= 1"),
    (setting("n_features_in_", "2"), "n_features_in_ must be an int >= 1"),
    (setting("feature_names_in_", np.array(["a"], dtype=object)), "feature_names_in_ must be"),
    (
        setting("feature_names_in_", np.array([1, 2], dtype=object)),
        "feature_names_in_ must be text",
    ),
    (setting("n_iter_", True), "n_iter_ must be an int >= 0"),
    (setting("loss_curve_", lambda J: J * NAN), "loss_curve_ must be finite"),
    (setting("validation_curve_", np.zeros(1)), "validation_curve_ must be an array of shape"),
    (setting("terminations_", []), None),
    (setting("terminations_", [1]), "termination_ must be a Termination"),
    (setting("termination_", "done"), "termination_ must be a Termination"),
    (lambda m: vars(m.termination_).update(message="\x1b[2J"), "message must be printable"),
    (lambda m: vars(m.termination_).update(cost="0"), "cost must be"),
    (lambda m: vars(m.termination_).update(reason="drop"), "reason must be one of gradient"),
    (lambda m: vars(m.termination_).pop("cost"), "Termination must hold"),
    (setting("_anything", KFold(3)), "_anything must be plain data"),
    (setting("anything", 1), "must hold parameters and fitted attributes only"),
    (setting("predict", "x"), "must hold no attribute that hides its own, got 'predict'"),
    (setting("__class__", "x"), "must hold no attribute that hides its own"),
    (setting("alpha", -1.0), "'alpha' parameter of LogisticNeuron must be"),
    (setting("alpha", "1e-4"), "'alpha' parameter of LogisticNeuron must be"),
    (setting("optimizer", "os.system"), "'optimizer' parameter of LogisticNeuron must be"),
    (setting("class_weight", {0: 1, 1: -1}), "class_weight must hold finite numbers >= 0"),
    (setting("init", StandardScaler()), "'init' parameter of LogisticNeuron must be"),
    (setting("init", LogisticRegression()), "does not fit together"),
    (lacking("alpha"), "LogisticNeuron must hold its parameter alpha"),
    (lacking("coef_"), "the neuron must be fitted"),
    (lacking("intercept_"), "intercept_ must be an array"),
]


def refused_both_ways(model, change, message, tmp_path):
    model = deepcopy(model)
    change(model)
    if message is None:
        save_model(model, tmp_path / "model.skops")
        return
    found = refusal(file_of(model), tmp_path)
    assert "holds a model that does not fit together: " in found
    with pytest.raises(ValueError, match=message):
        save_model(model, tmp_path / "saved.skops")
    assert not (tmp_path / "saved.skops").exists()
    assert re.search(message, found)


def test_complex_weights_are_refused(neuron, tmp_path):
    model = deepcopy(neuron)
    model.coef_ = model.coef_.astype(complex)
    found = refusal(file_of(model), tmp_path)
    assert "must hold arrays of numbers, booleans or text, got dtype('complex128')" in found


@pytest.mark.parametrize(("change", "message"), UNFIT)
def test_contents_that_do_not_fit_together_are_refused(change, message, neuron, tmp_path):
    refused_both_ways(neuron, change, message, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting("coef_", lambda w: w[:2]), "coef_ must be an array of shape"),
        (setting("alpha_", 0.5), "alpha_ must be one of alphas_"),
        (setting("alphas_", lambda a: a[::-1].copy()), "alphas_ must be >= 0 and in rising order"),
        (setting("scores_", lambda s: s[:, :2]), "scores_ must be an array of shape"),
        (setting("coefs_paths_", lambda p: p[:, :, :2]), "coefs_paths_ must be an array of shape"),
        (setting("cv_results_", {}), "cv_results_ must be a dict"),
        (
            setting("cv_results_", lambda r: {**r, "x": np.zeros(2)}),
            "cv_results_.* must be an array",
        ),
        (setting("optimizer", "adam"), "must hold no attribute that hides its own"),
        (lambda m: vars(m.cv).update(n_splits=1), "does not fit together|cannot be saved"),
        (lambda m: vars(m.cv).update(split=1), "'cv' parameter of LogisticNeuronCV must be"),
        (lambda m: vars(m.cv).update(n_splits=2.0), "does not fit together|cannot be saved"),
        (lambda m: vars(m.cv).update(more=2), "KFold must be as it is made"),
    ],
)
def test_a_cross_validated_neuron_must_fit_together(change, message, chosen, tmp_path):
    refused_both_ways(chosen, change, message, tmp_path)


def memory(**changes):
    """A change of what the update rule remembers."""

    def changed(model):
        rule, state = model._rule_state
        new = {name: change(getattr(state, name)) for name, change in changes.items()}
        model._rule_state = rule, replace(state, **new)

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (memory(memory=lambda m: (m[0] * NAN, *m[1:])), "the optimizer's memory must be finite"),
        (memory(memory=lambda m: (np.ones((7, 1)), *m[1:])), "does not fit together"),
        (memory(memory=lambda m: m[:1]), "does not fit together"),
        (memory(rate=lambda rate: np.ones(5)), "memory must be of coef_'s shape"),
        (memory(rate=lambda rate: rate * NAN), "the optimizer's memory must be finite"),
        (lambda m: vars(m._rule_state[1]).update(more=1), "_rule_state must be plain data"),
        (lambda m: vars(m._rule_state[0]).pop("beta_1"), "_rule_state must be plain data"),
        (
            lambda m: m.random_state.set_state(("MT19937", *m.random_state.get_state()[1:2], 9999)),
            "random_state must stand at 0 to 624",
        ),
    ],
)
def test_what_training_goes_on_from_must_fit_the_neuron(change, message, in_parts, tmp_path):
    refused_both_ways(in_parts, change, message, tmp_path)


def encoder(model):
    return model[0].named_transformers_["text"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m, "memory", "cache"), "memory must be None"),
        (lambda m: setattr(m, "steps", m.steps[::-1]), "must be a LogisticNeuron"),
        (lambda m: setattr(m[-1], "n_features_in_", 3), "n_features_in_ must be"),
        (lambda m: m.steps.insert(1, ("more", StandardScaler().fit(X))), "must take 2|take 5"),
        (lambda m: m.steps.insert(1, ("neuron", m[-1])), "a neuron must be the last step"),
        (lambda m: m.steps.insert(0, m.steps[0]), "steps must have different names"),
        (lambda m: vars(m[0]).update(transform=1), "must hold no attribute that hides its own"),
        (lambda m: vars(m[0]).update(n_jobs=10**6), "n_jobs must be None or"),
        (lambda m: m[0].output_indices_.update(text=slice(0, 9)), "results of text must stand at"),
        (
            lambda m: m[0]._transformer_to_input_indices.update(text=[0, 1]),
            "indices of text must be",
        ),
        (lambda m: m[0].transformers_.pop(), "transformers_ must be the transformers"),
        (lambda m: m[0]._columns.pop(), "_columns must be a list"),
        (
            lambda m: vars(encoder(m)).update(_n_features_outs=[3, 10**6]),
            "_n_features_outs must be",
        ),
        (
            lambda m: encoder(m)._infrequent_indices.reverse(),
            "infrequent categories must be mapped",
        ),
        (
            lambda m: encoder(m)._default_to_infrequent_mappings.__setitem__(
                1, encoder(m)._default_to_infrequent_mappings[1] + 10**6
            ),
            "categories must be mapped",
        ),
        (
            lambda m: encoder(m).categories_.__setitem__(0, np.array(["Oslo", "Kyiv", "Lima"])),
            "categories_ must be different and in order",
        ),
        (
            lambda m: vars(m[0].named_transformers_["numbers"][0]).update(statistics_=np.zeros(2)),
            "statistics_ must be an array of shape",
        ),
        (
            lambda m: vars(m[0].named_transformers_["numbers"][1]).update(scale_=np.zeros(1)),
            "scale_ must be > 0",
        ),
        (
            lambda m: vars(m[0].named_transformers_["numbers"][1]).update(mean_=None),
            "mean_ must be an array",
        ),
        (
            lambda m: vars(m[0].named_transformers_["numbers"][1]).update(
                mean_=np.full(1, 1e306), scale_=np.full(1, 1e-3)
            ),
            "mean_ / scale_ must be finite",
        ),
        (
            lambda m: vars(encoder(m)).update(feature_names_in_=np.array(["town", "x"], object)),
            r"feature_names_in_ must be \['town', 'street'\]",
        ),
        (
            lambda m: vars(m[0]).update(_sklearn_output_config={"transform": 1}),
            "set_output must be",
        ),
    ],
)
def test_a_pipeline_must_fit_together(change, message, pipeline, tmp_path):
    refused_both_ways(pipeline, change, message, tmp_path)


@pytest.mark.parametrize(
    "steps",
    [
        [MinMaxScaler()],
        [MaxAbsScaler(), "passthrough"],
        [RobustScaler(with_centering=False), Normalizer()],
        [StandardScaler(with_std=False), FunctionTransformer()],
        [PCA(3, whiten=True)],
        [ColumnTransformer([("a", StandardScaler(), [0, 2])], remainder="passthrough")],
        [ColumnTransformer([("a", "drop", [1]), ("b", PCA(1), slice(2, 4))])],
        [ColumnTransformer([("a", "passthrough", [True, False, True, False])])],
        [ColumnTransformer([("a", OneHotEncoder(drop="first", handle_unknown="ignore"), [3])])],
        [OneHotEncoder(drop="if_binary", min_frequency=4, sparse_output=False)],
    ],
    ids=str,
)
def test_other_common_steps_come_back(steps, tmp_path):
    model = make_pipeline(*steps, LogisticNeuron()).fit(IRIS, SPECIES)
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(IRIS), model.predict_proba(IRIS))


def test_a_start_may_be_another_model_and_is_checked_as_one(neuron, tmp_path):
    for start in (LogisticRegression().fit(X, Y), neuron, np.zeros(3)):
        save_model(LogisticNeuron(init=start).fit(X, Y), tmp_path / "model.skops")
        assert type(load_model(tmp_path / "model.skops").init) is type(start)
    other = LinearSVC().fit(X, Y)
    with pytest.raises(ValueError, match=r"type that is not trusted: sklearn\.svm"):
        save_model(LogisticNeuron(init=other).fit(X, Y), tmp_path / "model.skops")


# Types, and code.


@pytest.mark.parametrize(
    "node", soak.foreign_nodes(), ids=lambda n: f"{n['__loader__']} {n['__class__']}"
)
@pytest.mark.parametrize("name", ["predict", "_more", "coef_", "alpha"])
def test_nodes_that_could_run_code_are_refused(name, node, neuron, tmp_path):
    message = refusal(schema_changed(neuron, attribute(name, node)), tmp_path)
    assert "holds a type that is not trusted: " in message


def test_a_ufunc_cannot_take_the_place_of_a_method(neuron, tmp_path):
    model = deepcopy(neuron)
    model.predict_proba = np.exp  # a type that skops trusts
    assert "not trusted: numpy" in refusal(file_of(model), tmp_path)


def test_a_name_in_numpy_random_is_not_called(neuron, tmp_path):
    """skops 0.14 finds no type but the trainer's untrusted here, and calls numpy.random.seed."""
    data = schema_changed(neuron, attribute("random_state", soak.generator("seed")))
    assert skops.io.get_untrusted_types(data=data).count("numpy.random.seed") == 1
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    assert "not trusted: numpy.random" in refusal(data, tmp_path)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


def test_a_type_is_called_with_nothing_from_the_file(neuron, tmp_path):
    zeros = soak.node("NdArrayNode", "numpy.bytes_", type="numpy", file="size.npy")
    data = schema_changed(neuron, attribute("_more", zeros))
    members = {**soak.opened(data), "size.npy": soak.saved(np.array(2 * 10**9))}
    assert "not trusted: numpy.bytes_" in refusal(soak.sealed(members), tmp_path)
    folds = soak.node("ListNode", "sklearn.model_selection._split.KFold", content=[])
    data = schema_changed(neuron, attribute("_more", folds))
    assert "not trusted: sklearn.model_selection._split.KFold" in refusal(data, tmp_path)


# Limits.


def test_packed_members_are_refused_before_they_are_unpacked(neuron, tmp_path):
    members = {**soak.opened(file_of(neuron)), "zeros.npy": bytes(10**7)}
    for packing in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        data = soak.sealed(members, compression=packing)
        assert len(data) < 10**6
        assert "got compressed or encrypted ones" in refusal(data, tmp_path)


def test_a_member_is_named_once_and_lies_alone(neuron, tmp_path):
    data = file_of(neuron)
    assert "overlap" in refusal(soak.many_members(data, np.random.default_rng(0)), tmp_path)
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("schema.json", b"{}")
    assert "must name each member once" in refusal(buffer.getvalue(), tmp_path)


def test_an_array_that_many_name_counts_each_time(neuron, tmp_path):
    array = soak.node("NdArrayNode", "numpy.ndarray", type="numpy", file="large.npy")
    many = soak.node("ListNode", "builtins.list", content=[array] * 100)
    data = schema_changed(neuron, attribute("_more", many))
    data = soak.sealed({**soak.opened(data), "large.npy": soak.saved(np.zeros(10**5))})
    assert "must name arrays of at most" in refusal(data, tmp_path)


def test_values_are_limited_in_number_and_depth(neuron, tmp_path):
    one = soak.json_node(1)
    many = soak.node("ListNode", "builtins.list", content=[one] * 110_000)
    assert "at most 100000 values" in refusal(
        schema_changed(neuron, attribute("_m", many)), tmp_path
    )
    empty = {**one, "more": [[]] * 310_000}
    assert "at most 100000 values" in refusal(
        schema_changed(neuron, attribute("_m", empty)), tmp_path
    )
    deep = one
    for _ in range(100):
        deep = soak.node("ListNode", "builtins.list", content=[deep])
    assert "at most 50 deep" in refusal(schema_changed(neuron, attribute("_m", deep)), tmp_path)
    text = soak.json_node("x" * (17 * 2**20))
    assert "schema of at most" in refusal(schema_changed(neuron, attribute("_m", text)), tmp_path)


def test_lists_that_name_each_other_are_what_they_hold(neuron, tmp_path):
    """Ids are left out: a name for a value elsewhere is a value of its own, here an empty list."""
    doubled = soak.json_node(1)
    for level in range(30):
        again = soak.node("ListNode", "builtins.list", content=[], __id__=level + 1)
        doubled = soak.node("ListNode", "builtins.list", content=[doubled, again], __id__=level + 2)
    path = tmp_path / "model.skops"
    path.write_bytes(schema_changed(neuron, attribute("_more", doubled)))
    assert load_model(path)._more[0][0][1] == []


@pytest.mark.parametrize("seed", range(12))
def test_headers_that_tell_of_more_than_there_is_are_refused(seed, neuron, tmp_path):
    members = soak.opened(file_of(neuron))
    soak.array_header(members, np.random.default_rng(seed))
    refusal(soak.sealed(members), tmp_path)


def test_a_large_file_is_read_only_where_it_is_allowed(neuron, tmp_path):
    path = tmp_path / "model.skops"
    save_model(neuron, path)
    size = path.stat().st_size
    with pytest.raises(ValueError, match=f"larger than {size - 1} bytes, got {size}; raise max_b"):
        load_model(path, max_bytes=size - 1)
    assert load_model(path, max_bytes=size).n_iter_ == neuron.n_iter_


def test_only_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path):
        with pytest.raises(ValueError, match="must be a file, got a folder or a device"):
            load_model(path)


@pytest.mark.parametrize("end", [b"PK\5\6", b"PK\6\7", b"directory"])
def test_an_archive_has_one_plain_end(end, neuron, tmp_path):
    data = file_of(neuron)
    if end == b"PK\5\6":  # a comment after it
        data = data[:-2] + b"\3\0abc"
    elif end == b"PK\6\7":  # another end for large archives, which counts for zipfile
        data = data[:-22] + end + bytes(16) + data[-22:]
    else:
        data = data[:-10] + (2**21).to_bytes(4, "little") + data[-6:]
    message = refusal(data, tmp_path)
    assert "is not a model file" in message or "must have a directory of at most" in message


# Versions and checksums.


def test_a_file_says_who_wrote_it_and_skops_can_read_it(neuron, tmp_path):
    path = tmp_path / "model.skops"
    save_model(neuron, path)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("trainer.json"))
    assert manifest["format"] == "1.0"
    assert manifest["trainer"] == importlib.import_module("trainer").__version__
    assert soak.sealed(soak.opened(path.read_bytes())).count(manifest["sha256"].encode()) == 1
    again = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    np.testing.assert_array_equal(again.predict_proba(X), neuron.predict_proba(X))


def test_the_same_model_gives_the_same_bytes(pipeline, tmp_path):
    save_model(pipeline, tmp_path / "a.skops")
    save_model(load_model(tmp_path / "a.skops"), tmp_path / "b.skops")
    assert (tmp_path / "a.skops").read_bytes() == (tmp_path / "b.skops").read_bytes()


def test_a_newer_format_is_refused_by_its_first_number(neuron, tmp_path):
    members = soak.opened(file_of(neuron))
    message = refusal(soak.sealed(members, version="2.0"), tmp_path)
    assert "must be of format 1 or older, got 2.0, written by trainer 0.1.0; install" in message
    (tmp_path / "model.skops").write_bytes(soak.sealed(members, version="1.9"))
    assert load_model(tmp_path / "model.skops").n_iter_ == neuron.n_iter_
    for wrong in ("1", "x.y", "1.0.0", "१.०"):
        assert "must say format" in refusal(soak.sealed(members, version=wrong), tmp_path)


def test_an_accident_is_told_from_a_model(neuron, tmp_path):
    """A changed weight whose CRC was made right again."""
    members = soak.opened(file_of(neuron))
    data = soak.sealed(members)
    weight = neuron.coef_.tobytes()
    changed = {n: m.replace(weight, weight[::-1]) for n, m in members.items()}
    other = soak.sealed(changed)
    manifest, replaced = (
        zipfile.ZipFile(io.BytesIO(archive)).read("trainer.json") for archive in (data, other)
    )
    mixed = other.replace(replaced, manifest)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in {"trainer.json": manifest, **changed}.items():
            archive.writestr(name, member)
    assert "damaged: its checksum is another" in refusal(buffer.getvalue(), tmp_path)
    assert "is not a model file, or is damaged" in refusal(mixed, tmp_path)


def test_a_member_too_many_or_too_few_is_refused(neuron, tmp_path):
    members = soak.opened(file_of(neuron))
    assert "does not use more.npy" in refusal(soak.sealed({**members, "more.npy": b""}), tmp_path)
    array = next(name for name in members if name.endswith(".npy"))
    less = {name: data for name, data in members.items() if name != array}
    assert "holds values that the trainer does not write" in refusal(soak.sealed(less), tmp_path)
    assert "must hold a member schema.json" in refusal(soak.sealed({}), tmp_path)


# What is saved comes back, or is not saved.


def test_a_class_weight_of_booleans_comes_back(tmp_path):
    weights = {False: 1, True: 2}
    model = LogisticNeuron(class_weight=weights).fit(X, Y == 1)
    for ending in ("skops", "json"):
        save_model(model, tmp_path / f"model.{ending}")
        again = load_model(tmp_path / f"model.{ending}")
        assert again.class_weight == weights
        assert [type(key) for key in again.class_weight] == [bool, bool]
        assert again.predict(X).tolist() == model.predict(X).tolist()


class Degrees(float):
    """A number that a file cannot tell from others."""


def test_what_would_come_back_otherwise_is_not_saved(pipeline, tmp_path):
    model = deepcopy(pipeline)
    model[-1].alpha = Degrees(1e-4)
    with pytest.raises(
        ValueError, match=r"would give back other values, in steps\.1\.1\.alpha; use"
    ):
        save_model(model, tmp_path / "model.skops")
    assert not (tmp_path / "model.skops").exists()


def test_what_skops_cannot_write_is_said_in_a_sentence(neuron, tmp_path):
    model = deepcopy(neuron)
    model.class_weight = {0: model}
    with pytest.raises(ValueError, match=r"cannot be saved: skops cannot write it \(RecursionErr"):
        save_model(model, tmp_path / "model.skops")
    model.class_weight, model.init = None, model
    with pytest.raises(ValueError, match="cannot be saved: it holds itself"):
        save_model(model, tmp_path / "model.skops")


def test_labels_in_another_byte_order_come_back(tmp_path):
    model = LogisticNeuron().fit(X.astype(">f8"), Y.astype(">i4"))
    save_model(model, tmp_path / "model.skops")
    assert load_model(tmp_path / "model.skops").predict(X).tolist() == model.predict(X).tolist()


def test_more_than_two_classes_in_parts_come_back(tmp_path):
    neuron = LogisticNeuron(optimizer="momentum", batch_size=20, random_state=0)
    neuron.set_params(learning_rate=0.01).partial_fit(IRIS, SPECIES, classes=[0, 1, 2])
    save_model(neuron, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    for model in (neuron, again):
        model.partial_fit(IRIS, SPECIES)
    np.testing.assert_array_equal(again.coef_, neuron.coef_)


def test_an_optimizer_with_settings_of_its_own_comes_back(tmp_path):
    optimizer = OPTIMIZERS["adam"](beta_1=0.5, batch_size=20)
    model = LogisticNeuron(optimizer=optimizer, random_state=0, max_iter=40, tol=1e-2).fit(X, Y)
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    assert again.optimizer == optimizer
    np.testing.assert_array_equal(again.fit(X, Y).coef_, model.coef_)
    optimizer.beta_1 = 2
    with pytest.raises(ValueError, match="beta_1 must be a number >= 0 and < 1, got 2"):
        save_model(model, tmp_path / "model.skops")
    with pytest.raises(ValueError, match="JSON cannot hold optimizer="):
        save_model(again, tmp_path / "model.json")


def test_keys_that_are_written_alike_are_refused(tmp_path):
    model = LogisticNeuron().fit(X, Y).set_params(class_weight={1: 1.0, "1": 2.0})
    with pytest.raises(ValueError, match="keys differ as texts too"):
        save_model(model, tmp_path / "model.skops")


def test_requests_for_metadata_come_back(tmp_path):
    with config_context(enable_metadata_routing=True):
        model = LogisticNeuron().set_fit_request(sample_weight=True).fit(X, Y)
        model.set_score_request(sample_weight="weight")
        save_model(make_pipeline(StandardScaler().fit(X), model), tmp_path / "model.skops")
        again = load_model(tmp_path / "model.skops")[-1]
        assert again.get_metadata_routing().fit.requests["sample_weight"] is True
        assert again.get_metadata_routing().score.requests["sample_weight"] == "weight"
        assert (
            again.get_metadata_routing().fit.requests == model.get_metadata_routing().fit.requests
        )
    assert again.fit(X, Y).score(X, Y) == model.score(X, Y)


class Saving:
    """A callback that saves its estimator in the middle of a fit."""

    def __init__(self, path):
        self.path, self.messages = path, []

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        try:
            save_model(estimator, self.path)
        except ValueError as error:
            self.messages.append(str(error))

    def teardown(self, estimator, context):
        pass


def test_callbacks_are_not_saved_and_a_neuron_in_training_is_not_either(tmp_path):
    callback = Saving(tmp_path / "model.skops")
    model = LogisticNeuron(n_starts=1).set_callbacks(callback).fit(X, Y)
    assert "the neuron must be fitted; call fit first" in callback.messages[0]
    save_model(model, tmp_path / "model.skops")
    assert not hasattr(load_model(tmp_path / "model.skops"), "_skl_callbacks")
    assert model._skl_callbacks == [callback]


# Written whole.


def test_many_save_the_same_file_at_once(neuron, chosen, tmp_path):
    path = tmp_path / "model.skops"

    def save(number):
        save_model((neuron, chosen)[number % 2], path)
        return load_model(path).n_features_in_

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(save, range(24))) == {2, 4}
    assert os.listdir(tmp_path) == ["model.skops"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "first").write_bytes(b"old")
    (tmp_path / "current").symlink_to("first")
    write_atomically(tmp_path / "current", b"new")
    assert (tmp_path / "current").is_symlink()
    assert (tmp_path / "first").read_bytes() == b"new"


def test_no_draft_is_cleared_away_while_it_is_written(tmp_path):
    path = tmp_path / "file"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: write_atomically(path, bytes([k % 256]) * 100), range(2_000)))
    assert os.listdir(tmp_path) == ["file"]
    assert len(set(path.read_bytes())) == 1


def test_a_file_is_forced_to_disk_before_it_gets_its_name(neuron, tmp_path, monkeypatch):
    order, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        "os.fsync", lambda d: (order.append(os.readlink(f"/proc/self/fd/{d}")), fsync(d))
    )
    monkeypatch.setattr("os.replace", lambda a, b: (order.append("rename"), replace(a, b)))
    save_model(neuron, tmp_path / "model.skops")
    draft, middle, folder = order
    assert (middle, folder) == ("rename", str(tmp_path))
    assert draft.endswith(".draft")


def test_a_disk_that_gives_back_other_bytes_is_noticed(neuron, tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    path.write_text("an older file")
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda self: b"")
    with pytest.raises(OSError, match=r"model\.skops was not written"):
        save_model(neuron, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["model.skops"]
    assert path.read_text() == "an older file"


def test_errors_name_the_file_and_not_its_draft(neuron, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/model\.skops'$"):
        save_model(neuron, tmp_path / "nowhere" / "model.skops")
    with pytest.raises(ValueError, match="must be a file, got a folder or a device"):
        save_model(neuron, tmp_path)
    with pytest.raises(ValueError, match="must be a file, got a folder or a device"):
        save_model(neuron, "/dev/null")


def test_the_draft_of_a_killed_process_is_removed_by_the_next_save(neuron, tmp_path):
    save_model(neuron, tmp_path / "model.skops")
    before = (tmp_path / "model.skops").read_bytes()
    child = os.fork()
    if child == 0:
        os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
        save_model(neuron, tmp_path / "model.skops")
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (draft,) = tmp_path.glob(".trainer-*.draft")
    assert (tmp_path / "model.skops").read_bytes() == before
    foreign = tmp_path / ".trainer-notes.txt"
    foreign.touch()
    save_model(neuron, tmp_path / "other.skops")
    assert not draft.exists()
    assert foreign.exists()


def test_the_draft_of_a_living_process_is_left_alone(neuron, tmp_path, monkeypatch):
    fsync, seen = os.fsync, []

    def save_another(file):
        monkeypatch.setattr("os.fsync", fsync)
        seen.append(list(tmp_path.glob(".trainer-*.draft")))
        save_model(neuron, tmp_path / "second.skops")
        seen.append(list(tmp_path.glob(".trainer-*.draft")))
        fsync(file)

    monkeypatch.setattr("os.fsync", save_another)
    save_model(neuron, tmp_path / "first.skops")
    assert len(seen[0]) == 1
    assert seen[1] == seen[0]
    assert sorted(os.listdir(tmp_path)) == ["first.skops", "second.skops"]


def test_permissions_are_kept(neuron, tmp_path):
    path = tmp_path / "model.skops"
    path.write_text("secret")
    path.chmod(0o600)
    save_model(neuron, path)
    assert path.stat().st_mode & 0o777 == 0o600


# JSON.


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"], [False, True], [-3, 4], [1.0, 2.0], ["a", "b", "ç"],
        np.array(["x", "y"], dtype=object), np.array([1, 200], dtype=np.uint8), [2**62, 2**62 + 1],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_neuron_in_json_comes_back_to_the_bit(labels, dtype, tmp_path):
    labels = np.asarray(labels)
    y = labels[np.arange(len(X)) % len(labels)] if len(labels) > 2 else labels[Y]
    weights = dict.fromkeys(labels.tolist(), 1.5)
    model = LogisticNeuron(class_weight=weights, tol=1e-3).fit(X.astype(dtype), y)
    save_model(model, tmp_path / "model.json")
    again = load_model(tmp_path / "model.json")
    for name in ("coef_", "intercept_", "classes_", "loss_curve_"):
        assert getattr(again, name).dtype == getattr(model, name).dtype
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert again.get_params() == model.get_params()
    assert repr(again.terminations_) == repr(model.terminations_)  # NaN is not equal to itself
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_names_validation_and_a_start_come_back_from_json(tmp_path):
    table = pd.DataFrame(X, columns=["first", "second"])
    model = LogisticNeuron(init=np.zeros(3), learning_rate=np.float64(0.5), optimizer="adam")
    model.set_params(early_stopping=True, random_state=0).fit(table, Y)
    save_model(model, tmp_path / "MODEL.JSON")
    again = load_model(tmp_path / "MODEL.JSON")
    assert list(again.feature_names_in_) == ["first", "second"]
    np.testing.assert_array_equal(again.validation_curve_, model.validation_curve_)
    np.testing.assert_array_equal(again.fit(table, Y).coef_, model.fit(table, Y).coef_)


def test_a_neuron_from_json_can_do_what_it_could(tmp_path):
    for settings in (
        {},
        {"alpha": 0.1, "noise_rates": {0: 0.1, 1: 0.2}},
        {"optimizer": "momentum"},
    ):
        model = LogisticNeuron(random_state=0, **settings).fit(X, Y)
        save_model(model, tmp_path / "model.json")
        again = load_model(tmp_path / "model.json")
        pd.testing.assert_frame_equal(again.summary(X, Y), model.summary(X, Y))
        assert (again.alpha_, again.optimizer_) == (model.alpha_, model.optimizer_)
        assert again.get_params() == model.get_params()
        np.testing.assert_array_equal(again.noise_rates_, model.noise_rates_)


def test_a_neuron_from_json_can_be_saved_in_either_way(neuron, tmp_path):
    save_model(neuron, tmp_path / "a.json")
    again = load_model(tmp_path / "a.json")
    save_model(again, tmp_path / "b.json")
    save_model(again, tmp_path / "c.skops")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    np.testing.assert_array_equal(load_model(tmp_path / "c.skops").coef_, neuron.coef_)


def test_a_neuron_from_json_says_why_it_has_no_history(neuron, tmp_path):
    save_model(neuron, tmp_path / "model.json")
    again = load_model(tmp_path / "model.json")
    with pytest.raises(AttributeError, match=r"got a neuron from JSON, which keeps loss_curve_"):
        again.history_  # noqa: B018


def test_json_is_plain_and_its_checksum_can_be_left_out(neuron, tmp_path):
    path = tmp_path / "model.json"
    save_model(neuron, path)
    document = json.loads(path.read_text())
    assert document["coef"] == neuron.coef_.tolist()
    assert document["classes"]["labels"] == [0, 1]
    document["intercept"] = [0.25]
    changed = json.dumps(document).encode()
    assert 'take out "sha256" if you changed it on purpose' in refusal(changed, tmp_path, ".json")
    del document["sha256"]
    path.write_text(json.dumps(document, indent=4))
    assert load_model(path).intercept_.tolist() == [0.25]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "2.0"}, "must be of format 1 or older, got 2.0"),
        ({"format": 1}, 'must have a "format" such as'),
        ({"kind": "os.system"}, "must be a model's JSON"),
        ({"more": 1}, "got more"),
        ({"coef": None}, "has no coef"),
        ({"coef": [[1.0]]}, "n_features_in_ must be 1"),
        ({"coef": [[1e999, 0.0]]}, "coef_ must be finite"),
        ({"coef": [["1", "2"]]}, "numbers must be lists of numbers"),
        ({"dtype": "float16"}, "not a model file"),
        ({"classes": {"dtype": "O", "labels": [0, 1]}}, "classes must be of their dtype"),
        ({"classes": {"dtype": "int64", "labels": [0, True]}}, "classes must be of their dtype"),
        ({"classes": {"dtype": "U1", "labels": ["a", "bc"]}}, "classes must be of their dtype"),
        ({"classes": {"dtype": "int64", "labels": [1, 0]}}, "classes_ must be different"),
        ({"features": True}, "n_features_in_ must be an int"),
        ({"features": ["a", 1]}, "feature_names_in_ must be text"),
        ({"parameters": {"alpha": 1.0}}, "parameters must be"),
        ({"n_iter": -1}, "n_iter_ must be an int >= 0"),
        ({"termination": {"reason": "gradient"}}, "not a model file"),
        ({"loss_curve": "x"}, "numbers must be lists of numbers"),
    ],
)
def test_json_that_is_no_neuron_is_refused(change, message, neuron, tmp_path):
    save_model(neuron, tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text()) | change
    document = {key: value for key, value in document.items() if value is not None}
    assert message in refusal(soak.sealed_json(document), tmp_path, ".json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "x", "kind": "LogisticNeuron"}', "must name each key once"),
        ("[" * 100_000, "not a model file"),
        ("[" * 400_000, "must have at most"),
        ("9" * 10_000, "not a model file"),
        ("null", "must be a model's JSON"),
        ("", "not a model file"),
        ("\ud800", "not a model file"),
    ],
    ids=lambda text: text[:12],
)
def test_text_that_is_no_model_is_refused(text, message, tmp_path):
    data = text.encode("utf-8", "surrogatepass")
    assert message in refusal(data, tmp_path, ".json")


def test_json_holds_a_neuron_alone_of_plain_values(chosen, pipeline, neuron, in_parts, tmp_path):
    path = tmp_path / "model.json"
    for model in (chosen, pipeline):
        with pytest.raises(
            ValueError, match=r"holds a LogisticNeuron alone, got .*; choose another"
        ):
            save_model(model, path)
    with pytest.raises(ValueError, match=r"JSON cannot hold random_state=RandomState.*; give numb"):
        save_model(in_parts, path)
    with pytest.raises(ValueError, match="JSON cannot hold init="):
        save_model(deepcopy(neuron).set_params(init=neuron), path)
    with pytest.raises(ValueError, match="JSON has no labels of type"):
        save_model(LogisticNeuron().fit(X, np.array([b"a", b"b"])[Y]), path)
    assert not path.exists()


def test_the_checksums_are_those_that_are_written_down(neuron, tmp_path):
    """The format by hand: name, size and contents of each member, in the order of names."""
    save_model(neuron, tmp_path / "model.skops")
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        rest = sorted(set(archive.namelist()) - {"trainer.json"})
        parts = [archive.read(name) for name in rest]
        told = json.loads(archive.read("trainer.json"))["sha256"]
    text = b"".join(
        b"%s\n%d\n%s" % (n.encode(), len(p), p) for n, p in zip(rest, parts, strict=True)
    )
    assert told == sha256(text).hexdigest()


# The campaign.


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_short_campaign_finds_nothing():
    report = campaign(48, seed=1)
    assert report.failures == [], str(report)
    verdicts = {outcome.verdict for outcome in report.outcomes}
    assert verdicts >= {"refused", "unharmed"}
