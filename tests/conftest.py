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
