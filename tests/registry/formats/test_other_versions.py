"""Artifacts that another scikit-learn trained: who may admit them, by which ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from registry.admin.forms import UploadForm
from registry.inspection.inspect import Inspected
from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import Published, publish
from registry.uploads.worker import inspect_next
from tests import pipelines
from tests.registry.uploading import submitted

ADDRESS = "/api/models/rows/versions"


@pytest.fixture
def old(save: Callable[..., Path]) -> Path:
    """An artifact of another scikit-learn."""
    return pipelines.with_other_sklearn(save(pipelines.several_outputs()))


@pytest.fixture
def uploader(db: None) -> User:
    """May upload, and no more."""
    user = User.objects.create_user("uploader", password="uploader-password", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_modelversion"))
    return User.objects.get(pk=user.pk)


def _file(path: Path) -> SimpleUploadedFile:
    return SimpleUploadedFile("model.joblib", path.read_bytes())


def test_it_refuses_it_from_the_shell_and_says_how_to_allow_it(
    db: None, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="Trained with scikit-learn"):
        call_command("upload_model", str(old), "--model=rows", "--tag=1")

    assert "--allow-other-versions" in capsys.readouterr().out
    assert not ModelVersion.objects.exists()


def test_it_admits_it_from_the_shell(db: None, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    call_command("upload_model", str(old), "--model=rows", "--tag=1", "--allow-other-versions")

    version = ModelVersion.objects.get()
    assert version.other_versions_allowed_by == version.uploaded_by != ""
    assert version.admission


def test_it_checks_it_as_it_would_be_uploaded(db: None, old: Path) -> None:
    call_command("check_model", str(old), "--allow-other-versions")


def test_it_names_no_user_where_nothing_was_to_be_allowed(
    publish_penguins: Callable[..., Published],
) -> None:
    version = publish_penguins(allow_other_versions=True, by="owner").version

    assert version.other_versions_allowed_by == ""


def test_it_admits_it_over_the_api(api: APIClient, owner: User, old: Path) -> None:
    api.force_authenticate(owner)
    form = {"artifact": _file(old), "tag": "1", "allow_other_versions": "true"}

    response = api.post(ADDRESS, form, format="multipart")

    assert response.status_code == 201
    assert response.json()["other_versions_allowed_by"] == "owner"


def test_it_lets_no_user_admit_it_over_the_api_who_may_not(api: APIClient, uploader: User, old: Path) -> None:
    api.force_authenticate(uploader)
    form = {"artifact": _file(old), "tag": "1", "allow_other_versions": "true"}

    response = api.post(ADDRESS, form, format="multipart")

    assert response.status_code == 403
    assert "registry.allow_other_versions" in response.json()["detail"]


@pytest.mark.parametrize("is_allowed", [True, False])
def test_it_stores_the_allowance_of_a_direct_upload(api: APIClient, owner: User, is_allowed: bool) -> None:
    api.force_authenticate(owner)
    asked: list[bool] = []

    def look(_: Path, request: VersionRequest, **__: Any) -> Inspected:
        asked.append(request.allow_other_versions)
        raise KeyboardInterrupt

    submitted(api, b"\x80\x04N.", **({"allow_other_versions": "true"} if is_allowed else {}))
    with pytest.raises(KeyboardInterrupt):
        inspect_next(holder="worker", inspect=look)

    assert asked == [is_allowed]


def test_it_admits_it_in_the_admin(owner: User, old: Path) -> None:
    data = {"model": "rows", "tag": "1", "allow_other_versions": "on"}
    form = UploadForm(data, {"artifact": _file(old)}, user=owner)

    assert form.is_valid()
    published = form.publish()
    assert published is not None
    assert published.version.other_versions_allowed_by == "owner"


def test_it_offers_the_box_only_to_those_who_may(uploader: User, owner: User) -> None:
    assert "allow_other_versions" in UploadForm(user=owner).fields
    assert "allow_other_versions" not in UploadForm(user=uploader).fields


def test_it_ignores_the_box_of_those_who_may_not(uploader: User, old: Path) -> None:
    data = {"model": "rows", "tag": "1", "allow_other_versions": "on"}
    form = UploadForm(data, {"artifact": _file(old)}, user=uploader)

    assert form.is_valid()
    assert form.publish() is None
    errors = str(form.non_field_errors())
    assert "Trained with scikit-learn" in errors
    assert "“Admit although another scikit-learn trained it”" in errors
    assert "--" not in errors
    assert form.report is not None
    assert not [each.fix for each in form.report.checks if "`" in each.fix or "--" in each.fix]


def test_it_is_admitted_again_without_asking_again(db: None, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = publish(old, VersionRequest("rows", "1", allow_other_versions=True), by="ada").version
    ModelVersion.objects.update(admission="")

    call_command("admit_models")

    assert "rows 1 admitted, although another scikit-learn trained it" in capsys.readouterr().out
    again = ModelVersion.objects.get()
    assert (again.admission, again.other_versions_allowed_by) == (version.admission, "ada")
