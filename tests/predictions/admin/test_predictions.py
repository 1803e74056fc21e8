"""Predictions in the admin: the list that counts nothing, the page of one, canceling; and every page of the site."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule

from predictions.models import Prediction, Worker
from predictions.queue import wake_ups
from predictions.serving.submission import submit
from predictions.tasks import drain
from registry.models import ModelVersion
from registry.publishing.publish import Published
from registry.uploads.sender import open_upload

LIST = "/admin/predictions/prediction/"


@pytest.fixture
def admin_client(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


@pytest.fixture
def queued(penguins: ModelVersion, penguin: dict[str, Any], owner: User) -> Prediction:
    return submit(penguins, [penguin, {**penguin, "bill_length_mm": 79}], outputs=["predict"], user=owner)


def page_of(prediction: Prediction) -> str:
    return reverse("admin:predictions_prediction_change", args=[prediction.pk])


def failed(version: ModelVersion) -> Prediction:
    return Prediction.objects.create(
        version=version, status="failed", row_count=1, inputs="[{}]", created_at=timezone.now(),
        finished_at=timezone.now(), error='{"title": "The model raised an error", "detail": "It <broke>."}',
    )  # fmt: skip


def test_it_lists_predictions_newest_first_without_counting(
    admin_client: Client, queued: Prediction, django_assert_max_num_queries: Any
) -> None:
    newer = failed(queued.version)

    with (
        django_assert_max_num_queries(12),
        CaptureQueriesContext(
            connection,
        ) as queries,
    ):
        page = admin_client.get(LIST)

    assert list(page.context["cl"].result_list) == [newer, queued]
    assert "The model raised an error" in page.text
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]


def test_it_leaves_the_long_columns_alone(admin_client: Client, queued: Prediction) -> None:
    page = admin_client.get(LIST)

    listed = page.context["cl"].result_list[0]
    assert {"inputs", "result", "warnings"} <= listed.get_deferred_fields()


def test_it_pages_through_more_than_it_looked_at(admin_client: Client, queued: Prediction) -> None:
    queued.delete()
    Prediction.objects.bulk_create(
        Prediction(version=queued.version, row_count=1, inputs="[]", created_at=timezone.now()) for _ in range(620)
    )

    first, last, beyond = (admin_client.get(LIST, {"p": page}) for page in (1, 13, 99))

    assert len(first.context["cl"].result_list) == 50
    assert "and more" in first.text
    assert len(last.context["cl"].result_list) == 20
    assert "620 predictions" in last.text
    assert beyond.status_code == 302


def test_it_filters_by_status_and_model(admin_client: Client, queued: Prediction) -> None:
    other = failed(queued.version)

    chosen = {"status__exact": "failed", "version__model__id__exact": str(queued.version.model_id)}
    page = admin_client.get(LIST, chosen)

    assert list(page.context["cl"].result_list) == [other]


@pytest.mark.parametrize(
    ("text", "count"), [("{0}", 1), ("  {0} ", 1), ("01936f5e-0000-7000-8000-000000000000", 0), ("nonsense", 0)]
)
def test_it_finds_a_prediction_by_its_id(admin_client: Client, queued: Prediction, text: str, count: int) -> None:
    page = admin_client.get(LIST, {"q": text.format(queued.pk)})

    assert len(page.context["cl"].result_list) == count


def test_it_sums_up_the_queue(admin_client: Client, queued: Prediction) -> None:
    before = admin_client.get(LIST).context["queue"]
    Worker.objects.create(name="host:1", host="host", pid=1, seen_at=timezone.now())

    after = admin_client.get(LIST).context["queue"]

    assert (before["queued"], before["running"], before["workers"]) == ("1", "0", [])
    assert before["oldest"].endswith("s")
    assert [worker.name for worker in after["workers"]] == ["host:1"]


def test_it_shows_inputs_results_and_warnings(admin_client: Client, queued: Prediction) -> None:
    drain()

    page = admin_client.get(page_of(queued))

    assert page.status_code == 200
    assert page.context["table"][0][-1] == "Gentoo"
    assert "Row 2, bill_length_mm" in page.text


def test_it_shows_the_error(admin_client: Client, penguins: ModelVersion) -> None:
    page = admin_client.get(page_of(failed(penguins)))

    assert "Error: The model raised an error" in page.text
    assert "It &lt;broke&gt;." in page.text


def test_it_shows_the_first_rows_of_many(
    admin_client: Client, penguins: ModelVersion, penguin: dict[str, Any], owner: User
) -> None:
    prediction = submit(penguins, [penguin] * 80, outputs=["predict"], user=owner)

    page = admin_client.get(page_of(prediction))

    assert "The first 50 of 80 rows" in page.text
    assert len(page.context["table"]) == 50


def test_it_cancels_what_is_queued_and_says_what_was_not(admin_client: Client, queued: Prediction) -> None:
    other = failed(queued.version)
    chosen = {"action": "cancel_queued", "_selected_action": [queued.pk, other.pk]}

    answer = admin_client.post(LIST, chosen, follow=True)

    assert "1 canceled. 1 were no longer queued." in answer.text
    assert [Prediction.objects.get(pk=each.pk).status for each in (queued, other)] == ["canceled", "failed"]


def test_it_lets_no_mere_looker_cancel(client: Client, reader: User, queued: Prediction) -> None:
    reader.is_staff = True
    reader.save()
    reader.user_permissions.add(Permission.objects.get(codename="view_prediction"))
    client.force_login(reader)

    client.post(LIST, {"action": "cancel_queued", "_selected_action": [queued.pk]})

    assert Prediction.objects.get().status == "queued"
    assert "Cancel selected" not in client.get(LIST).text


def test_it_shows_inputs_only_with_the_permission(client: Client, reader: User, queued: Prediction) -> None:
    reader.is_staff = True
    reader.save()
    client.force_login(reader)

    assert client.get(LIST).status_code == 403
    assert client.get(page_of(queued)).status_code == 403


def test_it_neither_adds_nor_edits(admin_client: Client, queued: Prediction) -> None:
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page_of(queued), {"status": "failed"}).status_code == 403


def test_it_says_why_a_version_with_predictions_stays(
    admin_client: Client, queued: Prediction, publish_penguins: Callable[..., Published]
) -> None:
    publish_penguins("1.1", promote=True)
    address = reverse("admin:registry_modelversion_delete", args=[queued.version_id])

    with CaptureQueriesContext(connection) as queries:
        answer = admin_client.post(address, {"post": "yes"})

    assert "penguins 1.0 has made predictions" in answer.text
    assert ModelVersion.objects.count() == 2
    assert not [query["sql"] for query in queries if '"predictions_prediction"."inputs"' in query["sql"]]


def test_it_hides_the_tables_of_the_queue_that_mislead() -> None:
    names = {model._meta.object_name for model in admin.site._registry if model._meta.app_label == "django_q"}

    assert names == {"Schedule"}


def test_it_lets_no_user_schedule_a_function(admin_client: Client) -> None:
    sweep = Schedule.objects.get(func=wake_ups.SWEEP)
    asked = {"name": "x", "func": "os.system", "args": "'true'", "schedule_type": "O", "repeats": "0"}

    added = admin_client.post("/admin/django_q/schedule/add/", asked)
    admin_client.post(f"/admin/django_q/schedule/{sweep.pk}/change/", asked)

    assert added.status_code == 403
    assert list(Schedule.objects.values_list("func", "args", "repeats")) == [(wake_ups.SWEEP, None, 0)]


def test_it_answers_on_every_page(admin_client: Client, owner: User, queued: Prediction) -> None:
    open_upload(owner, size_bytes=1)
    answers = {}
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = apps.get_model(model._meta.label).objects.first()
        answers[f"{name} list"] = admin_client.get(reverse(f"{name}_changelist")).status_code
        if row is not None:
            answers[f"{name} change"] = admin_client.get(reverse(f"{name}_change", args=[row.pk])).status_code

    assert set(answers.values()) == {200}, answers
    assert {name for name in answers if "registry" in name or "predictions" in name} == {
        f"admin:{name} {page}"
        for name in (
            "registry_model", "registry_modelversion", "registry_promotion", "registry_directupload",
            "predictions_prediction",
        )
        for page in ("list", "change")
    }  # fmt: skip
