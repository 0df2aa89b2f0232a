"""Calibration of one or several classifiers: reliability curves and parts of the Brier score."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from trainer.inspection.evaluation import (
    BrierDecomposition,
    ConsistencyBand,
    ReliabilityCurve,
    brier_decomposition,
    consistency_band,
    reliability_curve,
)
from trainer.plots.display import Display
from trainer.plots.style import COLOURS, DASHES, GREY, MARKERS, check_few, literal, tidy

FEW_ROWS = 10
"""Bins with fewer rows have hollow markers, and their number of rows on the bar."""
FEW_FORECASTS = 20
"""Up to this many distinct forecasts, each is marked: there are no rows between the markers."""
MOST_BANDS = 2


class CalibrationDisplay(Display):
    """Isotonic reliability curves (CORP), the number of rows, and the parts of the Brier score.

    The curve is the isotonic regression of the labels on the forecasts. The legend shows its exact
    decomposition of the Brier score. For a single model, the observed frequencies in bins are
    drawn too, with the binned decomposition: reliability (miscalibration), resolution
    (discrimination), uncertainty, and the contribution within bins. Bins with fewer than 10 rows
    have hollow markers, and the number of rows on their bars.

    Parameters
    ----------
    curves : dict of str to ReliabilityCurve
        Results of `trainer.reliability_curve`, by the name of the model; at most seven.
    bins : dict of str to BrierDecomposition
        Results of `trainer.brier_decomposition` for the same models, with the same `edges`.
    bands : dict of str to ConsistencyBand, optional
        Results of `trainer.consistency_band`, for none, some or all of the models.
    pos_label : object, optional
        The label whose probability is forecast, for the axes.
    name : str, optional
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The reliability diagram.
    counts_ax_ : matplotlib Axes or None
        The number of rows in each bin, below the diagram. If Axes are given, only the diagram is
        drawn, without the counts and without the parts of the score.
    figure_ : matplotlib Figure
        The figure they belong to.

    Raises
    ------
    ValueError
        For no models, or more than there are colours.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from trainer import CalibrationDisplay, LogisticNeuron
    >>> X, y = make_moons(200, noise=0.3, random_state=0)
    >>> display = CalibrationDisplay.from_estimator(LogisticNeuron().fit(X, y), X, y)
    >>> display.ax_.get_ylabel() != ""
    True
    """

    _legend_title = "Brier score = miscalibration − discrimination + uncertainty"

    def __init__(
        self,
        curves: Mapping[str, ReliabilityCurve],
        bins: Mapping[str, BrierDecomposition],
        bands: Mapping[str, ConsistencyBand] | None = None,
        *,
        pos_label: Any = None,
        name: str | None = None,
    ) -> None:
        check_few(curves)
        self.curves = dict(curves)
        self.bins = dict(bins)
        self.bands = dict(bands or {})
        self.pos_label = pos_label
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: npt.ArrayLike, *, pos_label: Any = None, **options: Any
    ) -> Self:
        """Draw the calibration of a fitted classifier.

        Parameters
        ----------
        estimator, X, y, pos_label, **options
            As in `from_estimators`; the curve is named after the classifier's class.

        Returns
        -------
        CalibrationDisplay
        """
        models = {type(estimator).__name__: estimator}
        return cls.from_estimators(models, X, y, pos_label=pos_label, **options)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: npt.ArrayLike,
        *,
        pos_label: Any = None,
        **options: Any,
    ) -> Self:
        """Draw the calibration of fitted classifiers.

        Parameters
        ----------
        estimators : mapping of str to classifier
            Fitted, with `predict_proba` and `classes_`, by name; at most seven.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, preferably ones that no model was trained on.
        y : array-like of shape (n_samples,)
            Their labels.
        pos_label : object, optional
            The label whose probability is drawn, against all others. With two classes the default
            is the second; with more than two it is required.
        **options
            As in `from_predictions`.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ValueError
            For a classifier without probabilities or without `pos_label` among its classes; also
            as `from_predictions` does.
        """
        check_few(estimators)
        forecasts = {}
        for key, model in estimators.items():
            check_is_fitted(model)
            if not hasattr(model, "predict_proba"):
                raise ValueError(
                    f"estimators must have predict_proba, got {type(model).__name__}; give it "
                    "probabilities with sklearn.calibration.CalibratedClassifierCV"
                )
            classes = np.asarray(model.classes_).tolist()
            if pos_label is None and len(classes) == 2:
                pos_label = classes[1]
            if pos_label not in classes:
                raise ValueError(
                    f"pos_label must be one of the classes {classes} of every model, got "
                    f"{pos_label!r}; name one"
                )
            forecasts[key] = model.predict_proba(X)[:, classes.index(pos_label)]
        return cls.from_predictions(y, forecasts, pos_label=pos_label, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike | Mapping[str, npt.ArrayLike],
        *,
        pos_label: Any = None,
        sample_weight: npt.ArrayLike | None = None,
        n_bins: int | None = None,
        strategy: str = "uniform",
        level: float | None = 0.95,
        n_resamples: int = 500,
        random_state: Any = None,
        ax: Any = None,
        name: str | None = None,
    ) -> Self:
        """Draw the calibration of forecasts.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels.
        y_prob : array-like of shape (n_samples,), or mapping of str to array-like
            Forecast probability of `pos_label`; for several models, a mapping by name.
        pos_label, sample_weight, n_bins, strategy
            As in `trainer.brier_decomposition`.
        level, n_resamples, random_state
            As in `trainer.consistency_band`; level=None draws no bands. For three or more models
            no bands are drawn, as they would hide each other.
        ax : matplotlib Axes, optional
            Axes to draw only the diagram on; None creates a figure with the counts and the parts.
        name : str, optional
            Title of the plot.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ValueError
            As `trainer.brier_decomposition` and `trainer.consistency_band` do.

        Examples
        --------
        >>> y, p = [0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.8, 0.9]
        >>> display = CalibrationDisplay.from_predictions(y, p, random_state=0)
        >>> display.curves["forecast"].prob_true.tolist()
        [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
        """
        forecasts = y_prob if isinstance(y_prob, Mapping) else {"forecast": y_prob}
        target: dict[str, Any] = {"sample_weight": sample_weight, "pos_label": pos_label}
        curves = {key: reliability_curve(y_true, p, **target) for key, p in forecasts.items()}
        binned: dict[str, Any] = {"n_bins": n_bins, "strategy": strategy}
        bins = {
            key: brier_decomposition(y_true, p, **target, **binned) for key, p in forecasts.items()
        }
        bands = {}
        if level is not None and len(forecasts) <= MOST_BANDS:
            bands = {
                key: consistency_band(
                    p,
                    sample_weight=sample_weight,
                    level=level,
                    n_resamples=n_resamples,
                    random_state=random_state,
                )
                for key, p in forecasts.items()
            }
        return cls(curves, bins, bands, pos_label=pos_label, name=name).plot(ax)

    def _new_axes(self) -> list[Any]:
        figure = self._new_figure((5.6, 6.6))
        return list(figure.subplots(2, sharex=True, height_ratios=(4, 1)))

    def _draw(self, ax: Any, counts: Any = None) -> None:
        label = literal("the positive class" if self.pos_label is None else self.pos_label)
        ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="dotted", label="calibrated")
        whose = "s, in the models' colours" if len(self.bands) > 1 else " of a calibrated model"
        styles = zip(COLOURS, DASHES, MARKERS, strict=True)
        for (key, curve), (colour, dash, marker) in zip(self.curves.items(), styles, strict=False):
            if key in self.bands:
                band = self.bands[key]
                named = f"{100 * band.level:.4g} % consistency band{whose}"
                _draw_band(ax, band, colour, named if key == next(iter(self.bands)) else None)
            ax.plot(
                curve.prob_pred, curve.prob_true, color=colour, ls=dash, lw=1.8, ms=5,
                marker=marker if len(curve.prob_pred) <= FEW_FORECASTS else None,
                label=literal(key) + (f"\n{_sum_of_parts(curve)}" if counts else ""),
            )  # fmt: skip
        if len(self.curves) == 1:
            (parts,) = self.bins.values()
            _draw_bins(ax, parts, with_parts=counts is not None)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel=f"observed share of {label}")
        tidy(ax)
        lowest = counts or ax
        lowest.set_xlabel(f"forecast probability of {label}")
        self.counts_ax_ = counts
        if counts is not None:
            self._draw_counts(counts)

    def _draw_counts(self, ax: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        n = len(self.bins)
        for i, (parts, colour) in enumerate(zip(self.bins.values(), COLOURS, strict=False)):
            widths = np.diff(parts.edges)[parts.filled]
            lefts = parts.edges[parts.filled] + (0.05 + 0.9 * i / n) * widths
            bars = ax.bar(lefts, parts.n_rows, 0.9 / n * widths, align="edge", color=colour)
            few = [str(rows) if rows < FEW_ROWS else "" for rows in parts.n_rows]
            ax.bar_label(bars, few, fontsize=8, color=colour, padding=1)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.set(ylabel="rows")
        tidy(ax)


def _draw_band(ax: Any, band: ConsistencyBand, colour: str, label: str | None) -> None:
    ends = (band.prob_pred, band.lower, band.upper)
    ax.fill_between(*ends, color=colour, alpha=0.15, lw=0, label=label)
    if len(band.prob_pred) <= FEW_FORECASTS:  # a single forecast has no area
        ax.vlines(*ends, color=colour, alpha=0.3, lw=4, zorder=1)


def _draw_bins(ax: Any, parts: BrierDecomposition, with_parts: bool) -> None:
    few = parts.n_rows < FEW_ROWS
    binned = (parts.brier, parts.reliability, parts.resolution, parts.uncertainty)
    label = f"shares of {len(parts.edges) - 1} bins"
    if few.any():
        label += f", hollow: under {FEW_ROWS} rows"
    if with_parts:
        sign = "+" if parts.within_bins >= 0 else "−"
        label += "\n{:.4f} = {:.4f} − {:.4f} + {:.4f}".format(*binned)
        label += f" {sign} {abs(parts.within_bins):.4f} within bins"
    style = {"color": COLOURS[1], "ls": "none", "marker": MARKERS[2], "ms": 6, "mew": 1.5}
    ax.plot(parts.prob_pred[~few], parts.prob_true[~few], **style, label=label)
    ax.plot(parts.prob_pred[few], parts.prob_true[few], **style, mfc="none")


def _sum_of_parts(curve: ReliabilityCurve) -> str:
    parts = (curve.brier, curve.miscalibration, curve.discrimination, curve.uncertainty)
    return "{:.4f} = {:.4f} − {:.4f} + {:.4f}".format(*parts)
