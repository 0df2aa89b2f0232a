"""The pictures of a run; where one cannot be drawn, a warning, and the run goes on."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trainer
from trainer.commands.console import tell

PICTURES = ("loss_curve.png", "calibration.png", "decision_boundary.png")
LONGEST_NAME = 40
"""Characters of the data set's name in a title."""


def matplotlib_settings() -> Any:
    """Settings to draw with, tried before training: the user's, or matplotlib's own; None if none.

    TeX is left out: names of columns and classes are no mathematics.
    """
    try:
        with one_warning_for_all():
            _import_matplotlib()
    except Exception as error:  # a settings file can be wrong in any way
        tell("warning", f"no pictures: matplotlib does not start ({_short(error)})")
        return None
    import matplotlib

    plain: Any = {"text.usetex": False}
    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    failed: Any = None
    for settings in (plain, defaults | plain):
        try:
            with one_warning_for_all(), matplotlib.rc_context(settings):
                _png(_trial())
        except Exception as error:
            failed = failed or error
            continue
        if failed:
            tell("warning", f"pictures have matplotlib's own style: yours fails ({_short(failed)})")
        return settings
    tell("warning", f"no pictures: matplotlib does not draw ({_short(failed)})")
    return None


def _import_matplotlib() -> None:
    """Import it without the window system that the environment names: no window is opened."""
    named = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib.figure  # noqa: F401
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named


def _trial() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    ax = figure.subplots()
    ax.plot([1, 10], label="trial")
    ax.set(title="trial", xlabel="x", yscale="log")
    ax.legend()
    return figure


def draw(
    folder: Path,
    data: Any,
    model: Any,
    models: dict[str, Any],
    X: Any,
    y: Any,
    settings: Any,
) -> None:
    """The loss curve, the calibration on the test rows and, of two numbers, the boundary."""
    if settings is None:
        return
    import matplotlib
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    neuron = model["neuron"]
    name = data.name if len(data.name) <= LONGEST_NAME else f"{data.name[:LONGEST_NAME]}..."
    watched = "validation set" if neuron.early_stopping else "test set"
    compared = {name: models[name] for name in models if name != "constant"}

    def loss_curve() -> Any:
        title = f"{name}: loss"
        return trainer.LossCurveDisplay.from_estimator(neuron, validation_label=watched, name=title)

    def calibration() -> Any:
        title = f"{name}: calibration on {len(y)} test rows"
        return trainer.CalibrationDisplay.from_estimators(
            compared, X, y, pos_label=data.positive, random_state=0, name=title
        )

    def boundary() -> Any:
        shown = "all" if len(data.X) > len(y) else "test"
        title = f"{name}: probability and boundary, {shown} rows"
        return trainer.DecisionBoundaryDisplay.from_estimator(
            model, data.X, data.y, pos_label=data.positive, name=title
        )

    drawings = [loss_curve, calibration]
    numeric = [is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in data.X.dtypes]
    if numeric == [True, True]:
        drawings.append(boundary)
    with one_warning_for_all(), matplotlib.rc_context(settings):
        for file, drawing in zip(PICTURES, drawings, strict=False):
            try:
                picture = _png(drawing().figure_)
            except Exception as error:  # names, settings and fonts can be wrong in any way
                tell("warning", f"{file} was not drawn ({_short(error)})")
            else:
                (folder / file).write_bytes(picture)


def _png(figure: Any) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi="figure")  # a user's could ask for gigabytes
    return picture.getvalue()


@contextmanager
def one_warning_for_all() -> Iterator[None]:
    """What matplotlib warns of, in its log or as missing glyphs, as one line, unless it fails."""
    import logging

    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log, collector = logging.getLogger("matplotlib"), Collector(logging.WARNING)
    propagate, log.propagate = log.propagate, False
    log.addHandler(collector)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *place, **more: said.append(str(message))
            yield
        if lines := list(dict.fromkeys(said)):
            more = f", and {len(lines) - 1} more of the kind" if len(lines) > 1 else ""
            tell("warning", f"matplotlib: {_short(lines[0])}{more}")
    finally:
        log.removeHandler(collector)
        log.propagate = propagate


def _short(message: Any) -> str:
    text = " ".join(str(message).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
