"""Whatever penguins are asked for, and by which way: the answers are those of the pipeline, bit for bit."""

import json
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from predictions import tasks
from registry.models import ModelVersion

# The calling thread has a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)

_URL = "/api/predict?outputs=predict,predict_proba"
_SIZES = {
    "bill_length_mm": (20, 80),
    "bill_depth_mm": (8, 35),
    "flipper_length_mm": (120, 300),
    "body_mass_g": (1500, 9000),
}
_PENGUINS = st.fixed_dictionaries(
    {"island": st.sampled_from(["Biscoe", "Dream", "Torgersen"]), "year": st.integers(1990, 2100)},
    optional={
        "sex": st.sampled_from(["female", "male", None]),
        **{name: st.none() | st.integers(*bounds) | st.floats(*bounds) for name, bounds in _SIZES.items()},
    },
)  # fmt: skip


def answers_of(path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a notebook would get, without code of this project."""
    pipeline = joblib.load(path)
    frame = pd.DataFrame(
        {
            "island": pd.Series([row["island"] for row in rows], dtype="str"),
            **{name: pd.Series([row.get(name) for row in rows], dtype="float64") for name in _SIZES},
            "sex": pd.Series([row.get("sex") for row in rows], dtype="str"),
            "year": pd.Series([row["year"] for row in rows], dtype="int64"),
        }
    )
    labels = pipeline.classes_.tolist()
    chances = [dict(zip(labels, row, strict=True)) for row in pipeline.predict_proba(frame).tolist()]
    return {"predictions": pipeline.predict(frame).tolist(), "probabilities": chances}


def asked(api: APIClient, rows: list[dict[str, Any]], **headers: str) -> Any:
    return api.generic("POST", _URL, json.dumps(rows), content_type="application/json", headers=headers)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_PENGUINS, min_size=1, max_size=8))
def test_it_answers_the_same_in_place_by_a_worker_and_at_a_notebook(
    rows: list[dict[str, Any]], api: APIClient, penguins: ModelVersion, penguins_artifact: Path
) -> None:
    waited = asked(api, rows, Prefer="wait=20")
    accepted = asked(api, rows)
    tasks.drain()

    fetched = api.get(accepted.json()["url"])

    assert (waited.status_code, accepted.status_code, fetched.status_code) == (200, 202, 200)
    assert waited.json()["result"] == fetched.json()["result"] == answers_of(penguins_artifact, rows)
