"""The lower bound without batching: `pipeline.predict` in a loop, in a process of its own.

`python -m benchmark.floors ARTIFACT SECONDS` prints one line for each number of rows per call: its result's name
and its numbers as JSON.
"""

import argparse
import json
import time
from pathlib import Path

import joblib
import pandas as pd

from benchmark.figures import Values, latencies
from benchmark.tabular import generate

SIZES = (1, 512)


def measure(artifact: Path, *, rows: int, seconds: float) -> Values:
    """Calls with a prepared frame; milliseconds per call and rows per second."""
    pipeline = joblib.load(artifact)
    frame: pd.DataFrame = generate(rows, seed=5)
    pipeline.predict(frame)
    took: list[int] = []
    end = time.perf_counter_ns() + int(seconds * 1e9)
    while (started := time.perf_counter_ns()) < end:
        pipeline.predict(frame)
        took.append(time.perf_counter_ns() - started)
    return {**latencies(took), "rows_per_s": rows * len(took) / (sum(took) / 1e9)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time pipeline.predict alone.")
    parser.add_argument("artifact", type=Path, help="a pipeline that joblib can load")
    parser.add_argument("seconds", type=float, help="how long each number of rows is tried")
    options = parser.parse_args()
    for rows in SIZES:
        values = measure(options.artifact, rows=rows, seconds=options.seconds)
        print(f"floor_predict_{rows}", json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
