"""scikit-learn's own tests of logistic regression, on our classes: see `swapped.py`."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = (
    "linear_model.tests.test_logistic",
    "metrics.tests.test_score_objects",
    "tests.test_pipeline",
    "frozen.tests.test_frozen",
)
# Other solvers are ours under other names, and libraries that are not installed are skipped.
LEFT_OUT = "not newton and not sag and not liblinear and not cupy and not cuda and not dpnp"


@pytest.mark.skipif(
    importlib.util.find_spec("sklearn.linear_model.tests.test_logistic") is None,
    reason="scikit-learn was installed without its tests",
)
def test_all_pass_but_those_with_a_reason(tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "swapped", "-p", "no:cacheprovider", "-k", LEFT_OUT, "--tb=short"]
    run = subprocess.run(
        [*command, "--pyargs", *(f"sklearn.{module}" for module in MODULES)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-5000:]
    assert " passed" in run.stdout.splitlines()[-1]
