"""The gallery can be drawn anew, with pictures small enough for a page."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_gallery_is_drawn(tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "scripts" / "gallery.py"), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    drawn = sorted(tmp_path.glob("*.png"))
    told = [line for line in run.stdout.splitlines() if not line.endswith("was not found")]
    assert sorted(told) == [str(path) for path in drawn]
    names = {path.name for path in (ROOT / "docs" / "gallery").iterdir()}
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        names -= {"replay.png"}
    assert {path.name for path in drawn} == names
    assert all(5_000 < path.stat().st_size < 120_000 for path in drawn)
