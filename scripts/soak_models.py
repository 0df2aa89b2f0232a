"""Mutate model files, load each in a process of its own, and judge what came of it.

python scripts/soak.py --only "model files" runs it on 2 000 files, in some minutes.

Accidents are flipped bits, cuts and fills. Sealed files are changed on purpose, values, types,
names and arrays, with sizes, CRCs and checksums made right again. No file may run code, take
more than 5 s of processor time or 500 MB, raise anything but a ValueError of one line, or load
as a model that does not work as one. An accident must be refused, or predict as the model that
was saved.
"""

import json
import os
import select
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soak_mutations as mutations
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

import trainer

SECONDS, MEGABYTES = 5, 500
Rng = np.random.Generator


@dataclass
class Subject:
    """A model, rows to try it on, and its file."""

    name: str
    model: Any
    X: Any
    y: Any
    ending: str
    data: bytes = b""
    probabilities: Any = None


@dataclass
class Outcome:
    """What loading a file came to."""

    subject: str
    mutation: str
    verdict: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


@dataclass
class Report:
    """All outcomes; `failures` are those that may not be."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Outcomes that break a promise."""
        return [outcome for outcome in self.outcomes if outcome.verdict not in VERDICTS]

    def __str__(self) -> str:
        """One page."""
        counts = Counter((o.mutation, o.verdict) for o in self.outcomes)
        mutations = list(dict.fromkeys(o.mutation for o in self.outcomes))
        columns = [*VERDICTS, "failed"]
        lines = [f"{'mutation':<24}" + "".join(f"{name:>12}" for name in columns)]
        for mutation in [*sorted(mutations), "all"]:
            row = [
                sum(
                    n
                    for (of, verdict), n in counts.items()
                    if of == mutation or mutation == "all"
                    if (verdict if verdict in VERDICTS else "failed") == column
                )
                for column in columns
            ]
            lines.append(f"{mutation:<24}" + "".join(f"{n:>12}" for n in row))
        slowest = max(self.outcomes, key=lambda o: o.seconds)
        largest = max(self.outcomes, key=lambda o: o.megabytes)
        lines.append(f"slowest {slowest.seconds:.2f} s ({slowest.subject}, {slowest.mutation})")
        lines.append(f"largest {largest.megabytes:.0f} MB ({largest.subject}, {largest.mutation})")
        lines += [
            f"FAILED {o.subject}, {o.mutation}: {o.verdict}: {o.detail}" for o in self.failures
        ]
        return "\n".join(lines)


# A sealed change that fits together is another model: no file can tell who made it.
VERDICTS = ("refused", "unharmed", "another")


def subjects(folder: Path) -> list[Subject]:
    """Models of every kind that can be saved."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(150) < 0.1, np.nan, rng.normal(size=150)),
            "town": rng.choice(["Kyiv", "Oslo", "Lima"], 150),
            "new": rng.random(150) < 0.5,
            "street": rng.integers(0, 60, 150).astype(str),
        }
    )
    frame.loc[3, "town"] = None
    X, y = load_iris(return_X_y=True)
    in_parts = trainer.LogisticNeuron(optimizer="adam", random_state=np.random.RandomState(3))
    for _ in range(4):
        in_parts.partial_fit(X[:100], y[:100], classes=[0, 1])
    town = np.where(frame["town"] == "Oslo", "north", "south")
    chosen = trainer.LogisticNeuronCV(
        alphas=3, cv=3, class_weight={0: 1, 1: 2.0, 2: 1}, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            Subject("in parts", in_parts, X[:100], y[:100], ".skops"),
            Subject("chosen", chosen.fit(X, y), X, y, ".skops"),
            Subject(
                "pipeline",
                make_pipeline(
                    trainer.make_preprocessor(frame),
                    trainer.LogisticNeuron(early_stopping=True, random_state=0),
                ).fit(frame, town),
                frame,
                town,
                ".skops",
            ),
            Subject(
                "readable",
                trainer.LogisticNeuron().fit(X, y.astype(str)),
                X,
                y.astype(str),
                ".json",
            ),
        ]
    for subject in found:
        path = folder / f"good{subject.ending}"
        trainer.save_model(subject.model, path)
        subject.data = path.read_bytes()
        subject.probabilities = subject.model.predict_proba(subject.X)
    return found


def mutated(subject: Subject, number: int, rng: Rng) -> tuple[str, bytes]:
    """The name of a mutation, and the file; of three files one is an accident."""
    if number % 3 == 0:
        accident = mutations.pick(mutations.ACCIDENTS, rng)
        return f"accident {accident.__name__}", accident(subject.data, rng)
    if subject.ending == ".json":
        return "sealed json_changed", mutations.json_changed(subject.data, rng)
    if number % 50 == 1:
        make = (mutations.bomb, mutations.many_members)[number // 50 % 2]
        return f"sealed {make.__name__}", make(subject.data, rng)
    members = mutations.opened(subject.data)
    if rng.random() < 0.6:
        change = mutations.pick(mutations.SCHEMA_CHANGES, rng)
        schema = json.loads(members["schema.json"])
        for _ in range(int(rng.integers(1, 3))):
            change(schema, rng)
        members["schema.json"] = json.dumps(schema).encode()
        return f"sealed {change.__name__}", mutations.sealed(members)
    change = mutations.pick(mutations.MEMBER_CHANGES, rng)
    change(members, rng)
    return f"sealed {change.__name__}", mutations.sealed(members)


def use(subject: Subject, model: Any) -> Any:
    """Do with a model what models are for; raise where it does not work as one.

    Gives its probabilities, or None where sums of huge numbers may overflow.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        neuron = model[-1] if isinstance(model, Pipeline) else model
        check_is_fitted(neuron)
        repr(model), str(neuron.get_params())
        if largest(model) > 1e100:
            return None
        P, labels = model.predict_proba(subject.X), model.predict(subject.X)
        require(P.shape == (len(subject.X), len(neuron.classes_)), "shape of probabilities")
        require(np.isfinite(P).all() and (P >= 0).all(), "probabilities are no numbers")
        require(np.abs(P.sum(axis=1) - 1).max() < 1e-5, "probabilities do not sum to 1")
        rows = model[:-1].transform(subject.X) if isinstance(model, Pipeline) else subject.X
        z = np.asarray(rows) @ neuron.coef_.T + neuron.intercept_
        found = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(int)
        require((neuron.classes_[found] == labels).all(), "labels are not those of z")
        require(
            len(set(neuron.classes_.tolist())) == len(neuron.classes_), "labels are not different"
        )
        if hasattr(neuron, "history_"):
            neuron.history_.describe()
        if hasattr(neuron, "termination_"):
            require(isinstance(neuron.termination_.converged, bool), "termination")
        if hasattr(neuron, "cv_results_"):
            require(len(pd.DataFrame(neuron.cv_results_)) == len(neuron.alphas_), "cv_results_")
            require(neuron.scores_.shape == neuron.coefs_paths_.shape[:2], "scores_")
        if hasattr(neuron, "partial_fit") and not isinstance(model, Pipeline):
            try:
                if labels.dtype.kind != "S":  # no first call takes bytes, of any model
                    clone(neuron).partial_fit(subject.X, labels, classes=neuron.classes_)
                deepcopy(neuron).partial_fit(subject.X, labels)
            except trainer.DivergenceError:
                pass  # of a learning rate that is too large, or huge weights
            except ValueError as error:
                require("class_weight" in str(error), f"partial_fit: {error}")
        return P


def largest(value: Any) -> float:
    """The largest number in the arrays of a model, in absolute value."""
    if isinstance(value, np.ndarray):
        return float(np.nanmax(np.abs(value), initial=0)) if value.dtype.kind == "f" else 0.0
    if isinstance(value, BaseEstimator):
        value = vars(value)
    if isinstance(value, dict):
        value = list(value.values())
    return max(map(largest, value), default=0.0) if isinstance(value, list | tuple) else 0.0


def require(holds: Any, what: str) -> None:
    """A condition that a model must meet."""
    if not holds:
        raise AssertionError(what)


class Watch:
    """An audit hook that notes what a file has no business to do."""

    ALLOWED = (
        "open", "compile", "object.__", "array.", "code.__new__", "builtins.id", "gc.",
        "sys._getframe", "marshal.loads",
    )  # fmt: skip

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event."""
        if not self.on:
            return
        is_writing = (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        if (
            is_writing
            or event in ("import", "exec", "pickle.find_class")
            or not event.startswith(self.ALLOWED)
        ):
            self.seen.append(f"{event} {arguments!r}"[:200])


def load_and_judge(subject: Subject, path: Path, accident: bool) -> Outcome:
    """In a process of its own."""
    watch = Watch()
    sys.addaudithook(watch)
    before, random = _peak(), str(np.random.get_state())  # noqa: NPY002 - the process's own
    start = time.process_time()  # other processes' time is not the file's
    watch.on = True
    try:
        model, refusal = trainer.load_model(path), ""
    except ValueError as error:
        model, refusal = None, str(error)
    except Exception as error:
        return Outcome("", "", "raised", f"{type(error).__name__}: {error}"[:300])
    finally:
        watch.on = False
    seconds, megabytes = time.process_time() - start, _peak() - before
    figures = {"seconds": seconds, "megabytes": megabytes}
    if watch.seen or random != str(np.random.get_state()):  # noqa: NPY002
        return Outcome("", "", "ran code", "; ".join(watch.seen), **figures)
    if seconds > SECONDS or megabytes > MEGABYTES:
        return Outcome("", "", "took too much", f"{seconds:.1f} s, {megabytes:.0f} MB", **figures)
    if model is None:
        fits = refusal.isprintable() and len(refusal) < 1500
        return Outcome("", "", "refused" if fits else "message", refusal[:300], **figures)
    try:
        same = np.array_equal(use(subject, model), subject.probabilities)
    except Exception as error:
        return Outcome("", "", "does not work", f"{type(error).__name__}: {error}"[:300], **figures)
    if accident and not same:
        return Outcome("", "", "predicts otherwise", "", **figures)
    return Outcome("", "", "unharmed" if same else "another", "", **figures)


def _peak() -> float:
    """Largest resident memory of this process so far, in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1000


def in_a_process(work: Callable[[], Outcome]) -> Outcome:
    """Fork, work, and send the outcome back; a process that does not answer is ended."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads that wait do no harm
        child = os.fork()
    if child == 0:
        try:
            outcome = work()
        except BaseException as error:
            outcome = Outcome("", "", "raised", repr(error)[:300])
        os.write(writing, json.dumps(vars(outcome)).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], 4 * SECONDS)[0]:
            os.kill(child, 9)
            return Outcome("", "", "took too much", "did not end", seconds=4 * SECONDS)
        answer = os.read(reading, 65_536)
    finally:
        os.close(reading)
        os.waitpid(child, 0)
    return Outcome(**json.loads(answer)) if answer else Outcome("", "", "died")


def campaign(n_files: int, seed: int = 0) -> Report:
    """Mutate, load and judge so many files."""
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = subjects(folder)
        for subject in models:  # whatever a good file imports is imported now
            path = folder / f"file{subject.ending}"
            path.write_bytes(subject.data)
            use(subject, trainer.load_model(path))
        for number in range(n_files):
            rng = np.random.default_rng([seed, number])
            subject = models[number // 3 % len(models)]
            mutation, data = mutated(subject, number, rng)
            path = folder / f"file{subject.ending}"
            path.write_bytes(data)
            accident = number % 3 == 0

            def work(
                subject: Subject = subject, path: Path = path, accident: bool = accident
            ) -> Outcome:
                return load_and_judge(subject, path, accident)

            outcome = in_a_process(work)
            outcome.subject, outcome.mutation = f"{number} {subject.name}", mutation
            report.outcomes.append(outcome)
    return report
