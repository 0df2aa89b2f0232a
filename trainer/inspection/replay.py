"""A training run, iteration by iteration, and the page that replays it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from trainer.core.objective import Objective
from trainer.core.termination import Termination
from trainer.estimators.data import prepare
from trainer.estimators.neuron import LogisticNeuron
from trainer.estimators.targets import is_soft
from trainer.inspection.evaluation import BrierDecomposition, brier_decomposition, compare_models
from trainer.inspection.page import encoded, self_contained_page
from trainer.inspection.parameters import (
    check_classes,
    check_labels,
    check_neuron,
    fitted_parameters,
    in_banks,
    named,
    objective_over,
    parameter_names,
)
from trainer.inspection.surface import parameter_places
from trainer.inspection.tracing import N_FIGURES, trace

Array = npt.NDArray[Any]

WEB = files("trainer") / "web"
"""The sources of the page."""

MAX_STEPS_NUMBERS = 2**16
"""Maximum number of parameters over all stored iterations, and of derivatives: 0.7 MB each."""

MAX_ROWS_NUMBERS = 2**17
"""Maximum number of feature values, over all stored samples: 1.4 MB of a page."""

MAX_ROWS = 2000
"""Maximum number of stored samples: a page can draw these, and J over a grid, without delay."""

SAME_RUN = 1e-6
"""Allowed difference of the retrained copy from the neuron, relative to the largest parameter."""


@dataclass(frozen=True)
class Replay:
    """A training run in numbers; see `Replay.from_neuron`.

    Attributes
    ----------
    names : list of str
        The d + 1 names of the parameters: those of the features, and "intercept".
    classes : tuple of str
        The two labels; the neuron's output is the probability of the second.
    run, iteration, J, gradient_max : array of shape (n_steps,)
        As in `trainer.trace`, one entry per iteration, the start first.
    theta, gradient : array of shape (n_steps, d + 1)
        Parameters, and dJ/dθ over all samples, penalty included; the bias last.
    J_test : array of shape (n_steps,) or None
        J over the test samples.
    kept : int
        The step with the parameters of the fitted neuron.
    X, y, share : array of shape (n_shown, d), (n_shown,), (n_shown,)
        Samples, their targets, and the weight of each in J: 1/n without sample weights.
    shown : array of int of shape (n_shown,)
        Indices of these samples in the training set.
    steps : array of int of shape (n_steps,)
        Indices of these steps in the trace.
    n_samples, n_iter : int
        Total number of training samples, and of lines in the trace; not all are stored if there
        are very many.
    parameters : tuple of int
        The two parameters over which the cost surface is drawn.
    alpha : float
        The penalty.
    optimizer : str
        Name of the optimizer that ran.
    termination : Termination
        Why training stopped.
    figures : DataFrame or None
        Scores of the fitted neuron on training and test samples; None for soft labels.
    calibration : dict of str to BrierDecomposition
        Calibration on the same sets.

    Examples
    --------
    >>> from trainer import LogisticNeuron, Replay
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]
    >>> replay = Replay.from_neuron(LogisticNeuron().fit(X, y), X, y)
    >>> replay.names, replay.classes
    (['x0', 'intercept'], ('no', 'yes'))
    """

    names: list[str]
    classes: tuple[str, str]
    run: Array
    iteration: Array
    J: Array
    gradient_max: Array
    theta: Array
    gradient: Array
    J_test: Array | None
    kept: int
    X: Array
    y: Array
    share: Array
    shown: Array
    steps: Array
    n_samples: int
    n_iter: int
    parameters: tuple[int, int]
    alpha: float
    optimizer: str
    termination: Termination
    figures: Any
    calibration: dict[str, BrierDecomposition]

    @classmethod
    def from_neuron(
        cls,
        neuron: LogisticNeuron,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        X_test: Any = None,
        y_test: Any = None,
        parameters: Sequence[int | str] | None = None,
        feature_names: Sequence[str] | None = None,
        pos_label: Any = None,
    ) -> Self:
        """Train a copy of a fitted neuron and record every iteration.

        Parameters
        ----------
        neuron : LogisticNeuron
            Fitted to these samples, of two classes.
        X, y, sample_weight : array-like
            The training samples, their labels, and their weights if there were any.
        X_test, y_test : array-like, optional
            Samples that were not used in training, for test cost, scores and calibration.
        parameters : pair of int or str, optional
            The two parameters of the cost surface, as in `trainer.cost_surface`. By default the
            weight and the bias if there is one feature, both weights if there are two, otherwise
            the two weights that changed most.
        feature_names : sequence of str of length d, optional
            Names to show, if X has none.
        pos_label : object, optional
            The class with y = 1, whose probability is σ(z); by default the neuron's second. The
            first is shown by the neuron with the parameters −θ, which has the same J.

        Returns
        -------
        Replay

        Raises
        ------
        ValueError
            As `trainer.trace` does; also if training on these samples does not reproduce the
            neuron, or if an argument does not fit.
        """
        check_neuron("a replay", neuron)
        check_is_fitted(neuron)
        check_classes(neuron)
        check_labels(neuron)
        if not hasattr(neuron, "termination_"):
            raise ValueError("a replay needs a neuron that was trained by fit, got partial_fit's")
        if (X_test is None) != (y_test is None):
            raise ValueError("X_test and y_test must be given together, got only one of them")
        n_features = neuron.n_features_in_
        if feature_names is not None and len(feature_names) != n_features:
            raise ValueError(
                f"feature_names must hold a name for each of {n_features} features, got "
                f"{len(feature_names)}"
            )
        if n_features + 1 > MAX_STEPS_NUMBERS // 2:
            raise ValueError(
                f"a replay holds at most {MAX_STEPS_NUMBERS // 2 - 1} features, got {n_features}; "
                "train on a selection of them"
            )
        if parameters is not None:
            parameters = parameter_places(neuron, parameters)
        labels = neuron.classes_.tolist()
        if pos_label is not None and pos_label not in labels:
            raise ValueError(
                f"pos_label must be one of the neuron's classes {labels}, got {pos_label!r}"
            )
        place = 1 if pos_label is None else labels.index(pos_label)
        sign = 2 * place - 1
        data = prepare(neuron, X, y, sample_weight, classes=neuron.classes_)
        if data.targets is None:
            raise ValueError("a replay needs X as an array or a frame, got a source of rows")
        values, targets = data.X, data.targets
        objective = objective_over(neuron, X, y, sample_weight)
        sets = {"training": (X, y, objective)}
        if X_test is not None:
            sets["test"] = (X_test, y_test, objective_over(neuron, X_test, y_test, None))

        table = trace(neuron, X, y, sample_weight)
        theta = table.iloc[:, N_FIGURES:].to_numpy()
        end = _kept(theta, fitted_parameters(neuron))
        steps = _steps(len(theta), MAX_STEPS_NUMBERS // (n_features + 1), end)
        theta = np.ascontiguousarray(theta[steps])
        (gradient,) = in_banks(lambda bank: (_gradient(objective, bank),), theta.T)
        J_test = None
        if "test" in sets:
            test = sets["test"][2]
            (J_test,) = in_banks(lambda bank: (test.value(bank),), theta.T)

        shown = _rows(len(targets.values), min(MAX_ROWS, MAX_ROWS_NUMBERS // n_features))
        rows = values[shown]
        rows = rows.toarray() if hasattr(rows, "toarray") else rows
        weight = np.ones(len(targets.values)) if targets.weight is None else targets.weight
        figures, calibration = _judged(neuron, sets, place)
        of_second = targets.values[shown].astype(np.float64)
        of_steps = table.iloc[steps]
        return cls(
            names=parameter_names(neuron) if feature_names is None
            else named(feature_names, n_features),
            classes=(str(labels[1 - place]), str(labels[place])),
            run=of_steps["run"].to_numpy(),
            iteration=of_steps["iteration"].to_numpy(),
            J=of_steps["J"].to_numpy(),
            gradient_max=of_steps["gradient_max"].to_numpy(),
            theta=sign * theta,
            gradient=sign * gradient,
            J_test=J_test,
            kept=int(np.flatnonzero(steps == end)[0]),
            X=rows.astype(np.float64),
            y=of_second if place == 1 else 1 - of_second,
            share=(weight / weight.sum(dtype=np.float64))[shown],
            shown=shown,
            steps=steps,
            n_samples=len(targets.values),
            n_iter=len(table),
            parameters=_pair(theta) if parameters is None else (parameters[0], parameters[1]),
            alpha=float(neuron.alpha_),
            optimizer=getattr(neuron, "optimizer_", str(neuron.optimizer)),
            termination=neuron.termination_,
            figures=figures,
            calibration=calibration,
        )  # fmt: skip

    def to_html(self, path: Any, *, title: str = "Training run") -> Path:
        """Write the page.

        Parameters
        ----------
        path : str or path
            The file; an existing file is replaced.
        title : str, default="Training run"
            Heading of the page.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        ValueError
            If the folder does not exist, or the path is a folder.
        """
        path = _writable(path)
        page = self_contained_page(
            WEB / "replay.html",
            [WEB / "style.css", WEB / "replay.css"],
            [WEB / "replay.js"],
            self._data(title),
            f"{title}: replay",
        )
        path.write_text(page, encoding="utf-8", newline="\n")
        return path

    def _data(self, title: str) -> dict[str, Any]:
        """The data for the page's script."""
        termination = self.termination
        return {
            "title": title,
            "names": self.names,
            "classes": self.classes,
            "run": self.run.tolist(),
            "iteration": self.iteration.tolist(),
            **{
                name: encoded(getattr(self, name))
                for name in ("J", "gradient_max", "theta", "gradient", "X", "y", "share")
            },
            "J_test": None if self.J_test is None else encoded(self.J_test),
            "kept": self.kept,
            "shown": self.shown.tolist(),
            "steps": self.steps.tolist(),
            "n_samples": self.n_samples,
            "n_iter": self.n_iter,
            "parameters": self.parameters,
            "alpha": self.alpha,
            "optimizer": self.optimizer,
            "termination": {
                "reason": termination.reason,
                "message": termination.message,
                "converged": termination.converged,
                "n_iter": termination.n_iter,
            },
            "figures": None
            if self.figures is None
            else {
                "columns": self.figures.columns.tolist(),
                "rows": self.figures.index.get_level_values(0).tolist(),
                "values": self.figures.to_numpy().tolist(),
            },
            "calibration": {
                part: {
                    "predicted": bins.prob_pred.tolist(),
                    "observed": bins.prob_true.tolist(),
                    "count": bins.weight.tolist(),
                }
                for part, bins in self.calibration.items()
            },
        }


def replay_page(
    neuron: LogisticNeuron,
    X: Any,
    y: Any,
    path: Any,
    *,
    sample_weight: Any = None,
    X_test: Any = None,
    y_test: Any = None,
    parameters: Sequence[int | str] | None = None,
    feature_names: Sequence[str] | None = None,
    pos_label: Any = None,
    title: str = "Training run",
) -> Path:
    """Write one HTML file that replays the training of a fitted neuron.

    A slider steps through the iterations. It updates the decision boundary (or the histogram of
    σ(z) by class if there are more than two features), the cursor on the loss curve, the path on
    the cost surface, and the parameters. A click on a sample shows its chain rule, each factor
    with formula and value. The file opens from disk and makes no request.

    A copy of the neuron is trained once more to record its iterations. The page has at most 3 MB:
    if there are very many iterations or samples, it contains a selection and says so.

    Parameters
    ----------
    neuron : LogisticNeuron
        Fitted to these samples, of two classes.
    X, y, sample_weight : array-like
        The training samples, their labels, and their weights if there were any; the neuron does
        not store them.
    path : str or path
        The file; an existing file is replaced.
    X_test, y_test : array-like, optional
        Samples that were not used in training, for test cost, scores and calibration.
    parameters : pair of int or str, optional
        The two parameters of the cost surface at first, as in `trainer.cost_surface`; by default
        the two weights that changed most.
    feature_names : sequence of str, optional
        Names to show, if X has none.
    pos_label : object, optional
        The class whose probability the page shows; by default the neuron's second.
    title : str, default="Training run"
        Heading of the page.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the path cannot be written to, or as `Replay.from_neuron` does.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import LogisticNeuron
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
    >>> with TemporaryDirectory() as folder:
    ...     page = replay_page(LogisticNeuron().fit(X, y), X, y, Path(folder, "run.html"))
    ...     page.name, page.stat().st_size < 3e6
    ('run.html', True)
    """
    _writable(path)
    replay = Replay.from_neuron(
        neuron, X, y, sample_weight=sample_weight, X_test=X_test, y_test=y_test,
        parameters=parameters, feature_names=feature_names, pos_label=pos_label,
    )  # fmt: skip
    return replay.to_html(path, title=title)


def _writable(path: Any) -> Path:
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"path must name a file, got the folder {path}; add a name to it")
    if not path.parent.is_dir():
        raise ValueError(f"path must be in a folder that exists, got {path}; make the folder first")
    return path


def _kept(theta: Array, fitted: Array) -> int:
    """The step with the neuron's parameters: with early stopping it need not be the last."""
    distance = np.abs(theta - fitted).max(axis=1)
    kept = int(distance.argmin())
    if not distance[kept] <= SAME_RUN * max(1.0, np.abs(fitted).max()):
        raise ValueError(
            "a replay trains a copy of the neuron, which must end where the neuron did, got "
            f"parameters that differ by {distance[kept]:.3g}; give the samples and weights that it "
            "was fitted to, set an integer random_state, and fit without warm_start or partial_fit"
        )
    return kept


def _steps(n_steps: int, most: int, kept: int) -> Array:
    """Steps to store: all, or evenly spaced ones that include the first, the last and `kept`."""
    if n_steps <= most:
        return np.arange(n_steps)
    spaced = np.linspace(0, n_steps - 1, most).round().astype(int)
    if kept not in spaced:
        spaced[1 + np.abs(spaced[1:-1] - kept).argmin()] = kept
    return np.unique(spaced)


def _rows(n_rows: int, most: int) -> Array:
    """Samples to store: all, or a fixed random selection without replacement."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, most, replace=False))


def _pair(theta: Array) -> tuple[int, int]:
    """The default parameters for the cost surface: those that changed most."""
    n_features = theta.shape[1] - 1
    if n_features < 3:
        return 0, 1
    moved = np.ptp(theta[:, :-1], axis=0)
    first, second = sorted(np.argsort(-moved, kind="stable")[:2].tolist())
    return first, second


def _gradient(objective: Objective, bank: Array) -> Array:
    """dJ/dθ for each column, one row each."""
    return objective.value_and_gradient(bank)[1].T


def _judged(
    neuron: Any, sets: dict[str, Any], place: int
) -> tuple[Any, dict[str, BrierDecomposition]]:
    """Scores and calibration on each set of samples; neither is defined for soft labels."""
    if any(is_soft(y) for _, y, _ in sets.values()):
        return None, {}
    positive = neuron.classes_[place]
    rows = {part: (X, np.asarray(y).ravel()) for part, (X, y, _) in sets.items()}
    figures = compare_models({"LogisticNeuron": neuron}, rows, positive)
    calibration = {
        part: brier_decomposition(y, neuron.predict_proba(X)[:, place], pos_label=positive)
        for part, (X, y) in rows.items()
    }
    return figures, calibration
