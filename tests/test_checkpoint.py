"""A fit goes on from its checkpoint as if it had not been stopped; no other fit does."""

import errno
import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from trainer import Checkpoint, LogisticNeuron, LogisticNeuronCV
from trainer.commands import train as script
from trainer.core.objective import Objective
from trainer.core.training import History, Journal, train
from trainer.estimators import checkpoint as module
from trainer.optimizers.base import Optimizer, State
from trainer.persistence import sealed, states

SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))
kill_fits = importlib.import_module("kill_fits")

CASES = kill_fits.cases(with_cluster=False)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


class Copies:
    """A callback after `Checkpoint(every=0)` that keeps a copy of each file it wrote."""

    def __init__(self, path):
        self.path, self.files = path, []

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.files.append(self.path.with_suffix(f".{len(self.files)}"))
        shutil.copy(self.path, self.files[-1])


class Stops(Copies):
    """A callback that stops training after so many iterations, or interrupts it."""

    def __init__(self, after, error=None):
        self.left, self.error = after, error

    def on_fit_task_end(self, estimator, context):
        self.left -= 1
        if self.left == 0 and self.error is not None:
            raise self.error
        return self.left <= 0


def bits(neuron):
    """All that a fit has come to, but for the seconds."""
    history = neuron.history_.drop(columns="seconds")
    ends = [asdict(end) | {"seconds": 0} for end in (neuron.termination_, *neuron.terminations_)]
    return (
        neuron.coef_.tobytes(), neuron.intercept_.tobytes(), neuron.loss_curve_.tobytes(),
        history.to_csv(), repr(ends), repr(neuron.noise_rates_),
    )  # fmt: skip


def small(**settings):
    X, y = kill_fits.table(200, 3)
    return LogisticNeuron(**{"optimizer": "adam", "max_iter": 12, **settings}), X, y


def with_checkpoint(path, *callbacks, **settings):
    """A fit of `small` that has written to `path`."""
    neuron, X, y = small(**settings)
    neuron.set_callbacks(Checkpoint(path, every=0), *callbacks)
    return neuron.fit(X, y)


# The same bits


@pytest.mark.parametrize(
    "case",
    [
        "newton, early stopping", "lbfgs, bank", "adam, mini-batches, bank",
        "normalized_gradient_descent", "nesterov, early stopping", "momentum, mini-batches",
        "samples", "stronger penalty", "starts", "starts, newton", "starts, bank", "large tol",
        "learned noise rates", "single precision", "sparse", "blocks, mini-batches", "file",
    ],
)  # fmt: skip
def test_resumed_from_any_iteration_a_fit_ends_in_the_same_bits(case, path, tmp_path):
    rows, settings = CASES[case]
    made = rows(tmp_path)
    expected = LogisticNeuron(random_state=3, **settings).fit(*made)
    copies = Copies(path)
    kept = LogisticNeuron(random_state=3, **settings)
    kept.set_callbacks(Checkpoint(path, every=0), copies).fit(*made)
    assert bits(kept) == bits(expected)  # writing changes nothing
    assert len(copies.files) > 2
    chosen = np.unique(np.linspace(0, len(copies.files) - 1, 4).astype(int))
    for file in np.array(copies.files)[chosen]:
        again = LogisticNeuron(random_state=3, **settings).fit(*made, resume=file)
        assert bits(again) == bits(expected), file.name
        assert (np.diff(again.history_["seconds"]) >= 0).all()


def test_every_run_of_a_fit_was_resumed(path):
    """What is compared above has phases: easier problems, a second start, a smaller tol."""
    for case, n_runs in (("samples", 3), ("stronger penalty", 2), ("starts", 2)):
        rows, settings = CASES[case]
        neuron = LogisticNeuron(random_state=3, **settings).fit(*rows(path.parent))
        assert neuron.history_["run"].max() >= n_runs
    rows, settings = CASES["large tol"]
    neuron = LogisticNeuron(**settings).set_callbacks(Checkpoint(path)).fit(*rows(path.parent))
    assert len(module.Progress.read(path).journal.phases) > 1


@pytest.mark.parametrize("optimizer", ["auto", "momentum"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_fit_that_was_stopped_goes_on(optimizer, error, path):
    X, y = load_iris(return_X_y=True)
    settings = {"optimizer": optimizer, "max_iter": 30, "random_state": 0}
    expected = LogisticNeuron(**settings).fit(X, y)
    neuron = LogisticNeuron(**settings)
    neuron.set_callbacks(Checkpoint(path, every=3600), Stops(3, error))
    try:
        neuron.fit(X, y)
    except KeyboardInterrupt:
        assert error is not None
    assert neuron.termination_.reason == "interrupted"
    for after in (1, 1):  # stopped twice more
        neuron.set_callbacks(Checkpoint(path), Stops(after)).fit(X, y, resume=path)
        assert neuron.termination_.reason == "interrupted"
    assert bits(neuron.set_callbacks().fit(X, y, resume=path)) == bits(expected)


def test_what_random_state_drew_is_kept(path):
    settings = {"batch_size": 16, "random_state": None}
    expected = with_checkpoint(path, Stops(100), **settings)
    neuron, X, y = small(**settings)
    assert bits(neuron.fit(X, y, resume=path)) == bits(expected)
    state = np.random.RandomState(0)
    first = with_checkpoint(path, batch_size=16, random_state=np.random.RandomState(0))
    neuron, X, y = small(batch_size=16, random_state=state)
    assert bits(neuron.fit(X, y, resume=path)) == bits(first)
    reference = np.random.RandomState(0)
    reference.randint(2**31 - 1)
    assert state.randint(1000) == reference.randint(1000)  # it has given one number, as in a fit


def test_seconds_continue(path):
    before = with_checkpoint(path, Stops(8))
    neuron, X, y = small()
    after = neuron.fit(X, y, resume=path).history_["seconds"]
    assert after[:9].tolist() == before.history_["seconds"].tolist()
    assert (np.diff(after) > 0).all()
    assert after.iloc[-1] <= neuron.termination_.seconds


@dataclass(frozen=True)
class OwnState(State):
    scale: np.float64
    past: tuple


@dataclass
class Own(Optimizer):
    def init(self, objective, theta):
        return OwnState(theta, *objective.value_and_gradient(theta), np.float64(1.0), ())

    def step(self, objective, state):
        theta = state.theta - state.scale * state.gradient
        past = (*state.past, (state.J, "text", True, None))[-2:]
        values = objective.value_and_gradient(theta)
        return OwnState(theta, *values, state.scale * 0.9, past)


def test_optimizers_of_ones_own(path):
    copies = Copies(path)
    expected = with_checkpoint(path, copies, optimizer=Own(), batch_size=None)
    for file in copies.files[::4]:
        neuron, X, y = small(optimizer=Own())
        assert bits(neuron.fit(X, y, resume=file)) == bits(expected)


@dataclass(frozen=True)
class Unknown(State):
    function: object


def test_states_that_cannot_be_kept_are_told(path):
    class Other(Own):
        def init(self, objective, theta):
            return Unknown(theta, *objective.value_and_gradient(theta), len)

        def step(self, objective, state):
            return self.init(objective, state.theta - state.gradient)

    with pytest.warns(UserWarning, match="cannot hold a value of type builtins.builtin_func"):
        neuron = with_checkpoint(path, Stops(3), optimizer=Other())
    assert neuron.n_iter_ == 3
    assert not path.exists()


# Other fits


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_iter": 13}, "max_iter was 12, is 13"),
        ({"alpha": 0.5}, "alpha was 'auto', is 0.5"),
        ({"optimizer": "momentum"}, "optimizer was 'adam', is 'momentum'"),
        ({"random_state": 1}, "random_state was 'NoneType', is 1"),
        ({"class_weight": {0: 2.0}}, r"class_weight was None, is \[\[0, 2.0\]\]"),
        ({"init": np.ones(4)}, "first parameters was"),
        ({"early_stopping": True}, "early_stopping was False, is True"),
    ],
)
def test_other_settings_are_refused_by_name(change, told, path):
    with_checkpoint(path)
    neuron, X, y = small(**change)
    with pytest.raises(ValueError, match=f"a checkpoint of this fit, got that of another: {told}"):
        neuron.fit(X, y, resume=path)
    assert not hasattr(neuron, "coef_")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda X, y: (X + (X == X[7, 1]) * 1e-15, y), "X had other values"),
        (lambda X, y: (np.asfortranarray(X), y), "X had other values, or another memory layout"),
        (lambda X, y: (X[::-1].copy(), y[::-1].copy()), "X had other values"),
        (lambda X, y: (X.astype(np.float32), y), "X had other values"),
        (lambda X, y: (X, np.roll(y, 1)), "y had other values"),
        (lambda X, y: (X, y, np.ones(len(y))), "sample_weight had other values"),
        (lambda X, y: (X, np.array(["a", "b"])[y]), "classes was"),
        (lambda X, y: (X[:150], y[:150]), r"rows, columns was \[200, 3\], is \[150, 3\]"),
    ],
)
def test_other_data_is_refused_by_name(change, told, path):
    with_checkpoint(path)
    neuron, X, y = small()
    with pytest.raises(ValueError, match=told):
        neuron.fit(*change(X, y), resume=path)


def test_validation_rows_count(path):
    neuron, X, y = small()
    neuron.set_callbacks(Checkpoint(path)).fit(X, y, X_val=X[:50], y_val=y[:50])
    neuron.fit(X, y, X_val=X[:50], y_val=y[:50], resume=path)
    with pytest.raises(ValueError, match="validation X had other values"):
        neuron.fit(X, y, X_val=X[50:100], y_val=y[:50], resume=path)
    with pytest.raises(ValueError, match=r"validation rows, columns was \[50, 3\], is None"):
        neuron.fit(X, y, resume=path)


def test_where_sums_are_rounded_in_another_way_a_warning_says_so(path, monkeypatch):
    expected = with_checkpoint(path, Stops(5))
    here = module.surroundings()
    monkeypatch.setattr(module, "surroundings", lambda: here | {"threads": 64})
    neuron, X, y = small()
    with pytest.warns(UserWarning, match="in another way .threads was .*, is 64.: the result"):
        neuron.fit(X, y, resume=path)
    assert neuron.n_iter_ > expected.n_iter_


def test_another_course_of_training_is_refused(path):
    """As rounding on another machine can lead to other runs."""
    with_checkpoint(path)
    progress = module.Progress.read(path)
    progress.journal.phases[0]["run"][1] = "Newton"
    path.write_bytes(progress.dumped())
    neuron, X, y = small()
    with pytest.raises(ValueError, match="training would go on with another run"):
        neuron.fit(X, y, resume=path)


def test_who_can_have_checkpoints(path, tmp_path):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="Checkpoint keeps the fit of a LogisticNeuron, got a Log"):
        LogisticNeuronCV(alphas=[0.1]).set_callbacks(Checkpoint(path)).fit(X, y)
    with pytest.raises(ValueError, match="every must be a number of seconds >= 0, got -1"):
        Checkpoint(path, every=-1)
    for wrong in (tmp_path / "none" / "file", tmp_path):
        with pytest.raises(ValueError, match="file in a folder that can be written to"):
            LogisticNeuron().set_callbacks(Checkpoint(wrong)).fit(X, y)
    with pytest.raises(FileNotFoundError):
        LogisticNeuron().fit(X, y, resume=path)
    assert not path.exists()


# Damage


def test_a_damaged_file_is_refused(path):
    with_checkpoint(path, Stops(3))
    data = path.read_bytes()
    neuron, X, y = small()
    rng = np.random.default_rng(0)
    positions = rng.integers(len(data), size=60)
    broken = [data[:n] for n in (0, 1, 100, len(data) // 2, len(data) - 1)]
    broken += [data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :] for i in positions]
    broken += [data + b"x", b"no archive" * 100, pickle.dumps({"seed": 1})]
    expected = bits(small()[0].fit(X, y))
    refused = 0
    for each in broken:
        path.write_bytes(each)
        with suppress(ValueError):
            neuron.fit(X, y, resume=path)
            assert bits(neuron) == expected  # a bit of the zip's own, such as a date
            continue
        refused += 1
        with pytest.raises(ValueError, match=r"^[^\n]*(damaged|must|is not a checkpoint)[^\n]*$"):
            neuron.fit(X, y, resume=path)
    assert refused > len(broken) / 2


def resealed(data, change):
    """A checkpoint whose values were changed, with a checksum that fits."""
    members = sealed.unseal(data, states.DOCUMENT, "", "")
    document = json.loads(members[states.DOCUMENT])
    change(document, members)
    members[states.DOCUMENT] = json.dumps(document).encode()
    return sealed.seal(members, "0.1.0")


def value_of(document, name):
    return next(pair for pair in document["dict"] if pair[0] == name)


def phase_of(document, name):
    return next(pair for pair in value_of(document, "phases")[1][0]["dict"] if pair[0] == name)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def objects(document, members):
    array = np.empty(1, dtype=object)
    array[0] = Bomb()
    with open("array.npy", "wb") as file:
        np.save(file, array, allow_pickle=True)
    members["0.npy"] = Path("array.npy").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda document, members: value_of(document, "seed").__setitem__(1, {"dataclass": "os.x"}),
        lambda document, members: phase_of(document, "state")[1].update(dataclass="builtins.exec"),
        lambda document, members: phase_of(document, "state")[1]["fields"].pop("rate"),
        lambda document, members: phase_of(document, "theta").__setitem__(
            1, {"array": [0, "<f8", 0, [10**9, 10**9], [0, 0]]}
        ),
        lambda document, members: phase_of(document, "theta").__setitem__(
            1, {"array": [0, "<f8", 0, [100, 100], [8, 8]]}
        ),
        lambda document, members: phase_of(document, "theta").__setitem__(
            1, {"array": [0, "|O", 0, [1], [8]]}
        ),
        lambda document, members: phase_of(document, "working").__setitem__(1, []),
        lambda document, members: phase_of(document, "terminations").__setitem__(1, []),
        lambda document, members: phase_of(document, "n_records").__setitem__(1, 10**6),
        lambda document, members: members.update({"9.txt": b""}),
        objects,
    ],
)
def test_no_file_can_run_code_or_break_the_fit(change, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_checkpoint(path, Stops(3))
    path.write_bytes(resealed(path.read_bytes(), change))
    neuron, X, y = small()
    with pytest.raises(ValueError, match=re.escape(str(path))):
        neuron.fit(X, y, resume=path)
    assert not (tmp_path / "exploded").exists()


def test_a_newer_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(sealed, "FORMAT", (2, 0))
    with_checkpoint(path)
    monkeypatch.undo()
    neuron, X, y = small()
    with pytest.raises(ValueError, match=r"must be of format 1 or older, got 2\.0"):
        neuron.fit(X, y, resume=path)


def test_a_full_disk_leaves_the_last_file_and_training_goes_on(path, monkeypatch):
    class Fills(Stops):
        def on_fit_task_end(self, estimator, context):
            self.left -= 1
            if self.left == 0:
                self.last = path.read_bytes()

                def fsync(descriptor):
                    raise OSError(errno.ENOSPC, "No space left on device")

                monkeypatch.setattr(os, "fsync", fsync)

    fills = Fills(4)
    expected = bits(small()[0].fit(*small()[1:]))
    with pytest.warns(UserWarning, match="the last one stays and training goes on: .*No space"):
        neuron = with_checkpoint(path, fills)
    monkeypatch.undo()
    assert bits(neuron) == expected
    assert path.read_bytes() == fills.last
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    neuron, X, y = small()
    assert bits(neuron.fit(X, y, resume=path)) == expected


def test_drafts_of_killed_fits_are_cleared(path):
    with_checkpoint(path)
    draft, other = path.with_name(".trainer-0123.draft"), path.with_name(".trainer-0123.txt")
    for file in (draft, other):
        file.write_bytes(b"")
    with_checkpoint(path)
    assert sorted(path.parent.iterdir()) == sorted([path, other])


def test_values_keep_their_types_and_layout():
    base = np.arange(24.0).reshape(2, 3, 4)
    values = {
        "views": (base, base.T[1:], base[:, ::2], base[..., 1], base[::-1]),
        "broadcast": np.broadcast_to(np.arange(3)[:, np.newaxis], (3, 5)),
        "scalars": [np.float64(0.1), np.float32(0.1), np.int64(3), np.bool(True), 0.1, 3, True],
        "others": (None, "text", float("nan"), float("-inf"), -0.0, {1: 2, "1": ()}, np.empty(0)),
        "fortran": np.asfortranarray(base[0]),
        "flags": np.array([True, False]),
    }
    again = states.read_values(states.write_values(values, [], "0"), [], "", "")
    assert repr(again) == repr(values)
    names = ("broadcast", "fortran", "flags")
    pairs = [(values[name], again[name]) for name in names]
    for a, b in [*pairs, *zip(values["views"], again["views"], strict=True)]:
        assert (a.dtype, a.strides) == (b.dtype, b.strides)
        np.testing.assert_array_equal(a, b)
    assert np.shares_memory(again["views"][0], again["views"][3])
    assert [type(a) for a in again["scalars"]] == [type(a) for a in values["scalars"]]
    with pytest.raises(ValueError, match="cannot hold a value of type object"):
        states.write_values({"x": np.array([None])}, [], "0")


# The command line, and kills


def test_the_command_line_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "draw", lambda *arguments: None)
    command = ["moons", "--optimizer", "adam", "--epochs", "60"]
    assert script.main([*command, "--output", "undisturbed"]) == 0

    class Stopped(script.TrainingWatch):
        n = 0

        def on_fit_task_end(self, estimator, context):
            Stopped.n += 1
            self.signals.requested = Stopped.n >= 20  # as SIGTERM does
            return super().on_fit_task_end(estimator, context)

    with monkeypatch.context() as patch:
        patch.setattr(script, "TrainingWatch", Stopped)
        assert script.main([*command, "--checkpoint"]) == 0
    kept = Path("runs/moons.checkpoint")
    assert kept.exists()
    assert f"The same command with --resume goes on from {kept}" in capsys.readouterr().out
    assert script.main([*command[:3], "--epochs", "70", "--resume"]) == 2
    assert "max_iter was 60, is 70" in capsys.readouterr().err
    assert script.main([*command, "--resume"]) == 0
    assert f"Going on from {kept}" in capsys.readouterr().out
    assert os.listdir("runs") == ["moons"]
    figures = [
        json.loads(Path(f, "moons/metrics.json").read_text()) for f in ("runs", "undisturbed")
    ]
    for each in figures:
        each["termination"].pop("seconds")
        each.pop("sha256")
    assert figures[0] == figures[1]
    assert script.main([*command, "--resume"]) == 0
    assert f"There is no {kept}: training starts at the beginning" in capsys.readouterr().out


def test_killed_fits_end_in_the_same_bits():
    command = [sys.executable, str(SCRIPTS / "kill_fits.py"), "--runs", "2", "--no-cluster"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "2 runs killed" in run.stdout
    assert "differ" not in run.stdout


def test_a_run_without_the_history_of_a_fit_is_no_phase():
    """Candidates for other starts, for instance: they are trained again."""
    X, y = kill_fits.table(50, 2)
    objective, theta = Objective.from_arrays(X, y.astype(float)), np.zeros((3, 1))
    history = History(journal=Journal())
    first = train(objective, Own(), theta, max_iter=5, tol=0, history=history)
    train(objective, Own(), theta, max_iter=5, tol=0)
    assert len(history.journal.phases) == 1
    known = Journal(history.journal.phases, history.journal.records)
    again = History(journal=known)
    second = train(objective, Own(), theta, max_iter=5, tol=0, history=again)
    assert second.theta.tobytes() == first.theta.tobytes()
    assert again.records == history.records
