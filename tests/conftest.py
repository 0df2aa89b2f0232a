"""Settings that must stand before anything is imported."""

import os

# scikit-learn's checks under array-API dispatch are skipped without it
os.environ.setdefault("SCIPY_ARRAY_API", "1")
