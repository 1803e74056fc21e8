"""The queue of the hand-written asynchronous server: Celery with Redis, also for results without a database."""

import os
from typing import Any
from uuid import UUID

import joblib
import pandas as pd
from celery import Celery
from celery.signals import worker_init

from benchmark.handwritten import store

celery = Celery("handwritten", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
# Tasks take milliseconds: Celery's manual recommends a high multiplier for such.
celery.conf.worker_prefetch_multiplier = 16
_loaded: dict[str, Any] = {}


@worker_init.connect
def load(**_: object) -> None:
    """Before the worker forks, so that its processes share the memory; the web processes never need it."""
    _loaded["pipeline"] = joblib.load(os.environ["MODEL"])


@celery.task(name="predict")
def predict(records: list[dict[str, Any]]) -> list[str]:
    predictions: list[str] = _loaded["pipeline"].predict(pd.DataFrame(records)).tolist()
    return predictions


@celery.task(name="predict_and_store", ignore_result=True)
def predict_and_store(prediction_id: str, records: list[dict[str, Any]]) -> None:
    store.finish(UUID(prediction_id), predict(records))
