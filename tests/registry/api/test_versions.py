"""GET and POST /api/models/{model}/versions, GET …/versions/{tag}."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from registry.inspection.report import CHECKS
from registry.models import Model, ModelVersion
from registry.publishing.publish import Published
from tests.conftest import EXAMPLE

URL = "/api/models/penguins/versions"


def upload(path: Path, name: str | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name or path.name, path.read_bytes())


@pytest.fixture
def form(penguins_artifact: Path) -> dict[str, Any]:
    """A complete upload of the example."""
    return {
        "artifact": upload(penguins_artifact),
        "tag": "1.0",
        "schema": upload(EXAMPLE / "validation.py"),
        "sample": upload(EXAMPLE / "sample.csv"),
        "expected": upload(EXAMPLE / "expected.csv"),
        "form": upload(EXAMPLE / "form.json"),
    }


@pytest.fixture
def as_owner(api: APIClient, owner: User) -> APIClient:
    api.force_authenticate(owner)
    return api


def may(user: User, *codenames: str) -> User:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def test_it_registers_an_upload(as_owner: APIClient, form: dict[str, Any], penguins_artifact: Path) -> None:
    response = as_owner.post(URL, form, format="multipart")

    body = response.json()
    assert response.status_code == 201, body
    assert response["Location"] == body["url"] == f"http://testserver{URL}/1.0"
    assert (body["model"], body["tag"], body["status"], body["is_live"]) == ("penguins", "1.0", "ready", False)
    assert body["size_bytes"] == penguins_artifact.stat().st_size
    assert body["uploaded_by"] == "owner"
    assert {check["name"]: check["status"] for check in body["report"]["checks"]} == dict.fromkeys(CHECKS, "passed")
    assert as_owner.get(response["Location"]).json() == body


def test_it_refuses_answers_that_are_not_the_trainers(as_owner: APIClient, form: dict[str, Any]) -> None:
    answers = (EXAMPLE / "expected.csv").read_text().replace("Gentoo", "Adelie", 1)
    expected = SimpleUploadedFile("expected.csv", answers.encode())

    response = as_owner.post(URL, {**form, "expected": expected}, format="multipart")

    assert response.status_code == 422
    assert 'row 7: the trainer saw "Adelie", here it is "Gentoo"' in response.json()["detail"]
    assert not ModelVersion.objects.exists()


def test_it_takes_the_expected_answers_from_a_column(as_owner: APIClient, form: dict[str, Any]) -> None:
    rows, answers = [(EXAMPLE / name).read_text().splitlines() for name in ("sample.csv", "expected.csv")]
    lines = [f"{row},{answer}" for row, answer in zip(rows, ["species", *answers[1:]], strict=True)]
    sample = SimpleUploadedFile("sample.csv", "\n".join(lines).encode())
    del form["expected"]

    response = as_owner.post(URL, {**form, "sample": sample, "expected_column": "species"}, format="multipart")

    assert response.status_code == 201
    assert {check["name"]: check["status"] for check in response.json()["report"]["checks"]}["answers"] == "passed"


def test_it_refuses_expected_answers_in_two_places(as_owner: APIClient, form: dict[str, Any]) -> None:
    response = as_owner.post(URL, {**form, "expected_column": "species"}, format="multipart")

    assert response.status_code == 422
    assert "given twice" in response.json()["detail"]


def test_it_promotes_at_once_when_asked(as_owner: APIClient, form: dict[str, Any]) -> None:
    response = as_owner.post(URL, {**form, "promote": "true"}, format="multipart")

    assert response.status_code == 201
    assert response.json()["is_live"] is True


def test_it_needs_only_artifact_and_tag(as_owner: APIClient, form: dict[str, Any]) -> None:
    response = as_owner.post(URL, {"artifact": form["artifact"], "tag": "1.0"}, format="multipart")

    assert response.status_code == 201
    assert response.json()["form_config"] is None


def test_it_answers_200_for_the_same_bytes(as_owner: APIClient, penguins: ModelVersion, form: dict[str, Any]) -> None:
    response = as_owner.post(URL, form, format="multipart")

    assert response.status_code == 200
    assert ModelVersion.objects.count() == 1


def test_it_answers_409_for_other_bytes(as_owner: APIClient, penguins: ModelVersion, form: dict[str, Any]) -> None:
    form["artifact"] = SimpleUploadedFile("model.joblib", b"other bytes")

    response = as_owner.post(URL, form, format="multipart")

    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/tag-taken")


def test_it_carries_the_report_of_a_rejected_upload(as_owner: APIClient, form: dict[str, Any]) -> None:
    form["artifact"] = SimpleUploadedFile("model.joblib", b"import sklearn")

    response = as_owner.post(URL, form, format="multipart")

    body = response.json()
    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    assert body["type"].endswith("/problems/artifact-rejected")
    assert body["report"]["accepted"] is False
    (failed,) = [check for check in body["report"]["checks"] if check["status"] == "failed"]
    assert "joblib.dump" in failed["fix"]
    assert not Model.objects.exists()


def test_it_asks_strangers_to_sign_in(api: APIClient, form: dict[str, Any], db: None) -> None:
    response = api.post(URL, form, format="multipart")

    assert response.status_code == 401
    assert not Model.objects.exists()


@pytest.mark.parametrize("permission", ["", "change_modelversion"])
def test_it_lets_only_those_upload_who_may(api: APIClient, reader: User, form: dict[str, Any], permission: str) -> None:
    api.force_authenticate(may(reader, permission))

    response = api.post(URL, form, format="multipart")

    assert response.status_code == 403
    assert "registry.add_modelversion" in response.json()["detail"]


def test_it_lets_no_user_promote_by_uploading_who_may_not(api: APIClient, reader: User, form: dict[str, Any]) -> None:
    api.force_authenticate(may(reader, "add_modelversion"))

    response = api.post(URL, {**form, "promote": "true"}, format="multipart")

    assert response.status_code == 403
    assert not ModelVersion.objects.exists()


def test_it_takes_a_new_model_as_private(as_owner: APIClient, form: dict[str, Any]) -> None:
    as_owner.post(URL, form, format="multipart")

    assert Model.objects.get().is_public is False


def test_it_lists_versions_newest_first(
    api: APIClient, penguins: ModelVersion, publish_penguins: Callable[..., Published]
) -> None:
    publish_penguins("2.0")

    versions = api.get(URL).json()

    assert [(version["tag"], version["status"]) for version in versions] == [("2.0", "ready"), ("1.0", "live")]
    assert "report" not in versions[0]


def test_it_shows_a_version(api: APIClient, penguins: ModelVersion) -> None:
    body = api.get(f"{URL}/1.0").json()

    assert body["sha256"] == penguins.sha256
    assert body["outputs"] == ["predict", "predict_proba", "decision_function"]
    assert body["class_labels"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert body["columns"][0] == {"name": "island", "dtype": "str"}
    assert next(iter(body["schema"]["properties"])) == "island"
    assert body["form_config"]["submit_label"] == "Tell the species"
    assert body["environment"]["trained_with"]["scikit-learn"]
    assert (body["verdict"], body["other_versions_allowed_by"]) == ("same", "")


def test_it_tells_no_verdict_of_another_environment(api: APIClient, penguins: ModelVersion) -> None:
    penguins.golden_checks.update(environment="0" * 64, verdict="differs")

    assert api.get(f"{URL}/1.0").json()["verdict"] is None


def test_it_does_not_know_an_absent_tag(api: APIClient, penguins: ModelVersion) -> None:
    response = api.get(f"{URL}/9.9")

    assert response.status_code == 404
    assert response.json()["instance"] == f"{URL}/9.9"


def test_it_takes_no_json(as_owner: APIClient) -> None:
    response = as_owner.post(URL, {"tag": "1.0"}, format="json")

    assert response.status_code == 415
    assert response.json()["type"].endswith("/problems/unsupported-media-type")
