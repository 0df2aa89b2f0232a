"""The replay page, in a browser: what it shows is what training did and the lesson says."""

import itertools
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, Replay, chain_rule, cost_surface, replay_page, trace

X, LABELS = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
LABELS = np.where(LABELS == 0, "malignant", "benign")
Y = (LABELS == "malignant").astype(float)
POINTS, GROUPS = make_moons(120, noise=0.2, random_state=0)
TEST_POINTS, TEST_GROUPS = make_moons(80, noise=0.2, random_state=1)
# WebDriver's names of the keys.
HOME, END, LEFT, RIGHT, CONTROL = "\ue011", "\ue010", "\ue012", "\ue014", "\ue009"
VIEWS = ("samples", "loss", "surface")


def fitted(*rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticNeuron(random_state=0, **options).fit(*rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def cancer(folder):
    """1000 iterations on 569 × 30: the page, and the trace it must show."""
    neuron = fitted(X, LABELS, optimizer="gradient_descent")
    assert neuron.n_iter_ == 1000
    return replay_page(neuron, X, LABELS, folder / "cancer.html"), neuron, trace(neuron, X, LABELS)


@pytest.fixture(scope="module")
def moons(folder):
    neuron = fitted(POINTS, GROUPS, optimizer="momentum", max_iter=50)
    path = folder / "moons.html"
    page = replay_page(neuron, POINTS, GROUPS, path, X_test=TEST_POINTS, y_test=TEST_GROUPS)
    return page, neuron, trace(neuron, POINTS, GROUPS)


@pytest.mark.parametrize("soft", [False, True])
def test_the_first_class_can_be_the_positive_one(soft):
    """As a neuron that was trained on the labels exchanged."""
    names = np.array(["a", "b"])
    labels, exchanged = names[GROUPS], names[1 - GROUPS]
    if soft:
        labels, exchanged = np.eye(2)[GROUPS] * 0.8 + 0.1, np.eye(2)[1 - GROUPS] * 0.8 + 0.1
    neuron, other = fitted(POINTS, labels), fitted(POINTS, exchanged)
    first, second = (0, 1) if soft else ("a", "b")
    found = Replay.from_neuron(neuron, POINTS, labels, pos_label=first)
    expected = Replay.from_neuron(other, POINTS, exchanged)
    assert found.classes == (str(second), str(first))
    for name in ("theta", "gradient", "y", "J"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-12)
    if not soft:
        pd.testing.assert_frame_equal(found.figures, expected.figures)
    with pytest.raises(ValueError, match="pos_label must be one of"):
        Replay.from_neuron(neuron, POINTS, labels, pos_label="c")


def text(chromium, element):
    return chromium.run("return document.getElementById(arguments[0]).textContent", element)


def label(chromium, element):
    return chromium.run(
        "return document.getElementById(arguments[0]).getAttribute('aria-label')", element
    )


def pictures(chromium):
    """What the linked views show, as pixels and text."""
    return chromium.run(
        "return [...arguments[0].map((id) => document.getElementById(id).toDataURL()),"
        " ...['parameters', 'factors', 'parts', 'drawing', 'where'].map("
        " (id) => document.getElementById(id).textContent), document.all.slider.value]",
        VIEWS,
    )


def settle(chromium):
    """Wait until what was asked for has been drawn."""
    chromium.driver.execute_async_script(
        "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
    )


def press(chromium, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(chromium.driver).send_keys(*keys).perform()
    settle(chromium)


def click_canvas(chromium, element, x, y):
    """Click at a point of a canvas, from its upper left corner."""
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = chromium.driver.find_element("id", element)
    size = canvas.size
    at = (round(x - size["width"] / 2), round(y - size["height"] / 2))
    ActionChains(chromium.driver).move_to_element_with_offset(canvas, *at).click().perform()
    settle(chromium)


def numbers(chromium, table):
    """The numbers of a table, to their last digit, by the row's first cell."""
    rows = chromium.run(
        "return [...document.getElementById(arguments[0]).tBodies[0].rows].map((row) =>"
        " [row.cells[0].textContent, ...[...row.querySelectorAll('data')].map((e) => e.value)])",
        table,
    )
    return {name: [float(value) for value in values] for name, *values in rows}


def number(words):
    return float(words.replace("−", "-"))


def accept(drawn, expected, digits):
    """Whether a figure was rounded to so many digits from what was expected."""
    return drawn == pytest.approx(expected, rel=0.5 * 10.0 ** (1 - digits))


def open_at(chromium, page, step=None, sample=None, **options):
    place = "&".join(f"{k}={v}" for k, v in (("step", step), ("sample", sample)) if v is not None)
    chromium.open(f"{page.as_uri()}#{place}", **options)
    settle(chromium)


def check_step(chromium, table, step, x=X, y=Y):
    """Every view shows one step of the trace."""
    theta = table.iloc[step, 4:].to_numpy(dtype=float)
    assert text(chromium, "where") == f"iteration {step} of {len(table) - 1}"
    assert accept(number(text(chromium, "J")), table["J"][step], 5)
    assert accept(number(text(chromium, "slope")), table["gradient_max"][step], 3)
    shown = numbers(chromium, "parameters")
    np.testing.assert_array_equal([value for (value,) in shown.values()], theta)
    right = np.sum((x @ theta[:-1] + theta[-1] > 0) == (y > 0.5))
    assert f"iteration {step} of" in label(chromium, "samples")
    assert f"{right} of {len(y)} samples are classified correctly" in label(chromium, "samples")
    assert f"iteration {step} of" in label(chromium, "loss")
    assert f"iteration {step} of" in label(chromium, "surface")


def check_sample(chromium, theta, sample, alpha, x=X, y=Y):
    """The chain rule shown is that of the lesson, to 1e-12."""
    w, b, row, target = theta[:-1], theta[-1], x[sample], y[sample]
    z = chain_rule.z(row, w, b)
    sigma = chain_rule.sigmoid(z)
    dl_dz = chain_rule.dl_dz(target, z)
    expected = {
        "z": z,
        "σ": sigma,
        "l": chain_rule.l(target, sigma),
        "dl/dσ": chain_rule.dl_dsig(target, chain_rule.sigmoid(z)),
        "dσ/dz": chain_rule.dsig_dz(z),
        "dl/dz": dl_dz,
        "dz/db": chain_rule.dz_db(),
        "part of dJ/db": dl_dz / len(y),
    }
    shown = numbers(chromium, "factors")
    assert shown.keys() - {"dz/dw"} == expected.keys()
    # z is a sum of 31 terms, whose rounding is relative to them and not to it
    rounding = 1e-12 + 1e-14 * (np.abs(row * w).sum() + abs(b))
    for name, value in expected.items():
        assert shown[name][0] == pytest.approx(value, rel=rounding, abs=0), name
    parts = np.array(list(numbers(chromium, "parts").values()))
    inputs = np.append(row, 1)
    gradient = np.append(chain_rule.dJ_dw(x, y, w, b) + alpha * w, chain_rule.dJ_db(x, y, w, b))
    np.testing.assert_array_equal(parts[:, 0], theta)
    np.testing.assert_array_equal(parts[:, 1], inputs)
    np.testing.assert_allclose(parts[:, 2], dl_dz * inputs, rtol=rounding)
    np.testing.assert_allclose(parts[:, 3], dl_dz * inputs / len(y), rtol=rounding)
    np.testing.assert_allclose(parts[:, 4], gradient, atol=1e-15)


def test_a_long_run_is_a_small_page_that_opens_at_once(chromium, cancer):
    page, _, table = cancer
    assert page.stat().st_size < 3e6
    chromium.open(page)
    opened = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
    assert 0 < chromium.run(opened) < 2000  # milliseconds
    check_step(chromium, table, 1000)
    assert chromium.errors() == []
    assert chromium.requests() == [page.as_uri()]


def test_the_slider_moves_every_view(chromium, cancer):
    page, _, table = cancer
    open_at(chromium, page)
    slider = chromium.driver.find_element("id", "slider")
    seen = [pictures(chromium)]
    for keys, step in ((HOME, 0), (RIGHT, 1), (END, 1000)):
        slider.send_keys(keys)
        settle(chromium)
        check_step(chromium, table, step)
        seen.append(pictures(chromium))
    for before, after in itertools.pairwise(seen):
        assert all(a != b for a, b in zip(before, after, strict=True))
    assert seen[3] == seen[0]
    assert chromium.errors() == []


def test_play_moves_every_view_to_the_end(chromium, moons):
    page, _, table = moons
    open_at(chromium, page, step=0, sample=3)
    before = pictures(chromium)
    play = chromium.driver.find_element("id", "play")
    play.click()
    assert play.text == "Pause"
    deadline = time.monotonic() + 10
    while text(chromium, "where") == "iteration 0 of 50":
        assert time.monotonic() < deadline
    play.click()
    settle(chromium)
    assert play.text == "Play"
    step = int(text(chromium, "where").split()[1])
    check_step(chromium, table, step, POINTS, GROUPS)
    assert all(a != b for a, b in zip(before, pictures(chromium), strict=True))
    open_at(chromium, page, step=48)
    press(chromium, " ")
    while play_text(chromium) == "Pause":
        assert time.monotonic() < deadline + 10
    settle(chromium)
    check_step(chromium, table, 50, POINTS, GROUPS)
    press(chromium, " ")
    settle(chromium)
    assert play_text(chromium) == "Pause"  # from the start again
    press(chromium, " ")
    assert int(text(chromium, "where").split()[1]) < 48
    assert chromium.errors() == []


def play_text(chromium):
    return text(chromium, "play")


def test_arrow_keys_and_buttons_go_one_iteration(chromium, moons):
    page, _, table = moons
    open_at(chromium, page, step=20)
    press(chromium, RIGHT)
    check_step(chromium, table, 21, POINTS, GROUPS)
    press(chromium, LEFT, LEFT)
    check_step(chromium, table, 19, POINTS, GROUPS)
    chromium.driver.find_element("id", "forward").click()
    settle(chromium)
    check_step(chromium, table, 20, POINTS, GROUPS)


def test_little_moves_where_less_motion_is_asked_for(chromium, moons):
    page, _, _ = moons
    open_at(chromium, page, step=0, reduced_motion=True)
    press(chromium, " ")
    deadline, steps = time.monotonic() + 1.0, set()
    while time.monotonic() < deadline:
        steps.add(int(text(chromium, "where").split()[1]))
    assert steps == {0, 3}  # a twentieth of the run, 0.7 seconds later


@pytest.mark.parametrize("step", [0, 1, 137, 1000])
def test_a_samples_chain_rule_is_the_lessons(chromium, cancer, step):
    page, neuron, table = cancer
    theta = table.iloc[step, 4:].to_numpy(dtype=float)
    open_at(chromium, page, step=step, sample=17)
    check_sample(chromium, theta, 17, neuron.alpha_)
    picture = text(chromium, "drawing")
    z = chain_rule.z(X[17], theta[:-1], theta[-1])
    drawn = dict(re.findall(r"(z|σ|l|dl/dσ|dσ/dz) = (-?−?[\d.e−]+)", picture))
    sigma = chain_rule.sigmoid(z)
    for name, value in {
        "σ": sigma,
        "l": chain_rule.l(Y[17], sigma),
        "dl/dσ": chain_rule.dl_dsig(Y[17], chain_rule.sigmoid(z)),
        "dσ/dz": chain_rule.dsig_dz(z),
    }.items():
        assert accept(number(drawn[name]), value, 4), name
    chromium.driver.find_element("id", "largest").click()
    settle(chromium)
    losses = chain_rule.l(Y, chain_rule.h(X, theta[:-1], theta[-1]))
    sample = int(chromium.run("return document.getElementById('sample').value"))
    assert losses[sample] == pytest.approx(losses.max(), rel=1e-12)
    check_sample(chromium, theta, sample, neuron.alpha_)


def test_a_click_chooses_the_sample_under_it(chromium, moons):
    page, neuron, table = moons
    open_at(chromium, page, step=30)
    size = chromium.driver.find_element("id", "samples").size
    low, high = POINTS.min(axis=0), POINTS.max(axis=0)
    margin = 0.08 * (high - low)
    theta = table.iloc[30, 4:].to_numpy(dtype=float)
    alone = np.argsort(-np.sort(np.hypot(*(POINTS[:, None] - POINTS).T), axis=0)[1])[:3]
    for sample in alone:  # far from all others
        across, up = (POINTS[sample] - low + margin) / (high - low + 2 * margin)
        x = 48 + across * (size["width"] - 48 - 10)
        y = 10 + (1 - up) * (size["height"] - 10 - 40)
        click_canvas(chromium, "samples", x, y)
        assert chromium.run("return document.getElementById('sample').value") == str(sample)
        check_sample(chromium, theta, sample, neuron.alpha_, POINTS, GROUPS)


def test_a_click_on_the_histogram_chooses_one_of_its_bin(chromium, cancer):
    page, neuron, table = cancer
    theta = table.iloc[1000, 4:].to_numpy(dtype=float)
    sigma = chain_rule.h(X, theta[:-1], theta[-1])
    open_at(chromium, page)
    size = chromium.driver.find_element("id", "samples").size
    middle = (10 + size["height"] - 40) / 2
    for x, y, expected in (
        (size["width"] - 25, middle - 20, (Y == 1) & (sigma >= 0.9)),
        (45, middle + 20, (Y == 0) & (sigma < 0.1)),
    ):
        click_canvas(chromium, "samples", x, y)
        sample = int(chromium.run("return document.getElementById('sample').value"))
        assert expected[sample]
        check_sample(chromium, theta, sample, neuron.alpha_)


def test_the_cost_curve_can_be_dragged(chromium, moons):
    page, _, table = moons
    open_at(chromium, page)
    width = chromium.driver.find_element("id", "loss").size["width"]
    click_canvas(chromium, "loss", 58 + 0.3 * (width - 58 - 14), 100)
    check_step(chromium, table, 15, POINTS, GROUPS)


def test_the_surface_is_the_trainers(chromium, cancer):
    page, neuron, table = cancer
    open_at(chromium, page)
    ends = table.iloc[-1, 4:-1].to_numpy(dtype=float)
    farthest = sorted(np.argsort(-np.abs(np.ptp(table.iloc[:, 4:-1].to_numpy(), axis=0)))[:2])
    for pair in (farthest, [3, 30]):
        for select, j in zip(("first", "second"), pair, strict=True):
            chromium.run(
                "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
                "e.dispatchEvent(new Event('change'))", select, str(j),
            )  # fmt: skip
        settle(chromium)
        path = table.iloc[:, 4:].to_numpy()[:, pair]
        low, high = np.minimum(path.min(axis=0), 0), np.maximum(path.max(axis=0), 0)
        ranges = np.column_stack([low - (high - low) / 2, high + (high - low) / 2])
        J = cost_surface(neuron, X, LABELS, pair, ranges=ranges, grid=64).J
        words = label(chromium, "surface")
        lowest, highest = map(number, re.search("J from (\\S+) to (\\S+)\\.", words).groups())
        assert accept(lowest, J.min(), 4)
        assert accept(highest, J.max(), 4)
    assert accept(number(re.search("weight of x3 (\\S+),", words)[1]), ends[3], 4)


def test_the_test_samples_are_judged_too(chromium, moons):
    page, neuron, table = moons
    open_at(chromium, page, step=7)
    theta = table.iloc[7, 4:].to_numpy(dtype=float)
    J = chain_rule.J(TEST_POINTS, TEST_GROUPS, theta[:-1], theta[-1])
    J += neuron.alpha_ / 2 * theta[:-1] @ theta[:-1]
    shown = re.search("on the test samples (\\S+)\\.$", text(chromium, "cost-note"))[1]
    assert accept(number(shown), J, 4)
    shown = numbers(chromium, "figures")
    p = neuron.predict_proba(TEST_POINTS)[:, 1]
    assert shown["test"][0] == pytest.approx(np.mean((p - TEST_GROUPS) ** 2), rel=1e-12)
    assert shown["test"][1] == neuron.score(TEST_POINTS, TEST_GROUPS)
    assert shown["training"][1] == neuron.score(POINTS, GROUPS)
    assert neuron.termination_.message in text(chromium, "ending")
    counted = re.findall(r"test samples: (.*)", label(chromium, "calibration"))
    assert len(counted[0].split(";")) == len(np.unique(np.ceil(p * 5)))


@pytest.mark.parametrize("data", ["cancer", "moons"])
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_it_fits_its_window_and_nothing_jumps(request, chromium, data, width, dark):
    page = request.getfixturevalue(data)[0]
    open_at(chromium, page, step=0, width=width, height=800, dark=dark)
    assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")
    background = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 3 * 128) == dark
    chromium.run(
        "window.moved = 0; new PerformanceObserver((list) => list.getEntries().forEach((e) => {"
        "window.moved += e.value })).observe({type: 'layout-shift', buffered: true})"
    )
    for _ in range(3):
        press(chromium, RIGHT)
    press(chromium, " ")
    time.sleep(0.25)
    press(chromium, " ")
    assert chromium.run("return window.moved") < 0.01
    assert chromium.errors() == []


def test_names_and_labels_cannot_run_as_code(chromium, folder):
    nasty = "</script><script>document.title = 'broken'</script><img src=x onerror=alert(1)>"
    frame = pd.DataFrame(POINTS, columns=[nasty, "b&<i>"])
    groups = np.where(GROUPS == 1, nasty, "'\"&amp;")
    page = replay_page(fitted(frame, groups), frame, groups, folder / "n.html", title=nasty)
    open_at(chromium, page)
    assert chromium.driver.title == f"{nasty}: replay"
    assert text(chromium, "title") == nasty
    assert [*numbers(chromium, "parameters")] == [nasty, "b&<i>", "bias b"]
    assert chromium.errors() == []
    assert chromium.requests() == [page.as_uri()]
    fetched = chromium.driver.execute_async_script(
        "fetch('data:,x').then(() => arguments[0]('sent'), () => arguments[0]('refused'))"
    )
    assert fetched == "refused"  # by the page's own policy


def test_one_feature_weights_and_soft_labels(chromium, folder):
    x = np.array([[-10.0], [-9], [-1], [-0.5], [0.5], [1], [9], [10]])
    soft = np.array([0.9, 1, 0, 0.2, 1, 1, 0, 0])
    y = np.column_stack([1 - soft, soft])
    weight = np.array([1.0, 2, 1, 0, 3, 1, 1, 2])
    neuron = fitted(x, y, weight, alpha=1e-3)
    page = replay_page(neuron, x, y, folder / "one.html", sample_weight=weight)
    open_at(chromium, page, sample=4)
    shown = numbers(chromium, "factors")
    theta = np.append(neuron.coef_, neuron.intercept_)
    z = chain_rule.z(x[4], theta[:1], theta[1])
    dl_dz = chain_rule.dl_dz(soft[4], z)
    assert shown["dz/dw"] == [0.5]
    assert shown["part of dJ/db"][0] == pytest.approx(dl_dz * 3 / 11, rel=1e-12)
    assert numbers(chromium, "parts")["x0"][3] == pytest.approx(dl_dz * 0.5 * 3 / 11, rel=1e-12)
    assert chromium.run("return document.getElementById('figures-card').hidden")
    assert chromium.errors() == []


def test_a_second_run_is_told_from_the_first(chromium, folder):
    """From w = 8 the descent ends in the higher valley, and training goes on from the lower."""
    x = np.array([[-10.0], [-9], [-1], [-0.5], [0.5], [1], [9], [10]])
    y = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    neuron = fitted(x, y, alpha=1e-3, init=[8.0, 0.0])
    table = trace(neuron, x, y)
    assert table["run"].max() == 2
    page = replay_page(neuron, x, y, folder / "runs.html")
    for step in (3, len(table) - 1):
        open_at(chromium, page, step=step)
        run, iteration = int(table["run"][step]), int(table["iteration"][step])
        last = table["iteration"][table["run"] == run].max()
        assert text(chromium, "where") == f"run {run}, iteration {iteration} of {last}"
        (w,) = numbers(chromium, "parameters")["x0"]
        assert w == table["x0"][step]
    assert chromium.errors() == []


def test_a_replay_is_the_trace():
    neuron = fitted(X, LABELS, optimizer="adam", batch_size=64, max_iter=20)
    replay = Replay.from_neuron(neuron, X, LABELS)
    table = trace(neuron, X, LABELS)
    np.testing.assert_array_equal(replay.theta, table.iloc[:, 4:])
    for name in ("run", "iteration", "J", "gradient_max"):
        np.testing.assert_array_equal(getattr(replay, name), table[name])
    np.testing.assert_array_equal(replay.y, np.asarray(LABELS == "malignant", dtype=float))
    np.testing.assert_array_equal(replay.X, X)
    for step in (0, 20):
        w, b = replay.theta[step, :-1], replay.theta[step, -1]
        gradient = np.append(
            chain_rule.dJ_dw(X, Y, w, b) + replay.alpha * w, chain_rule.dJ_db(X, Y, w, b)
        )
        np.testing.assert_allclose(replay.gradient[step], gradient, atol=1e-15)
        assert np.abs(gradient).max() == pytest.approx(replay.gradient_max[step], rel=1e-12)
    assert replay.classes == ("benign", "malignant")
    assert replay.kept == 20


def test_early_stopping_keeps_a_step_before_the_last():
    neuron = fitted(X, LABELS, optimizer="adam", learning_rate=0.5, early_stopping=True)
    replay = Replay.from_neuron(neuron, X, LABELS)
    assert replay.kept < len(replay.theta) - 1
    np.testing.assert_array_equal(replay.theta[replay.kept], [*neuron.coef_[0], *neuron.intercept_])


def test_sparse_rows_are_shown_as_numbers():
    from scipy.sparse import csr_array

    X_sparse = csr_array(np.where(np.abs(X) > 1, X, 0))
    replay = Replay.from_neuron(fitted(X_sparse, LABELS), X_sparse, LABELS)
    np.testing.assert_array_equal(replay.X, X_sparse.toarray())


def test_very_large_runs_are_thinned_and_say_so(chromium, folder):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(700, 300))
    y = rows[:, 0] + 0.5 * rng.normal(size=700) > 0
    neuron = fitted(rows, y, optimizer="gradient_descent", max_iter=230, tol=0)
    replay = Replay.from_neuron(neuron, rows, y)
    assert len(replay.theta) < 231 == replay.n_iter
    assert (replay.steps[0], replay.steps[-1], replay.kept) == (0, 230, len(replay.steps) - 1)
    np.testing.assert_array_equal(replay.X, rows[replay.shown])
    assert len(replay.X) < 700 == replay.n_samples
    page = replay.to_html(folder / "large.html")
    assert page.stat().st_size < 3e6
    open_at(chromium, page)
    held = f"{len(replay.X)} of 700 samples and {len(replay.theta)} of 231 iterations"
    assert held in text(chromium, "selection")
    assert text(chromium, "where") == "iteration 230 of 230"
    missing = np.setdiff1d(np.arange(700), replay.shown)[0]
    field = chromium.driver.find_element("id", "sample")
    field.send_keys(CONTROL + "a")
    field.send_keys(str(missing))
    assert not chromium.run("return document.getElementById('sample').checkValidity()")
    assert chromium.errors() == []


def test_feature_names_can_be_given(tmp_path):
    names = [f"measurement {j}" for j in range(30)]
    page = replay_page(fitted(X, LABELS), X, LABELS, tmp_path / "a.html", feature_names=names)
    assert "measurement 29" in page.read_text(encoding="utf-8")


def several():
    return fitted(X[:9], np.arange(9) % 3, max_iter=1)


@pytest.mark.parametrize(
    ("neuron", "options", "words"),
    [
        (lambda: fitted(X, LABELS), {"X_test": X}, "X_test and y_test must be given together"),
        (lambda: fitted(X, LABELS), {"feature_names": ["a"]}, "a name for each of 30 features"),
        (lambda: fitted(X, LABELS), {"parameters": (0, 99)}, "a number from 0 to 30.*got 99"),
        (lambda: fitted(X, LABELS), {"sample_weight": 1 + Y}, "must end where the neuron did"),
        (lambda: fitted(X[::2], LABELS[::2]), {}, "give the samples and weights that it was"),
        (several, {}, "fitted to two classes"),
        (lambda: make_pipeline(LogisticNeuron()), {}, "got Pipeline; of a pipeline give"),
    ],
)
def test_what_cannot_be_replayed_is_told(tmp_path, neuron, options, words):
    with pytest.raises(ValueError, match=words):
        replay_page(neuron(), X, LABELS, tmp_path / "a.html", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_neuron_must_be_fitted_and_not_too_wide(tmp_path):
    with pytest.raises(NotFittedError):
        replay_page(LogisticNeuron(), X, LABELS, tmp_path / "a.html")
    wide = np.zeros((2, 40_000))
    wide[1] = 1
    with pytest.raises(ValueError, match="at most 32767 features, got 40000"):
        replay_page(fitted(wide, [0, 1], max_iter=1), wide, [0, 1], tmp_path / "a.html")


def test_where_nothing_can_be_written_is_told_first(tmp_path):
    for path, words in (
        (tmp_path, "must name a file, got the folder"),
        (tmp_path / "nowhere" / "a.html", "in a folder that exists"),
        (Path(tmp_path, "nowhere", "a.html").as_posix(), "make the folder first"),
    ):
        with pytest.raises(ValueError, match=words):
            replay_page(LogisticNeuron(), X, LABELS, path)


def test_a_neuron_writes_its_replay(tmp_path):
    X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "yes", "no", "yes"]
    neuron = LogisticNeuron().fit(X, y)
    path = neuron.to_html(tmp_path / "run.html", X, y, title="Four points")
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Four points: replay" in page
