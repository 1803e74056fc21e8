"""Values of redacted columns reach the model, and no row that has ended."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.errors import Unavailable
from predictions import tasks
from predictions.model_host.errors import ModelRaised
from predictions.models import Prediction
from predictions.models.completion import Completion
from predictions.runtime import loaded_models
from predictions.serving.submission import submit
from predictions.worker.claiming import Precedence, claim
from registry.models import ModelVersion
from tests.predictions.redacted_columns import ISLAND, MASS, record, with_redacted_columns

pytestmark = pytest.mark.django_db

HOLDER = "host:1"


@pytest.fixture
def redacting(penguins: ModelVersion) -> ModelVersion:
    return with_redacted_columns(penguins, island="no", body_mass_g="hashed")


@pytest.fixture
def ask(redacting: ModelVersion, penguin: dict[str, Any]) -> Callable[..., Prediction]:
    def queue(*, wait_seconds: float = 0, **values: Any) -> Prediction:
        payload = {**record(penguin), **values}
        return submit(redacting, payload, outputs=["predict"], user=AnonymousUser(), wait_seconds=wait_seconds)

    return queue


Ask = Callable[..., Prediction]


def kept_row(pk: UUID) -> dict[str, Any]:
    """The first row of what is stored, after looking for what must not be there."""
    prediction = Prediction.objects.get(pk=pk)
    assert prediction.has_ended
    assert not prediction.is_raw
    texts = [prediction.inputs, prediction.error or "", prediction.warnings]
    texts += [path.read_text() for path in stored_files()]
    assert not [text for text in texts if ISLAND in text or str(MASS) in text]
    return prediction.rows[0]


def stored_files() -> list[Path]:
    root = Path(storages["artifacts"].path(""))
    return [path for path in root.glob("predictions/**/*") if path.is_file()]


@contextmanager
def unreachable_storage() -> Iterator[None]:
    root = Path(storages["artifacts"].path("predictions"))
    root.rename(root.with_name("moved"))
    root.write_bytes(b"")  # no folder
    try:
        yield
    finally:
        root.unlink()
        root.with_name("moved").rename(root)


def claimed(ask: Ask) -> Prediction:
    ask()
    return claim(holder=HOLDER, now=timezone.now())[0]


def succeed(ask: Ask) -> UUID:
    pk = ask().pk
    tasks.drain()
    assert Prediction.objects.get(pk=pk).status == "succeeded"
    return pk


def fail(ask: Ask) -> UUID:
    prediction = claimed(ask)
    text = b'[{"year": 2007}]'
    completion = Completion(prediction.pk, error={"title": "no"}, inputs=text)
    Prediction.objects.finish([completion], holder=HOLDER, now=timezone.now())
    return prediction.pk


def cancel(ask: Ask) -> UUID:
    pk = ask().pk
    assert Prediction.objects.cancel(pk, now=timezone.now())
    return pk


def expire(ask: Ask) -> UUID:
    pk = ask().pk
    assert Prediction.objects.expire(now=timezone.now() + timedelta(days=30)) == 1
    return pk


def give_up(ask: Ask) -> UUID:
    prediction = claimed(ask)
    Prediction.objects.update(attempts=99)
    assert Prediction.objects.requeue_held_by([HOLDER], now=timezone.now()) == 1
    return prediction.pk


def end_in_an_older_process(ask: Ask) -> UUID:
    """Which knows nothing of marks."""
    pk = ask().pk
    Prediction.objects.filter(pk=pk).update(status="canceled", finished_at=timezone.now())
    tasks.sweep_now()
    return pk


ENDS = [succeed, fail, cancel, expire, give_up, end_in_an_older_process]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("row_bytes", [2**20, 10], ids=["in the row", "in the storage"])
def test_it_stores_no_redacted_value_once_it_has_ended(
    ask: Ask, end: Callable[[Ask], UUID], row_bytes: int, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.MLSERVE_ROW_BYTES = row_bytes

    with django_capture_on_commit_callbacks(execute=True):
        pk = end(ask)

    row = kept_row(pk)
    assert "island" not in row
    assert row["year"] == 2007


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row_bytes", [2**20, 10], ids=["in the row", "in the storage"])
def test_it_stores_no_redacted_value_for_a_caller_that_waits(ask: Ask, row_bytes: int, settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = row_bytes

    prediction = ask(wait_seconds=20)

    assert prediction.status == "succeeded"
    assert "island" not in kept_row(prediction.pk)


def test_it_stores_what_is_needed_until_then(ask: Ask) -> None:
    prediction = claimed(ask)
    Prediction.objects.requeue_held_by([HOLDER], now=timezone.now())

    prediction.refresh_from_db()
    assert prediction.rows[0]["island"] == ISLAND
    assert prediction.is_raw


def test_it_joins_equal_values(ask: Ask) -> None:
    first, second, other = ask().pk, ask().pk, ask(body_mass_g=4000).pk
    missing = ask(body_mass_g=None).pk
    tasks.drain()

    masses = [kept_row(pk)["body_mass_g"] for pk in (first, second, other, missing)]
    assert masses[0] == masses[1] != masses[2]
    assert masses[0].startswith("hmac-sha256:")
    assert masses[3] is None


def test_it_predicts_with_the_value(ask: Ask, redacting: ModelVersion, penguin: dict[str, Any]) -> None:
    pk = succeed(ask)
    answers = loaded_models.predict(redacting, [record(penguin)], ["predict"])

    assert json.loads(Prediction.objects.get(pk=pk).result or "")["predictions"] == answers["predictions"]


def test_it_costs_versions_without_marks_no_statement(
    penguins: ModelVersion, penguin: dict[str, Any], django_assert_num_queries: Any
) -> None:
    submit(penguins, penguin, outputs=["predict"], user=AnonymousUser())
    claimed = claim(holder=HOLDER, now=timezone.now())

    with django_assert_num_queries(1):
        Prediction.objects.finish([Completion(claimed[0].pk, result={})], holder=HOLDER, now=timezone.now())
    assert json.loads(Prediction.objects.get().inputs) == [penguin]


def test_it_leaves_the_row_of_another_worker_alone(ask: Ask) -> None:
    prediction = claimed(ask)
    Prediction.objects.finish([Completion(prediction.pk, result={}, inputs=b"[]")], holder="host:2", now=timezone.now())

    prediction.refresh_from_db()
    assert (prediction.status, prediction.rows[0]["island"]) == ("running", ISLAND)


def test_it_finds_the_old_object_after_it_was_killed(ask: Ask, settings: Any) -> None:
    """Between the end and the deletion of what was put in, which waits for the commit."""
    settings.MLSERVE_ROW_BYTES = 10
    pk = cancel(ask)
    assert any(ISLAND in path.read_text() for path in stored_files())

    assert Prediction.objects.redact_ended() == 1

    kept_row(pk)
    assert len(stored_files()) == 1
    assert Prediction.objects.redact_ended() == 0


def test_it_waits_for_an_unreachable_storage(ask: Ask, settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    pk = ask().pk

    with unreachable_storage():
        with pytest.raises(Unavailable):
            Prediction.objects.cancel(pk, now=timezone.now())
        assert Prediction.objects.expire(now=timezone.now() + timedelta(days=30)) == 0

    assert Prediction.objects.expire(now=timezone.now() + timedelta(days=30)) == 1
    Prediction.objects.redact_ended()
    kept_row(pk)


def use_up_attempts(ask: Ask, settings: Any) -> Prediction:
    """A running prediction on its last attempt, whose input lies in the storage."""
    settings.MLSERVE_ROW_BYTES = 10
    prediction = claimed(ask)
    Prediction.objects.filter(pk=prediction.pk).update(attempts=settings.MLSERVE_MAX_ATTEMPTS)
    return prediction


def test_it_never_tries_again_what_has_used_up_its_attempts(ask: Ask, settings: Any) -> None:
    prediction = use_up_attempts(ask, settings)

    with unreachable_storage():
        assert Prediction.objects.requeue_held_by([HOLDER], now=timezone.now()) == 0
        Prediction.objects.requeue_without_attempt(holder=HOLDER)
        tasks.sweep_now()
        assert claim(holder="host:2", now=timezone.now()) == []

    tasks.sweep_now()
    Prediction.objects.redact_ended()
    prediction.refresh_from_db()
    assert (prediction.status, prediction.attempts) == ("failed", settings.MLSERVE_MAX_ATTEMPTS)
    kept_row(prediction.pk)


def test_it_requeues_others_before_it_waits_for_the_storage(
    ask: Ask, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task's time can end during the wait for an input that is only needed to end its own row."""
    use_up_attempts(ask, settings)
    other = ask()
    claim(holder=HOLDER, now=timezone.now())
    monkeypatch.setattr("predictions.models.redaction.fetch", Mock(side_effect=SystemExit))

    with pytest.raises(SystemExit):
        Prediction.objects.requeue_held_by([HOLDER], now=timezone.now())

    other.refresh_from_db()
    assert other.status == "queued"


@pytest.mark.parametrize("is_quarantined", [False, True])
def test_it_holds_up_no_other_while_its_input_is_unreachable(
    ask: Ask, settings: Any, redacting: ModelVersion, is_quarantined: bool
) -> None:
    use_up_attempts(ask, settings)
    settings.MLSERVE_ROW_BYTES = 2**20
    other = ask()
    Prediction.objects.filter(pk=other.pk).update(attempts=settings.MLSERVE_MAX_ATTEMPTS - 1)
    precedence = Precedence(quarantined=frozenset({redacting.pk} if is_quarantined else ()))

    with unreachable_storage():
        Prediction.objects.requeue_held_by([HOLDER], now=timezone.now())
        chosen = claim(holder="host:2", now=timezone.now(), precedence=precedence)

    assert [each.pk for each in chosen] == [other.pk]


def test_it_ends_what_lost_its_input(ask: Ask, settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    pk = ask().pk
    for path in stored_files():
        path.unlink()

    assert Prediction.objects.cancel(pk, now=timezone.now())
    assert not Prediction.objects.get(pk=pk).is_raw


def test_it_deletes_both_objects_of_a_prediction(ask: Ask, settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    cancel(ask)
    assert len(stored_files()) == 2

    Prediction.objects.delete_ended_before(timezone.now() + timedelta(days=1))

    assert stored_files() == []


def test_it_names_no_value_in_a_stored_error(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, api: APIClient, redacting: ModelVersion
) -> None:
    def refuse(_version: ModelVersion, rows: Any, _outputs: Any, **_: Any) -> Any:
        raise ModelRaised("ValueError", f"could not convert {rows[0]['island']}")

    monkeypatch.setattr("predictions.runtime.loaded_models.predict", refuse)
    pk = ask().pk
    tasks.drain()

    kept_row(pk)
    detail = api.get(f"/api/predict/{pk}").json()["error"]["detail"]
    assert "ValueError" in detail


def test_it_names_no_value_in_a_warning(redacting: ModelVersion, penguin: dict[str, Any]) -> None:
    redacting.schema["properties"]["island"] = {"type": "string", "x-training-values": ["Dream"], "x-stored": "no"}
    version, row = with_redacted_columns(redacting), {**penguin, "island": "Atlantis"}
    pk = submit(version, row, outputs=["predict"], user=AnonymousUser()).pk
    tasks.drain()

    warnings = Prediction.objects.get(pk=pk).warnings
    assert "the value was not seen in training" in warnings
    assert "Atlantis" not in warnings


def test_it_shows_people_no_value(ask: Ask, client: Client, owner: User) -> None:
    """Neither while it waits, when the row has it, nor afterwards."""
    client.force_login(owner)
    pk = ask().pk
    for _ in range(2):
        for url in (f"/predictions/{pk}", f"/admin/predictions/prediction/{pk}/change/"):
            page = client.get(url).content.decode()
            assert "not stored" in page
            assert "stored as hash" in page
            assert str(MASS) not in page
            assert ISLAND not in page
        tasks.drain()


def test_it_asks_again_for_what_was_not_stored(ask: Ask, client: Client) -> None:
    pk = succeed(ask)

    page = client.get(f"/models/penguins?from={pk}").content.decode()

    assert "so enter again: Island, Body mass" in page
    assert 'value="2007"' in page
    assert str(MASS) not in page
    assert "hmac-sha256" not in page


def test_it_says_in_the_form_which_columns_are_redacted(redacting: ModelVersion, client: Client) -> None:
    page = client.get("/models/penguins").content.decode()

    assert page.count("Not stored.") == 1
    assert page.count("Stored as a hash only.") == 1
