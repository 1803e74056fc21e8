"""Direct uploads in the admin: what the page's script asks, the list, and how one is canceled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from registry.models import ModelVersion
from registry.models.direct_upload import DirectUpload, Status
from registry.publishing.publish import Published
from registry.uploads.worker import inspect_next
from tests.registry.uploading import opened, row, send, submitted

CHECK = "/admin/registry/modelversion/add/check/"
UPLOADS = "/admin/registry/directupload/"


@pytest.fixture
def staff(client: Client, reader: User) -> Client:
    """May look at uploads and do nothing else."""
    reader.is_staff = True
    reader.save()
    reader.user_permissions.add(Permission.objects.get(codename="view_directupload"))
    client.force_login(reader)
    return client


@pytest.fixture
def refused(as_owner: APIClient) -> DirectUpload:
    upload = submitted(as_owner, b"hello, world")
    inspect_next(holder="test")
    return row(upload)


def page_of(upload: DirectUpload, name: str = "change") -> str:
    return reverse(f"admin:registry_directupload_{name}", args=[upload.pk])


def test_it_checks_the_form_without_its_artifact(admin_client: Client) -> None:
    answer = admin_client.post(CHECK, {"model": "penguins", "tag": "1.0", "schema_class": "RawData"})

    assert answer.json() == {"errors": [], "registered_sha256": None}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"model": "a b"}, "model", "cannot be a model name"),
        ({"tag": ""}, "tag", "required"),
        ({"schema_class": "a b"}, "schema_class", "not the name of a Python class"),
        ({"sample": SimpleUploadedFile("rows.xlsx", b"PK")}, "sample", "must end in .csv, .tsv"),
        ({"expected": SimpleUploadedFile("rows.xlsx", b"PK")}, "expected", "must end in .csv, .tsv"),
        (
            {"expected": SimpleUploadedFile("rows.csv", b"a"), "expected_column": "y"},
            "expected_column",
            "Leave this empty",
        ),
        ({"form": SimpleUploadedFile("form.json", b"{")}, "form", "JSON"),
        ({"schema": SimpleUploadedFile("schema.json", bytes(5 * 2**20 + 1))}, "schema", "larger than"),
    ],
)
def test_it_says_what_would_be_refused(admin_client: Client, changes: dict[str, Any], field: str, words: str) -> None:
    answer = admin_client.post(CHECK, {"model": "penguins", "tag": "1.0", **changes})

    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["detail"]


def test_it_says_whose_bytes_the_tag_holds(admin_client: Client, publish_penguins: Callable[..., Published]) -> None:
    version = publish_penguins().version

    answer = admin_client.post(CHECK, {"model": "penguins", "tag": "1.0"})

    assert answer.json() == {"errors": [], "registered_sha256": version.sha256}


def test_it_checks_nothing_for_who_may_not_upload(staff: Client) -> None:
    assert staff.post(CHECK, {"model": "penguins", "tag": "1.0"}).status_code == 403


def test_it_leads_from_the_upload_to_its_version(
    admin_client: Client, as_owner: APIClient, penguins_artifact: Path
) -> None:
    upload = submitted(as_owner, penguins_artifact.read_bytes())
    inspect_next(holder="test")

    answer = admin_client.get(f"/admin/registry/modelversion/uploaded/{upload['upload_id']}/", follow=True)

    version = ModelVersion.objects.get()
    assert answer.redirect_chain == [(reverse("admin:registry_modelversion_change", args=[version.pk]), 302)]
    assert "penguins 1.0 registered, 12 of 12 checks passed, 2 with a warning." in answer.text


def test_it_leads_nowhere_without_a_version(admin_client: Client, refused: DirectUpload) -> None:
    assert admin_client.get(f"/admin/registry/modelversion/uploaded/{refused.pk}/").status_code == 404


def test_it_links_no_user_to_what_others_uploaded(client: Client, refused: DirectUpload, reader: User) -> None:
    reader.is_staff = True
    reader.save()
    reader.user_permissions.add(Permission.objects.get(codename="add_modelversion"))
    client.force_login(reader)

    assert client.get(f"/admin/registry/modelversion/uploaded/{refused.pk}/").status_code == 404


def test_it_lists_uploads(admin_client: Client, refused: DirectUpload, as_owner: APIClient) -> None:
    running = submitted(as_owner, b"another one", tag="2.0")
    progress = {"step": "inspecting", "checks": [{"name": "loads", "status": "passed"}]}
    DirectUpload.objects.filter(pk=running["upload_id"]).update(progress=progress)

    page = admin_client.get(UPLOADS)

    assert "✗ refused" in page.text
    assert "queued, 1 of 12 checks" in page.text
    assert "penguins 2.0" in page.text


def test_it_shows_the_report_of_a_refused_one(admin_client: Client, refused: DirectUpload) -> None:
    page = admin_client.get(page_of(refused))

    assert "Inspection report" in page.text
    assert "Save the fitted pipeline with" in page.text
    assert "Cancel…" not in page.text


def test_it_shows_what_arrived_of_an_open_one(admin_client: Client, as_owner: APIClient) -> None:
    upload = opened(as_owner, 5)
    send(as_owner, upload, b"12345")

    page = admin_client.get(page_of(row(upload)))

    assert "1 of 1 parts; canceled at" in page.text
    assert "Cancel…" in page.text


def test_it_cancels_an_open_one(admin_client: Client, as_owner: APIClient) -> None:
    upload = row(opened(as_owner, 5))

    assert "What arrived of it is deleted" in admin_client.get(page_of(upload, "cancel")).text
    answer = admin_client.post(page_of(upload, "cancel"), follow=True)

    upload.refresh_from_db()
    assert upload.status == Status.CANCELED
    assert "is canceled." in answer.text


def test_it_cancels_several_and_names_those_that_went_on(
    admin_client: Client, as_owner: APIClient, refused: DirectUpload
) -> None:
    upload = row(opened(as_owner, 5))

    data = {"action": "cancel_selected", "_selected_action": [str(upload.pk), str(refused.pk)]}
    answer = admin_client.post(UPLOADS, data, follow=True)

    assert set(DirectUpload.objects.values_list("status", flat=True)) == {Status.CANCELED, Status.REFUSED}
    assert "is canceled." in answer.text
    assert "The upload is refused" in answer.text


def test_it_lets_staff_look_and_not_cancel(staff: Client, as_owner: APIClient) -> None:
    upload = row(opened(as_owner, 5))

    assert staff.get(UPLOADS).status_code == staff.get(page_of(upload)).status_code == 200
    assert "Cancel…" not in staff.get(page_of(upload)).text
    assert staff.post(page_of(upload, "cancel")).status_code == 403
    assert staff.get(f"{UPLOADS}add/").status_code == 403
    assert staff.post(f"{UPLOADS}{upload.pk}/delete/").status_code == 403
