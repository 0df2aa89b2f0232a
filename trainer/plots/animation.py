"""Animation of training: decision boundary, cost surface and the factors of the chain rule."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import chain_rule
from trainer.inspection import CostSurface, Replay, around, cost_surface
from trainer.plots.cost_surface import CostSurfaceDisplay
from trainer.plots.style import COLOURS, GREY, MARKERS

Array = npt.NDArray[Any]

SECONDS = 8
"""Default duration of an animation, without the pause at its end."""

PAUSE = 2
"""Seconds for which the last frame is shown."""


def animate(
    neuron: Any,
    X: Any,
    y: Any,
    path: Any,
    *,
    sample_weight: Any = None,
    parameters: Sequence[int | str] | None = None,
    sample: int | None = None,
    max_frames: int = 100,
    fps: float | None = None,
    dpi: int = 100,
    progress: bool = True,
) -> Path:
    """Animate the training of a fitted neuron: decision boundary and cost surface side by side.

    The left panel shows σ as a function of the feature if there is one, the decision boundary if
    there are two, and the histogram of σ(z) by class if there are more. The right panel shows the
    path on the cost surface. The factors of the chain rule are below. A copy of the neuron is
    trained once more.

    Parameters
    ----------
    neuron : LogisticNeuron
        Fitted to these samples, of two classes.
    X, y, sample_weight : array-like
        The training samples, their labels, and their weights if there were any.
    path : str or path
        The file, .gif or .mp4; the latter requires ffmpeg. An existing file is replaced.
    parameters : pair of int or str, optional
        The two parameters of the cost surface, as in `trainer.cost_surface`; by default the two
        weights that changed most. The factor dz/dw is that of the first.
    sample : int, optional
        The sample whose factors are shown; by default means over all samples.
    max_frames : int, default=100
        Maximum number of frames. If there are more iterations, a selection is shown, denser at
        the beginning, where the parameters change most.
    fps : float, optional
        Frames per second, by default from 2 to 15 so that the animation lasts 8 seconds.
    dpi : int, default=100
        Pixels per inch; a frame is 11 × 5.6 inches.
    progress : bool, default=True
        Show a progress bar in a terminal or a notebook.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the file cannot be written or an argument does not fit; also as `trainer.Replay` does.
    ImportError
        If ffmpeg is needed and missing.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import LogisticNeuron, animate
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> neuron = LogisticNeuron().fit(X, y)
    >>> with TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     animate(neuron, X, y, f"{folder}/training.gif")
    """
    path = _checked_path(path)
    if max_frames < 2:
        raise ValueError(f"max_frames must be 2 or more, got {max_frames!r}")
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be > 0, got {fps!r}")
    writer = _writer(path)
    replay = Replay.from_neuron(neuron, X, y, sample_weight=sample_weight, parameters=parameters)
    if sample is not None and sample not in replay.shown:
        raise ValueError(
            f"sample must be the number of one of {replay.n_samples} training samples, from 0"
            + (
                ""
                if len(replay.shown) == replay.n_samples
                else f", one of {len(replay.shown)} kept"
            )
            + f", got {sample!r}"
        )
    ranges = [_range(replay, place) for place in replay.parameters]
    surface = cost_surface(
        neuron, X, y, replay.parameters, sample_weight=sample_weight, ranges=ranges, grid=80
    )
    scene = DescentScene(replay, surface, sample)
    steps = _selected(len(replay.theta), max_frames)
    fps = float(np.clip(len(steps) / SECONDS, 2, 15)) if fps is None else fps
    film = writer(fps=fps)
    with (
        TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as draft,
        _bar(progress) as bar,
    ):
        unfinished = Path(draft) / path.name
        with film.saving(scene.figure_, str(unfinished), dpi):
            for step in bar.track(
                [*steps, *[steps[-1]] * round(PAUSE * fps)], description="frames"
            ):
                scene.draw(step)
                film.grab_frame()
        os.replace(unfinished, path)
    return path


class DescentScene:
    """A frame of the animation, which can be drawn at any step.

    Parameters
    ----------
    replay : Replay
        The run.
    surface : CostSurface
        J over two of its parameters.
    sample : int, optional
        The sample whose factors are shown; None shows means.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    samples_, surface_ : matplotlib Axes
        Its left and right panels.
    factors_ : dict of str to matplotlib Text
        The numbers below the panels, by name.
    """

    def __init__(self, replay: Replay, surface: CostSurface, sample: int | None = None) -> None:
        from matplotlib.figure import Figure

        self.replay, self.sample = replay, sample
        self.place = None if sample is None else int(np.flatnonzero(replay.shown == sample)[0])
        self.second = replay.y > 0.5
        self.figure_ = Figure(figsize=(11, 5.6))
        self.samples_ = self.figure_.add_axes((0.065, 0.29, 0.385, 0.6))
        self.surface_ = self.figure_.add_axes((0.535, 0.29, 0.415, 0.6))
        n_features = replay.X.shape[1]
        self._move = (self._curve, self._boundary, self._histogram)[min(n_features, 3) - 1]()
        self._draw_surface(surface)
        self.title = self.figure_.text(0.065, 0.94, "", fontsize=13, weight="bold")
        names = list(self._factors(replay.theta[0]))
        of = "means over the samples" if sample is None else f"sample {sample}"
        name = replay.names[replay.parameters[0]]
        which = "" if name == "intercept" else f"; w is the weight of {name}"
        self.figure_.text(0.065, 0.155, of + which, fontsize=10, color=GREY)
        places = np.linspace(0.065, 0.98, len(names) + 1)[:-1]
        self.factors_ = {}
        for x, name in zip(places, names, strict=True):
            self.figure_.text(x, 0.095, name, fontsize=11, color=COLOURS[0])
            self.factors_[name] = self.figure_.text(x, 0.04, "", fontsize=13)

    def draw(self, step: int) -> None:
        """Update the figure to a step of the replay."""
        replay = self.replay
        theta = replay.theta[step]
        self._move(theta)
        for run, lines in zip(np.unique(replay.run), self._paths, strict=True):
            past = np.flatnonzero((replay.run == run) & (np.arange(len(replay.theta)) <= step))
            for line in lines:
                line.set_data(*replay.theta[past][:, replay.parameters].T)
        self._here.set_data(*theta[list(replay.parameters)][:, np.newaxis])
        of_run = f"run {replay.run[step]}, " if replay.run[-1] > 1 else ""
        last = replay.iteration[replay.run == replay.run[step]][-1]
        self.title.set_text(
            f"{replay.optimizer}: {of_run}iteration {replay.iteration[step]} of {last}, "
            f"J = {replay.J[step]:.4f}"
        )
        for name, value in self._factors(theta).items():
            self.factors_[name].set_text(f"{value:.4g}".replace("-", "\N{MINUS SIGN}"))

    def _factors(self, theta: Array) -> dict[str, float]:
        """The factors shown below the panels: those of one sample, or means."""
        replay, first = self.replay, self.replay.parameters[0]
        name = replay.names[first]
        of = "b" if name == "intercept" else "w"
        inputs = np.column_stack([replay.X, np.ones(len(replay.X))])[:, first]
        z = chain_rule.z(replay.X, theta[:-1], theta[-1])
        values = {
            "z": z,
            "σ": chain_rule.sigmoid(z),
            "l": chain_rule.l(replay.y, chain_rule.sigmoid(z)),
            "dl/dσ": chain_rule.dl_dsig(replay.y, chain_rule.sigmoid(z)),
            "dσ/dz": chain_rule.dsig_dz(z),
            "dl/dz": chain_rule.dl_dz(replay.y, z),
            f"dz/d{of}": inputs,
            f"dl/d{of}": chain_rule.dl_dz(replay.y, z) * inputs,
        }
        if self.place is not None:
            return {key: float(value[self.place]) for key, value in values.items()}
        signed = {"dl/dσ", "dl/dz"}  # means of absolute values, as their signs cancel
        share = replay.share / replay.share.sum()
        means = {
            (f"|{key}|" if key in signed else key): float(
                share @ (np.abs(value) if key in signed else value)
            )
            for key, value in values.items()
            if key in ("l", "dl/dσ", "dσ/dz", "dl/dz", f"dl/d{of}")
        }
        return means

    def _curve(self) -> Any:
        """σ as a function of the only feature, with the samples at their targets."""
        ax, replay = self.samples_, self.replay
        x = np.linspace(*around_data(replay.X[:, 0]), 300)
        (curve,) = ax.plot(x, np.zeros_like(x), color="black", lw=2, label="σ")
        middle = ax.axvline(0, color="black", lw=1.2, ls="--", label="boundary")
        self._scatter(replay.X[:, 0], replay.y)
        ax.set(xlim=x[[0, -1]], ylim=(-0.08, 1.08), xlabel=replay.names[0], ylabel="σ, and y")
        ax.legend(loc="center left", framealpha=0.9, edgecolor="none", fontsize=9)

        def move(theta: Array) -> None:
            w, b = theta
            curve.set_ydata(chain_rule.sigmoid(w * x + b))
            middle.set_visible(bool(w))
            middle.set_xdata([-b / w if w else 0.0] * 2)

        return move

    def _boundary(self) -> Any:
        """σ over two features in ten bands, the line where it is 0.5, and the samples."""
        from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap

        ax, replay = self.samples_, self.replay
        across, up = (np.linspace(*around_data(column), 160) for column in replay.X.T)
        grid = np.stack(np.meshgrid(across, up), axis=-1)
        colours = LinearSegmentedColormap.from_list("field", [COLOURS[1], "white", COLOURS[0]])
        extent = (across[0], across[-1], up[0], up[-1])
        field = ax.imshow(
            grid[..., 0], origin="lower", extent=extent, aspect="auto", cmap=colours, alpha=0.5,
            norm=BoundaryNorm(np.linspace(0, 1, 11), 256),
        )  # fmt: skip
        (line,) = ax.plot([], [], color="black", lw=2, label="boundary")
        self._scatter(*replay.X.T)
        ax.set(xlabel=replay.names[0], ylabel=replay.names[1], xlim=extent[:2], ylim=extent[2:])
        ax.legend(loc="upper right", framealpha=0.9, edgecolor="none", fontsize=9)

        def move(theta: Array) -> None:
            w, b = theta[:-1], theta[-1]
            field.set_data(chain_rule.sigmoid(grid @ w + b))
            nearest = -b * w / (w @ w) if w.any() else w  # the boundary point closest to 0
            along = np.array([-w[1], w[0]]) / (np.linalg.norm(w) or 1)
            reach = 2 * np.abs(extent).sum() + np.linalg.norm(nearest)
            ends = nearest + np.outer([-reach, reach], along)
            line.set_data(*ends.T if w.any() else ([], []))

        return move

    def _histogram(self) -> Any:
        """Histogram of σ(z) in 20 bins, with one class above the axis and one below."""
        ax, replay = self.samples_, self.replay
        edges = np.linspace(0, 1, 21)
        rows = ((self.second, 1, COLOURS[0], ""), (~self.second, -1, COLOURS[1], "///"))
        bars = []
        for (chosen, sign, colour, hatch), label in zip(rows, replay.classes[::-1], strict=True):
            drawn = ax.bar(
                edges[:-1], 0, 0.05, align="edge", color=colour, edgecolor="white", hatch=hatch,
                lw=0.5, label=f"{label} ({'above' if sign > 0 else 'below'})",
            )  # fmt: skip
            bars.append((chosen, sign, drawn))
        most = max(self.second.sum(), (~self.second).sum())
        ax.axhline(0, color=GREY, lw=1)
        ax.axvline(0.5, color="black", lw=1.2, ls="--")
        ax.set(xlim=(0, 1), ylim=(-1.05 * most, 1.05 * most), ylabel="samples")
        ax.set_xlabel(f"σ(z), the probability of {replay.classes[1]}")
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        ax.legend(loc="upper center", framealpha=0.9, edgecolor="none", fontsize=9)

        def move(theta: Array) -> None:
            sigma = chain_rule.h(replay.X, theta[:-1], theta[-1])
            for chosen, sign, drawn in bars:
                counts, _ = np.histogram(sigma[chosen], edges)
                for bar, height in zip(drawn, sign * counts, strict=True):
                    bar.set_height(height)

        return move

    def _scatter(self, x: Array, y: Array) -> None:
        size = float(np.clip(8000 / len(x), 8, 80))
        rows = (self.second, ~self.second)
        for chosen, colour, marker, label in zip(
            rows, COLOURS, MARKERS, self.replay.classes[::-1], strict=False
        ):
            self.samples_.scatter(
                x[chosen], y[chosen], s=size, c=colour, marker=marker, label=label,
                edgecolors="white", linewidths=0.5, zorder=3,
            )  # fmt: skip
        if self.place is not None:
            at = ([x[self.place]], [y[self.place]])
            for width, colour in ((4, "white"), (2, "black")):
                self.samples_.plot(*at, "o", ms=13, mfc="none", mec=colour, mew=width, zorder=4)

    def _draw_surface(self, surface: CostSurface) -> None:
        from matplotlib.patheffects import withStroke

        ax, replay = self.surface_, self.replay
        CostSurfaceDisplay(surface).plot(ax)
        outline = [withStroke(linewidth=3.6, foreground="black")]
        self._paths = []
        for _ in np.unique(replay.run):
            self._paths.append(ax.plot([], [], color=COLOURS[4], lw=2, path_effects=outline))
        edge: dict[str, Any] = {
            "color": "white",
            "markeredgecolor": "black",
            "ls": "none",
            "zorder": 5,
        }
        start = replay.theta[0, list(replay.parameters)]
        ax.plot(*start[:, np.newaxis], "s", ms=8, label="start", **edge)
        (self._here,) = ax.plot([], [], "o", ms=9, label="now", **edge | {"color": COLOURS[4]})
        ax.legend(loc="best", framealpha=0.9, edgecolor="none", fontsize=9)


def around_data(values: Array) -> tuple[float, float]:
    """The range of the values, extended by 8 % on both sides."""
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low or 1)
    return low - margin, high + margin


def _range(replay: Replay, place: int) -> tuple[float, float]:
    """Range of a parameter for the surface; fixed if the parameter changed only by rounding."""
    values = np.append(replay.theta[:, place], 0.0)
    if np.ptp(values) <= 1e-9 * np.abs(replay.theta).max():
        return -0.5, 0.5
    return around(values)


def _selected(n_steps: int, most: int) -> list[int]:
    """All steps, or at most `most` of them: the first ones, then with increasing distances."""
    if n_steps <= most:
        return list(range(n_steps))
    chosen: Array = np.array([0, n_steps - 1])
    # Geometric steps repeat the first integers: increase their number until enough differ.
    for count in range(most, 20 * most):
        tried = np.unique(np.geomspace(1, n_steps, count).round().astype(int)) - 1
        if len(tried) > most:
            break
        chosen = tried
    return [int(step) for step in chosen]


def _checked_path(path: Any) -> Path:
    path = Path(path)
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise ValueError(f"path must end in .gif or .mp4, got {path.name!r}")
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"path must be a file in a folder that exists, got {path}")
    return path


def _writer(path: Path) -> Any:
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if path.suffix.lower() == ".gif":
        return PillowWriter
    if not FFMpegWriter.isAvailable():
        raise ImportError(
            f"{path.name} needs ffmpeg, which is not installed; install it with the system's "
            "packages (apt-get install ffmpeg, brew install ffmpeg), or choose a path that ends "
            "in .gif"
        )
    return FFMpegWriter


def _bar(wanted: bool) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    console = Console()
    shown = wanted and (console.is_terminal or console.is_jupyter)
    return Progress(console=console, transient=True, disable=not shown)
