"""Models that a real MLflow wrote, taken over by each way in."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer
from rest_framework.test import APIClient

from mlserve.errors import ArtifactRejected, TagTaken
from registry.admin.forms import UploadForm
from registry.client import uploads
from registry.inspection.unpacking import unpacked
from registry.inspection.version_request import SchemaSource, VersionRequest
from registry.models import ModelVersion
from registry.models.direct_upload import Status
from registry.publishing.publish import Published, publish
from registry.uploads.worker import inspect_next
from tests.registry.bundles.packing import contents, tarred, zipped
from tests.registry.inspecting import inspecting
from tests.registry.uploading import opened, row, send, submit

pytestmark = pytest.mark.django_db

ANSWERS = ["stays", "goes", "stays"]


def _published(path: Path, tag: str = "1", **more: Any) -> Published:
    return publish(path, VersionRequest("cities", tag, **more), by="owner")


def _inner(folder: Path) -> str:
    return hashlib.sha256(next(folder.glob("model.*")).read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["cloudpickle", "pickle", "skops"])
def test_it_takes_a_folder_over(mlflow_models: Path, kind: str) -> None:
    call_command("upload_model", str(mlflow_models / kind), "--model=cities", "--tag=1", "--promote")

    version = ModelVersion.objects.get()
    assert version.sha256 == _inner(mlflow_models / kind)
    assert version.golden_outputs["predictions"] == ANSWERS
    assert [row["city"] for row in version.sample_rows] == ["Aarhus", "Bonn", "Aarhus"]
    assert version.sample_rows[2]["income"] is None


def test_it_makes_the_schema_of_signature_and_pipeline(mlflow_models: Path) -> None:
    properties = _published(mlflow_models / "cloudpickle").version.schema["properties"]

    assert properties["visits"]["type"] == "integer"
    assert properties["city"]["enum"] == ["Aarhus", "Bonn", "Como"]
    # The signature requires it, for its example had no gap there; the pipeline imputes it.
    assert properties["rooms"]["type"] == ["integer", "null"]


def test_it_says_what_was_taken_over(mlflow_models: Path) -> None:
    published = _published(mlflow_models / "extras")

    loads, environment = (next(each for each in published.report.checks if each.name == name).detail
                          for name in ("loads", "environment"))  # fmt: skip
    assert "An MLflow model (flavor sklearn, cloudpickle), written by mlflow 3." in loads
    assert "its model.pkl is the pipeline" in loads
    assert "parameters of its signature (threshold) are not used" in loads
    assert "The Python code in its code/ is not used" in loads
    assert "?outputs=predict,predict_proba" in loads
    assert "pandas 3." in environment


def test_it_keeps_the_versions_beside_the_model_as_the_training_s(mlflow_models: Path) -> None:
    trained_with = _published(mlflow_models / "cloudpickle").version.environment["trained_with"]

    assert {"mlflow", "pandas", "python", "scikit-learn"} <= set(trained_with)


def test_it_believes_the_pickle_s_version_before_that_of_mlmodel(mlflow_models: Path, tmp_path: Path) -> None:
    files = contents(mlflow_models / "cloudpickle")
    actual = _published(mlflow_models / "cloudpickle").version.environment["trained_with"]
    said = files["MLmodel"].replace(actual["scikit-learn"].encode(), b"0.24.2")
    path = tarred({**files, "MLmodel": said}, tmp_path / "model.tar.gz")

    trained_with = _published(path, "2").version.environment["trained_with"]

    assert trained_with["scikit-learn"] == actual["scikit-learn"]


def test_it_takes_what_autolog_wrote(mlflow_models: Path) -> None:
    (folder,) = {path.parent for path in (mlflow_models / "runs").rglob("MLmodel")}

    version = _published(folder).version

    assert version.sha256 == _inner(folder)
    assert version.schema["properties"]["visits"]["type"] == "integer"


def test_it_reads_the_columns_of_an_array_from_the_pipeline(mlflow_models: Path) -> None:
    version = _published(mlflow_models / "array").version

    assert list(version.sample_rows[0]) == ["x0", "x1"]


def test_it_calls_a_column_of_texts_so(mlflow_models: Path) -> None:
    with unpacked(mlflow_models / "texts", VersionRequest()) as (_, completed):
        assert completed.sample is not None
        assert json.loads(completed.sample.read_text()) == [{"text": "Bonn"}, {"text": "Aarhus"}]


def test_it_prefers_the_files_that_are_given(mlflow_models: Path, tmp_path: Path) -> None:
    sample, schema = tmp_path / "sample.json", tmp_path / "schema.json"
    sample.write_text('[{"visits": 1, "income": 2, "rooms": 1, "city": "Como"}]')
    number, text = {"type": "number"}, {"type": "string"}
    columns = {"visits": number, "income": number, "rooms": number, "city": text}
    schema.write_text(json.dumps({"type": "object", "properties": columns, "required": list(columns)}))

    published = _published(mlflow_models / "cloudpickle", sample=sample, schema=SchemaSource(schema, "json_schema"))

    assert len(published.version.sample_rows) == 1
    assert published.version.schema["properties"]["visits"]["type"] == "number"
    assert "The schema is the one that was given." in published.report.checks[1].detail


@pytest.mark.parametrize("below", ["", "model/", "mlruns/0/artifacts/model/"])
def test_it_takes_a_zip(mlflow_models: Path, tmp_path: Path, below: str) -> None:
    path = zipped(mlflow_models / "cloudpickle", tmp_path / "model.zip", below=below)

    assert _published(path).version.sha256 == _inner(mlflow_models / "cloudpickle")


def test_it_takes_a_folder_of_mlflow_in_a_tar_gz(mlflow_models: Path, tmp_path: Path) -> None:
    path = tarred(contents(mlflow_models / "skops"), tmp_path / "model.tar.gz")

    assert _published(path).version.artifact_format == "skops"


def test_it_takes_the_same_again(mlflow_models: Path, tmp_path: Path) -> None:
    first = _published(mlflow_models / "cloudpickle")
    again = _published(zipped(mlflow_models / "cloudpickle", tmp_path / "model.zip"))

    assert (first.created, again.created) == (True, False)
    with pytest.raises(TagTaken):
        _published(mlflow_models / "skops")


def test_it_takes_a_zip_over_the_api(as_owner: APIClient, mlflow_models: Path, tmp_path: Path) -> None:
    path = zipped(mlflow_models / "cloudpickle", tmp_path / "model.zip")

    answers = [
        as_owner.post(
            "/api/models/cities/versions",
            {"artifact": SimpleUploadedFile("model.zip", path.read_bytes()), "tag": "1"},
            format="multipart",
        )
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["sha256"] == _inner(mlflow_models / "cloudpickle")


def test_it_takes_a_zip_in_parts_and_the_same_again(as_owner: APIClient, mlflow_models: Path, tmp_path: Path) -> None:
    content = zipped(mlflow_models / "cloudpickle", tmp_path / "model.zip").read_bytes()

    for _ in range(2):
        upload = opened(as_owner, len(content), file_name="model.zip")
        send(as_owner, upload, content)
        assert submit(as_owner, upload, content).status_code == 202
        inspect_next(holder="worker")
        assert row(upload).status == Status.PUBLISHED

    assert ModelVersion.objects.get().sha256 == _inner(mlflow_models / "cloudpickle")


def test_it_takes_a_zip_in_the_admin(owner: User, mlflow_models: Path, tmp_path: Path) -> None:
    path = zipped(mlflow_models / "cloudpickle", tmp_path / "model.zip")
    files = {"artifact": SimpleUploadedFile("model.zip", path.read_bytes())}
    form = UploadForm({"model": "cities", "tag": "1"}, files, user=owner)

    assert form.is_valid()
    published = form.publish()
    assert published is not None, form.errors
    assert published.version.sha256 == _inner(mlflow_models / "cloudpickle")


@pytest.mark.django_db(transaction=True)
def test_it_sends_a_folder_to_a_server_as_a_plain_upload(
    live_server: LiveServer,
    owner: User,
    mlflow_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLSERVE_TOKEN", "owner:owner-password")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setattr(uploads, "_LOOK_EVERY_SECONDS", 0.05)

    with inspecting():
        call_command(
            "upload_model", str(mlflow_models / "cloudpickle"), "--model=cities", "--tag=1", "--to", live_server.url
        )

    version = ModelVersion.objects.get()
    assert version.sha256 == _inner(mlflow_models / "cloudpickle")
    assert version.schema["properties"]["rooms"]["type"] == ["integer", "null"]
    assert "An MLflow model" in capsys.readouterr().out


def test_it_checks_a_folder_and_stores_nothing(mlflow_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_model", str(mlflow_models / "skops"), "--json")

    report = json.loads(capsys.readouterr().out)
    assert report["facts"]["origin"]["file"] == "model.skops"
    assert not ModelVersion.objects.exists()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("pyfunc", "predicts with Python code of its own"),
        ("binary", "column image has the type binary"),
        ("bare", "not a sklearn.pipeline.Pipeline"),
    ],
)
def test_it_refuses_what_is_no_pipeline(mlflow_models: Path, model: str, reason: str) -> None:
    with pytest.raises(ArtifactRejected, match=reason):
        _published(mlflow_models / model)


def test_it_shows_the_report_of_a_refusal(mlflow_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["check_model"], ["upload_model", "--model=cities", "--tag=1"]):
        with pytest.raises(CommandError, match=r"mlflow\.sklearn\.log_model"):
            call_command(command[0], str(mlflow_models / "pyfunc"), *command[1:])
        assert "failed" in capsys.readouterr().out


def test_it_refuses_other_bytes_than_were_announced(mlflow_models: Path, tmp_path: Path, as_owner: APIClient) -> None:
    content = zipped(mlflow_models / "cloudpickle", tmp_path / "model.zip").read_bytes()
    upload = opened(as_owner, len(content), file_name="model.zip")
    send(as_owner, upload, content)
    submit(as_owner, upload, content, sha256="0" * 64)

    inspect_next(holder="worker")

    assert row(upload).status == Status.REFUSED
