"""Settings that must stand before anything is imported, and what several test files share."""

import os
import sys

import pytest
from browser import chromium
from hypothesis import HealthCheck, settings

__all__ = ["chromium"]

# The suite draws the same examples each time; `--hypothesis-profile=long` others, and many more.
settings.register_profile(
    "short",
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "long", settings.get_profile("short"), max_examples=400, derandomize=False, print_blob=True
)
settings.load_profile("short")

# scikit-learn's checks under array-API dispatch are skipped without it
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# Processes that test side by side have a processor each; BLAS's threads would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """Pyplot warns of the 21st, in whichever test of this process that is."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


COVERAGE = 95
"""Per cent of the lines and branches that a run of all tests must reach."""


def runs_everything(config):
    """Whether neither files nor a selection of tests were asked for."""
    option = config.option
    selected = option.keyword or option.markexpr or getattr(option, "lf", False)
    return config.args_source is config.ArgsSource.TESTPATHS and not selected


def pytest_configure(config):
    """Set the limit for a run of everything; a file or a selection covers less."""
    plugin = config.pluginmanager.get_plugin("_cov")
    if plugin and runs_everything(config):
        plugin.options.cov_fail_under = COVERAGE


def pytest_xdist_auto_num_workers(config):
    """Test everything in as many processes as there are processors, and a selection in this one."""
    return None if runs_everything(config) else 0
