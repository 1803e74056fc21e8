"""The benchmark's model: a pipeline of a common kind, trained on generated rows.

`python -m benchmark.tabular FOLDER` writes it with everything that the benchmark asks of it.
"""

import argparse
import json
from pathlib import Path

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
_REQUEST_ROWS = 10_000
_SAMPLE_ROWS = 20
_MISSING_SHARE = 0.05


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


def write(folder: Path) -> None:
    """The pipeline as `tabular.joblib`, raw rows as `sample.csv`, requests with right answers as `rows.json`.

    The categories of requests are all there: the None of a hand-written server's row is not the NaN that the
    imputer was trained on, so that its answer would be another one than mlserve's.
    """
    pipeline = train()
    joblib.dump(pipeline, folder / "tabular.joblib")
    generate(_SAMPLE_ROWS, seed=4).to_csv(folder / "sample.csv", index=False)
    frame = generate(_REQUEST_ROWS, seed=3, with_missing_categories=False)
    records = [
        {name: None if pd.isna(value) else value for name, value in record.items()}
        for record in frame.to_dict("records")
    ]
    rows = {"records": records, "predictions": pipeline.predict(frame).tolist()}
    (folder / "rows.json").write_text(json.dumps(rows), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the benchmark's pipeline; write it and rows to send.")
    parser.add_argument("folder", type=Path, help="an existing folder to write into")
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
