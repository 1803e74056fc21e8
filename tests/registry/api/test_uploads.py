"""/api/uploads and its submission as a version, over this server's disk and over S3."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from registry.models.direct_upload import DirectUpload, Status
from registry.multipart.parts import PART_BYTES
from registry.uploads import sender
from tests.registry.uploading import UPLOADS, addresses, opened, put, row, send, submit, submitted

CONTENT = b"no pickle, which the worker is the first to read"
LARGE = bytes(PART_BYTES) + b"the rest"


def test_it_opens_an_upload(as_owner: APIClient, place: str) -> None:
    response = as_owner.post(UPLOADS, {"size_bytes": 2 * PART_BYTES + 1, "file_name": "C:\\model.pkl"}, format="json")

    body = response.json()
    assert response.status_code == 201
    assert response["Location"] == body["url"] == f"http://testserver{UPLOADS}/{body['upload_id']}"
    assert (body["status"], body["file_name"], body["size_bytes"]) == ("open", "model.pkl", 2 * PART_BYTES + 1)
    assert (body["part_bytes"], body["part_count"], body["parts"]) == (PART_BYTES, 3, [])
    assert {body[name] for name in ("progress", "report", "problem", "version")} == {None}
    assert as_owner.get(body["url"]).json() == body


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({}, 422, "size_bytes"),
        ({"size_bytes": 0}, 422, "empty"),
        ({"size_bytes": -1}, 422, "empty"),
        ({"size_bytes": "many"}, 422, "size_bytes"),
        ({"size_bytes": 10**30}, 413, "MLSERVE_MAX_ARTIFACT_BYTES"),
        ({"size_bytes": 1, "file_name": "a\0b"}, 422, "file_name"),
        ([], 422, ""),
    ],
)
def test_it_opens_none_that_cannot_be(as_owner: APIClient, asked: Any, status: int, words: str) -> None:
    response = as_owner.post(UPLOADS, asked, format="json")

    assert response.status_code == status
    assert words in response.json()["detail"]
    assert not DirectUpload.objects.exists()


def test_it_takes_what_is_just_small_enough(as_owner: APIClient, settings: Any) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = 1000

    assert as_owner.post(UPLOADS, {"size_bytes": 1000}, format="json").status_code == 201
    assert as_owner.post(UPLOADS, {"size_bytes": 1001}, format="json").status_code == 413


def test_it_bounds_what_one_account_keeps_open(as_owner: APIClient, stranger: APIClient) -> None:
    first, *_ = [opened(as_owner, 1) for _ in range(sender.MOST_OPEN)]

    refused = as_owner.post(UPLOADS, {"size_bytes": 1}, format="json")
    assert refused.status_code == 409
    assert f"DELETE {UPLOADS}/{first['upload_id']}" in refused.json()["detail"]
    assert opened(stranger, 1)

    as_owner.delete(first["url"])
    assert opened(as_owner, 1)


def test_it_asks_strangers_to_sign_in(api: APIClient, db: None) -> None:
    assert api.post(UPLOADS, {"size_bytes": 1}, format="json").status_code == 401


def test_it_lets_only_those_upload_who_may(api: APIClient, reader: User) -> None:
    api.force_authenticate(reader)

    response = api.post(UPLOADS, {"size_bytes": 1}, format="json")

    assert response.status_code == 403
    assert "registry.add_modelversion" in response.json()["detail"]


@pytest.mark.parametrize("method", ["get", "delete"])
def test_it_shows_an_upload_to_no_other_user(as_owner: APIClient, stranger: APIClient, method: str) -> None:
    upload = opened(as_owner, len(CONTENT))

    assert getattr(stranger, method)(upload["url"]).status_code == 404
    assert stranger.post(f"{upload['url']}/parts", {"numbers": [1]}, format="json").status_code == 404
    assert put(stranger, f"{upload['url']}/parts/1", CONTENT) == 404
    assert submit(stranger, upload, CONTENT).status_code == 404
    assert row(upload).status == Status.OPEN


def test_it_tells_which_parts_arrived(as_owner: APIClient, place: str) -> None:
    upload = opened(as_owner, len(LARGE))

    send(as_owner, upload, LARGE, [2])

    assert as_owner.get(upload["url"]).json()["parts"] == [{"number": 2, "size_bytes": 8}]


def test_it_gives_an_address_for_each_part(as_owner: APIClient, place: str) -> None:
    upload = opened(as_owner, len(LARGE))

    response = as_owner.post(f"{upload['url']}/parts", {"numbers": [2, 1, 2]}, format="json")

    body = response.json()
    assert body["expires_in_seconds"] == 3600
    assert [(part["number"], part["size_bytes"]) for part in body["parts"]] == [(1, PART_BYTES), (2, 8)]
    assert all(part["url"].startswith("http") for part in body["parts"])
    assert [part["url"].startswith(upload["url"]) for part in body["parts"]] == [place == "disk"] * 2


@pytest.mark.parametrize("numbers", [[0], [3], [1, 3], [], ["x"], [1] * 101, None, "1"])
def test_it_gives_no_address_for_a_part_that_is_none(as_owner: APIClient, numbers: Any) -> None:
    upload = opened(as_owner, len(LARGE))

    response = as_owner.post(f"{upload['url']}/parts", {"numbers": numbers}, format="json")

    assert response.status_code == 422


def test_it_takes_parts_larger_than_other_bodies_may_be(as_owner: APIClient, settings: Any) -> None:
    settings.MLSERVE_MAX_BODY_BYTES = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    upload = opened(as_owner, len(LARGE))

    send(as_owner, upload, LARGE)

    assert len(as_owner.get(upload["url"]).json()["parts"]) == 2


@pytest.mark.parametrize("content", [b"", b"x", CONTENT + b"x"])
def test_it_refuses_a_part_of_another_size(as_owner: APIClient, content: bytes) -> None:
    upload = opened(as_owner, len(CONTENT))

    response = as_owner.put(f"{upload['url']}/parts/1", content, content_type="application/octet-stream")

    assert response.status_code == 400
    assert f"part 1 has {len(CONTENT)}" in response.json()["detail"]
    assert as_owner.get(upload["url"]).json()["parts"] == []


def test_it_refuses_a_part_that_is_cut_short(as_owner: APIClient) -> None:
    upload = opened(as_owner, len(CONTENT))

    broken: Any = {"wsgi.input": io.BytesIO(b"cut")}
    response = as_owner.put(f"{upload['url']}/parts/1", CONTENT, content_type="application/octet-stream", **broken)

    assert response.status_code == 400
    assert "ended after 3 of" in response.json()["detail"]
    assert as_owner.get(upload["url"]).json()["parts"] == []


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
def test_it_takes_the_bytes_of_a_part_for_bytes(as_owner: APIClient, media_type: str) -> None:
    upload = opened(as_owner, len(CONTENT))

    response = as_owner.put(f"{upload['url']}/parts/1", CONTENT, content_type=media_type)

    assert response.status_code == 204
    assert as_owner.get(upload["url"]).json()["parts"][0]["number"] == 1


@pytest.mark.parametrize("number", [0, 2, 10**30])
def test_it_refuses_a_part_that_is_none(as_owner: APIClient, number: int) -> None:
    upload = opened(as_owner, len(CONTENT))

    assert put(as_owner, f"{upload['url']}/parts/{number}", CONTENT) == 422


def test_it_takes_no_part_itself_where_the_storage_does(as_owner: APIClient, artifacts_in_s3: str) -> None:
    upload = opened(as_owner, len(CONTENT))

    assert put(as_owner, f"{upload['url']}/parts/1", CONTENT) == 409


def test_it_protects_a_browser_from_other_sites(owner: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    foreign = browser.post(UPLOADS, {"size_bytes": 1}, content_type="application/json")
    assert foreign.status_code == 403

    headers = {"X-CSRFToken": browser.get("/admin/").cookies["csrftoken"].value}
    upload = browser.post(UPLOADS, {"size_bytes": 3}, content_type="application/json", headers=headers).json()
    part = f"{upload['url']}/parts/1"

    assert browser.put(part, b"abc", content_type="application/octet-stream").status_code == 403
    assert browser.put(part, b"abc", content_type="application/octet-stream", headers=headers).status_code == 204


def test_it_abandons_an_upload(as_owner: APIClient, place: str) -> None:
    upload = opened(as_owner, len(CONTENT))
    send(as_owner, upload, CONTENT)
    part = addresses(as_owner, upload, [1])[0]["url"]

    assert as_owner.delete(upload["url"]).status_code == 204
    assert as_owner.delete(upload["url"]).status_code == 204

    body = as_owner.get(upload["url"]).json()
    assert (body["status"], body["parts"]) == ("canceled", [])
    assert not row(upload).has_bytes
    assert submit(as_owner, upload, CONTENT).status_code == 409
    if place == "disk":
        assert put(as_owner, part, CONTENT) == 409


def test_it_abandons_nothing_that_waits_for_a_worker(as_owner: APIClient) -> None:
    upload = submitted(as_owner, CONTENT)

    assert as_owner.delete(upload["url"]).status_code == 409
    assert row(upload).status == Status.QUEUED


def test_it_deletes_parts_that_were_not_submitted(as_owner: APIClient, place: str) -> None:
    old, new = opened(as_owner, len(CONTENT)), opened(as_owner, len(CONTENT))
    send(as_owner, old, CONTENT)
    created = row(old).created_at - timedelta(hours=25)
    DirectUpload.objects.filter(pk=old["upload_id"]).update(created_at=created)

    sender.sweep_uploads(now=row(new).created_at)

    assert (row(old).status, row(old).has_bytes) == (Status.CANCELED, False)
    assert row(new).status == Status.OPEN


def test_it_deletes_bytes_later_when_the_storage_was_unreachable(
    as_owner: APIClient, artifacts_in_s3: str, settings: Any
) -> None:
    upload = opened(as_owner, len(CONTENT))
    reachable = settings.STORAGES
    artifacts = reachable["artifacts"]
    unreachable = {**artifacts, "OPTIONS": {**artifacts["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}}
    settings.STORAGES = {**reachable, "artifacts": unreachable}
    assert as_owner.delete(upload["url"]).status_code == 204
    assert row(upload).has_bytes

    settings.STORAGES = reachable
    sender.sweep_uploads(now=row(upload).created_at)

    assert not row(upload).has_bytes


def test_it_forgets_ended_uploads_like_predictions(as_owner: APIClient, settings: Any) -> None:
    upload = opened(as_owner, len(CONTENT))
    as_owner.delete(upload["url"])
    later = row(upload).created_at + timedelta(days=settings.MLSERVE_RETENTION_DAYS, hours=1)

    sender.sweep_uploads(now=later)

    assert not DirectUpload.objects.exists()


def test_it_answers_programs_and_browsers_alike(as_owner: APIClient) -> None:
    upload = opened(as_owner, len(CONTENT))

    page = as_owner.get(upload["url"], headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert upload["upload_id"] in page.content.decode()
