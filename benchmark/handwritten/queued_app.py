"""The hand-written asynchronous server: FastAPI passes rows to Celery and answers with the task's id."""

from typing import Any
from uuid import UUID, uuid4

from celery.result import AsyncResult
from fastapi import FastAPI

from benchmark.handwritten import store
from benchmark.handwritten.tasks import celery, predict, predict_and_store
from benchmark.validation import RawData

app = FastAPI()


@app.post("/predict", status_code=202)
def submit(row: RawData) -> dict[str, str]:
    return _accept([row.model_dump()])


@app.post("/predict/batch", status_code=202)
def submit_batch(rows: list[RawData]) -> dict[str, str]:
    return _accept([row.model_dump() for row in rows])


def _accept(records: list[dict[str, Any]]) -> dict[str, str]:
    if not store.URL:
        return {"task_id": predict.delay(records).id}
    prediction_id = uuid4()
    store.insert(prediction_id, records)
    predict_and_store.delay(str(prediction_id), records)
    return {"task_id": str(prediction_id)}


@app.get("/result/{task_id}")
def result(task_id: UUID) -> dict[str, Any]:
    if store.URL:
        predictions = store.find(task_id)
        return {"status": "SUCCESS", "predictions": predictions} if predictions else {"status": "PENDING"}
    found = AsyncResult(str(task_id), app=celery)
    status = found.status  # asks Redis; a second look could see another status
    return {"status": status, "predictions": found.result} if status == "SUCCESS" else {"status": status}
