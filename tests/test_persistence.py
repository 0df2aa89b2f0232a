"""Model files: what goes in comes out, and nothing foreign gets in."""

import importlib
import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.model_selection import (
    KFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from trainer import LogisticNeuron, LogisticNeuronCV
from trainer.datasets.preprocessing import make_preprocessor
from trainer.persistence.models import load_model, save_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
soak = importlib.import_module("soak_mutations")

X, Y = make_moons(60, noise=0.2, random_state=0)


@pytest.fixture
def neuron():
    return LogisticNeuron().fit(X, Y)


def test_a_neuron_comes_back_as_it_was(neuron, tmp_path):
    save_model(neuron, tmp_path / "neuron.skops")
    again = load_model(str(tmp_path / "neuron.skops"))
    assert again.get_params() == neuron.get_params()
    assert again.termination_ == neuron.termination_
    assert again.n_iter_ == neuron.n_iter_
    np.testing.assert_array_equal(again.loss_curve_, neuron.loss_curve_)
    np.testing.assert_array_equal(again.predict_proba(X), neuron.predict_proba(X))
    pd.testing.assert_frame_equal(again.history_, neuron.history_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(dtype, tmp_path):
    save_model(LogisticNeuron(tol=1e-3).fit(X.astype(dtype), Y), tmp_path / "neuron.skops")
    assert load_model(tmp_path / "neuron.skops").coef_.dtype == dtype


def test_early_stopping_and_named_features_come_back(tmp_path):
    frame, y = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = frame / frame.max()
    neuron = LogisticNeuron(early_stopping=True, random_state=0).fit(frame, y)
    save_model(neuron, tmp_path / "neuron.skops")
    again = load_model(tmp_path / "neuron.skops")
    assert list(again.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(again.validation_curve_, neuron.validation_curve_)


def test_a_pipeline_on_mixed_columns_predicts_the_same(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(80) < 0.1, np.nan, rng.normal(size=80)),
            "town": rng.choice(["Kyiv", "Oslo", "Lima"], 80),
            "new": rng.random(80) < 0.5,
        }
    )
    y = np.where(frame["town"] == "Oslo", "north", "south")
    model = make_pipeline(make_preprocessor(frame), LogisticNeuron()).fit(frame, y)
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))
    assert again.predict(frame[:1].assign(town="Rome"))[0] in {"north", "south"}


@pytest.mark.parametrize(
    "cv",
    [
        None,
        3,
        KFold(3, shuffle=True, random_state=0),
        RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
        ShuffleSplit(2, random_state=0),
        StratifiedKFold(3),
        StratifiedShuffleSplit(2, random_state=0),
        [(np.arange(40), np.arange(40, 60))],
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_a_cross_validated_neuron_comes_back_and_can_be_trained_again(cv, tmp_path):
    neuron = LogisticNeuronCV(alphas=[1e-3, 1e-2, 1e-1], cv=cv, random_state=0)
    model = make_pipeline(StandardScaler(), neuron).fit(X, Y)
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again[-1].alpha_ == model[-1].alpha_
    pd.testing.assert_frame_equal(
        pd.DataFrame(again[-1].cv_results_), pd.DataFrame(model[-1].cv_results_)
    )
    pd.testing.assert_frame_equal(again[-1].history_, model[-1].history_)
    np.testing.assert_array_equal(again.fit(X, Y)[-1].scores_, model[-1].scores_)


def test_saving_replaces_the_file_and_leaves_no_other(neuron, tmp_path):
    path = tmp_path / "neuron.skops"
    path.write_text("an older file")
    save_model(neuron, path)
    assert os.listdir(tmp_path) == ["neuron.skops"]
    assert load_model(path).n_iter_ == neuron.n_iter_


def test_a_failed_save_leaves_the_file_that_was_there(neuron, tmp_path, monkeypatch):
    path = tmp_path / "neuron.skops"
    path.write_text("an older file")

    def fail(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save_model(neuron, path)
    assert os.listdir(tmp_path) == ["neuron.skops"]
    assert path.read_text() == "an older file"


def double(values):
    return 2 * values


def test_foreign_types_are_neither_saved_nor_loaded(tmp_path):
    path = tmp_path / "model.skops"
    model = make_pipeline(FunctionTransformer(double), LogisticNeuron()).fit(X, Y)
    with pytest.raises(ValueError, match=r"not trusted: .*double") as error:
        save_model(model, path)
    assert "\n" not in str(error.value)
    assert not path.exists()

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        path.write_bytes(soak.sealed({name: archive.read(name) for name in archive.namelist()}))
    with pytest.raises(ValueError, match=r"model\.skops holds .*not trusted: .*double") as error:
        load_model(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 but no more"])
def test_a_file_that_is_no_model_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.skops is not a model file") as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_half_a_model_file_is_refused(neuron, tmp_path):
    path = tmp_path / "model.skops"
    save_model(neuron, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="is not a model file"):
        load_model(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ([1, 2], "must be a LogisticNeuron, .* got list"),
        (StandardScaler().fit(X), "must be a LogisticNeuron, .* got StandardScaler"),
        (LogisticNeuron(), "must be fitted; call fit first"),
        (make_pipeline(StandardScaler(), LogisticNeuron()), "StandardScaler must be fitted"),
    ],
)
def test_what_is_no_fitted_model_is_neither_saved_nor_loaded(model, message, tmp_path):
    path = tmp_path / "model.skops"
    with pytest.raises(ValueError, match=message):
        save_model(model, path)
    assert not path.exists()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        path.write_bytes(soak.sealed({name: archive.read(name) for name in archive.namelist()}))
    with pytest.raises(ValueError, match=message):
        load_model(path)


def test_a_file_of_skops_alone_is_refused(neuron, tmp_path):
    path = tmp_path / "neuron.skops"
    skops.io.dump(neuron, path)
    with pytest.raises(ValueError, match=r"must hold a member trainer\.json"):
        load_model(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "model.skops")
