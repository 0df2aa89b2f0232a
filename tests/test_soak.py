"""The harness that attacks the trainer, in short."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
soak = importlib.import_module("soak")


def test_a_short_run_finds_nothing(capsys):
    assert soak.main(["--only", "round trips", "--share", "0.012", "--seed", "3"]) == 0
    first, line, *_ = capsys.readouterr().out.splitlines()
    assert first.split() == ["step", "done", "seconds", "findings"]
    assert line.startswith("round trips")
    assert line.split()[2:4] == ["12", "models"]
    assert line.endswith(" 0")


def test_a_finding_is_on_the_page_and_in_the_status(monkeypatch, capsys):
    load = soak.trainer.load_model

    def loads_another(path):
        model = load(path)
        neuron = model[-1] if hasattr(model, "steps") else model
        neuron.intercept_ = neuron.intercept_ + 0.5
        return model

    monkeypatch.setattr(soak.trainer, "load_model", loads_another)
    assert soak.main(["--only", "round trips", "--share", "0.001"]) == 1
    assert "FOUND round trip 0: AssertionError: another model comes back" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_tables():
    tables = [soak.table(np.random.default_rng([1, 5])) for _ in range(2)]
    assert type(tables[0][0]) is type(tables[1][0])
    np.testing.assert_array_equal(tables[0][1], tables[1][1])


def test_every_step_can_be_run_alone(monkeypatch, capsys):
    def step(place, size, seed):
        return soak.Step(size, "things", f"seed {seed}")

    monkeypatch.setattr(
        soak, "STEPS", {name: (step, full) for name, (_, full) in soak.STEPS.items()}
    )
    assert soak.main(["--share", "0.5", "--seed", "9"]) == 0
    printed = capsys.readouterr().out
    for name, (_, full) in soak.STEPS.items():
        assert f"{name:<15}{f'{full // 2} things':>17}" in printed
    assert printed.count("seed 9") == len(soak.STEPS)


@pytest.mark.parametrize("options", [["--share", "0"], ["--only", "everything"], ["--seed", "x"]])
def test_bad_options_are_one_line(options, capsys):
    with pytest.raises(SystemExit) as end:
        soak.main(options)
    assert end.value.code == 2
    assert "error" in capsys.readouterr().err
