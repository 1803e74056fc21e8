"""Models are deleted with their versions, and with their predictions or without."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlserve.errors import Unavailable
from predictions import tasks
from predictions.models import Prediction
from predictions.serving.submission import submit
from predictions.worker.claiming import claim
from registry.models import Model, ModelVersion, Promotion
from registry.publishing.publish import Published

Asked = Callable[..., Prediction]


def page_of(model: Model, name: str = "delete") -> str:
    return reverse(f"admin:registry_model_{name}", args=[model.pk])


@pytest.fixture
def second(penguins: ModelVersion, publish_penguins: Callable[..., Published]) -> ModelVersion:
    """Version 1.1, which has no predictions."""
    return publish_penguins("1.1").version


@pytest.fixture
def ask(penguins: ModelVersion, penguin: dict[str, Any]) -> Asked:
    return lambda: submit(penguins, penguin, outputs=["predict"], user=AnonymousUser())


def test_it_says_what_it_deletes(admin_client: Client, second: ModelVersion, ask: Asked) -> None:
    ask()

    page = admin_client.get(page_of(second.model))

    for sentence in (
        "2 versions: 1.1, 1.0", "penguins 1.0 is live: it is retired first", "Its predictions: 1",
        "The artifact files stay", "30 days after they ended (MLSERVE_RETENTION_DAYS)",
    ):  # fmt: skip
        assert sentence in page.text
    assert ModelVersion.objects.count() == 2


def test_it_names_the_retention_of_the_model(admin_client: Client, penguins: ModelVersion, ask: Asked) -> None:
    ask()
    Model.objects.update(retention_days=3)

    page = admin_client.get(page_of(penguins.model))

    assert "3 days after they ended (“Retention days” of the model)" in page.text


def test_it_deletes_a_model_that_nothing_was_asked(admin_client: Client, second: ModelVersion) -> None:
    answer = admin_client.post(page_of(second.model), {"post": "yes"}, follow=True)

    assert "penguins is deleted, with 2 versions and 0 predictions." in answer.text
    assert not Model.objects.exists()
    assert LogEntry.objects.get(action_flag=DELETION).object_repr == "penguins"


def test_it_asks_what_becomes_of_the_predictions(admin_client: Client, penguins: ModelVersion, ask: Asked) -> None:
    ask()

    answer = admin_client.post(page_of(penguins.model), {"post": "yes"})

    assert "Choose what becomes of its predictions." in answer.text
    assert ModelVersion.objects.get().is_live


def test_it_deletes_the_predictions_too(
    admin_client: Client, second: ModelVersion, ask: Asked, settings: Any, tmp_path: Any
) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    ask()
    tasks.drain()
    ask()  # still queued
    assert list((tmp_path / "artifacts").rglob("*inputs*")), "large inputs lie in the storage"

    answer = admin_client.post(page_of(second.model), {"post": "yes", "predictions": "delete"}, follow=True)

    assert "penguins is deleted, with 2 versions and 2 predictions." in answer.text
    assert not Prediction.objects.exists()
    assert not Model.objects.exists()
    assert not list((tmp_path / "artifacts").rglob("*inputs*"))


def test_it_keeps_the_predictions(admin_client: Client, second: ModelVersion, ask: Asked) -> None:
    kept = ask()
    tasks.drain()

    answer = admin_client.post(page_of(second.model), {"post": "yes", "predictions": "keep"}, follow=True)

    assert "Retired and deleted as far as predictions allow: 1 version and 0 predictions. 1.0 of penguins stays" in (
        answer.text
    )
    assert [(version.tag, version.status) for version in ModelVersion.objects.all()] == [("1.0", "retired")]
    assert Promotion.objects.all()[0].kind == "retire"
    assert Client().get(f"/api/predict/{kept.pk}").json()["result"]["predictions"] == ["Gentoo"]


def test_it_leaves_what_is_being_predicted(admin_client: Client, penguins: ModelVersion, ask: Asked) -> None:
    ask()
    claim(now=timezone.now(), holder="worker")

    answer = admin_client.post(page_of(penguins.model), {"post": "yes", "predictions": "delete"}, follow=True)

    assert "They came or were running meanwhile, or time was too short: delete it again." in answer.text
    assert Prediction.objects.count() == 1
    assert not ModelVersion.objects.live().exists()


def test_it_says_that_the_storage_does_not_answer(
    admin_client: Client, penguins: ModelVersion, ask: Asked, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    ask()
    tasks.drain()

    def refuse(name: str) -> None:
        raise Unavailable(f"The storage did not delete {name}.")

    monkeypatch.setattr(storages["artifacts"], "delete", refuse)
    answer = admin_client.post(page_of(penguins.model), {"post": "yes", "predictions": "delete"}, follow=True)

    assert "Not everything was deleted." in answer.text
    assert Model.objects.exists()


@pytest.mark.parametrize(
    ("codenames", "lacking"),
    [
        (["delete_model"], "registry.delete_modelversion"),
        (["delete_model", "delete_modelversion"], "predictions.delete_prediction"),
    ],
)
def test_it_names_the_permission_that_lacks(
    client: Client, reader: User, penguins: ModelVersion, ask: Asked, codenames: list[str], lacking: str
) -> None:
    ask()
    reader.is_staff = True
    reader.save()
    reader.user_permissions.add(*Permission.objects.filter(codename__in=["view_model", *codenames]))
    client.force_login(reader)

    answer = client.post(page_of(penguins.model), {"post": "yes", "predictions": "delete"})

    assert answer.status_code == 403
    assert lacking in answer.content.decode()
    assert Prediction.objects.exists()


def test_it_sends_several_models_to_their_pages(admin_client: Client, penguins: ModelVersion) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [penguins.model_id], "post": "yes"}

    answer = admin_client.post("/admin/registry/model/", chosen)

    assert "penguins has versions. Its own page deletes it with them." in answer.text
    assert Model.objects.exists()


def test_it_says_why_a_version_with_predictions_stays(
    admin_client: Client, penguins: ModelVersion, publish_penguins: Callable[..., Published], ask: Asked
) -> None:
    ask()
    publish_penguins("1.1", promote=True)
    Model.objects.update(retention_days=3)

    answer = admin_client.get(reverse("admin:registry_modelversion_delete", args=[penguins.pk]))

    assert (
        "They are deleted 3 days after they ended (“Retention days” of the model); then it can be, too." in answer.text
    )
