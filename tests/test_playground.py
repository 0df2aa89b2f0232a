"""The playground in a real browser: its numbers are the trainer's, and it works as a page."""

import csv
import importlib.util
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, mpf
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, chain_rule, trace

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "playground.html"
SCRIPT = ROOT / "scripts" / "playground.py"
RULES = ["gradient_descent", "momentum", "nesterov", "adam", "normalized_gradient_descent"]
LOSSES = ("squared_error", "cross_entropy")


def build_script():
    spec = importlib.util.spec_from_file_location("playground", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DATA = build_script().datasets()


@pytest.fixture
def page(chromium):
    """Open the page at an address; afterwards the console must be empty, and nothing fetched."""

    def go(address="", **window):
        chromium.open(PAGE.as_uri() + address, **window)
        return chromium.driver

    yield go
    assert chromium.errors() == []
    assert {url.split("#")[0] for url in chromium.requests()} <= {PAGE.as_uri()}


def js(driver, code, *arguments):
    return driver.execute_script(code, *arguments)


def shown(driver, place, name):
    """The number that the page shows, to all digits; None where it says "not yet"."""
    found = js(
        driver,
        "const node = document.querySelector(`${arguments[0]} [data-q='${arguments[1]}']`);"
        "return [node.textContent, node.dataset.value ?? null]",
        f"#{place}",
        name,
    )
    assert (found[0] == "not yet") == (found[1] is None)
    return None if found[1] is None else float(found[1])


def press(driver, name):
    js(driver, "document.getElementById(arguments[0]).focus()", name)
    driver.find_element("id", name).click()


def iteration(driver):
    return int(js(driver, "return document.getElementById('k').textContent"))


def address(driver, last):
    """The fragment of the address, which follows the settings a little later."""
    wait_for(lambda: js(driver, "return location.hash").endswith(last))
    return js(driver, "return location.hash")


def text(driver, name):
    return js(driver, "return document.getElementById(arguments[0]).textContent", name)


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def change(driver, name, value):
    """Set a field as its user does."""
    js(
        driver,
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('change'))",
        name,
        value,
    )


def neuron(optimizer, rate, steps, alpha=0.0, bias=True, start=None):
    """The trainer's neuron that takes this many steps, wherever they lead."""
    return LogisticNeuron(
        optimizer=optimizer,
        learning_rate=rate,
        max_iter=steps,
        tol=0,
        alpha=alpha,
        fit_intercept=bias,
        init=start,
    )


# ------------------------------------------------------------------------------- the file


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == build_script().page(), f"run python {SCRIPT.name}"


def test_the_script_writes_where_it_is_told(tmp_path, capsys):
    main = build_script().main
    target = tmp_path / "page.html"
    assert main([str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_bytes() == PAGE.read_bytes()
    assert main([str(tmp_path / "missing" / "page.html")]) == 2
    assert re.fullmatch(
        r"playground.py: error: .* cannot be written: .*\n", capsys.readouterr().err
    )
    assert main(["--what"]) == 2


def tokens(theme):
    """The colours of the shared style sheet in one theme."""
    css = (ROOT / "trainer" / "web" / "style.css").read_text(encoding="utf-8")
    light, system, dark = re.findall(r":root[^{]*\{([^}]*)\}", css)
    colours = [dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in (light, system, dark)]
    assert colours[1] == colours[2]  # the system's dark theme and the one asked for
    return colours[0] if theme == "light" else colours[0] | colours[2]


def contrast(a, b):
    """WCAG 2.2's contrast ratio of two colours."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(theme):
    colours = tokens(theme)
    for name in ("ink", "muted", "backward", "error", "focus"):
        for ground in ("card", "page"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in ("class-0", "class-1", "loss-1", "loss-2", "line-strong"):
        assert contrast(colours[name], colours["card"]) >= 3, name


# ------------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("optimizer", RULES)
def test_every_step_is_the_trainers(page, optimizer):
    driver = page()
    for name, alpha in [("moons", 0.01), ("outliers", 0.0), ("valleys", 1e-3)]:
        for rate in ("auto", 0.3):
            data = DATA[name]
            bias = data["bias"]
            start = [2.0, 0.0] if name == "valleys" else [0.5, -1.0, 0.25]
            found = js(
                driver,
                """
                const [X, y, alpha, bias, start, optimizer, rate, n] = arguments;
                const cost = Neuron.objective({ X, y, loss: "squared_error", alpha, bias });
                let state = Neuron.init(cost, optimizer, rate, start);
                const rows = [];
                for (let k = 0; k <= n; k++, state = Neuron.step(cost, optimizer, state))
                  rows.push([state.J, Math.max(...state.gradient.map(Math.abs)), ...state.theta]);
                return rows
                """,
                *(data["X"], data["y"], alpha, bias, start, optimizer, rate, 300),
            )
            steps = trace(neuron(optimizer, rate, 300, alpha, bias, start), data["X"], data["y"])
            expected = steps.drop(columns=["run", "iteration"]).to_numpy()
            end = len(expected)
            if optimizer == "normalized_gradient_descent":
                # At the minimum rounding decides whether J has risen, and with it the next rate.
                J = expected[:, 0]
                end = np.append(np.flatnonzero(np.abs(np.diff(J)) < 1e-15 * J[1:]), end)[0]
            assert end > 30
            np.testing.assert_allclose(found[:end], expected[:end], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer", RULES)
def test_the_step_button_takes_the_trainers_step(page, optimizer):
    data = DATA["flipped"]
    driver = page(f"#data=flipped&optimizer={optimizer}&alpha=0.001")
    steps = trace(neuron(optimizer, "auto", 12, 0.001), data["X"], data["y"])
    press(driver, "step")
    rows = js(
        driver,
        """
        const names = ["J", "w0", "w1", "wb", "gradient0", "gradient1", "gradient2"];
        const rows = [];
        for (let k = 1; k <= 12; k++, document.getElementById("step").click())
          rows.push(names.map((q) =>
            Number(document.querySelector(`#squared_error [data-q=${q}]`).dataset.value)));
        return rows;
        """,
    )
    assert iteration(driver) == 13
    found, gradients = np.split(np.array(rows), [4], axis=1)
    expected = steps[["J", "x0", "x1", "intercept"]].to_numpy()[1:]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    largest = np.abs(gradients).max(axis=1)
    np.testing.assert_allclose(largest, steps.gradient_max[1:], rtol=1e-12, atol=1e-12)


def test_the_lessons_point_walks_as_in_the_lesson(page):
    driver = page("#data=lesson&rate=2")
    w, b = 0.3, 0.3
    for _ in range(6):
        press(driver, "step")
        slopes = [f(x=1.0, y=1.0, w=w, b=b) for f in (chain_rule.dJ_dw, chain_rule.dJ_db)]
        w, b = w - 2 * slopes[0], b - 2 * slopes[1]
        found = [shown(driver, "squared_error", q) for q in ("w0", "wb", "z", "sigma", "l")]
        sigma = chain_rule.h(x=1.0, w=w, b=b)
        expected = [w, b, w + b, sigma, (1 - sigma) ** 2]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        factors = [shown(driver, "squared_error", q) for q in ("dl_dsig", "dsig_dz", "dz_dw0")]
        np.testing.assert_allclose(factors[:2], [2 * (sigma - 1), sigma * (1 - sigma)], rtol=1e-12)
        product = shown(driver, "squared_error", "dl_dw0")
        assert product == pytest.approx(np.prod(factors), rel=1e-14)
        assert product == pytest.approx(chain_rule.dJ_dw(x=1.0, y=1.0, w=w, b=b), rel=1e-12)


def logistic(z):
    return 1 / (1 + np.exp(-z))


def complex_step(cost, theta):
    """Gradient of a cost of θ to all digits."""
    steps = theta + 1e-30j * np.eye(len(theta))
    return np.array([cost(step).imag for step in steps]) / 1e-30


def descend(cost, theta, rate, steps):
    for _ in range(steps):
        theta = theta - rate * complex_step(cost, theta)
    return theta


def test_cross_entropy_walks_down_its_own_gradient(page):
    data = DATA["moons"]
    X, y = np.array(data["X"]), np.array(data["y"])

    def cost(theta):
        sigma = logistic(X @ theta[:2] + theta[2])
        return -np.mean(y * np.log(sigma) + (1 - y) * np.log(1 - sigma))

    theta = descend(cost, np.array([1.0, 1.0, 0.0]), 0.7, 50)
    driver = page("#data=moons&rate=0.7&w=1,1&steps=50")
    found = [shown(driver, "cross_entropy", q) for q in ("w0", "w1", "wb")]
    np.testing.assert_allclose(found, theta, rtol=1e-12)
    J = log_loss(y, logistic(X @ theta[:2] + theta[2]))
    assert shown(driver, "cross_entropy", "J") == pytest.approx(J, rel=1e-12)


def test_tensorflow_playgrounds_neuron_is_this_one_doubled(page):
    data = DATA["circles"]
    X, t = np.array(data["X"]), 2 * np.array(data["y"]) - 1

    def cost(theta):  # its own loss, and L2 as strong as α = 0.01 is here
        penalty = 8 * 0.01 / 2 * (theta[:2] @ theta[:2])
        return np.mean((np.tanh(X @ theta[:2] + theta[2]) - t) ** 2) / 2 + penalty

    theta = descend(cost, np.array([0.5, -0.25, 1.0]), 0.4 / 8, 40)
    driver = page("#data=circles&rate=0.4&alpha=0.01&w=1,-0.5&b=2&steps=40")
    found = [shown(driver, "squared_error", q) for q in ("w0", "w1", "wb")]
    np.testing.assert_allclose(found, 2 * theta, rtol=1e-12)
    apart = float(js(driver, "return document.getElementById('tensorflow-run').dataset.value"))
    assert apart < 1e-13
    table = js(
        driver,
        "return [...document.querySelectorAll('#tensorflow tbody tr')].map((row) =>"
        " [row.cells[0].textContent, row.cells[3].dataset.value, row.cells[4].textContent])",
    )
    rows = {name: (float(value), ratio) for name, value, ratio in table}
    z = X[0] @ theta[:2] + theta[2]
    assert rows["(y − σ)²"][0] == pytest.approx((np.tanh(z) - t[0]) ** 2 / 2, rel=1e-11)
    slope = (np.tanh(z) - t[0]) / np.cosh(z) ** 2
    assert rows["dl/dw₁"][0] == pytest.approx(slope * X[0, 0], rel=1e-11)
    ratios = {name: ratio for name, (_, ratio) in rows.items()}
    assert ratios["w₁"] == ratios["z"] == "0.5"
    assert (ratios["(y − σ)²"], ratios["dl/dw₁"]) == ("2", "4")


def test_the_factors_are_exact_on_both_tails(page):
    zs = [-700.0, -40.0, -17.3, -0.1, 0.0, 2.5, 36.9, 500.0]
    found = js(
        page(),
        """
        const names = ["l", "dl_dsig", "dsig_dz", "dl_dz"];
        const of = (loss, y, z) => {
          const row = Neuron.explain(Neuron.LOSSES[loss], [z, 0], [1], y);
          return names.map((q) => row[q]);
        };
        return arguments[0].map((z) => [0, 1, 0.25].map((y) =>
          ["squared_error", "cross_entropy"].map((loss) => of(loss, y, z))));
        """,
        zs,
    )
    with mp.workdps(400):
        for z, by_label in zip(zs, found, strict=True):
            for y, (squared, entropy) in zip((0, 1, 0.25), by_label, strict=True):
                sigma = 1 / (1 + mp.exp(-mpf(z)))
                v, e = sigma * (1 - sigma), sigma - mpf(y)
                loss = -(mpf(y) * mp.log(sigma) + (1 - mpf(y)) * mp.log(1 - sigma))
                rel = 1e-14 if y in (0, 1) else 1e-13
                expected = [e**2, 2 * e, v, 2 * e * v]
                assert squared == pytest.approx([float(q) for q in expected], rel=rel, abs=1e-307)
                expected = [loss, e / v, v, e]
                assert entropy == pytest.approx([float(q) for q in expected], rel=rel, abs=1e-307)


def test_the_landscapes_have_the_minima_they_are_said_to_have(page):
    """The values are those of the issue and of Auer, Herbster and Warmuth's eight points."""
    places = [("valleys", [-0.22, 0], 0.153), ("valleys", [3.83, 0], 0.512)]
    places += [("eight", [0.00200088, 0.00200088, 0], 0.203013)]
    places += [("eight", [-0.02006859, 0.19498181, 0], 0.359753)]
    driver = page()
    for name, theta, J in places:
        data = DATA[name]
        cost, slope = js(
            driver,
            """
            const [{ X, y, alpha, bias }, theta] = arguments;
            const cost = Neuron.objective({ X, y, loss: "squared_error", alpha, bias });
            return [cost.value(theta), cost.gradient(theta)]
            """,
            data,
            theta,
        )
        assert cost == pytest.approx(J, abs=5e-4 if name == "valleys" else 5e-7)
        assert np.abs(slope).max() < 2e-3


# -------------------------------------------------------------------------- what one sees


def test_nothing_is_shown_as_computed_before_it_is(page):
    driver = page("#data=lesson")
    forward, backward = ("z", "sigma", "l"), ("dl_dsig", "dsig_dz", "dl_dz", "dz_dw0", "dl_dw0")

    def known(names):
        return {shown(driver, loss, q) is not None for loss in LOSSES for q in names}

    assert known(forward) == known(backward) == {False}
    assert shown(driver, "squared_error", "J") is None
    press(driver, "forward")
    assert (known(forward), known(backward)) == ({True}, {False})
    assert shown(driver, "squared_error", "z") == 0.6
    assert not driver.find_element("id", "update").is_enabled()
    press(driver, "backward")
    assert known(backward) == {True}
    press(driver, "update")
    assert iteration(driver) == 1
    assert known(forward) == known(backward) == {False}
    assert shown(driver, "squared_error", "w0") != 0.3
    press(driver, "back")
    assert iteration(driver) == 0
    assert known(backward) == {True}


def test_saturation_is_seen(page):
    driver = page()
    driver.find_element("partial link text", "Saturation").click()
    assert iteration(driver) == 20
    assert abs(shown(driver, "squared_error", "w0") + 10) < 0.01
    assert shown(driver, "cross_entropy", "w0") > -5
    press(driver, "reset")
    press(driver, "forward")
    press(driver, "backward")
    assert shown(driver, "squared_error", "dl_dsig") == pytest.approx(-2, abs=1e-3)
    assert abs(shown(driver, "squared_error", "dl_dz")) < 2e-4
    assert shown(driver, "cross_entropy", "dl_dz") == pytest.approx(-1, abs=1e-3)


def test_a_click_on_a_sample_shows_its_factors(page):
    data = DATA["moons"]
    driver = page("#data=moons&rate=1&steps=5")
    x, y = js(
        driver,
        """
        const plot = document.getElementById("plot-data");
        plot.scrollIntoView({ block: "center" });
        const mark = plot.querySelectorAll(".class-1, .class-0")[17].getBoundingClientRect();
        return [mark.x + mark.width / 2, mark.y + mark.height / 2];
        """,
    )
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    mouse = ActionChains(driver)
    assert isinstance(mouse.w3c_actions.pointer_action.source, PointerInput)
    mouse.w3c_actions.pointer_action.move_to_location(int(x), int(y))
    mouse.perform()
    assert text(driver, "tooltip").startswith("Sample 18: ")
    mouse = ActionChains(driver)
    mouse.w3c_actions.pointer_action.move_to_location(int(x), int(y)).click()
    mouse.perform()
    assert text(driver, "sample-title") == "sample 18 of 120"
    *w, b = (shown(driver, "squared_error", q) for q in ("w0", "w1", "wb"))
    row = np.array(data["X"][17])
    z = float(row @ w + b)
    sigma = logistic(z)
    expected = {
        "z": z,
        "sigma": sigma,
        "dl_dsig": 2 * (sigma - data["y"][17]),
        "dsig_dz": sigma * (1 - sigma),
        "dl_dw1": 2 * (sigma - data["y"][17]) * sigma * (1 - sigma) * row[1],
    }
    for place in ("squared_error", "chain"):
        for q, value in expected.items():
            assert shown(driver, place, q) == pytest.approx(value, rel=1e-12), q


def test_the_foot_of_the_table_is_the_gradient(page):
    driver = page("#data=moons&alpha=0.1&rate=1&steps=3")
    driver.find_element("css selector", "#all summary").click()
    wait_for(lambda: js(driver, "return document.querySelector('#rows tbody').rows.length"))
    rows = js(
        driver,
        "return [...document.querySelectorAll('#rows tbody tr')].map((row) =>"
        " [...row.cells].map((cell) => cell.dataset.value ?? null))",
    )
    foot = js(
        driver,
        "return [...document.querySelectorAll('#rows tfoot tr:last-child td')].slice(-3)"
        ".map((cell) => Number(cell.dataset.value))",
    )
    assert len(rows) == 120
    mean = np.array([row[-3:] for row in rows], dtype=float).mean(axis=0)
    theta = [shown(driver, "squared_error", q) for q in ("w0", "w1")]
    np.testing.assert_allclose(foot, mean + 0.1 * np.array([*theta, 0]), rtol=1e-12, atol=1e-15)
    shown_there = [shown(driver, "squared_error", f"gradient{j}") for j in range(3)]
    assert foot == shown_there


def test_a_click_on_the_cost_starts_there(page):
    driver = page("#data=valleys&steps=5")
    plot = driver.find_element("id", "plot-squared_error")
    js(driver, "arguments[0].scrollIntoView({ block: 'center' })", plot)
    from selenium.webdriver import ActionChains

    ActionChains(driver).move_to_element_with_offset(plot, 60, 0).click().perform()
    assert iteration(driver) == 0
    start = shown(driver, "squared_error", "w0")
    assert 1 < start < 8
    assert start == shown(driver, "cross_entropy", "w0")
    assert js(driver, "return document.getElementById('start-0').value") == str(start)


def test_play_pause_and_the_slider_move_every_view(page):
    def picture():
        return js(
            driver,
            "return ['data', 'squared_error', 'cross_entropy', 'loss'].map((name) =>"
            " document.querySelector(`#plot-${name} svg`).outerHTML)",
        )

    driver = page("#data=blobs&rate=1")
    before = picture()
    press(driver, "play")
    wait_for(lambda: iteration(driver) >= 10)
    press(driver, "play")
    k = iteration(driver)
    assert k >= 10
    time.sleep(0.2)
    assert iteration(driver) == k
    after = picture()
    assert all(a != b for a, b in zip(before, after, strict=True))
    J = shown(driver, "squared_error", "J")
    js(
        driver,
        "const slider = document.getElementById('iteration'); slider.value = 3;"
        "slider.dispatchEvent(new Event('input'))",
    )
    assert iteration(driver) == 3
    assert shown(driver, "squared_error", "J") > J
    assert all(a != b for a, b in zip(after, picture(), strict=True))


# ---------------------------------------------------------------------------- own tables


def test_a_csv_file_of_ones_own_is_trained_on(page):
    driver = page()
    driver.find_element("id", "file").send_keys(str(ROOT / "data" / "iris.csv"))
    with open(ROOT / "data" / "iris.csv", newline="") as file:
        head, *rows = csv.reader(file)
    wait_for(lambda: js(driver, "return document.getElementById('data').value") == "own")
    positive = js(driver, "return document.getElementById('own-positive').value")
    y = np.array([row[head.index("species")] == positive for row in rows]).astype(int)
    assert (positive, y.sum()) == ("virginica", 50)
    X = StandardScaler().fit_transform(np.array([row[:2] for row in rows], dtype=float))
    for _ in range(3):
        press(driver, "step")
    steps = trace(neuron("gradient_descent", "auto", 3, 1e-4), X, y)
    found = [shown(driver, "squared_error", q) for q in ("J", "w0", "w1", "wb")]
    np.testing.assert_allclose(found, steps.loc[3].iloc[[2, 4, 5, 6]], rtol=1e-12, atol=1e-12)

    change(driver, "own-x2", "")  # one feature
    change(driver, "own-positive", "setosa")
    press(driver, "step")
    y = np.array([row[head.index("species")] == "setosa" for row in rows]).astype(int)
    steps = trace(neuron("gradient_descent", "auto", 1, 1e-4), X[:, :1], y)
    found = [shown(driver, "squared_error", q) for q in ("J", "w0", "wb")]
    np.testing.assert_allclose(found, steps.loc[1].iloc[[2, 4, 5]], rtol=1e-12, atol=1e-12)


def drop(driver, content, name="table.csv"):
    js(
        driver,
        """
        const carried = new DataTransfer();
        carried.items.add(new File([arguments[0]], arguments[1], { type: "text/csv" }));
        const fire = (type) => window.dispatchEvent(
          new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true }));
        fire("dragenter");
        window.sawDrop = !document.getElementById("drop").hidden;
        fire("drop");
        """,
        content,
        name,
    )
    assert js(driver, "return window.sawDrop && document.getElementById('drop').hidden")


def test_a_table_can_be_dropped_and_its_link_holds_it(page):
    driver = page()
    table = 'Länge;"Label; of ""two"""\r\n1,5;ja\r\n2;nein\r\n;ja\r\n-3,25;nein\r\n4;ja\r\n'
    drop(driver, "\ufeff" + table)
    wait_for(lambda: js(driver, "return document.getElementById('data').value") == "own")
    options = js(driver, "return [...document.querySelectorAll('#own-target option')]")
    assert [option.text for option in options] == ["Länge", 'Label; of "two"']
    assert "1 rows with a missing value left out" in text(driver, "description")
    driver.find_element("id", "own-standardize").click()
    for _ in range(2):
        press(driver, "step")
    X, y = [[1.5], [2.0], [-3.25], [4.0]], [0, 1, 1, 0]  # "nein" sorts last: class 1
    steps = trace(neuron("gradient_descent", "auto", 2, 1e-4), X, y)
    wanted = steps.loc[2].iloc[[2, 4, 5]]
    found = [shown(driver, "squared_error", q) for q in ("J", "w0", "wb")]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)

    wait_for(lambda: "steps=2" in js(driver, "return location.hash"))
    link = address(driver, "4,0")
    page(link)
    wait_for(lambda: [shown(driver, "squared_error", q) for q in ("J", "w0", "wb")] == found)
    assert js(driver, "return location.hash") == link


def test_a_table_that_cannot_be_used_is_explained(page):
    driver = page("#data=moons&steps=2")
    for i, (content, problem) in enumerate(
        [
            ("", "The file is empty"),
            ("a\n1\n2\n", "one column"),
            ("a,b\n1,0\n2\n", "Row 2 has 1 fields, but there are 2 columns"),
            ("a,b\n", "no rows below"),
            ("a,b\n1.5,1\n2.5,1\n", "no column but the label holds numbers"),
            ("a,b\n1.5,1\n1.5,1\n", "No column has 2 to 20 different values"),
            ("a,b\nx,0\ny,1\n", "No column but the label holds numbers"),
        ]
    ):
        drop(driver, content, f"table{i}.csv")
        wait_for(lambda i=i: text(driver, "problem").startswith(f"table{i}.csv: "))
        assert problem.lower() in text(driver, "problem").lower()
    assert js(driver, "return document.getElementById('data').value") == "moons"
    assert iteration(driver) == 2


# ----------------------------------------------------------------------------- the address


def test_the_address_holds_the_state(page):
    driver = page()
    change(driver, "data", "circles")
    change(driver, "optimizer", "adam")
    change(driver, "rate", "0,25")  # a decimal comma
    change(driver, "alpha", "0.01")
    change(driver, "start-0", "−1.5")  # a typographic minus
    change(driver, "start-b", "2")
    for _ in range(4):
        press(driver, "step")
    press(driver, "next")
    press(driver, "update")
    press(driver, "forward")
    link = address(driver, "part=1")
    parts = "data=circles optimizer=adam rate=0.25 alpha=0.01 w=-1.5,0 b=2 sample=1 steps=5 part=1"
    assert link == "#" + parts.replace(" ", "&")
    names = ("w0", "w1", "wb", "z", "l", "dl_dsig")
    before = [shown(driver, loss, q) for loss in LOSSES for q in names]
    page(link)
    assert [shown(driver, loss, q) for loss in LOSSES for q in names] == before
    assert before[5] is None
    assert text(driver, "sample-title") == "sample 2 of 120"
    assert js(driver, "return location.hash") == link


def test_an_address_that_is_wrong_is_explained(page):
    driver = page()
    for address, problem in [
        ("#data=nothing", "There is no data set “nothing”."),
        ("#optimizer=magic", "There is no optimizer “magic”."),
        ("#rate=-1", "The learning rate must be a number above 0, or auto, got “-1”."),
        ("#alpha=-0.1", "The penalty α must be 0 or a positive number, got “-0.1”."),
        ("#data=moons&w=1", "The start needs 2 weights, got “1”."),
        ("#b=Infinity", "The bias at the start must be a finite number, got “Infinity”."),
        ("#steps=1e9", "The number of steps must be a whole number from 0 to 10000, got “1e9”."),
        ("#sample=1", "The sample must be a whole number from 0 to 0, got “1”."),
        ("#data=own", "too large for a link"),
        ("#data=own&rows=1,2,3;4", "rows must each hold"),
        ("#data=<img src=x onerror=alert(1)>", "There is no data set “<img"),
    ]:
        js(driver, "location.hash = arguments[0]", address)
        wait_for(lambda problem=problem: problem in text(driver, "problem"))
        assert iteration(driver) == 0
        press(driver, "step")
        assert shown(driver, "squared_error", "J") is not None


def test_a_wrong_setting_is_explained_and_changes_nothing(page):
    driver = page("#data=lesson&steps=3")
    before = shown(driver, "squared_error", "J")
    for field, value, problem in [
        ("rate", "0", "The learning rate must be a number above 0"),
        ("alpha", "x", "The penalty α must be 0 or a positive number, got “x”."),
        ("start-b", "", "The start must be a finite number, got “”."),
    ]:
        change(driver, field, value)
        assert problem in text(driver, "problem")
        assert js(driver, f"return document.getElementById('{field}').ariaInvalid") == "true"
        assert shown(driver, "squared_error", "J") == before


def test_a_run_without_limit_ends_with_a_reason(page):
    driver = page("#data=moons&alpha=10&rate=1e30&steps=50")
    assert "choose a smaller learning rate" in text(driver, "problem")
    assert iteration(driver) < 50
    assert not driver.find_element("id", "step").is_enabled()
    press(driver, "reset")
    assert driver.find_element("id", "problem").is_displayed() is False


# ------------------------------------------------------------------------------- as a page


def test_nothing_can_leave_the_page(page, chromium):
    driver = page()
    blocked = driver.execute_async_script(
        """
        const done = arguments[0];
        const seen = [];
        addEventListener("securitypolicyviolation", (event) => {
          seen.push(event.effectiveDirective);
          if (seen.length === 2) done(seen.sort());
        });
        new Image().src = "https://example.invalid/image.png";
        fetch("https://example.invalid/").catch(() => 0);
        """
    )
    assert blocked == ["connect-src", "img-src"]
    assert any("Content Security Policy" in line for line in chromium.errors())
    chromium.requests()  # the log has those that were held back, too


@pytest.mark.parametrize("width", [1280, 900, 390, 320])
def test_the_page_fits_and_nothing_jumps(page, width):
    theme = {1280: "light", 900: "dark", 390: "dark", 320: "light"}[width]
    driver = page("#data=moons&rate=1", width=width, dark=theme == "dark")

    def boxes():
        return js(
            driver,
            "return [...document.querySelectorAll('.card')].slice(0, 8).map((card) => {"
            " const b = card.getBoundingClientRect();"
            " return [b.x, b.y + scrollY, b.width, b.height].map(Math.round) })",
        )

    time.sleep(0.1)
    assert js(driver, "return document.documentElement.scrollWidth <= innerWidth")
    before = boxes()
    for name in ("forward", "backward", "update", "step", "step"):
        js(driver, "document.getElementById(arguments[0]).click()", name)
        assert boxes() == before, name
    ground = js(driver, "return getComputedStyle(document.body).backgroundColor")
    page_colour = tokens(theme)["page"]
    assert ground == "rgb({}, {}, {})".format(*(int(page_colour[i : i + 2], 16) for i in (1, 3, 5)))
    press(driver, "theme")
    assert js(driver, "return getComputedStyle(document.body).backgroundColor") != ground
    overlapping = js(
        driver,
        """
        const texts = [...document.querySelectorAll("#squared_error .picture text")]
          .filter((t) => t.textContent);
        const boxes = texts.map((t) => [t.textContent, t.getBoundingClientRect()]);
        const hits = [];
        boxes.forEach(([s, a], i) => boxes.slice(i + 1).forEach(([t, b]) => {
          const side = a.left < b.right - 1 && b.left < a.right - 1;
          if (side && a.top < b.bottom - 4 && b.top < a.bottom - 4) hits.push([s, t]);
        }));
        return hits;
        """,
    )
    assert overlapping == []


def test_all_can_be_done_with_the_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    driver = page("#data=blobs")

    def type_key(key):
        driver.switch_to.active_element.send_keys(key)

    reached = []
    for _ in range(40):
        type_key(Keys.TAB)
        reached.append(
            js(
                driver,
                "const a = document.activeElement; const style = getComputedStyle(a);"
                "const size = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);"
                "return [a.id || a.textContent, size]",
            )
        )
    widths = dict(reached)
    wanted = "copy theme data open rate auto alpha start-0 start-b bias step play speed forward"
    for name in [*wanted.split(), "plot-data", "next"]:
        assert widths[name] >= 1, name
    js(driver, "document.getElementById('step').focus()")
    type_key(Keys.ENTER)
    type_key(Keys.SPACE)
    assert iteration(driver) == 2
    js(driver, "document.getElementById('reset').focus()")
    type_key(Keys.ENTER)
    js(driver, "document.getElementById('forward').focus()")
    for _ in range(3):  # the focus goes along with the part that is next
        type_key(Keys.ENTER)
    assert iteration(driver) == 1
    js(driver, "document.getElementById('plot-data').focus()")
    type_key(Keys.ARROW_RIGHT)
    type_key(Keys.ARROW_RIGHT)
    type_key(Keys.ARROW_LEFT)
    assert text(driver, "sample-title") == "sample 2 of 120"
    unnamed = js(
        driver,
        "const named = (e) => e.labels?.length || e.ariaLabel || e.title ||"
        " (e.tagName === 'BUTTON' && e.textContent);"
        "const controls = [...document.querySelectorAll('button, input, select')];"
        "return controls.filter((e) => !named(e)).map((e) => e.id)",
    )
    assert unnamed == []


def test_the_data_in_the_page_are_those_of_the_script():
    data = re.search(r'<script [^>]*id="datasets">(.*?)</script>', PAGE.read_text("utf-8"))
    assert json.loads(data[1]) == DATA
