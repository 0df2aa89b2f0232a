import csv
import importlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from threading import Thread
from time import perf_counter

import numpy as np
import pytest
from scipy.sparse import csr_array

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

benchmark = importlib.import_module("benchmark.__main__")
cases = importlib.import_module("benchmark.cases")
problems = importlib.import_module("benchmark.problems")
report = importlib.import_module("benchmark.report")
solvers = importlib.import_module("benchmark.solvers")
timing = importlib.import_module("benchmark.timing")

OURS = timing.OURS


def solve(problem, repeats, **peers):
    return cases.solve("well", problem, timing.Settings(repeats=repeats), peers)


def some_theta(problem, seed=0):
    return np.random.default_rng(seed).standard_normal(problem.X.shape[1] + 1)


@pytest.fixture
def tiny():
    return problems.conditioned(400, 4, 5.0, alpha=1e-2, target=1e-7, time_limit=20.0)


class TestReference:
    @pytest.mark.parametrize("make", [problems.conditioned, problems.sparse])
    def test_gradient_is_the_slope_of_the_cost(self, make):
        args = (300, 5, 10.0) if make is problems.conditioned else (300, 5)
        problem = make(*args, alpha=0.3)
        theta = some_theta(problem)
        _, gradient = problems.reference(problem, theta)
        h = 1e-5
        steps = h * np.eye(len(theta))
        ahead = np.array([problems.reference(problem, theta + step)[0] for step in steps])
        behind = np.array([problems.reference(problem, theta - step)[0] for step in steps])
        slopes = (ahead - behind) / (2 * h)
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-9)
        assert np.abs(gradient).max() > 0.01

    def test_cost_and_gradient_of_two_rows_by_hand(self):
        # σ(ln 3) = 3/4 and σ(-ln 3) = 1/4; both miss by 1/4 against 1 and by 1/4 against 0.
        problem = problems.Problem("", np.array([[1.0], [-1.0]]), np.array([1, 0]), alpha=2.0)
        w = np.log(3)
        J, gradient = problems.reference(problem, np.array([w, 0.0]))
        assert J == pytest.approx(1 / 16 + w**2)
        np.testing.assert_allclose(gradient, [-2 / 4 * 3 / 16 + 2 * w, 0.0], atol=1e-15)

    @pytest.mark.parametrize("make", ["dense", "sparse"])
    def test_agrees_with_the_trainer_and_the_textbook(self, make, monkeypatch):
        monkeypatch.setattr(problems, "BLOCK_ROWS", 64)  # several blocks
        problem = (
            problems.conditioned(300, 6, 100.0, alpha=0.1)
            if make == "dense"
            else problems.sparse(300, 20, alpha=0.1)
        )
        theta = some_theta(problem)
        J, gradient = problems.reference(problem, theta)
        ours, our_gradient = solvers.trainer_pass(problem, theta)()
        assert J == pytest.approx(ours[0], rel=1e-13)
        np.testing.assert_allclose(gradient, our_gradient[:, 0], rtol=0, atol=1e-14)
        theirs, their_gradient = solvers.textbook(theta, problem.X, problem.y, problem.alpha)
        assert J == pytest.approx(theirs, rel=1e-13)
        np.testing.assert_allclose(gradient, their_gradient, rtol=0, atol=1e-14)

    def test_penalty_spares_the_bias(self):
        problem = problems.conditioned(50, 2, 1.0, alpha=7.0)
        free = problems.conditioned(50, 2, 1.0, alpha=0.0)
        theta = some_theta(problem)
        added = problems.reference(problem, theta)[1] - problems.reference(free, theta)[1]
        np.testing.assert_allclose(added, [7 * theta[0], 7 * theta[1], 0], atol=1e-12)


class TestData:
    @pytest.mark.parametrize("condition", [1.0, 1e4])
    def test_condition_number(self, condition):
        X = problems.conditioned(20_000, 5, condition).X
        assert np.linalg.cond(X) == pytest.approx(condition, rel=0.05)
        assert np.mean(X.var(axis=0)) == pytest.approx(1, rel=0.05)

    def test_sparse_rows_hold_thirty_draws(self):
        problem = problems.sparse(200, 50)
        assert problem.is_sparse
        np.testing.assert_array_equal(problem.X.sum(axis=1), 30)

    def test_toys_are_standardised_with_two_classes(self):
        problem = problems.toy("breast_cancer")
        np.testing.assert_allclose(problem.X.std(axis=0), 1)
        assert set(problem.labels) == {0, 1}

    @pytest.mark.parametrize(
        "case", ["well", "wide", "sparse", "sparse_large", "columns", "flipped"]
    )
    def test_warm_up_is_a_small_problem_of_its_kind(self, case):
        problem = next(problems.problems_of(case, True, 1.0))
        small = problem.warm_up()
        assert small.X.shape[0] <= 200
        assert small.X.shape[1] <= 20
        assert small.is_sparse == problem.is_sparse
        assert set(small.labels) == {0, 1}


class TestPeers:
    @pytest.mark.parametrize("name", [n for n, p in solvers.PEERS.items() if not p.other_loss])
    @pytest.mark.parametrize("kind", ["dense", "sparse"])
    def test_reaches_the_target_by_the_reference(self, name, kind, tiny):
        peer = solvers.PEERS[name]
        pytest.importorskip(peer.package)
        problem = tiny if kind == "dense" else replace(tiny, X=csr_array(tiny.X))
        if peer.refusal(problem):
            pytest.skip(peer.refusal(problem))
        with timing.recorded_warnings():
            result = timing.timed(peer.prepare(problem), problem.time_limit)
        assert result.in_time
        assert (
            problems.gradient_max(problem, result.theta) <= cases.ROUNDING_MARGIN * problem.target
        )

    @pytest.mark.parametrize("name", [n for n, p in solvers.PEERS.items() if p.other_loss])
    def test_other_losses_classify_alike(self, name, tiny):
        with timing.recorded_warnings():
            result = timing.timed(solvers.PEERS[name].prepare(tiny), 20.0)
        z = tiny.X @ result.theta[:-1] + result.theta[-1]
        assert np.mean((z > 0) == tiny.labels) > 0.7

    def test_records_its_path(self, tiny):
        path = timing.timed(solvers.this_trainer(tiny), 20.0, keep_path=True).path
        assert len(path) > 2
        costs = [problems.reference(tiny, theta)[0] for _, theta in path]
        assert costs[-1] < costs[0]
        assert [seconds for seconds, _ in path] == sorted(seconds for seconds, _ in path)

    @pytest.mark.parametrize(
        "name",
        [
            OURS, "SciPy L-BFGS-B", "SciPy least_squares", "PyTorch L-BFGS", "JAX optax L-BFGS",
            "LogisticRegression sag", "SGDClassifier",
        ],
    )  # fmt: skip
    def test_counts_its_passes(self, name, tiny):
        pytest.importorskip(solvers.PEERS[name].package)
        with timing.recorded_warnings():
            result = timing.timed(solvers.PEERS[name].prepare(tiny), 20.0)
        assert 1 < result.n_passes < 1000

    def test_that_is_not_installed_is_left_out_by_name(self, monkeypatch):
        monkeypatch.setattr(solvers, "find_spec", lambda package: None if package == "torch" else 1)
        assert not solvers.PEERS["PyTorch Adam"].installed
        heading = benchmark.heading(timing.Settings())
        assert "Left out, not installed: PyTorch L-BFGS (torch), PyTorch Adam (torch)." in heading


class TestTimeToSolution:
    def test_missed_target_is_reported_with_the_gradient_reached(self, tiny):
        def lazy(problem):
            return lambda recorder: problem.start

        (row,) = solve(tiny, 2, lazy=solvers.Peer(lazy))
        assert row.reached == "no"
        assert row.note == "stopped by itself"
        assert row.gradient_max == problems.gradient_max(tiny, tiny.start)
        assert "stopped after" in report.label(row)

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms here")
    def test_time_limit_ends_a_run(self, tiny):
        def endless(problem):
            def run(recorder):
                recorder.record(problem.start)
                while True:
                    pass

            return run

        tiny = replace(tiny, time_limit=0.1)
        (row,) = solve(tiny, 3, endless=solvers.Peer(endless, compiles=True))
        assert (row.reached, row.note, row.repeats) == ("no", "out of time", 1)
        assert 0.1 <= row.median < 5
        assert row.gradient_max == problems.gradient_max(tiny, tiny.start)

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms here")
    def test_time_limit_ends_the_trainer_at_its_best_parameters(self):
        problem = problems.conditioned(20_000, 50, 1e4, target=1e-300, time_limit=0.5)
        slow = solvers.this_trainer(problem, optimizer="gradient_descent")
        found = timing.timed(slow, problem.time_limit)
        assert not found.in_time
        assert problems.reference(problem, found.theta)[0] < 0.25  # J at the start

    def test_ctrl_c_is_no_time_limit(self):
        def run(recorder):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            timing.timed(run, 20.0)

    def test_failure_is_a_result(self, tiny):
        def broken(problem):
            raise RuntimeError("no such thing\nand more")

        (row,) = solve(tiny, 1, broken=solvers.Peer(broken))
        assert row.note == "failed: no such thing"
        assert report.label(row) == "failed"

    def test_runs_begin_when_no_thread_is_running(self):
        ends = perf_counter() + 0.2

        def spin():
            while perf_counter() < ends:
                pass

        spinning = Thread(target=spin)
        spinning.start()
        timing.wait_until_idle(longest=20.0)
        assert not spinning.is_alive()

    def test_ratios_are_to_this_trainer(self, tiny):
        chosen = {name: solvers.PEERS[name] for name in (OURS, "SciPy L-BFGS-B")}
        ours, theirs = solve(tiny, 3, **chosen)
        assert ours.reached == theirs.reached == "yes"
        assert ours.ratio == 1
        assert theirs.ratio == theirs.median / ours.median


class TestTargets:
    def rows(self, **seconds):
        return [
            timing.Row("large", "large, ill-conditioned", name, 10, 2, median=value, repeats=3,
                       reached="yes")
            for name, value in seconds.items()
        ]  # fmt: skip

    def target(self, name):
        return next(t for t in report.TARGETS if t.name == name)

    @pytest.mark.parametrize(("theirs", "verdict"), [(8.1, "met"), (7.9, "**missed**")])
    def test_faster_than_the_fastest(self, theirs, verdict):
        rows = self.rows(**{OURS: 1.0, "SciPy L-BFGS-B": theirs, "PyTorch L-BFGS": 30.0})
        line = self.target("a million rows, ill-conditioned").line(rows)
        assert line[3] == verdict
        assert "SciPy" in line[2]

    def test_peer_out_of_time_bounds_from_below(self):
        target = self.target("a million rows, ill-conditioned: PyTorch L-BFGS")
        rows = self.rows(**{OURS: 1.0, "PyTorch L-BFGS": 10.0})
        rows[1].reached, rows[1].note = "no", "out of time"
        assert target.line(rows)[3] == "open"
        rows[1].median = 21.0
        assert target.line(rows)[3] == "met"

    def test_trainer_that_does_not_get_there_misses(self):
        rows = self.rows(**{OURS: 1.0, "PyTorch L-BFGS": 100.0})
        rows[0].reached = "no"
        line = self.target("a million rows, ill-conditioned: PyTorch L-BFGS").line(rows)
        assert line[3] == "**missed**"

    def test_what_was_not_run_is_not_measured(self):
        assert {target.line([])[2] for target in report.TARGETS} == {"not measured"}

    def test_memory_is_told_without_its_allowance(self):
        row = timing.Row("memory", "", OURS, 1_000_000, 100, unit="MB").summarise([1000.0])
        figure, _ = report.memory_share([row])
        assert figure == pytest.approx(1.0)  # (1000 - 200) MB over 800 MB


class TestPictures:
    def test_large_problems_come_first(self):
        rows = [timing.Row(case, case, OURS, repeats=1) for case in ("small", "ill", "large")]
        assert [group[0].case for group in report.panels(rows)] == ["large", "ill"]

    def test_nothing_to_draw(self, tmp_path):
        assert not report.draw_time_to_solution([], tmp_path / "a.png", "")


class TestOptions:
    @pytest.mark.parametrize(
        ("argv", "said"),
        [
            (["--cases", "smal"], 'no case "smal"; the nearest is "small"'),
            (["--repeats", "0"], "must be a whole number >= 1, got 0"),
            (["--time-limit", "-1"], "must be a number of seconds > 0, got -1"),
            (["--fast"], "unrecognized arguments: --fast"),
            (["--compare", "nowhere"], "must be a checkout that holds trainer/, got nowhere"),
        ],
    )
    def test_bad_ones_end_with_one_line(self, argv, said, capsys):
        with pytest.raises(SystemExit) as stopped:
            benchmark.main(argv)
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert said in message
        assert message.count("\n") == 1

    def test_output_that_is_a_file_ends_with_one_line(self, tmp_path, capsys):
        path = tmp_path / "file"
        path.write_text("")
        assert benchmark.main(["--output", str(path)]) == 2
        message = capsys.readouterr().err
        assert "--output must be a folder" in message
        assert message.count("\n") == 1

    def test_list_names_every_case(self, capsys):
        assert benchmark.main(["--list"]) == 0
        listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
        assert listed == list(benchmark.CASES)


def test_runs_as_a_module():
    command = [sys.executable, "-m", "benchmark", "--list"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT / "scripts", env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split()[0] == next(iter(benchmark.CASES)), done.stderr


def test_quick_run_from_the_command_line(tmp_path):
    command = [
        sys.executable, "scripts/benchmark", "--quick", "--cases", "small,trace",
        "--repeats", "1", "--time-limit", "0.3", "--output", str(tmp_path),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "benchmark.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "case", "problem", "peer", "n", "d", "K", "dtype", "unit", "median", "low", "high",
        "repeats", "ratio", "passes", "gradient_max", "reached", "note",
    ]  # fmt: skip
    assert {row["case"] for row in rows} == {"small"}
    cancer = [row for row in rows if row["problem"] == "breast_cancer"]
    assert {OURS, "SciPy L-BFGS-B", "LogisticRegression lbfgs"} <= {row["peer"] for row in cancer}
    assert all(float(row["median"]) > 0 for row in cancer)
    assert "| breast cancer: LogisticRegression |" in done.stdout
    assert done.stdout.strip() == (tmp_path / "benchmark.md").read_text(encoding="utf-8").strip()
    for picture in ("time_to_solution.png", "cost_against_time.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("K", [1, 3])
def test_one_pass_gives_the_gradient_of_the_reference(K):
    problem = problems.conditioned(500, 4, 1.0, name="dense")
    settings = timing.Settings(quick=True, repeats=1, time_limit=5.0)
    rows = cases.time_pass(problem, K, settings)
    assert {solvers.BARE_PRODUCT, OURS, "textbook NumPy"} <= {row.peer for row in rows}
    for row in rows:
        assert row.median > 0
        if row.peer != solvers.BARE_PRODUCT:
            assert float(row.note.split()[2]) < 1e-14


def test_fresh_interpreter_returns_its_number():
    assert cases.run_python("import sys; print(7.5, sys.argv[1])", "2") == [7.5, 2.0]


def test_failing_interpreter_gives_its_error():
    with pytest.raises(RuntimeError, match="ValueError: no such thing"):
        cases.run_python("raise ValueError('no such thing')")


def test_memory_of_a_fit_is_that_of_x_and_more():
    code = f"from benchmark.cases import peak_of_fit; print(peak_of_fit({OURS!r}, 200_000, 20))"
    (grown,) = cases.run_python(code)
    assert 32 < grown < 32 * 1.15 + 200


class TestComparison:
    @pytest.mark.parametrize(
        ("before", "now", "verdict"),
        [
            ([1.0, 1.1, 1.2], [1.15, 1.3, 1.4], "**slower**"),
            ([1.15, 1.3, 1.4], [1.0, 1.1, 1.2], "faster"),
            ([1.0, 1.1, 1.4], [1.15, 1.3, 1.4], "same"),  # 1.3 has been seen before
            ([1.0, 1.1, 1.2], [1.05, 1.3, 1.4], "same"),  # 1.1 is still seen
            ([1.0, 1.0, 1.0], [1.005, 1.005, 1.005], "same"),
            ([1.0], [2.0], "one run: no range"),
            ([], [1.0], "not measured"),
        ],
    )
    def test_verdict(self, before, now, verdict):
        rows = [timing.Row("ill", "a", OURS).summarise(values) for values in (before, now)]
        assert report.verdict(*rows) == verdict

    def test_missed_target_is_no_speedup(self):
        before, now = (timing.Row("ill", "a", OURS).summarise([t, t]) for t in (2.0, 1.0))
        before.reached, now.reached = "yes", "no"
        assert report.verdict(before, now) == "**target reached before: yes, now: no**"

    def test_lines_are_paired_by_what_was_measured(self):
        before = [timing.Row("growth", "K", OURS, 10, 2, K).summarise([K, K]) for K in (1, 2)]
        now = [timing.Row("growth", "K", OURS, 10, 2, K).summarise([4.0, 4.0]) for K in (2, 1)]
        _, _, second, first = report.comparison(before, now).splitlines()
        assert "K = 2" in second
        assert "| 2.00 | **slower** |" in second
        assert "| 4.00 | **slower** |" in first

    def test_two_checkouts_take_turns(self, tmp_path, monkeypatch, capsys):
        logs = {name: tmp_path / f"{name}.log" for name in ("before", "now")}
        for name, log in logs.items():
            (tmp_path / name / "trainer").mkdir(parents=True)
            code = FAKE_TRAINER.format(path=str(log))
            (tmp_path / name / "trainer" / "__init__.py").write_text(code, encoding="utf-8")
        monkeypatch.setattr(benchmark, "ROOT", tmp_path / "now")
        argv = ["--quick", "--cases", "multi_start,trace", "--repeats", "2"]
        argv += ["--compare", str(tmp_path / "before"), "--output", str(tmp_path / "output")]
        assert benchmark.main(argv) == 0
        fits = {
            name: [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
            for name, log in logs.items()
        }
        small, large = 5 * 2 + 1, 2 + 1  # runs of each of two settings, a warm-up among them
        assert len(fits["before"]) == len(fits["now"]) == 2 * (small + large)
        intervals = sorted(fits["before"] + fits["now"])
        assert all(end <= start for (_, end), (start, _) in pairwise(intervals))
        order = "".join("B" if interval in fits["before"] else "N" for interval in intervals)
        assert set(wrap(order, 4)) == {"BNNB"}
        text = (tmp_path / "output" / "comparison.md").read_text(encoding="utf-8")
        assert capsys.readouterr().out.strip() == text.strip()
        assert text.count("| multi_start: ") == 4

    def test_case_that_a_checkout_cannot_run_is_left_out_by_name(
        self, tmp_path, monkeypatch, capsys
    ):
        """The old checkout has no LogisticNeuronCV.fit."""
        for name in ("before", "now"):
            (tmp_path / name / "trainer").mkdir(parents=True)
            code = FAKE_TRAINER.format(path=str(tmp_path / f"{name}.log"))
            if name == "before":
                code += "    fit = None"
            (tmp_path / name / "trainer" / "__init__.py").write_text(code, encoding="utf-8")
        monkeypatch.setattr(benchmark, "ROOT", tmp_path / "now")
        argv = ["--quick", "--cases", "selection,multi_start", "--repeats", "1"]
        argv += ["--compare", str(tmp_path / "before"), "--output", str(tmp_path / "output")]
        assert benchmark.main(argv) == 0
        text = capsys.readouterr().out
        assert "Left out: selection (before cannot run it)." in text
        assert text.count("| multi_start: ") == 4


class TestCases:
    quick = timing.Settings(quick=True, repeats=1, time_limit=5.0)

    def test_a_failing_one_is_left_out_with_its_reason(self, tmp_path, monkeypatch):
        def fails(settings):
            raise MemoryError("no more\nmemory")

        monkeypatch.setitem(benchmark.CASES, "small", ("", fails))
        settings = replace(self.quick, quick=False, output=tmp_path)
        assert benchmark.measure(["small"], settings) == ([], ["small (failed: no more)"])

    def test_flipped_labels_differ_in_their_share_of_the_rows(self, tiny):
        found = problems.flipped(tiny, 0.25)
        assert np.count_nonzero(found.labels != tiny.labels) == 100
        assert found.X is tiny.X

    def test_two_fits_at_once_are_measured_against_one_after_the_other(self):
        rows = cases.at_once(self.quick)
        assert [row.peer for row in rows] == [OURS, f"{OURS}, one after the other"]
        assert all(row.median > 0 for row in rows)

    def test_command_line_reports_seconds_and_memory(self):
        rows = cases.command_line(self.quick)
        assert [row.unit for row in rows] == ["seconds", "seconds", "MB", "MB"]
        assert all(row.repeats == 1 for row in rows)
        assert all(50 < row.median < 2000 for row in rows if row.unit == "MB")


# Writes down when each of its fits begins and ends.
FAKE_TRAINER = """
from time import perf_counter, sleep

class LogisticNeuron:
    def __init__(self, **params):
        self.params = params
    def get_params(self):
        return self.params
    def fit(self, X, y):
        start = perf_counter()
        sleep(0.002)
        with open({path!r}, "a") as file:
            print(start, perf_counter(), file=file)

class LogisticNeuronCV(LogisticNeuron):
    pass
"""
