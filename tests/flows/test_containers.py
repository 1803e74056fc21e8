"""Models of every container, from their upload to each page and answer that shows them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from predictions import tasks
from predictions.runtime.golden_rerun import verify
from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import publish

pytestmark = pytest.mark.django_db(transaction=True)

Y = [0, 1] * 10
FRAME = pd.DataFrame(
    {
        "ticket": [f"A/{number}" for number in range(20)],
        "town": ["Ulm", "Bonn", "Köln", "Bonn"] * 5,
        "age": [1.5, 2.5, 3.5, 4.5] * 5,
        "at": pd.DatetimeIndex(["2026-01-31T12:00Z", "2026-07-31T12:00Z"] * 10).as_unit("us"),
    }
)
LABELS = np.column_stack([Y, [0, 0, 1, 1] * 5])


def encoded(*columns: str) -> Any:
    return ColumnTransformer([("encode", OneHotEncoder(handle_unknown="ignore"), list(columns))])


def on_dropped_columns() -> tuple[Any, Any, list[Any]]:
    data = FRAME[["ticket", "town", "age"]]
    columns = ColumnTransformer([("town", OneHotEncoder(), ["town"]), ("age", StandardScaler(), ["age"])])
    return make_pipeline(columns, LogisticRegression()).fit(data, Y), data, data.to_dict("records")


def on_dropped_positions() -> tuple[Any, Any, list[Any]]:
    data = FRAME[["ticket", "town", "age"]].to_numpy(dtype=object)
    columns = ColumnTransformer([("town", OneHotEncoder(), [1])])
    return make_pipeline(columns, LogisticRegression()).fit(data, Y), data, FRAME[["town"]].to_dict("records")


def on_texts() -> tuple[Any, Any, list[Any]]:
    data = FRAME["town"].tolist()
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(data, Y), data, [{"text": each} for each in data]


def on_dicts() -> tuple[Any, Any, list[Any]]:
    data = FRAME[["town", "age"]].to_dict("records")
    return make_pipeline(DictVectorizer(), RandomForestClassifier(3, random_state=0)).fit(data, Y), data, data


def on_moments_of_a_zone() -> tuple[Any, Any, list[Any]]:
    data = FRAME[["at"]]
    rows = [{"at": moment.isoformat()} for moment in FRAME["at"]]
    return make_pipeline(encoded("at"), LogisticRegression()).fit(data, Y), data, rows


def on_several_labels() -> tuple[Any, Any, list[Any]]:
    data = FRAME[["age"]]
    return make_pipeline(OneVsRestClassifier(LogisticRegression())).fit(data, LABELS), data, data.to_dict("records")


KINDS = [on_dropped_columns, on_dropped_positions, on_texts, on_dicts, on_moments_of_a_zone, on_several_labels]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def served(request: pytest.FixtureRequest, save: Callable[..., Path], tmp_path: Path) -> tuple[Any, Any, list[Any]]:
    """The trainer's pipeline, data and rows, once the model is live as `kind` 1."""
    pipeline, data, rows = request.param()
    (tmp_path / "sample.json").write_text(json.dumps(rows))
    (tmp_path / "expected.json").write_text(json.dumps(pipeline.predict(data).tolist()))
    given = VersionRequest(
        "kind", "1", sample=tmp_path / "sample.json", expected=tmp_path / "expected.json", is_public=True, promote=True
    )
    assert "answers" not in [check.name for check in publish(save(pipeline), given).report.warnings]
    return pipeline, data, rows


def test_it_answers_what_the_trainer_saw(served: tuple[Any, Any, list[Any]], api: APIClient) -> None:
    pipeline, data, rows = served

    url = "/api/models/kind/predict?outputs=predict,predict_proba"
    waited = api.generic("POST", url, json.dumps(rows), content_type="application/json", headers={"Prefer": "wait=20"})
    queued = api.generic("POST", url, json.dumps(rows), content_type="application/json")
    tasks.drain()
    fetched = api.get(queued.json()["url"]).json()

    result = waited.json()["result"]
    assert result == fetched["result"]
    assert result["predictions"] == pipeline.predict(data).tolist()
    assert [list(row.values()) for row in result["probabilities"]] == pipeline.predict_proba(data).tolist()
    assert verify(ModelVersion.objects.get()).is_same


def test_it_is_shown_everywhere(
    served: tuple[Any, Any, list[Any]], admin_client: Client, api: APIClient, client: Client
) -> None:
    version = ModelVersion.objects.get()
    row = served[2][0]
    asked = api.generic(
        "POST",
        "/api/models/kind/predict",
        json.dumps(row),
        content_type="application/json",
        headers={"Prefer": "wait=9"},
    ).json()
    addresses = [
        reverse("admin:registry_modelversion_change", args=[version.pk]),
        reverse("admin:predictions_prediction_change", args=[asked["prediction_id"]]),
        "/", "/models/kind", f"/predictions/{asked['prediction_id']}", "/api/schema", "/api/models/kind",
        "/api/models/kind/schema", "/api/models/kind/versions/1",
    ]  # fmt: skip

    statuses = {address: admin_client.get(address).status_code for address in addresses}
    posted = client.post("/models/kind", {name: value for name, value in row.items() if name != "ticket"}, follow=True)

    assert statuses == dict.fromkeys(addresses, 200)
    assert "Permalink of this prediction" in posted.text
    assert "A/0" not in json.dumps(asked)
