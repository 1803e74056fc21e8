"""A hand-written prediction server: FastAPI, a row model, `pipeline.predict` in the thread pool."""

import os

import joblib
import pandas as pd
from fastapi import FastAPI

from benchmark.validation import RawData

pipeline = joblib.load(os.environ["MODEL"])
app = FastAPI()


@app.post("/predict")
def predict(row: RawData) -> dict[str, list[str]]:
    return {"predictions": pipeline.predict(pd.DataFrame([row.model_dump()])).tolist()}


@app.post("/predict/batch")
def predict_batch(rows: list[RawData]) -> dict[str, list[str]]:
    return {"predictions": pipeline.predict(pd.DataFrame([row.model_dump() for row in rows])).tolist()}
