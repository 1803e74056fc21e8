"""The hand-written asynchronous server: FastAPI passes rows to Celery and answers with the task's id."""

from typing import Any

from celery.result import AsyncResult
from fastapi import FastAPI

from benchmark.handwritten.tasks import celery, predict
from benchmark.validation import RawData

app = FastAPI()


@app.post("/predict", status_code=202)
def submit(row: RawData) -> dict[str, str]:
    return {"task_id": predict.delay([row.model_dump()]).id}


@app.post("/predict/batch", status_code=202)
def submit_batch(rows: list[RawData]) -> dict[str, str]:
    return {"task_id": predict.delay([row.model_dump() for row in rows]).id}


@app.get("/result/{task_id}")
def result(task_id: str) -> dict[str, Any]:
    found = AsyncResult(task_id, app=celery)
    status = found.status  # asks Redis; a second look could see another status
    return {"status": status, "predictions": found.result} if status == "SUCCESS" else {"status": status}
