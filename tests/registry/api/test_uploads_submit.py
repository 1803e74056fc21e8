"""POST /api/models/{model}/versions with an upload that was sent before, to this server's disk or to S3."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from registry.models import Model, ModelVersion
from registry.models.direct_upload import DirectUpload, Status
from registry.multipart.parts import PART_BYTES
from registry.storage import artifacts
from registry.uploads import signals
from tests.registry.uploading import VERSIONS, opened, row, send, submit, submitted

CONTENT = b"no pickle, which the worker is the first to read"
LARGE = bytes(PART_BYTES) + b"the rest"


def test_it_queues_what_is_submitted(as_owner: APIClient, place: str) -> None:
    upload = opened(as_owner, len(LARGE))
    send(as_owner, upload, LARGE)

    response = submit(as_owner, upload, LARGE, tag="2.0")

    body = response.json()
    assert response.status_code == 202
    assert response["Location"] == body["url"] == upload["url"]
    assert (body["status"], body["progress"]) == ("queued", {"step": "waiting", "checks": []})
    assert as_owner.get(body["url"]).json() == body
    assert not Model.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_announces_what_was_committed(as_owner: APIClient) -> None:
    seen = []

    def listen(**_: Any) -> None:
        seen.append(DirectUpload.objects.get().status)

    signals.inspection_wanted.connect(listen)
    try:
        submitted(as_owner, CONTENT)
    finally:
        signals.inspection_wanted.disconnect(listen)

    assert seen == [Status.QUEUED]


def test_it_refuses_a_submission_with_missing_parts(as_owner: APIClient, place: str) -> None:
    upload = opened(as_owner, len(LARGE))
    send(as_owner, upload, LARGE, [1])

    response = submit(as_owner, upload, LARGE)

    body = response.json()
    assert response.status_code == 409
    assert body["type"].endswith("/problems/upload-incomplete")
    assert body["missing_parts"] == [2]
    send(as_owner, upload, LARGE, [2])
    assert submit(as_owner, upload, LARGE).status_code == 202


def test_it_may_be_submitted_again(as_owner: APIClient, place: str) -> None:
    """A client whose network ended before the answer asks again."""
    upload = opened(as_owner, len(CONTENT))
    send(as_owner, upload, CONTENT)

    first, second = (submit(as_owner, upload, CONTENT) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert submit(as_owner, upload, CONTENT, tag="other").status_code == 409


def test_it_goes_on_after_it_was_killed_while_submitting(
    as_owner: APIClient, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = opened(as_owner, len(CONTENT))
    send(as_owner, upload, CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "put", _die)
        with pytest.raises(KeyboardInterrupt):
            submit(as_owner, upload, CONTENT, sample=SimpleUploadedFile("sample.csv", b"a\n1\n"))
    assert row(upload).status == Status.OPEN

    assert len(as_owner.get(upload["url"]).json()["parts"]) == 1
    assert submit(as_owner, upload, CONTENT).status_code == 202


def _die(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"sha256": "abc"}, 400, "64 hexadecimal digits"),
        ({"sha256": ""}, 400, "sha256"),
        ({"artifact": SimpleUploadedFile("model.joblib", b"x")}, 400, "either artifact"),
        ({"tag": "../etc"}, 422, "cannot be a tag"),
        ({"title": "x" * 201}, 400, "200"),
        ({"schema": SimpleUploadedFile("schema.txt", b"x")}, 422, ".py or .json"),
        ({"form": SimpleUploadedFile("form.json", b"[")}, 422, "form"),
        ({"sample": SimpleUploadedFile("sample.csv", bytes(5 * 2**20 + 1))}, 413, "sample"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_it_refuses_what_cannot_be_published(as_owner: APIClient, form: Any, status: int, words: str) -> None:
    upload = opened(as_owner, len(CONTENT))
    send(as_owner, upload, CONTENT)

    response = submit(as_owner, upload, CONTENT, **form)

    assert response.status_code == status
    assert words in response.json()["detail"]
    assert row(upload).status == Status.OPEN


def test_it_needs_an_artifact_or_an_upload(as_owner: APIClient) -> None:
    response = as_owner.post(VERSIONS, {"tag": "1.0"}, format="multipart")

    assert response.status_code == 400
    assert "either artifact" in response.json()["detail"]


def test_it_refuses_a_taken_tag_before_the_inspection(as_owner: APIClient, penguins: ModelVersion) -> None:
    upload = opened(as_owner, len(CONTENT))
    send(as_owner, upload, CONTENT)

    response = submit(as_owner, upload, CONTENT)

    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/tag-taken")
    assert submit(as_owner, upload, CONTENT, tag="2.0").status_code == 202


@pytest.mark.parametrize("change", [{"title": "Taken over"}, {"public": "false"}])
def test_it_changes_no_model_for_whom_may_not(stranger: APIClient, penguins: ModelVersion, change: Any) -> None:
    upload = opened(stranger, len(CONTENT))
    send(stranger, upload, CONTENT)

    response = submit(stranger, upload, CONTENT, tag="2.0", **change)

    assert response.status_code == 403
    assert "registry.change_model" in response.json()["detail"]
    assert submit(stranger, upload, CONTENT, tag="2.0", promote="true").status_code == 403
