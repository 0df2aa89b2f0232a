"""Settings that must stand before anything is imported, and what several test files share."""

import os

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

COVERAGE = 95
"""Per cent of the lines and branches that a run of all tests must reach."""


def pytest_configure(config):
    """Set the limit for a run of everything; a file or a selection covers less."""
    plugin = config.pluginmanager.get_plugin("_cov")
    option = config.option
    everything = config.args_source is config.ArgsSource.TESTPATHS
    if plugin and everything and not (option.keyword or option.markexpr or option.lf):
        plugin.options.cov_fail_under = COVERAGE
