"""The Brier score's three parts, in a reliability diagram."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from trainer.inspection.evaluation import (
    BrierDecomposition,
    bin_numbers,
    binary_forecasts,
    brier_decomposition,
)
from trainer.plots.style import COLOURS, GREY, axes_above_counts, tidy

Array = npt.NDArray[Any]


class BrierDecompositionDisplay:
    """Observed shares against forecasts, with Murphy's parts of the Brier score in figures.

    Reliability is the mean square of the points' way to the diagonal, resolution that of
    their way to the horizontal line; `trainer.brier_decomposition` has the formulas, and what
    the bins leave over.

    Parameters
    ----------
    decomposition : BrierDecomposition
        What `brier_decomposition` gives.
    band : array-like of shape (2, n_filled_bins), optional
        Lower and upper end of a band, for each bin.
    band_label : str, optional
        What the band is.
    name : str, optional
        Name of the model, for the legend.
    pos_label : object, optional
        The label forecast, for the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The reliability diagram.
    counts_ax_ : matplotlib Axes
        The weight of the rows in each bin, beneath.
    figure_ : matplotlib Figure
        The figure they belong to.
    """

    def __init__(
        self,
        decomposition: BrierDecomposition,
        *,
        band: npt.ArrayLike | None = None,
        band_label: str | None = None,
        name: str | None = None,
        pos_label: Any = None,
    ) -> None:
        self.decomposition = decomposition
        self.band = None if band is None else np.asarray(band)
        self.band_label = band_label
        self.name = name
        self.pos_label = pos_label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        pos_label: Any = None,
        n_bins: int | None = None,
        strategy: str = "uniform",
        band: str | None = "consistency",
        level: float = 0.95,
        n_resamples: int = 500,
        random_state: Any = None,
        ax: Any = None,
        name: str | None = None,
    ) -> Self:
        """Draw the decomposition for a fitted classifier of two classes.

        Parameters
        ----------
        estimator : classifier
            Fitted, with `predict_proba` and `classes_`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, best such as the model was not trained on.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row.
        pos_label : object, optional
            The label whose probability is judged; the model's second class by default.
        n_bins, strategy, band, level, n_resamples, random_state, ax
            As in `from_predictions`.
        name : str, optional
            Name of the model; its class's by default.

        Returns
        -------
        BrierDecompositionDisplay

        Raises
        ------
        ValueError
            For a `pos_label` that the model does not know, and as `from_predictions` does.
        """
        classes = np.asarray(estimator.classes_).tolist()
        pos_label = classes[-1] if pos_label is None else pos_label
        if len(classes) != 2 or pos_label not in classes:
            raise ValueError(
                "the estimator must know two classes, pos_label being one of them, got "
                f"{classes} and pos_label={pos_label!r}; name one of two"
            )
        return cls.from_predictions(
            y,
            estimator.predict_proba(X)[:, classes.index(pos_label)],
            sample_weight=sample_weight,
            pos_label=pos_label,
            n_bins=n_bins,
            strategy=strategy,
            band=band,
            level=level,
            n_resamples=n_resamples,
            random_state=random_state,
            ax=ax,
            name=type(estimator).__name__ if name is None else name,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        pos_label: Any = None,
        n_bins: int | None = None,
        strategy: str = "uniform",
        band: str | None = "consistency",
        level: float = 0.95,
        n_resamples: int = 500,
        random_state: Any = None,
        ax: Any = None,
        name: str | None = None,
    ) -> Self:
        """Draw the decomposition for forecasts.

        Parameters
        ----------
        y_true, y_prob, sample_weight, pos_label, n_bins, strategy
            As in `trainer.brier_decomposition`.
        band : {"consistency", "confidence"} or None, default="consistency"
            "consistency": where the points would be if the forecasts were reliable: rows are
            drawn with replacement, and each label by its forecast (Bröcker and Smith). A point
            outside speaks against the forecast. "confidence": where the points of other rows of
            the same kind would be: rows are drawn with their labels. In a bin whose labels are
            all the same it has no width.
        level : float, default=0.95
            Share of the draws that is within the band, bin by bin.
        n_resamples : int, default=500
            Draws.
        random_state : int, RandomState instance or None, default=None
            Draws them.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure. The counts stand in axes of their own beneath,
            the legend and the figures on the right.
        name : str, optional
            Name of the model.

        Returns
        -------
        BrierDecompositionDisplay

        Raises
        ------
        ValueError
            As `brier_decomposition` does, and for an unknown band, level or number of draws.

        References
        ----------
        Bröcker and Smith, "Increasing the reliability of reliability diagrams", Weather and
        Forecasting 22 (2007).

        Examples
        --------
        >>> display = BrierDecompositionDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.1, 0.7, 0.7])
        >>> display.decomposition.prob_true.tolist()
        [0.0, 1.0]
        """
        if band not in ("consistency", "confidence", None) or not 0 < level < 1:
            raise ValueError(
                'band must be "consistency", "confidence" or None, and level between 0 and 1, got '
                f"{band!r} and {level!r}"
            )
        if n_resamples < 1:
            raise ValueError(f"n_resamples must be 1 or more, got {n_resamples!r}; 500 are usual")
        decomposition = brier_decomposition(
            y_true,
            y_prob,
            sample_weight=sample_weight,
            pos_label=pos_label,
            n_bins=n_bins,
            strategy=strategy,
        )
        ends = label = None
        if band is not None:
            y, p, weight = binary_forecasts(y_true, y_prob, sample_weight, pos_label)
            _, bins = bin_numbers(p, decomposition.edges)
            labels = y if band == "confidence" else None
            rng = check_random_state(random_state)
            shares = _resampled_shares(bins, p, weight, labels, n_resamples, rng)
            ends = np.nanquantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0)
            words = {"consistency": "range if reliable", "confidence": "confidence"}
            label = f"{100 * level:.4g} % {words[band]}"
        display = cls(decomposition, band=ends, band_label=label, name=name, pos_label=pos_label)
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        BrierDecompositionDisplay
        """
        parts = self.decomposition
        label = "the positive class" if self.pos_label is None else self.pos_label
        ax, counts = axes_above_counts(ax, aside=2.6)
        overall = parts.weight @ parts.prob_true / parts.weight.sum()
        ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="dotted", label="reliable")
        ax.axhline(overall, color=GREY, lw=1, ls="dashed", label="no resolution: share overall")
        if self.band is not None:
            ax.vlines(
                parts.prob_pred, *self.band, color=COLOURS[5], alpha=0.5, lw=7, zorder=1,
                label=self.band_label,
            )  # fmt: skip
        ax.plot(
            parts.prob_pred, parts.prob_true, color=COLOURS[0], marker="o", ms=6, lw=1.5,
            label=self.name or "observed",
        )  # fmt: skip
        figures = (
            ("reliability", " ", parts.reliability),
            ("resolution", "−", parts.resolution),
            ("uncertainty", "+", parts.uncertainty),
            ("within bins", "+" if parts.within_bins >= 0 else "−", abs(parts.within_bins)),
            ("Brier score", "=", parts.brier),
        )
        text = "\n".join(f"{sign} {value:.4f} {what}" for what, sign, value in figures)
        ax.text(1.05, 0.7, text, transform=ax.transAxes, va="top", family="monospace", fontsize=9)
        widths = np.diff(parts.edges)[parts.filled]
        lefts = parts.edges[parts.filled] + 0.05 * widths
        counts.bar(lefts, parts.weight, 0.9 * widths, align="edge", color=COLOURS[0])
        ax.set(xlabel="", ylabel=f"share of {label} observed")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        counts.set(xlabel=f"forecast probability of {label}", ylabel="rows", yscale="log")
        counts.set_ylim(bottom=0.7 * min(1.0, parts.weight.min()))
        counts.yaxis.set_major_formatter("{x:g}")
        tidy(ax, counts)
        ax.tick_params(labelbottom=False)
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02))
        self.ax_, self.counts_ax_, self.figure_ = ax, counts, ax.figure
        return self


def _resampled_shares(
    bins: Array, p: Array, weight: Array, labels: Array | None, n_resamples: int, rng: Any
) -> Array:
    """Observed shares (n_resamples, n_bins) of rows drawn anew; NaN where a bin stays empty.

    Without labels each is drawn by its forecast.
    """
    n, n_bins = len(p), bins.max() + 1
    shares = np.full((n_resamples, n_bins), np.nan)
    for share in shares:
        rows = rng.randint(n, size=n)
        drawn = rng.random_sample(n) < p[rows] if labels is None else labels[rows]
        total = np.bincount(bins[rows], weight[rows], n_bins)
        positive = np.bincount(bins[rows], weight[rows] * drawn, n_bins)
        np.divide(positive, total, out=share, where=total > 0)
    return shares
