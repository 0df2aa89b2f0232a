"""The campaign against an independent referee, in short, and the referee itself."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime, check_grad

from trainer.core import optimality, training

SCRIPT = Path(__file__).parents[1] / "scripts" / "campaign.py"


@pytest.fixture(scope="module")
def campaign():
    spec = importlib.util.spec_from_file_location("campaign", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["campaign"] = module
    spec.loader.exec_module(module)
    return module


def test_the_referee_objects_to_nothing(campaign, capsys):
    status = campaign.main(["--problems", "40", "--largest", "150"])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert printed.startswith("40 problems:")
    for end in ("gradient", "separable", "unbounded"):
        assert end in printed


def test_the_referees_derivatives_are_right(campaign):
    for seed in range(10):
        referee = campaign.Referee(campaign.draw(np.random.default_rng(seed), 40))
        referee.alpha = np.minimum(referee.alpha, 1)  # differences lose the rest in rounding
        u = np.random.default_rng(seed).standard_normal(referee.X.shape[1]) / 3
        assert check_grad(referee.J, referee.gradient, u) < 1e-6 * max(1, referee.alpha.max())
        numeric = approx_fprime(u, referee.gradient, 1e-6)
        np.testing.assert_allclose(referee.hessian(u), np.atleast_2d(numeric), rtol=1e-6, atol=1e-5)


def test_the_referee_sees_a_false_claim(campaign, monkeypatch):
    """A neuron that ends far too early and calls that converged is caught."""
    monkeypatch.setattr(training.Termination, "converged", True)
    monkeypatch.setattr(optimality, "SHARE_PER_TOL", 5e5)
    neuron = campaign.LogisticNeuron

    def hasty(**settings):
        return neuron(max_iter=1, **settings)

    monkeypatch.setattr(campaign, "LogisticNeuron", hasty)
    found = [campaign.faults(campaign.draw(np.random.default_rng(s), 40))[1] for s in range(8)]
    assert sum("called converged" in fault for faults in found for fault in faults) >= 4


@pytest.mark.parametrize("arguments", [["--problems", "0"], ["--largest", "x"]])
def test_bad_arguments_are_one_line(campaign, arguments, capsys):
    with pytest.raises(SystemExit) as end:
        campaign.main(arguments)
    assert end.value.code == 2
    assert "error" in capsys.readouterr().err
