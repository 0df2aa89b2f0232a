"""Train on a table larger than memory and predict on it; print what that takes as a table.

python scripts/measure_files.py 20000000 --folder /data        Parquet, 30 features
python scripts/measure_files.py 20000000 --folder /data --format csv

The programs run as processes of their own, whose largest resident memory the operating system
reports. The fit from the scratch file is compared with that of the same prepared rows in memory,
which needs all of them there. The files are removed at the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import trainer

SCRIPTS = Path(__file__).parent
TOLERANCE = 1e-8


def child(*arguments: Any) -> tuple[float, float]:
    """Seconds and largest resident memory in MB of a script run as a process."""
    started = time.perf_counter()
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"{Path(command[1]).name} has failed")
    return time.perf_counter() - started, used.ru_maxrss / 1024


def line(what: str, seconds: float, peak: float | None = None) -> None:
    """One line of the table."""
    print(f"| {what} | {seconds:.1f} | {'' if peak is None else f'{peak:.0f} MB'} |", flush=True)


def fit(*rows: Any) -> tuple[Any, float]:
    """A neuron trained as by train.py, and the seconds of its fit."""
    started = time.perf_counter()
    neuron = trainer.LogisticNeuron(tol=TOLERANCE, random_state=42).fit(*rows)
    return neuron, time.perf_counter() - started


def difference(a: Any, b: Any) -> float:
    """Largest difference of a component of θ."""
    return float(max(abs(a.coef_ - b.coef_).max(), abs(a.intercept_ - b.intercept_).max()))


def compare(table: Path, folder: Path, memory: str, model: Any) -> None:
    """Fits from the scratch file and from memory in turns, of the rows that train.py takes."""
    with trainer.open_rows(
        table, target="clicked", test_size=0.2, random_state=42, memory=memory, folder=folder
    ) as rows:
        X, y = np.empty((rows.n_rows, rows.n_features)), np.empty(rows.n_rows, rows.classes.dtype)
        start = 0
        for block, labels, _ in rows.blocks():
            X[start : start + len(block)], y[start : start + len(block)] = block, labels
            start += len(block)
        ratios = []
        for _ in range(2):
            in_memory, of_memory = fit(X, y)
            of_file, of_scratch = fit(rows)
            line("fit of the same rows in memory", of_memory)
            line("fit from the scratch file", of_scratch)
            ratios.append(of_scratch / of_memory)
    print(
        f"\nThe fit from the file takes {max(ratios):.2f} times as long as in memory at most; "
        f"{of_file.termination_.n_passes:.2f} and {in_memory.termination_.n_passes:.2f} passes. "
        f"θ differs by {difference(of_file, in_memory):.1e}"
        f", and that of train.py by {difference(model, in_memory):.1e}."
    )


def main(argv: list[str] | None = None) -> int:
    """Make the table, measure, and remove it; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=int, help="how many")
    parser.add_argument("--features", type=int, default=30, help="columns (default: %(default)s)")
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--folder", type=Path, help="where the files are put for the time")
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            table = folder / f"table.{options.format}"
            os.environ["TMPDIR"] = name  # of the scratch file
            digits = ["--precision", 6] if options.format == "csv" else []
            features = ["--features", options.features, *digits]
            child(SCRIPTS / "make_table.py", options.rows, table, *features)
            print("| | seconds | peak memory |\n| --- | --- | --- |", flush=True)
            memory = "512MB" if options.rows > 10**6 else "1MB"  # in pieces all the same
            arguments = ["--target", "clicked", "--tol", TOLERANCE, "--output", folder]
            arguments += ["--memory", memory]
            line("`train.py`", *child(SCRIPTS / "train.py", table, *arguments))
            saved = folder / "table" / "model.skops"
            out = folder / f"out.{options.format}"
            line("`predict.py`", *child(SCRIPTS / "predict.py", saved, table, "-o", out))
            out.unlink()
            compare(table, folder, memory, trainer.load_model(saved)[-1])
    except (ValueError, OSError, ImportError) as error:
        print(f"measure_files.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
