"""The cross-validated score against the penalty."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.plots.display import Display
from trainer.plots.style import COLOURS, GREY, literal, tidy


class PenaltyCurveDisplay(Display):
    """Scores of all folds and their mean against the penalty alpha, with the chosen one marked.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Penalties, in any order; if 0 is one of them, the scale is linear up to the next smallest.
    scores : array-like of shape (n_folds, n_alphas)
        Score on each fold's validation set; higher is better.
    alpha : float, optional
        The chosen penalty.
    scoring : str or callable, optional
        Name of the score, for the axis.
    name : str, optional
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curve.
    figure_ : matplotlib Figure
        The figure it belongs to.

    Raises
    ------
    ValueError
        If `scores` does not have a column for each penalty, or a penalty is below 0.

    Examples
    --------
    >>> scores = [[-0.05, -0.03, -0.06], [-0.06, -0.05, -0.07]]
    >>> display = PenaltyCurveDisplay([1e-4, 1e-2, 1], scores, alpha=1e-2).plot()
    >>> display.ax_.get_xscale()
    'log'
    """

    def __init__(
        self,
        alphas: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        alpha: float | None = None,
        scoring: Any = None,
        name: str | None = None,
    ) -> None:
        self.alphas = np.asarray(alphas, dtype=np.float64)
        self.scores = np.asarray(scores, dtype=np.float64)
        if self.alphas.ndim != 1 or self.scores.shape[1:] != self.alphas.shape:
            raise ValueError(
                "scores must have a row for each fold and a column for each of alphas, got "
                f"scores of shape {self.scores.shape} with alphas of shape {self.alphas.shape}; "
                "transpose them if folds are columns"
            )
        if not (np.isfinite(self.alphas) & (self.alphas >= 0)).all():
            raise ValueError(f"alphas must be finite and 0 or more, got {self.alphas.tolist()}")
        self.alpha = alpha
        self.scoring = scoring
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, name: str | None = None) -> Self:
        """Draw the scores of a fitted cross-validated neuron.

        Parameters
        ----------
        estimator : fitted estimator, or Pipeline that ends with one
            With `alphas_` (n_alphas,), `scores_` (n_folds, n_alphas), `alpha_`, `scoring`.
        ax : matplotlib Axes, optional
            Axes to draw on; None creates a figure.
        name : str, optional
            Title of the plot.

        Returns
        -------
        PenaltyCurveDisplay
        """
        if hasattr(estimator, "steps"):
            estimator = estimator[-1]
        display = cls(
            estimator.alphas_,
            estimator.scores_,
            alpha=estimator.alpha_,
            scoring=estimator.scoring,
            name=name,
        )
        return display.plot(ax)

    def _draw(self, ax: Any) -> None:
        order = np.argsort(self.alphas)
        alphas, scores = self.alphas[order], self.scores[:, order]
        mean, spread = scores.mean(axis=0), scores.std(axis=0)
        n_folds = len(scores)
        for i, fold in enumerate(scores):
            label = f"each of {n_folds} folds" if i == 0 else None
            ax.plot(alphas, fold, color=COLOURS[5], lw=0.8, alpha=0.7, label=label)
        ax.fill_between(
            alphas, mean - spread, mean + spread, color=COLOURS[0], alpha=0.15, lw=0,
            label="mean ± standard deviation of the folds",
        )  # fmt: skip
        ax.plot(alphas, mean, color=COLOURS[0], marker="o", ms=4, lw=1.8, label="mean")
        if self.alpha is not None:
            chosen = np.flatnonzero(np.isclose(alphas, self.alpha, rtol=1e-9, atol=0))
            ax.axvline(self.alpha, color=GREY, lw=1, ls="dotted", zorder=0)
            ax.plot(
                alphas[chosen], mean[chosen], "D", ms=8, mfc="white", mec=COLOURS[1], mew=1.8,
                zorder=4, label=f"chosen: alpha = {self.alpha:.3g}",
            )  # fmt: skip
        if alphas[0] > 0:
            ax.set_xscale("log")
        else:
            smallest = alphas[alphas > 0].min(initial=1.0)
            ax.set_xscale("symlog", linthresh=smallest)
        what = getattr(self.scoring, "__name__", self.scoring) or "score"
        ax.set(xlabel="penalty alpha", ylabel=f"{literal(what)} (higher is better)")
        tidy(ax)
