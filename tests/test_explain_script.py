"""`python scripts/explain.py`: every screen fits a terminal, and its numbers are right."""

import os
import pty
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from string import Formatter

import numpy as np
import pytest

from trainer import LogisticNeuron, explain, list_datasets, load_dataset, make_preprocessor
from trainer.commands import explain as script
from trainer.commands import screens
from trainer.core.termination import REASONS, message

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "explain.py"


@lru_cache
def pages(*argv):
    options = script.make_parser().parse_args(argv)
    data = load_dataset(options.data, target=options.target, positive=options.positive)
    return dict(screens.screens(options, data))


def numbers(text, name):
    """All numbers that the text says a name has, as in "name = -0.16"."""
    found = re.findall(rf"(?m){re.escape(name)} *= (-?[0-9.]+(?:e[-+]?[0-9]+)?)$", text)
    assert found, name
    return [float(number) for number in found]


def fits(pages):
    """80 columns, and with the title, its rule, a blank line and the keys 24 lines."""
    assert len(script.KEYS) < 80
    for title, text in pages.items():
        assert len(text.splitlines()) + 4 <= 24, title
        assert max(map(len, text.splitlines())) <= 80, title
        assert "nan" not in text.split(), title


def test_the_lessons_numbers_are_on_the_screens():
    shown = pages()
    assert next(iter(shown)) == "The forward pass"
    for value in ("= 0.6\n", "0.6456563062257954", "0.12555945331754728"):
        assert value in shown["The forward pass"] + "\n"
    for value in ("0.6899744811276125", "0.0961158223520931", "from 0.3 to 0.5"):
        assert value in shown["Move the weight"]
    assert "= -0.708687" in shown["First factor: dl/dσ"]  # 2(0.645656 - 1)
    assert "= 0.228784" in shown["Second factor: dσ/dz"]  # 0.645656 (1 - 0.645656)
    assert shown["Third factor, and the product"].count("= -0.162137") == 2


def sigma(z):
    return 0.5 * (1 + np.tanh(z / 2))


@pytest.mark.parametrize(
    "point",
    [(0.3, 0.3, 1, 1), (-10, 0.3, 1, 1), (0.7, -1.25, -2.5, 0), (3, 0, 0, 1), (90, 9, 9, 0)],
)
def test_the_numbers_follow_the_options(point):
    w, b, x, y = point
    options = [f"--{name}={value}" for name, value in zip("wbxy", point, strict=True)]
    shown = pages(*options, "--steps", "3", "--learning-rate", "0.5")
    fits(shown)
    z = w * x + b
    s = sigma(z)
    assert float(re.search(r"l = .*\n +(= .*)", shown["The forward pass"]).group(1)[2:]) == (
        pytest.approx((y - s) ** 2, rel=1e-12, abs=1e-30)
    )
    slope = 2 * (s - y) * s * (1 - s)
    back = shown["Backpropagation"]
    for name, value in (
        ("dl/dσ = 2·(σ - y)", 2 * (s - y)),
        ("dl/dz = dl/dσ · dσ/dz", slope),
        ("dl/dw = dl/dz · dz/dw", slope * x),
        ("dl/db = dl/dz · dz/db", slope),
    ):
        assert numbers(back, name) == [pytest.approx(value, rel=1e-5, abs=1e-15)]
    test = shown["The nudge test"]
    J = [(y - sigma(at * x + b)) ** 2 for at in (w - 1e-3, w, w + 1e-3)]
    assert numbers(test, "J(w + 0.001) - J(w)")[0] == pytest.approx(
        J[2] - J[1], rel=1e-5, abs=1e-15
    )
    assert numbers(test, "dJ/dw")[-1] == pytest.approx(slope * x, abs=1e-9)
    by_hand = [w, b]
    for _ in range(3):
        s = sigma(by_hand[0] * x + by_hand[1])
        pull = 2 * (s - y) * s * (1 - s)
        by_hand = [by_hand[0] - 0.5 * pull * x, by_hand[1] - 0.5 * pull]
    last = shown["Gradient descent by hand"].splitlines()[-3].split()
    assert [float(value) for value in last[:3]] == pytest.approx([3, *by_hand], abs=1e-6)
    steps = shown["The same steps by the trainer"]
    for name, value in zip("wb", by_hand, strict=True):
        both = re.search(rf"(?m)^ +{name} +(\S+) +(\S+)$", steps).groups()
        assert [float(v) for v in both] == pytest.approx([value, value], rel=1e-13)


@pytest.mark.parametrize("name", list_datasets())
def test_every_data_set_fits_the_screens(name):
    shown = pages("--data", name, "--row", "3")
    fits(shown)
    data = load_dataset(name)
    X = np.asarray(make_preprocessor(data.X).fit_transform(data.X))
    y = (data.y == data.positive).astype(int)
    gradient = np.append((0.25 * (1 - 2 * y)) @ X, np.sum(0.25 * (1 - 2 * y))) / len(y)
    table = shown["Many inputs, many samples"].splitlines()
    inside = [line.split() for line in table if line.startswith("    ") and "=" not in line]
    assert [float(line[-1]) for line in inside[:-1]] == pytest.approx(
        sorted(gradient[:-1], key=abs, reverse=True)[: len(inside) - 1], abs=5.1e-5
    )
    assert float(inside[-1][-1]) == pytest.approx(gradient[-1], abs=5.1e-5)


def test_of_three_classes_one_is_chosen(capsys):
    """The command that an error names is one that works."""
    assert script.main(["--data", str(ROOT / "data" / "iris.csv"), "--all"]) == 2
    added = shlex.split(capsys.readouterr().err.split(" --all ")[1])
    assert added == ["--target", "species", "--positive", "virginica"]
    shown = pages("--data", str(ROOT / "data" / "iris.csv"), *added)
    fits(shown)
    assert "virginica" in shown["Many inputs, many samples"]


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "a.csv"
    table = "size,town,bought\n1,Kyiv,yes\n2,Oslo,no\n3,Kyiv,yes\n4,,no\n"
    path.write_text(table)
    shown = pages("--data", str(path), "--target", "bought", "--row", "3")
    fits(shown)
    assert "4 samples of 4 inputs. y = 1 stands for yes" in shown["Many inputs, many samples"]
    assert "These are all 4 inputs" in shown["Many inputs, many samples"]
    long = tmp_path / f"{'a long name ' * 9}.csv"
    long.write_text(table.replace("yes", "yes as far as we know " * 4))
    fits(pages("--data", str(long), "--target", "bought", "--row", "3"))


def test_zeros_have_no_sign_and_wide_numbers_a_gap():
    shown = pages("--x", "0")
    assert not any(re.search(r"-0(\.0+)?(e[-+]00)?(?![\d.e])", text) for text in shown.values())
    wide = pages("--w=0", "--b=0", "--x=-1000", "--learning-rate=1000")["Gradient descent by hand"]
    assert "  1      -250000   250.000000 " in wide


def test_the_first_screen_says_what_its_numbers_need():
    title = "The forward pass"
    assert "it is 0 in every digit" in pages("--w", "40")[title]
    assert "last digits may differ" in pages("--w=-1.5")[title]
    assert "last digits" not in pages()[title]


def test_random_options_fit():
    rng = np.random.default_rng(0)
    for _ in range(30):
        w, b, x = (round(value, int(rng.integers(0, 9))) for value in rng.uniform(-1000, 1000, 3))
        scale = 10.0 ** rng.integers(-3, 1)
        options = [f"--{k}={v * scale}" for k, v in (("w", w), ("b", b), ("x", x))]
        parsed = script.make_parser().parse_args([*options, f"--y={rng.integers(0, 2)}"])
        point = (parsed.x, parsed.y, parsed.w, parsed.b)
        names = ("forward_pass", "move", "first_factor", "second_factor", "product")
        fits(
            {name: getattr(screens, name)(*point) for name in (*names, "backpropagation", "nudge")}
        )
        taken = screens.descend(*point, 30, 1.0)
        fits({"by hand": screens.descent(taken, 1.0)})
        fits({"trainer": screens.by_trainer(*point[:2], taken, 1.0)})


def test_the_end_is_the_trainers():
    data = load_dataset("breast_cancer")
    X = make_preprocessor(data.X).fit_transform(data.X)
    neuron = LogisticNeuron(n_starts=1, random_state=0).fit(X, data.y == data.positive)
    text = pages()["Trained to the end"]
    assert list(pages())[12 - 1] == "Trained to the end"  # screen 10 refers to it
    penalised = neuron.loss_curve_[-1]
    assert re.search(rf"J \+ penalty .* {penalised:.6f}\n", text)
    penalty = neuron.alpha_ / 2 * np.sum(neuron.coef_**2)
    alone = float(re.search(r"J alone is\s+([\d.]+)\.", text).group(1))
    assert alone == pytest.approx(penalised - penalty, abs=1e-6)
    right = neuron.score(X, data.y == data.positive)
    assert f"{right:.1%} of the samples" in " ".join(text.split())


@pytest.mark.parametrize("reason", REASONS)
def test_every_ending_fits_the_screen(reason):
    data = load_dataset("moons")
    neuron = LogisticNeuron(n_starts=1).fit(data.X, data.y == data.positive)
    start = explain((np.zeros(2), 0.0), data.X, data.y == data.positive)
    fields = {part[1] for part in Formatter().parse(REASONS[reason].message) if part[1]}
    values = dict.fromkeys(fields, -1.2345e-100)  # as wide as numbers get
    values |= dict.fromkeys(fields & {"max_iter", "n_iter", "n_rows", "patience"}, 1000)
    neuron.n_iter_, neuron.alpha_ = 1000, 1.2345e-10
    neuron.termination_ = replace(neuron.termination_, message=message(reason, **values))
    text = screens.to_the_end(neuron, data.X, (data.y == data.positive).astype(int), start, 499)
    fits({"Trained to the end": text})


def run(*arguments, **options):
    command = [sys.executable, "-W", "error", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_without_a_terminal_all_screens_are_printed():
    done = run(stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "13 of 13" in done.stdout
    assert "\033" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--w", "much"], "argument --w: must be a number from -1000 to 1000, got 'much'"),
        (["--b", "nan"], "must be a number from -1000 to 1000"),
        (["--y", "2"], "must be 0 or 1"),
        (["--steps", "0"], "an integer from 1 to 1000"),
        (["--learning-rate", "-1"], "a number above 0"),
        (["--row", "569"], "--row must be below 569, the number of rows of breast_cancer"),
        (["--data", "brest_cancer"], "breast_cancer"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--nothing"], "unrecognized arguments"),
    ],
)
def test_bad_options_are_one_line_and_status_2(arguments, words, capsys):
    assert script.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("explain.py: error: ")
    assert words in err
    assert err.count("\n") == 1


def test_keys_lead_on_back_and_out():
    leader, follower = pty.openpty()
    command = [sys.executable, str(SCRIPT), "--data", "iris"]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    seen = b""
    for key in (b"\n", b"b\n", b"\n", b"\n", b"q\n"):
        while not seen.endswith(script.KEYS.encode()):
            seen += os.read(leader, 4096)
        seen += b"*"  # this page has been seen
        os.write(leader, key)
    assert process.wait(timeout=30) == 0
    os.close(leader)
    assert re.findall(r"(\d+) of 13", seen.decode()) == ["1", "2", "1", "2", "3"]


def test_the_reader_may_stop_reading():
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0
