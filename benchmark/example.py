"""The files of the benchmark's model, and the rows that clients send with their right answers.

Reads what `python -m benchmark.tabular` wrote. The process that measures loads no scikit-learn: the kernel would
count its libraries as shared with the servers', and their memory would look smaller than it is.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmark.programs import run_to_end

Record = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """`records` are the rows as JSON; `predictions` the pipeline's answer for each."""

    folder: Path
    records: list[Record]
    predictions: list[str]

    @property
    def artifact(self) -> Path:
        return self.folder / "tabular.joblib"

    @property
    def sample(self) -> Path:
        return self.folder / "sample.csv"


def make_example(folder: Path) -> Example:
    """Train the pipeline in a process of its own, which writes everything into `folder`. Raises DidNotStart."""
    run_to_end([sys.executable, "-m", "benchmark.tabular", str(folder)], os.environ)
    rows = orjson.loads((folder / "rows.json").read_bytes())
    return Example(folder, rows["records"], rows["predictions"])
