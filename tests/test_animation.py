"""The film of a descent: its frames show the run's steps, its figures are the lesson's."""

import warnings

import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from PIL import Image
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, Replay, animate, chain_rule, cost_surface
from trainer.plots.animation import DescentScene, _selected

X, Y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
POINTS, GROUPS = make_moons(60, noise=0.2, random_state=0)
SMALL = {"dpi": 40, "progress": False}


def fitted(*rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticNeuron(random_state=0, **options).fit(*rows)


def scene_of(neuron, X, y, sample=None):
    replay = Replay.from_neuron(neuron, X, y)
    surface = cost_surface(neuron, X, y, replay.parameters, grid=5)
    return DescentScene(replay, surface, sample)


def figures(scene):
    """What is written beneath the pictures."""
    texts = {name: text.get_text() for name, text in scene.factors_.items()}
    return {name: float(text.replace("−", "-")) for name, text in texts.items()}


def test_a_gif_goes_from_the_first_step_to_the_last(tmp_path):
    neuron = fitted(POINTS, GROUPS, optimizer="gradient_descent", max_iter=40)
    path = animate(neuron, POINTS, GROUPS, tmp_path / "a.gif", max_frames=5, fps=4, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]
    with Image.open(path) as film:
        assert film.size == (440, 224)
        durations, pictures = [], []
        for k in range(film.n_frames):
            film.seek(k)
            durations.append(film.info["duration"])
            pictures.append(np.array(film.convert("RGB"), dtype=float))
    assert len(pictures) == 5  # equal ones at the end are one, shown for longer
    assert durations == [250, 250, 250, 250, 2250]
    changes = [np.abs(a - pictures[-1]).mean() for a in pictures[:-1]]
    assert min(changes) > 0.1
    assert changes[0] == max(changes)


@pytest.mark.parametrize("step", [0, 3, 25])
def test_the_figures_of_a_sample_are_the_lessons(step):
    neuron = fitted(X, Y, optimizer="gradient_descent", max_iter=25)
    scene = scene_of(neuron, X, Y, sample=17)
    scene.draw(step)
    theta = scene.replay.theta[step]
    first = scene.replay.parameters[0]
    z = chain_rule.z(X[17], theta[:-1], theta[-1])
    dl_dz = chain_rule.dl_dz(Y[17], z)
    expected = {
        "z": z,
        "σ": chain_rule.sigmoid(z),
        "l": chain_rule.l(Y[17], chain_rule.sigmoid(z)),
        "dl/dσ": chain_rule.dl_dsig(Y[17], chain_rule.sigmoid(z)),
        "dσ/dz": chain_rule.dsig_dz(z),
        "dl/dz": dl_dz,
        "dz/dw": X[17, first],
        "dl/dw": dl_dz * X[17, first],
    }
    assert figures(scene) == pytest.approx(expected, rel=6e-4)
    title = scene.title.get_text()
    assert title == f"gradient_descent: iteration {step} of 25, J = {scene.replay.J[step]:.4f}"


def test_without_a_sample_they_are_means():
    neuron = fitted(X, Y, optimizer="gradient_descent", max_iter=9, alpha=0)
    scene = scene_of(neuron, X, Y)
    scene.draw(9)
    theta = scene.replay.theta[9]
    z = chain_rule.z(X, theta[:-1], theta[-1])
    gradient = chain_rule.dJ_dw(X, Y, theta[:-1], theta[-1])
    expected = {
        "l": chain_rule.J(X, Y, theta[:-1], theta[-1]),
        "|dl/dσ|": np.abs(chain_rule.dl_dsig(Y, chain_rule.sigmoid(z))).mean(),
        "dσ/dz": chain_rule.dsig_dz(z).mean(),
        "|dl/dz|": np.abs(chain_rule.dl_dz(Y, z)).mean(),
        "dl/dw": gradient[scene.replay.parameters[0]],
    }
    assert figures(scene) == pytest.approx(expected, rel=6e-4)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_the_boundary_is_where_z_is_0():
    scene = scene_of(fitted(POINTS, GROUPS), POINTS, GROUPS, sample=4)
    for step in (1, len(scene.replay.theta) - 1):
        scene.draw(step)
        theta = scene.replay.theta[step]
        ends = np.array(lines(scene.samples_)["boundary"].get_data()).T
        np.testing.assert_allclose(ends @ theta[:-1] + theta[-1], 0, atol=1e-9)
        low, high = POINTS.min(axis=0), POINTS.max(axis=0)
        assert np.linalg.norm(ends[1] - ends[0]) > np.linalg.norm(high - low)
        shown = np.ravel(lines(scene.surface_)["now"].get_data())
        np.testing.assert_array_equal(shown, theta[[0, 1]])
    scene.draw(0)
    assert len(lines(scene.samples_)["boundary"].get_xdata()) == 0  # w = 0 parts nothing


def test_the_histogram_counts_each_class():
    scene = scene_of(fitted(X, Y), X, Y)
    scene.draw(2)
    theta = scene.replay.theta[2]
    sigma = chain_rule.h(X, theta[:-1], theta[-1])
    heights = np.array([bar.get_height() for bar in scene.samples_.patches]).reshape(2, 20)
    edges = np.linspace(0, 1, 21)
    np.testing.assert_array_equal(heights[0], np.histogram(sigma[Y == 1], edges)[0])
    np.testing.assert_array_equal(heights[1], -np.histogram(sigma[Y == 0], edges)[0])


def test_the_curve_of_one_feature_is_sigma():
    x, y = np.array([[-2.0], [-1], [1], [2]]), [0, 1, 0, 1]
    scene = scene_of(fitted(x, y), x, y, sample=0)
    scene.draw(2)
    (w, b) = scene.replay.theta[2]
    drawn = lines(scene.samples_)
    at, sigma = drawn["σ"].get_data()
    np.testing.assert_allclose(sigma, 1 / (1 + np.exp(-w * at - b)), rtol=1e-12)
    np.testing.assert_allclose(drawn["boundary"].get_xdata(), -b / w)


def test_early_steps_stand_closer_together():
    assert _selected(5, 100) == [0, 1, 2, 3, 4]
    chosen = _selected(1001, 100)
    assert 90 <= len(chosen) <= 100
    assert (chosen[0], chosen[-1]) == (0, 1000)
    gaps = np.diff(chosen)
    assert gaps.min() == 1
    assert gaps.argmax() > 90
    assert _selected(1001, 2) == [0, 1000]


@pytest.mark.skipif(
    not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed: apt-get install ffmpeg"
)
def test_an_mp4_can_be_written(tmp_path):
    neuron = fitted(POINTS, GROUPS, max_iter=3)
    path = animate(neuron, POINTS, GROUPS, tmp_path / "a.mp4", max_frames=3, **SMALL)
    assert path.read_bytes()[4:8] == b"ftyp"


def test_a_missing_ffmpeg_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ImportError, match=r"a.mp4 needs ffmpeg, .* ends in .gif"):
        animate(LogisticNeuron(), POINTS, GROUPS, tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.avi", {}, r"must end in .gif or .mp4, got 'a.avi'"),
        ("nowhere/a.gif", {}, "in a folder that exists"),
        ("a.gif", {"max_frames": 1}, "max_frames must be 2 or more, got 1"),
        ("a.gif", {"fps": 0}, "fps must be > 0, got 0"),
        ("a.gif", {"sample": 60}, "one of 60 training samples, from 0, got 60"),
        ("a.gif", {"parameters": (0, 0)}, "two different ones"),
    ],
)
def test_what_cannot_be_filmed_is_told(tmp_path, name, options, words):
    neuron = fitted(POINTS, GROUPS)
    with pytest.raises(ValueError, match=words):
        animate(neuron, POINTS, GROUPS, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_progress_bar_is_shown_in_a_terminal(tmp_path, monkeypatch, capsys):
    neuron = fitted(POINTS, GROUPS, max_iter=2)
    animate(neuron, POINTS, GROUPS, tmp_path / "a.gif", fps=1, dpi=40)
    assert capsys.readouterr().out == ""  # this is none
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    monkeypatch.setenv("TERM", "xterm")
    animate(neuron, POINTS, GROUPS, tmp_path / "a.gif", fps=1, dpi=40)
    assert "100%" in capsys.readouterr().out
