import csv
import importlib
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import perf_counter

import numpy as np
import pytest
from scipy.sparse import csr_array

from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

benchmark = importlib.import_module("benchmark")
peers = importlib.import_module("benchmark_peers")
pictures = importlib.import_module("benchmark_pictures")
problems = importlib.import_module("benchmark_problems")
report = importlib.import_module("benchmark_report")
solving = importlib.import_module("benchmark_solving")
watch = importlib.import_module("benchmark_watch")

OURS = peers.OURS


def some_theta(problem, seed=0):
    return np.random.default_rng(seed).standard_normal(problem.X.shape[1] + 1)


@pytest.fixture
def tiny():
    return problems.conditioned(400, 4, 5.0, alpha=1e-2, target=1e-7, time_limit=20.0)


class TestReferee:
    @pytest.mark.parametrize("make", [problems.conditioned, problems.sparse])
    def test_gradient_is_the_slope_of_the_cost(self, make):
        args = (300, 5, 10.0) if make is problems.conditioned else (300, 5)
        problem = make(*args, alpha=0.3)
        theta = some_theta(problem)
        _, gradient = problems.referee(problem, theta)
        h = 1e-5
        steps = h * np.eye(len(theta))
        ahead = np.array([problems.referee(problem, theta + step)[0] for step in steps])
        behind = np.array([problems.referee(problem, theta - step)[0] for step in steps])
        slopes = (ahead - behind) / (2 * h)
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-9)
        assert np.abs(gradient).max() > 0.01

    def test_cost_and_gradient_of_two_rows_by_hand(self):
        # σ(ln 3) = 3/4 and σ(-ln 3) = 1/4; both miss by 1/4 against 1 and by 1/4 against 0.
        problem = problems.Problem("", np.array([[1.0], [-1.0]]), np.array([1, 0]), alpha=2.0)
        w = np.log(3)
        J, gradient = problems.referee(problem, np.array([w, 0.0]))
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
        J, gradient = problems.referee(problem, theta)
        objective = Objective(ArrayRows(problem.X, problem.y), problem.alpha)
        ours, our_gradient = objective.value_and_gradient(theta[:, np.newaxis])
        assert J == pytest.approx(ours[0], rel=1e-13)
        np.testing.assert_allclose(gradient, our_gradient[:, 0], rtol=0, atol=1e-14)
        theirs, their_gradient = peers.textbook(theta, problem.X, problem.y, problem.alpha)
        assert J == pytest.approx(theirs, rel=1e-13)
        np.testing.assert_allclose(gradient, their_gradient, rtol=0, atol=1e-14)

    def test_penalty_spares_the_bias(self):
        problem = problems.conditioned(50, 2, 1.0, alpha=7.0)
        free = problems.conditioned(50, 2, 1.0, alpha=0.0)
        theta = some_theta(problem)
        added = problems.referee(problem, theta)[1] - problems.referee(free, theta)[1]
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

    @pytest.mark.parametrize("make", ["well", "wider", "sparser"])
    def test_corner_is_a_small_problem_of_its_kind(self, make):
        problem = next(getattr(problems, make)(True, 1.0))
        corner = problem.corner()
        assert corner.X.shape[0] <= 200
        assert corner.X.shape[1] <= 20
        assert corner.is_sparse == problem.is_sparse
        assert set(corner.labels) == {0, 1}


class TestPeers:
    @pytest.mark.parametrize("name", [n for n, p in peers.PEERS.items() if not p.other_loss])
    @pytest.mark.parametrize("kind", ["dense", "sparse"])
    def test_reaches_the_target_by_the_referee(self, name, kind, tiny):
        peer = peers.PEERS[name]
        pytest.importorskip(peer.package)
        problem = tiny if kind == "dense" else replace(tiny, X=csr_array(tiny.X))
        if peer.refusal(problem):
            pytest.skip(peer.refusal(problem))
        with solving.quietly():
            result = watch.timed(peer.prepare(problem), problem.time_limit)
        assert result.in_time
        assert problems.gradient_max(problem, result.theta) <= solving.SLACK * problem.target

    @pytest.mark.parametrize("name", [n for n, p in peers.PEERS.items() if p.other_loss])
    def test_other_losses_classify_alike(self, name, tiny):
        with solving.quietly():
            result = watch.timed(peers.PEERS[name].prepare(tiny), 20.0)
        z = tiny.X @ result.theta[:-1] + result.theta[-1]
        assert np.mean((z > 0) == tiny.labels) > 0.7

    def test_traces_its_way(self, tiny):
        path = watch.timed(peers.this_trainer(tiny), 20.0, tracing=True).path
        assert len(path) > 2
        costs = [problems.referee(tiny, theta)[0] for _, theta in path]
        assert costs[-1] < costs[0]
        assert [seconds for seconds, _ in path] == sorted(seconds for seconds, _ in path)

    def test_that_is_not_installed_is_left_out_by_name(self, monkeypatch):
        monkeypatch.setattr(peers, "find_spec", lambda package: None if package == "torch" else 1)
        assert not peers.PEERS["PyTorch Adam"].installed
        heading = benchmark.heading(solving.Settings(), "caption")
        assert "Left out, not installed: PyTorch L-BFGS (torch), PyTorch Adam (torch)." in heading


class TestSolving:
    def test_who_does_not_get_there_is_told_with_what_it_reached(self, tiny):
        def lazy(problem):
            return lambda seen: problem.start

        rows = solving.solve("well", tiny, {"lazy": peers.Peer(lazy)}, repeats=2)
        (row,) = rows
        assert row.reached == "no"
        assert row.note == "stopped by itself"
        assert row.gradient_max == problems.gradient_max(tiny, tiny.start)
        assert "stopped after" in report.label(row)

    @pytest.mark.skipif(not hasattr(watch.signal, "setitimer"), reason="no alarms here")
    def test_time_limit_ends_a_run(self, tiny):
        def endless(problem):
            def run(seen):
                seen.see(problem.start)
                while True:
                    pass

            return run

        tiny = replace(tiny, time_limit=0.1)
        peer = peers.Peer(endless, compiles=True)
        (row,) = solving.solve("well", tiny, {"endless": peer}, repeats=3)
        assert (row.reached, row.note, row.repeats) == ("no", "out of time", 1)
        assert 0.1 <= row.median < 5
        assert row.gradient_max == problems.gradient_max(tiny, tiny.start)

    def test_failure_is_a_result(self, tiny):
        def broken(problem):
            raise RuntimeError("no such thing\nand more")

        (row,) = solving.solve("well", tiny, {"broken": peers.Peer(broken)}, repeats=1)
        assert row.note == "failed: no such thing"
        assert report.label(row) == "failed"

    def test_runs_begin_when_no_thread_is_left_at_work(self):
        ends = perf_counter() + 0.2

        def spin():
            while perf_counter() < ends:
                pass

        spinning = Thread(target=spin)
        spinning.start()
        watch.rest(longest=20.0)
        assert not spinning.is_alive()

    def test_ratios_are_to_this_trainer(self, tiny):
        chosen = {name: peers.PEERS[name] for name in (OURS, "SciPy L-BFGS-B")}
        ours, theirs = solving.solve("well", tiny, chosen, repeats=3)
        assert ours.reached == theirs.reached == "yes"
        assert ours.ratio == 1
        assert theirs.ratio == theirs.median / ours.median


class TestTargets:
    def rows(self, **seconds):
        return [
            watch.Row("large", "large, ill-conditioned", name, 10, 2, median=value, repeats=3,
                      reached="yes")
            for name, value in seconds.items()
        ]  # fmt: skip

    def target(self, promise):
        return next(t for t in report.TARGETS if t.promise == promise)

    @pytest.mark.parametrize(("theirs", "verdict"), [(8.1, "held"), (7.9, "**missed**")])
    def test_faster_than_the_fastest(self, theirs, verdict):
        rows = self.rows(**{OURS: 1.0, "SciPy L-BFGS-B": theirs, "PyTorch L-BFGS": 30.0})
        line = self.target("large, ill-conditioned: faster than the fastest peer").line(rows)
        assert line[3] == verdict
        assert "SciPy" in line[2]

    def test_peer_out_of_time_bounds_from_below(self):
        target = self.target("large, ill-conditioned: faster than PyTorch L-BFGS")
        rows = self.rows(**{OURS: 1.0, "PyTorch L-BFGS": 10.0})
        rows[1].reached, rows[1].note = "no", "out of time"
        assert target.line(rows)[3] == "open"
        rows[1].median = 21.0
        assert target.line(rows)[3] == "held"

    def test_trainer_that_does_not_get_there_misses(self):
        rows = self.rows(**{OURS: 1.0, "PyTorch L-BFGS": 100.0})
        rows[0].reached = "no"
        line = self.target("large, ill-conditioned: faster than PyTorch L-BFGS").line(rows)
        assert line[3] == "**missed**"

    def test_what_was_not_run_is_not_measured(self):
        assert {target.line([])[2] for target in report.TARGETS} == {"not measured"}

    def test_memory_is_told_without_its_allowance(self):
        row = watch.Row("memory", "", OURS, 1_000_000, 100, unit="MB").take([1000.0])
        figure, _ = report.memory_share([row])
        assert figure == pytest.approx(1.0)  # (1000 - 200) MB over 800 MB


class TestPictures:
    def test_large_problems_come_first(self):
        rows = [watch.Row(case, case, OURS, repeats=1) for case in ("small", "ill", "large")]
        assert [group[0].case for group in pictures.panels(rows)] == ["large", "ill"]

    def test_nothing_to_draw(self, tmp_path):
        assert not pictures.time_to_solution([], tmp_path / "a.png", "")


class TestOptions:
    @pytest.mark.parametrize(
        ("argv", "said"),
        [
            (["--cases", "smal"], 'no case "smal"; the nearest is "small"'),
            (["--repeats", "0"], "must be a whole number >= 1, got 0"),
            (["--time-limit", "-1"], "must be a number of seconds > 0, got -1"),
            (["--fast"], "unrecognized arguments: --fast"),
        ],
    )
    def test_bad_ones_end_with_one_line(self, argv, said, capsys):
        with pytest.raises(SystemExit) as stopped:
            benchmark.main(argv)
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert said in message
        assert message.count("\n") == 1

    def test_list_names_every_case(self, capsys):
        assert benchmark.main(["--list"]) == 0
        listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
        assert listed == list(benchmark.CASES)


def test_quick_run_from_the_command_line(tmp_path):
    command = [
        sys.executable, "scripts/benchmark.py", "--quick", "--cases", "small,trace",
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
        "repeats", "ratio", "gradient_max", "reached", "note",
    ]  # fmt: skip
    assert {row["case"] for row in rows} == {"small"}
    cancer = [row for row in rows if row["problem"] == "breast_cancer"]
    assert {OURS, "SciPy L-BFGS-B", "LogisticRegression lbfgs"} <= {row["peer"] for row in cancer}
    assert all(float(row["median"]) > 0 for row in cancer)
    assert "| breast cancer: faster than the fastest LogisticRegression |" in done.stdout
    assert done.stdout.strip() == (tmp_path / "benchmark.md").read_text(encoding="utf-8").strip()
    for picture in ("time_to_solution.png", "cost_against_time.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_other_measures_give_rows():
    measures = importlib.import_module("benchmark_measures")
    problem = problems.conditioned(500, 4, 1.0, name="dense")
    settings = solving.Settings(quick=True, repeats=1, time_limit=5.0)
    for K in (1, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = measures.pass_over(problem, K, settings)
        assert {measures.BARE, OURS, "textbook NumPy"} <= {row.peer for row in rows}
        for row in rows:
            if row.note:
                assert float(row.note.split()[2]) < 1e-14
    before = measures._child("print(7.5)")
    assert before == 7.5


def test_memory_of_a_fit_is_that_of_x_and_more():
    measures = importlib.import_module("benchmark_measures")
    code = f"import benchmark_measures as m; print(m.peak_of_fit({OURS!r}, 200_000, 20))"
    grown = measures._child(code)
    assert 32 < grown < 32 * 1.15 + 200
