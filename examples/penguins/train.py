"""Train the penguin pipeline: `python train.py [--out model.joblib]`.

Deterministic: the same packages write a pipeline that predicts the same.
"""

import argparse
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
TARGET = "species"
CATEGORIES = ["island", "sex"]
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]
# The order of the columns in the file and in the form.
FEATURES = [
    "island",
    "bill_length_mm",
    "bill_depth_mm",
    "flipper_length_mm",
    "body_mass_g",
    "sex",
    "year",
]


def build_pipeline() -> Pipeline:
    """From a frame with the columns `FEATURES`, missing values included, to one of three species."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)])
    return Pipeline([("columns", columns), ("classifier", LogisticRegression(max_iter=1000))])


def train(csv: Path) -> tuple[Pipeline, float]:
    """The pipeline, fitted on three quarters of the rows, and its accuracy on the others."""
    penguins = pd.read_csv(csv)
    seen, held_out = train_test_split(penguins, test_size=0.25, random_state=0, stratify=penguins[TARGET])
    pipeline = build_pipeline().fit(seen[FEATURES], seen[TARGET])
    return pipeline, pipeline.score(held_out[FEATURES], held_out[TARGET])


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the penguin pipeline.")
    parser.add_argument("--out", type=Path, default=HERE / "model.joblib", help="%(default)s")
    out: Path = parser.parse_args().out
    pipeline, accuracy = train(HERE / "penguins.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, out)
    print(f"{accuracy:.1%} of the held-out penguins recognised; wrote {out}")


if __name__ == "__main__":
    main()
