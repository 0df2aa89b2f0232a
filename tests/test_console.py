"""What the command line does when its output, its settings or its process fail it."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pandas as pd
import pytest

import trainer
from trainer.commands import console, options, pictures, run_folder
from trainer.commands import train as script

SCRIPTS = Path(__file__).parents[1] / "scripts"
SCRIPT = SCRIPTS / "train.py"

FILES = {
    "loss_curve.png",
    "calibration.png",
    "decision_boundary.png",
    "history.csv",
    "metrics.json",
    "model.skops",
}
TABLE = "a,ho$_$urs,y\n" + "".join(f"{i % 7},{i % 11},{'éb'[i % 2]}\n" for i in range(60))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path


def shell(command, **environment):
    """Run a line of the shell, in which TRAIN is the script."""
    train = f"{sys.executable} {SCRIPT}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("TRAIN", train)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


# Quick answers

QUICK = {
    "help": (["train", "--help"], 0),
    "list": (["train", "--list"], 0),
    "an unknown option": (["train", "--penalty", "3"], 2),
    "a wrong number": (["train", "--alpha", "x"], 2),
    "an unknown set": (["train", "irsi"], 2),
    "no file": (["train", "gone.csv"], 2),
    "an unknown target": (["train", "table.csv", "--target", "x"], 2),
    "a place for no folder": (["train", "iris", "--output", "table.csv"], 2),
    "help of all": (["--help"], 0),
    "an unknown command": (["trian"], 2),
    "help of explain": (["explain", "--help"], 0),
    "an unknown set to explain": (["explain", "--data", "irsi"], 2),
    "help of mark": (["mark", "--help"], 0),
    "no file to mark": (["mark", "gone.py"], 2),
    "help of predict": (["predict", "--help"], 0),
    "no model": (["predict", "gone.skops", "table.csv", "-o", "-"], 2),
    "help of export": (["export", "--help"], 0),
    "no model to export": (["export", "gone.skops"], 2),
}


@pytest.mark.parametrize("case", QUICK)
def test_help_and_errors_load_nothing_heavy(case, place):
    argv, status = QUICK[case]
    code = (
        "import sys; from trainer.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        "heavy = ('numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'rich')\n"
        "print(status, [name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, *argv]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == f"{status} []"


def test_names_and_defaults_are_the_neurons():
    assert ("auto", *trainer.OPTIMIZERS) == options.OPTIMIZERS
    usual = trainer.LogisticNeuron().get_params()
    assert {name: usual[name] for name in options.DEFAULTS} == options.DEFAULTS
    parsed = vars(options.make_parser("").parse_args([]))
    assert {name: parsed[name] for name in options.DEFAULTS} == options.DEFAULTS
    assert parsed["batch_size"] is usual["batch_size"] is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("-0", 0), ("0.0", 0), ("+1", 1), ("1e-300", 1e-300), ("1.", 1), (".5", 0.5)],
)
def test_numbers_that_are_taken(text, value):
    taken = options.make_parser("").parse_args([f"--alpha={text}"]).alpha
    assert taken == value
    assert str(taken)[0] != "-"


@pytest.mark.parametrize("text", ["1e-320", "1e-400", "٣", "1_0", "0x1", " 1", "1e400", "--", ""])
def test_numbers_that_are_not_taken(text):
    with pytest.raises(ValueError, match="--alpha"):
        options.make_parser("").parse_args([f"--alpha={text}"])


def test_a_count_beyond_every_index_is_not_taken():
    with pytest.raises(
        ValueError, match="--batch-size: must be an integer >= 1, of at most 2147483647"
    ):
        options.make_parser("").parse_args(["--batch-size", "9" * 26])


# Streams


def test_closed_streams_stop_nothing(place):
    run = shell("TRAIN table.csv --target y >&- 2>&-")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert set(os.listdir("runs/table")) == FILES


def test_a_reader_that_leaves_and_settings_of_matplotlib_cost_a_line_at_most(place):
    (place / "matplotlibrc").write_text("".join(f"nonsense{i}: {i}\n" for i in range(100)))
    run = shell("TRAIN table.csv | head -1", PYTHONIOENCODING="ascii", MPLBACKEND="nonsense")
    assert run.returncode == 0
    assert run.stdout == 'table: rows of table.csv: "y" is \\xe9, or b\n'
    assert run.stderr.startswith("train.py: warning: matplotlib: Bad key nonsense0")
    assert run.stderr.endswith("and 99 more of the kind\n")
    assert run.stderr.count("\n") == 1
    assert set(os.listdir("runs/table")) == FILES


def test_a_full_disk_for_the_output_and_no_matplotlib_leave_the_rest(place):
    (place / "matplotlibrc").write_bytes(b"\xff\xfe nonsense")
    run = shell("TRAIN table.csv >/dev/full")
    assert run.returncode == 0
    lines = run.stderr.splitlines()
    assert lines[0].startswith("train.py: warning: no pictures: matplotlib does not start (")
    assert lines[1:] == [
        "train.py: warning: standard output was lost: [Errno 28] No space left on device"
    ]
    assert set(os.listdir("runs/table")) == {"history.csv", "metrics.json", "model.skops"}


@pytest.mark.parametrize("what", ["--help", "--list"])
def test_help_and_list_need_their_output(what):
    assert shell(f"TRAIN {what} | head -1").stderr == ""
    run = shell(f"TRAIN {what} >/dev/full")
    assert run.returncode == 2
    assert run.stderr.startswith("train.py: error: standard output cannot be written")
    assert run.stderr.count("\n") == 1


def test_a_stream_keeps_what_silenced_it():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "full")

    stream = console.Stream(Full())
    assert stream.write("text") == 4
    assert stream.failure.errno == 28
    assert not stream.isatty()
    assert console.Stream(None).write("text") == 4
    good = io.TextIOWrapper(io.BytesIO(), "ascii")
    console.Stream(good).write("é\udcff")
    assert good.buffer.getvalue() == rb"\xe9\udcff"


def test_what_is_printed_moves_no_cursor(capsys):
    console.say("\x1b[31mred\x07 é\n  \u202eb")
    console.tell("warning", "a\r\nb\x9b")
    out, err = capsys.readouterr()
    assert out == "\\x1b[31mred\\x07 é\n  \\u202eb\n"
    assert err == "logistic-neuron: warning: a b\\x9b\n"


def test_an_error_of_the_program_is_one_line_too(place, monkeypatch, capsys):
    monkeypatch.setattr(script, "print_data", lambda *arguments: 1 / 0)
    assert script.main(["iris"]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(
        r"train.py: internal error: ZeroDivisionError: division by zero \(.*:\d+\); .*\n", error
    )


def test_too_little_memory_is_told_of(place, monkeypatch, capsys):
    def fail(*arguments):
        raise MemoryError("9 GiB")

    monkeypatch.setattr(script, "print_data", fail)
    assert script.main(["iris"]) == 2
    assert capsys.readouterr().err.startswith("train.py: error: not enough memory; take a part")


# A terminal of 80 columns


def on_a_terminal(argv, columns=80):
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, columns))
    environment = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *argv],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**environment, "TERM": "xterm"},
    )
    os.close(its)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end has closed
            break
    os.close(ours)
    text = shown.decode().replace("\r\n", "\n")
    return process.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_no_line_is_longer_than_the_terminal_is_wide(place):
    status, text = on_a_terminal(["iris", "--epochs", "3"])
    assert status == 0
    lines = [line for line in text.split("\n") if "━" not in line]  # but for the bar
    assert max(map(len, lines)) <= 80
    text = " ".join(text.split())
    assert "virginica against the rest (setosa, versicolor)" in text
    assert text.count("max_iter = 3 iterations were not enough") == 1
    assert "Stopped after 3 iterations, before it was done (max_iter)" in text
    for argv in (["--help"], ["--list"], ["table.csv", "--target", "x" * 50]):
        status, text = on_a_terminal(argv)
        assert max(map(len, text.split("\n"))) <= 80


# Settings of matplotlib and of the environment


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"text.usetex": True}, ""),
        ({"savefig.dpi": 1e6}, ""),
        ({"axes.prop_cycle": None}, "pictures have matplotlib's own style"),
    ],
)
def test_settings_that_fail_give_way_to_the_defaults(settings, said, monkeypatch, capsys):
    import matplotlib

    with matplotlib.rc_context():
        for name, value in settings.items():
            dict.__setitem__(matplotlib.rcParams, name, value)
        found = pictures.matplotlib_settings()
        assert found is not None
        with matplotlib.rc_context(found):
            assert pictures._png(pictures._trial()).startswith(b"\x89PNG")
    assert said in capsys.readouterr().err


def test_processors_that_are_no_number(place, monkeypatch, capsys):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "all")
    assert script.main(["iris"]) == 2
    assert "LOKY_MAX_CPU_COUNT must be an integer, got 'all'; unset it" in capsys.readouterr().err


@pytest.mark.parametrize("name", [r"cost_$_per_$\frac{1}{$", "\ta\x07" + "x" * 300, "two\nlines"])
def test_names_are_drawn_as_they_are(name, place, capsys):
    text = TABLE.replace("ho$_$urs", f'"{name}"').replace("é", f'"{name[:90]}"')
    Path("$a$_$b.csv").write_text(text)
    assert script.main(["$a$_$b.csv", "--target", "y"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (out).replace("\n", "").isprintable()
    assert set(os.listdir("runs/$a$_$b")) == FILES


def test_a_picture_that_fails_costs_a_line(place, monkeypatch, capsys):
    def fail(*arguments, **more):
        raise ZeroDivisionError("of a picture")

    monkeypatch.setattr(trainer.CalibrationDisplay, "from_estimators", fail)
    assert script.main(["table.csv", "--target", "y"]) == 0
    warned = "train.py: warning: calibration.png was not drawn (of a picture)\n"
    assert capsys.readouterr().err == warned
    assert set(os.listdir("runs/table")) == FILES - {"calibration.png"}


# Signals

LONG = ["--optimizer", "gradient_descent", "--epochs", "100000000", "--tol", "0"]


def start(*argv):
    """A run that writes to pipes."""
    command = [sys.executable, SCRIPT, *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_sigterm_ends_training_as_ctrl_c_does(place):
    process = start("table.csv", *LONG)
    while not process.stdout.readline().startswith("Training"):
        assert process.poll() is None
    time.sleep(0.5)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "interrupted; the best parameters are kept" in out
    assert err.count("\n") == 1
    assert set(os.listdir("runs/table")) == FILES
    report = json.loads(Path("runs/table/metrics.json").read_text(encoding="utf-8"))
    assert report["termination"]["reason"] == "interrupted"


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_before_training_they_end_the_run(name, status, place, monkeypatch, capsys):
    number = getattr(signal, name)

    def interrupt(*arguments):
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(script, "print_data", interrupt)
    before = signal.signal(number, signal.SIG_DFL)  # nohup, if the tests run under it, ignores one
    try:
        assert script.main(["iris"]) == status
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == "train.py: interrupted: nothing was written\n"
    assert os.listdir() == ["table.csv"]


def test_a_second_ctrl_c_interrupts_at_once(place, monkeypatch, capsys):
    def fit(self, *arguments, **more):
        signal.raise_signal(signal.SIGINT)  # to this thread: two to the process may become one
        signal.raise_signal(signal.SIGINT)
        time.sleep(10)

    monkeypatch.setattr(trainer.LogisticNeuron, "fit", fit)
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job ignores it
    try:
        assert script.main(["iris"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert os.listdir() == ["table.csv"]


def test_a_signal_while_the_folder_changes_is_not_heard(place, monkeypatch, capsys):
    commit = run_folder._commit

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        commit(*arguments)

    monkeypatch.setattr(script, "draw", lambda *arguments: None)
    monkeypatch.setattr(run_folder, "_commit", interrupted)
    assert script.main(["table.csv", "--target", "y"]) == 0
    assert "Written to runs/table" in capsys.readouterr().out


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with console.Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) == signals._handle
        assert signals.caught == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("imported", "status", "said"),
    [
        ("argparse", -signal.SIGINT, ""),
        ("pandas", 130, "train.py: interrupted: nothing was written\n"),
        ("matplotlib", 130, "train.py: interrupted: nothing was written\n"),
    ],
)
def test_ctrl_c_during_an_import_prints_a_line_at_most(imported, status, said, place):
    code = (
        "import builtins, os, runpy, signal, sys\n"
        "load, when = builtins.__import__, sys.argv.pop(1)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def imported(name, *more, **else_):\n"
        "    if name == when: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return load(name, *more, **else_)\n"
        "builtins.__import__ = imported\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", code, imported, "iris"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (status, said)
    assert os.listdir() == ["table.csv"]


def test_killed_at_random_moments_runs_leave_whole_folders():
    command = [sys.executable, str(SCRIPTS / "kill_runs.py"), "--kills", "2", "--seed", "3"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "not whole" not in run.stdout
    assert sum(map(int, re.findall(r"\d+", run.stdout))) == 2


# What is said of the result


def figures(neuron, regression, constant):
    briers = {"LogisticNeuron": neuron, "constant": constant, "LogisticRegression": regression}
    lines = {
        (part, name): {"Brier": brier, "accuracy": 1 - brier}
        for part in ("train", "test")
        for name, brier in briers.items()
    }
    return pd.DataFrame.from_dict(lines, orient="index")


def test_the_better_figures_are_marked(capsys):
    script.print_figures(figures(0.1, 0.2, 0.25), 400, 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:5] == [
        "On the 400 training rows",
        "  LogisticNeuron          0.100*     0.900*",
        "  constant                0.250      0.750",
    ]
    assert lines[6] == "On the 100 test rows"
    assert script.print_figures(figures(0.2, 0.1, 0.25), 400, 100) is None
    assert "  LogisticRegression      0.100*     0.900*\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ours", "theirs", "margin", "words"),
    [
        (0.1, 0.2, 0.05, "The neuron's Brier score is lower on these rows: 0.1000 against 0.2000"),
        (0.2, 0.1, 0.05, "LogisticRegression's Brier score is lower on these rows: 0.1000 against"),
        (
            0.1,
            0.2,
            0.15,
            "No clear difference on these rows: Brier score 0.1000 of the neuron, 0.2000",
        ),
    ],
)
def test_a_sentence_says_which_model_is_better(ours, theirs, margin, words, monkeypatch):
    monkeypatch.setitem(vars(trainer), "brier_difference", lambda *_, **__: (ours - theirs, margin))
    models = {"LogisticNeuron": None, "LogisticRegression": None}
    table = figures(ours, theirs, 0.25).loc["test"]
    said = script.verdict(models, None, None, "yes", table)
    assert said.startswith(words)
    assert f"0.1000 ± {margin:.4f} (95 % confidence interval)" in said


def test_a_neuron_that_has_learnt_nothing_is_said_to(capsys):
    table = figures(0.2499, 0.26, 0.25).loc["test"]
    said = script.verdict({}, None, None, "yes", table)
    assert "no better than the constant probability, Brier score 0.2499 against 0.2500" in said


def test_colours_are_for_terminals_that_have_them(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def shown(stream, **environment):
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        console.say("a 0.1* b", emphasis=r"\S+\*")
        console.tell("error", "no")
        return stream.getvalue()

    coloured = shown(Terminal(), TERM="xterm")
    assert "a \x1b[1m0.1*\x1b[0m b\n" in coloured
    assert "\x1b[1;31merror:\x1b[0m no\n" in coloured
    for stream, environment in (
        (Terminal(), {"TERM": "dumb"}),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}),
        (Terminal(), {}),
        (io.StringIO(), {"TERM": "xterm"}),
    ):
        assert "\x1b" not in shown(stream, **environment)
