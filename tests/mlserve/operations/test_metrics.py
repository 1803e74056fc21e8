"""`/metrics`: who may read it, and that it says what happened in words that Prometheus reads."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from mlserve.observability.counters import BUCKETS, counters
from predictions import tasks
from predictions.models import Prediction
from predictions.serving.submission import submit
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind

pytestmark = pytest.mark.django_db
SCRAPER = {"Authorization": "Bearer a-long-token-of-the-scraper"}
NAMES = {
    "mlserve_predictions", "mlserve_prediction_duration_seconds", "mlserve_prediction_queue_seconds",
    "mlserve_queue_depth", "mlserve_queue_oldest_age_seconds", "mlserve_validation_errors",
    "mlserve_model_load_seconds", "mlserve_model_info",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_on_a_server(settings: Any) -> Iterator[None]:
    settings.ON_LAPTOP, settings.MLSERVE_METRICS_TOKEN = False, "a-long-token-of-the-scraper"
    counters.take()
    yield
    counters.take()


def samples(client: Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Each value under its name and labels, as Prometheus's own parser reads it."""
    response = client.get("/metrics", headers=SCRAPER)
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    found = [each for family in families for each in family.samples]
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in found}


@pytest.fixture
def submit_rows(penguins: ModelVersion, penguin: dict[str, Any]) -> Callable[[], Prediction]:
    return lambda: submit(penguins, penguin, outputs=("predict",), user=AnonymousUser())


def test_it_says_what_happened(client: Client, submit_rows: Callable[..., Prediction]) -> None:
    submit_rows()
    tasks.drain()
    submit_rows()
    found, census = samples(client), (("model", "penguins"), ("version", "1.0"))

    assert found["mlserve_predictions_total", (("model", "penguins"), ("status", "succeeded"), ("version", "1.0"))] == 1
    assert found["mlserve_queue_depth", ()] == 1
    assert found["mlserve_queue_oldest_age_seconds", ()] > 0
    assert found["mlserve_prediction_duration_seconds_count", census] == 1
    assert found["mlserve_prediction_duration_seconds_sum", census] > 0
    assert found["mlserve_model_load_seconds_count", census] == 1
    assert found["mlserve_predictions_running", ()] == 0


def test_it_describes_each_live_version(client: Client, penguins: ModelVersion) -> None:
    [info] = [dict(labels) for name, labels in samples(client) if name == "mlserve_model_info"]

    assert info.keys() == {"model", "version", "sklearn_version", "sha256"}
    assert (info["model"], info["version"], info["sha256"]) == ("penguins", "1.0", penguins.sha256)
    assert info["sklearn_version"]


def test_it_has_every_name_from_the_beginning(client: Client) -> None:
    text = client.get("/metrics", headers=SCRAPER).content.decode()

    assert set(re.findall(r"# TYPE (\S+?)(?:_total)? ", text)) >= NAMES


def test_it_bears_no_ids_and_no_people(client: Client, submit_rows: Callable[..., Prediction], owner: User) -> None:
    prediction = submit_rows()
    tasks.drain()
    text = client.get("/metrics", headers=SCRAPER).content.decode()

    assert str(prediction.pk) not in text
    assert "owner" not in text


def test_it_adds_the_smaller_buckets_to_each(client: Client) -> None:
    for seconds in (0.001, 0.02, 7200):
        counters.observe("duration", seconds, "m", "1")
    found = samples(client)
    name, labels = "mlserve_prediction_duration_seconds_bucket", (("model", "m"), ("version", "1"))
    below = {dict(key)["le"]: value for (metric, key), value in found.items() if metric == name}

    assert len(below) == len(BUCKETS) + 1
    assert (below["0.005"], below["0.01"], below["0.025"], below["3600"], below["+Inf"]) == (1, 1, 2, 2, 3)
    assert found["mlserve_prediction_duration_seconds_count", labels] == 3


def test_it_tells_of_open_incidents_only(client: Client, penguins: ModelVersion) -> None:
    now = timezone.now()
    for cleared_at in (None, None, now):
        Incident.objects.create(version=penguins, kind=Kind.HUNG, process="x", happened_at=now, cleared_at=cleared_at)

    assert samples(client)["mlserve_open_incidents", (("model", "penguins"), ("version", "1.0"))] == 2


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer", "Bearer ", "Bearer wrong", "Bearer a-long-token-of-the-scrape", "a-long-token-of-the-scraper",
     "Bearer ä", "Basic YTpi"],
)  # fmt: skip
def test_it_is_closed_to_strangers(client: Client, penguins: ModelVersion, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = client.get("/metrics", headers=headers)

    assert response.status_code == 401
    assert "penguins" not in response.content.decode()


def test_it_says_what_a_scraper_shows(client: Client, settings: Any) -> None:
    settings.ON_LAPTOP = False

    assert "MLSERVE_METRICS_TOKEN" in client.get("/metrics").json()["detail"]


@pytest.mark.parametrize("authorization", ["Bearer ", "Bearer", "Bearer None"])
def test_it_is_closed_where_no_token_was_set(client: Client, settings: Any, authorization: str) -> None:
    settings.MLSERVE_METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": authorization}).status_code == 401


def test_it_is_open_to_staff_and_to_no_other_user_who_signs_in(client: Client, reader: User, owner: User) -> None:
    client.force_login(reader)
    assert client.get("/metrics").status_code == 403
    client.force_login(owner)
    assert client.get("/metrics").status_code == 200


def test_it_is_open_on_a_laptop(client: Client, settings: Any) -> None:
    settings.ON_LAPTOP = True

    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_can_only_be_read(client: Client, method: str) -> None:
    assert getattr(client, method)("/metrics", headers=SCRAPER).status_code == 405


def test_it_says_503_when_the_database_is_unreachable(client: Client, settings: Any) -> None:
    def refuse(*_: Any) -> Any:
        raise OperationalError("unreachable")

    counters.count("a")
    with connection.execute_wrapper(refuse):
        response = client.get("/metrics", headers=SCRAPER)

    assert response.status_code == 503
    assert response["Retry-After"]
    assert samples(client)  # what was counted meanwhile is not lost, and neither is the way back


def test_it_reads_the_same_number_of_statements_however_much_there_is(
    client: Client, publish_penguins: Any, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        publish_penguins("1.0", model=f"model-{number}", promote=True)
        counters.observe("duration", 1, f"model-{number}", "1.0")
    samples(client)
    with django_assert_num_queries(7):
        samples(client)
