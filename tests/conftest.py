"""Settings that must stand before anything is imported, and what several test files share."""

import os

from browser import chromium

__all__ = ["chromium"]

# scikit-learn's checks under array-API dispatch are skipped without it
os.environ.setdefault("SCIPY_ARRAY_API", "1")
