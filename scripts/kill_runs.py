"""Kill runs of `train.py` at random moments, and check that each leaves a whole folder.

python scripts/kill_runs.py --kills 100 --seed 0

Every run trains on a table of its own and then replaces the folder of the run before, in which
there is also a file of the user's. A folder is whole if its files are those that its
metrics.json names, with the checksums that stand there. The processes are forks of one that has
imported everything, so that the moments fall into the run, not into the imports. Two signals
in five are SIGKILL.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import trainer
from trainer.commands import train

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)
NOTES = "the user's own"
# Reported by a process that ended of itself: all well, or stopped by a signal it heard of.
HEARD = {0, 128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGHUP}


def main(argv: list[str] | None = None) -> int:
    """Run the campaign; 1 if a folder was not whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100, help="runs to kill (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    what = "run with --checkpoint; every other run is the one before, with --resume"
    parser.add_argument("--checkpoint", action="store_true", help=what)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        counts = campaign(Path(place), options.kills, options.seed, options.checkpoint)
    print(", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return 1 if counts["not whole"] else 0


def campaign(place: Path, kills: int, seed: int, keeps: bool = False) -> Counter[str]:
    """Kill so many runs; how often the folder was the old one, the new one, or neither."""
    trainer.load_dataset("iris")  # and all that it imports, before the forks
    rng = random.Random(seed)
    table, folder = place / "table.csv", place / "runs" / "table"
    checkpoint = place / "runs" / "table.checkpoint"
    counts: Counter[str] = Counter()
    write_table(table, 0)
    begin = time.perf_counter()
    wait(start(table, place))
    usual = time.perf_counter() - begin
    (folder / "notes.txt").write_text(NOTES)
    for number in range(1, kills + 1):
        before = complaint(folder) or version(folder)
        goes_on = number % 2 == 0 and checkpoint.exists()
        if not goes_on:
            write_table(table, number)
            checkpoint.unlink(missing_ok=True)
        more = ["--resume" if goes_on else "--checkpoint"] if keeps else []
        process = start(table, place, more)
        time.sleep(rng.uniform(0, 1.1 * usual))
        os.kill(process, SIGNALS[number % len(SIGNALS)])
        wait(process)
        if wrong := complaint(folder):
            print(f"run {number}: {wrong}", file=sys.stderr)
            counts["not whole"] += 1
        else:
            counts["old" if version(folder) == before else "new"] += 1
    write_table(table, kills + 1)
    wait(start(table, place, ["--checkpoint"] if keeps else []))
    left = sorted(set(os.listdir(folder.parent)) - {"table"})
    if left or complaint(folder):
        print(f"after the last run: {left} {complaint(folder)}", file=sys.stderr)
        counts["not whole"] += 1
    return counts


def write_table(path: Path, number: int) -> None:
    """A table of this run's own; of two numbers in every other, which makes one picture more."""
    rng = random.Random(number)
    third = "" if number % 2 else ",w"
    rows = (
        f"{rng.random()},{rng.random()}{third and f',{rng.random()}'},{'ab'[i % 2]}"
        for i in range(60 + number)
    )
    path.write_text(f"u,v{third},y\n" + "\n".join(rows) + "\n")


def start(table: Path, place: Path, more: Sequence[str] = ()) -> int:
    """A process that trains on the table."""
    process = os.fork()
    if process == 0:
        status = 99
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            status = train.main([str(table), "--output", str(place / "runs"), *more])
        finally:
            os._exit(status)
    return process


def wait(process: int) -> None:
    """Wait for its end; RuntimeError if it was neither killed nor said why it ended."""
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) not in HEARD:
        raise RuntimeError(f"a run ended with exit status {os.WEXITSTATUS(status)}")


def complaint(folder: Path) -> str:
    """What keeps a run's folder from being whole; empty if nothing does."""
    try:
        report = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        sums = report["sha256"]
        found = {path.name for path in folder.iterdir()} - {"metrics.json", "notes.txt"}
        if found != set(sums):
            return f"files {sorted(found)}, but metrics.json names {sorted(sums)}"
        for name, known in sums.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != known:
                return f"{name} is of another run than metrics.json"
        if (folder / "notes.txt").read_text() != NOTES:
            return "notes.txt has changed"
        trainer.load_model(folder / "model.skops")
    except (OSError, ValueError, KeyError) as error:
        return str(error)
    return ""


def version(folder: Path) -> str:
    """Which run a folder is of."""
    return hashlib.sha256((folder / "metrics.json").read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
