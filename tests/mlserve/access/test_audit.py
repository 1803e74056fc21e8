"""The admin's log: who uploaded, promoted, rolled back and saw other people's inputs, whichever way it was done."""

import html
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.access.audit import INPUTS_SEEN, log_action
from mlserve.errors import FieldError, PredictionFailed
from mlserve.http.problems import stored_problem
from predictions.models import Prediction
from registry.models import Model, ModelVersion
from registry.uploads.worker import inspect_next
from tests.mlserve.http.test_both_chains import RECORD, URL
from tests.registry.uploading import submitted

pytestmark = pytest.mark.django_db


def said(user: User) -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.filter(user=user).order_by("pk")]


def staff(name: str, *permissions: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def prediction(penguins: ModelVersion, reader: User) -> Prediction:
    """The reader's, on a private model."""
    Model.objects.update(is_public=False)
    api = APIClient()
    api.force_authenticate(reader)
    api.post(URL, RECORD)
    return Prediction.objects.get()


def test_it_notes_what_is_done_over_the_api(penguins: ModelVersion, publish_penguins: Any, owner: User) -> None:
    publish_penguins("2.0")
    api = APIClient()
    api.force_authenticate(owner)

    api.post("/api/models/penguins/promote", {"tag": "2.0"})
    api.post("/api/models/penguins/rollback")
    api.post("/api/models/penguins/retire")

    assert said(owner) == [
        "Promoted over the API.", "Live again after a rollback over the API.", "Retired over the API.",
    ]  # fmt: skip
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"penguins 2.0", "penguins 1.0"}


def test_it_notes_uploads(penguins_artifact: Any, owner: User) -> None:
    api = APIClient()
    api.force_authenticate(owner)
    with penguins_artifact.open("rb") as artifact:
        fields = {"tag": "1.0", "artifact": artifact, "promote": "true"}
        response = api.post("/api/models/penguins/versions", fields, format="multipart")

    assert response.status_code == 201, response.content
    uploaded, promoted = LogEntry.objects.order_by("pk")
    assert uploaded.action_flag == ADDITION
    assert uploaded.get_change_message().startswith("Uploaded over the API")
    assert promoted.get_change_message() == "Promoted with its upload."


def by_api(owner: User, artifact: Any, fields: dict[str, str]) -> None:
    api = APIClient()
    api.force_authenticate(owner)
    response = api.post("/api/models/penguins/versions", {**fields, "artifact": artifact}, format="multipart")
    assert response.status_code == 200, response.content


def by_admin(owner: User, artifact: Any, fields: dict[str, str]) -> None:
    client = Client()
    client.force_login(owner)
    asked = {"model": "penguins", "is_public": fields["public"], "schema_class": "RawData", **fields}
    assert client.post("/admin/registry/modelversion/add/", {**asked, "artifact": artifact}).status_code == 302


def by_worker(owner: User, artifact: Any, fields: dict[str, str]) -> None:
    api = APIClient()
    api.force_authenticate(owner)
    submitted(api, artifact.read(), **fields)
    assert inspect_next(holder="w")


@pytest.mark.parametrize("way", [by_api, by_admin, by_worker])
def test_it_notes_what_an_upload_changes_of_its_model(
    penguins: ModelVersion, penguins_artifact: Any, owner: User, way: Any
) -> None:
    with penguins_artifact.open("rb") as artifact:
        way(owner, artifact, {"tag": "1.0", "public": "false", "title": "Birds"})

    assert Model.objects.get().is_public is False
    assert said(owner)[-2:] == ["Made private with an upload.", "Title changed with an upload."]
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"penguins"}


def test_it_logs_what_was_done_without_an_account(penguins: ModelVersion, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_action("ada (shell)", penguins, "Promoted.")

    assert "penguins 1.0: Promoted. By ada (shell)." in caplog.text
    assert not LogEntry.objects.exists()


PAGES = pytest.mark.parametrize(
    "url", ["/admin/predictions/prediction/{}/change/", "/predictions/{}", "/models/penguins?from={}"]
)


@PAGES
def test_it_shows_inputs_to_staff_with_the_permission_and_notes_it(prediction: Prediction, url: str) -> None:
    seer, client = staff("seer", "view_inputs", "view_prediction"), Client()
    client.force_login(seer)

    pages = [client.get(url.format(prediction.pk)).content.decode() for _ in range(2)]

    assert all("2007" in page for page in pages)
    assert said(seer) == [INPUTS_SEEN]
    LogEntry.objects.update(action_time=timezone.now() - timedelta(hours=2))
    client.get(url.format(prediction.pk))
    assert said(seer) == [INPUTS_SEEN, INPUTS_SEEN]


@PAGES
def test_it_hides_inputs_from_other_staff(prediction: Prediction, url: str) -> None:
    clerk, client = staff("clerk", "view_prediction"), Client()
    client.force_login(clerk)

    response = client.get(url.format(prediction.pk))

    assert response.status_code == 200
    assert 'value="2007"' not in response.content.decode()
    assert "<td>2007</td>" not in response.content.decode()
    assert "from=" in url or "The inputs are" in response.content.decode()
    assert said(clerk) == []


SAID = "could not convert string to float: 'Maria'"
WHERE = pytest.mark.parametrize(
    "url", ["/api/predict", "/api/predict/{}", "/predictions/{}", "/admin/predictions/prediction/{}/change/"]
)


@pytest.fixture
def failed(prediction: Prediction) -> Prediction:
    """Its model repeated a value of two rows."""
    words = [FieldError(f"#/{row}", f"ValueError: {SAID}") for row in (0, 1)]
    error = PredictionFailed(f"The model could not predict this row: ValueError: {SAID}", words)
    changes = {"status": "failed", "finished_at": timezone.now(), "error": json.dumps(stored_problem(error))}
    Prediction.objects.filter(pk=prediction.pk).update(**changes)
    return prediction


def seen_by(user: User, url: str, failed: Prediction) -> str:
    client = Client()
    client.force_login(user)
    return html.unescape(client.get(url.format(failed.pk)).content.decode())


@WHERE
def test_it_hides_what_a_model_said_about_inputs(failed: Prediction, url: str) -> None:
    shown = seen_by(staff("clerk", "view_prediction"), url, failed)

    assert "Maria" not in shown
    assert "#/1" in shown
    assert "which your account may not see" in shown


@WHERE
def test_it_shows_what_a_model_said_to_who_may_see_inputs(failed: Prediction, reader: User, url: str) -> None:
    people = [staff("seer", "view_inputs", "view_prediction"), *([] if "admin" in url else [reader])]

    assert all(SAID in seen_by(user, url, failed) for user in people)


def test_it_notes_nothing_about_ones_own(prediction: Prediction, reader: User) -> None:
    client = Client()
    client.force_login(reader)

    assert "2007" in client.get(f"/predictions/{prediction.pk}").content.decode()
    assert said(reader) == []


def test_it_shows_a_public_prediction_to_a_caller_that_has_its_id(prediction: Prediction) -> None:
    Model.objects.update(is_public=True)

    assert "2007" in Client().get(f"/predictions/{prediction.pk}").content.decode()
