"""The benchmark's model: a pipeline of the commonest kind, trained on generated rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

# Mean and standard deviation of each number; the values of each category as in validation.py.
NUMBERS = {
    "age": (45.0, 12.0),
    "income": (40_000.0, 9_000.0),
    "balance": (1_500.0, 3_000.0),
    "duration": (300.0, 60.0),
    "visits": (20.0, 4.0),
    "score": (0.0, 1.0),
}
CATEGORIES = {
    "job": ("clerk", "driver", "farmer", "nurse", "teacher", "welder"),
    "region": ("east", "north", "south", "west"),
    "channel": ("branch", "phone", "web"),
    "plan": ("basic", "family", "free", "plus", "pro"),
}
_TRAINING_ROWS = 5_000
_MISSING_SHARE = 0.05
Record = dict[str, Any]


def generate(rows: int, *, seed: int, with_missing_categories: bool = True) -> pd.DataFrame:
    """The same rows for the same seed; one value in twenty is missing (NaN)."""
    random = np.random.default_rng(seed)
    numbers = {name: np.clip(random.normal(*shape, rows), -1e6, 1e6) for name, shape in NUMBERS.items()}
    frame = pd.DataFrame({name: np.abs(values).round(3) for name, values in numbers.items()})
    for name, values in CATEGORIES.items():
        frame[name] = pd.Series(random.choice(values, rows), dtype=object)
    for name in NUMBERS | CATEGORIES if with_missing_categories else NUMBERS:
        frame.loc[random.random(rows) < _MISSING_SHARE, name] = np.nan
    return frame


def train() -> Pipeline:
    """From a frame with the columns of NUMBERS and CATEGORIES to "no" or "yes"."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("numbers", numbers, list(NUMBERS)), ("categories", categories, list(CATEGORIES))])
    frame = generate(_TRAINING_ROWS, seed=1)
    noise = np.random.default_rng(2).normal(0, 0.5, _TRAINING_ROWS)
    score = (frame["age"].fillna(45) - 45) / 12 + (frame["plan"] == "pro") - (frame["region"] == "north") + noise
    labels = np.where(score > 0, "yes", "no")
    return Pipeline([("columns", columns), ("classifier", LogisticRegression(max_iter=1000))]).fit(frame, labels)


@dataclass(frozen=True)
class Example:
    """The trained pipeline, the files that a server is given, and what its answers must be."""

    pipeline: Pipeline
    folder: Path

    @property
    def artifact(self) -> Path:
        return self.folder / "tabular.joblib"

    @property
    def sample(self) -> Path:
        return self.folder / "sample.csv"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows that clients send.

        Their categories are all there: the None of a hand-written server's row is not the NaN that the
        imputer was trained on, so that its answer would be another one than mlserve's.
        """
        return generate(10_000, seed=3, with_missing_categories=False)

    @cached_property
    def records(self) -> list[Record]:
        """`frame` as JSON would hold it: a missing value is None."""
        return [
            {str(name): None if pd.isna(value) else value for name, value in record.items()}
            for record in self.frame.to_dict("records")
        ]

    @cached_property
    def predictions(self) -> list[str]:
        """What the pipeline answers for each row of `frame`."""
        answers: list[str] = self.pipeline.predict(self.frame).tolist()
        return answers


def make_example(folder: Path) -> Example:
    """Train the pipeline and write its artifact and a sample of raw rows into `folder`."""
    example = Example(train(), folder)
    joblib.dump(example.pipeline, example.artifact)
    generate(20, seed=4).to_csv(example.sample, index=False)
    return example
