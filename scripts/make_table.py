"""Write a table of any number of rows: numbers, and labels that follow them by a known neuron.

python scripts/make_table.py 20000000 /data/large.parquet    20 million rows, 30 features
python scripts/make_table.py 1000000 /data/shards --shards 8  a folder of eight files
python scripts/make_table.py 2000000 /data/large.csv --precision 6
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROWS_AT_A_TIME = 100_000


def batches(start: int, stop: int, n_features: int, seed: int, precision: int) -> Iterator[Any]:
    """Record batches from row `start` on: the same rows whatever files they are divided into."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    w = rng.standard_normal(n_features) / np.sqrt(n_features)
    for first in range(start, stop, ROWS_AT_A_TIME):
        n = min(ROWS_AT_A_TIME, stop - first)
        rng = np.random.default_rng([seed, first])
        X = np.round(rng.standard_normal((n_features, n)) * 3 + 1, precision)
        p = 1 / (1 + np.exp(-(w @ (X - 1))))
        columns: list[Any] = [pa.array(values) for values in X]
        columns.append(pa.array((rng.random(n) < p).astype(np.int8)))
        names = [f"x{j:02}" for j in range(n_features)] + ["clicked"]
        yield pa.RecordBatch.from_arrays(columns, names=names)


def main(argv: list[str] | None = None) -> int:
    """Write the files; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=int, help="how many")
    parser.add_argument("output", type=Path, help="a .parquet or .csv file, or a folder")
    parser.add_argument("--features", type=int, default=30, help="columns (default: %(default)s)")
    parser.add_argument("--shards", type=int, help="files in the folder (default: one file)")
    parser.add_argument("--seed", type=int, default=0, help="draws the rows (default: %(default)s)")
    parser.add_argument(
        "--precision", type=int, default=15, help="digits after the point (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    try:
        from pyarrow.csv import CSVWriter
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        extra = 'pip install "logistic-neuron-trainer[stream]"'
        print(f"make_table.py: error: it needs pyarrow: {extra}", file=sys.stderr)
        return 2
    n_shards = options.shards or 1
    size = -(-options.rows // n_shards // ROWS_AT_A_TIME) * ROWS_AT_A_TIME
    for shard in range(n_shards):
        path = options.output
        if options.shards:
            path.mkdir(parents=True, exist_ok=True)
            path /= f"part-{shard:04}.parquet"
        stop = options.rows if shard == n_shards - 1 else min(options.rows, (shard + 1) * size)
        rows = batches(
            min(shard * size, stop), stop, options.features, options.seed, options.precision
        )
        first = next(rows, None)
        if first is None:
            break
        kind = CSVWriter if path.suffix == ".csv" else ParquetWriter
        with kind(path, first.schema) as writer:
            writer.write_batch(first)
            for batch in rows:
                writer.write_batch(batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
