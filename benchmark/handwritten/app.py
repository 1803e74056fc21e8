"""A hand-written prediction server: FastAPI, a row model, `pipeline.predict` in the thread pool."""

import os
from typing import Any
from uuid import uuid4

import joblib
import pandas as pd
from fastapi import FastAPI

from benchmark.handwritten import store
from benchmark.validation import RawData

pipeline = joblib.load(os.environ["MODEL"])
app = FastAPI()


@app.post("/predict")
def predict(row: RawData) -> dict[str, list[str]]:
    return _answer([row.model_dump()])


@app.post("/predict/batch")
def predict_batch(rows: list[RawData]) -> dict[str, list[str]]:
    return _answer([row.model_dump() for row in rows])


def _answer(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    predictions = pipeline.predict(pd.DataFrame(records)).tolist()
    if store.URL:
        store.insert(uuid4(), records, predictions)
    return {"predictions": predictions}
