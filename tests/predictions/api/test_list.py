"""GET /api/predict."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from predictions import tasks
from predictions.models import Prediction
from registry.models import Model, ModelVersion
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


def ids(response: object) -> list[str]:
    return [each["prediction_id"] for each in response.json()["results"]]  # type: ignore[attr-defined]


def test_it_lists_newest_first(api: APIClient, submit_rows: Submit, owner: User) -> None:
    submitted = [str(submit_rows().pk) for _ in range(3)]
    api.force_authenticate(owner)

    assert ids(api.get("/api/predict")) == submitted[::-1]


def test_it_pages_by_cursor(api: APIClient, submit_rows: Submit, owner: User) -> None:
    submitted = [str(submit_rows().pk) for _ in range(5)]
    api.force_authenticate(owner)

    first = api.get("/api/predict?page_size=3")
    second = api.get(first.json()["next"])

    assert ids(first) + ids(second) == submitted[::-1]
    assert second.json()["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=succeeded", 1),
        ("status=queued", 1),
        ("model=penguins", 2),
        ("version=1.0", 2),
        ("model=penguins&version=1.0", 2),
        ("model=penguins&status=failed", 0),
    ],
)
def test_it_filters(api: APIClient, submit_rows: Submit, owner: User, query: str, found: int) -> None:
    submit_rows()
    tasks.drain()
    submit_rows()
    api.force_authenticate(owner)

    assert len(ids(api.get(f"/api/predict?{query}"))) == found


def test_it_refuses_an_unknown_status(api: APIClient, owner: User) -> None:
    api.force_authenticate(owner)

    response = api.get("/api/predict?status=lost")

    assert response.status_code == 400
    assert "queued, running" in response.json()["detail"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("model=other", "There is no model 'other'"),
        ("version=2.0", "There is no version '2.0' of any model"),
        ("model=penguins&version=2.0", "The model 'penguins' has no version '2.0'"),
    ],
)
def test_it_says_which_filter_names_nothing(
    api: APIClient, penguins: ModelVersion, owner: User, query: str, words: str
) -> None:
    api.force_authenticate(owner)

    response = api.get(f"/api/predict?{query}")

    assert response.status_code == 404
    assert words in response.json()["detail"]


def test_it_tells_a_stranger_the_same_of_a_hidden_model_as_of_none(api: APIClient, penguins: ModelVersion) -> None:
    Model.objects.update(is_public=False)

    hidden, absent = (api.get(f"/api/predict?model={name}") for name in ("penguins", "other"))

    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["detail"].replace("penguins", "other") == absent.json()["detail"]


def test_it_lists_nothing_of_a_model_without_versions(api: APIClient, penguins: ModelVersion, owner: User) -> None:
    Model.objects.create(name="empty")
    api.force_authenticate(owner)

    assert ids(api.get("/api/predict?model=empty")) == []


def test_it_lists_only_ones_own(api: APIClient, submit_rows: Submit, reader: User) -> None:
    submit_rows()
    mine = submit_rows()
    Prediction.objects.filter(pk=mine.pk).update(owner=reader)
    api.force_authenticate(reader)

    assert ids(api.get("/api/predict")) == [str(mine.pk)]


def test_it_asks_a_stranger_to_sign_in_unless_this_is_a_laptop(
    api: APIClient, submit_rows: Submit, settings: object
) -> None:
    submit_rows()
    assert len(ids(api.get("/api/predict"))) == 1

    settings.MLSERVE_ANONYMOUS_HISTORY = False  # type: ignore[attr-defined]

    assert api.get("/api/predict").status_code == 401


def test_it_reads_neither_inputs_nor_one_query_per_row(
    api: APIClient, submit_rows: Submit, owner: User, django_assert_max_num_queries: object
) -> None:
    for _ in range(20):
        submit_rows()
    api.force_authenticate(owner)

    with django_assert_max_num_queries(2) as queries:  # type: ignore[operator]
        api.get("/api/predict")

    assert '"inputs"' not in "".join(query["sql"] for query in queries.captured_queries)
