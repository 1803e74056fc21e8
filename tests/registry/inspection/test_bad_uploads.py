"""POST /api/models/{model}/versions with what people get wrong: a sentence each, and nothing is registered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from registry.models import Model

URL = "/api/models/penguins/versions"


def a_file(name: str, content: bytes | str) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content.encode() if isinstance(content, str) else content)


@pytest.fixture
def as_owner(api: APIClient, owner: User) -> Iterator[APIClient]:
    """Whatever is uploaded here, nothing is registered."""
    api.force_authenticate(owner)
    yield api
    assert not Model.objects.exists()


@pytest.fixture
def form(penguins_artifact: Path) -> dict[str, Any]:
    return {"artifact": a_file("model.joblib", penguins_artifact.read_bytes()), "tag": "1.0"}


def failed_check(body: dict[str, Any]) -> dict[str, Any]:
    (check,) = [check for check in body["report"]["checks"] if check["status"] == "failed"]
    return dict(check)


@pytest.mark.parametrize("missing", ["artifact", "tag"])
def test_it_names_what_is_missing(as_owner: APIClient, form: dict[str, Any], missing: str) -> None:
    del form[missing]

    response = as_owner.post(URL, form, format="multipart")

    assert response.status_code == 400
    assert f"{missing}: " in response.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"artifact": "text"}, "artifact"),
        ({"artifact": a_file("model.joblib", b"")}, "artifact"),
        ({"tag": ""}, "tag"),
        ({"tag": "x" * 101}, "tag"),
        ({"promote": "perhaps"}, "promote"),
        ({"schema": "text"}, "schema"),
    ],
    ids=["no file", "empty file", "no tag", "long tag", "promote", "schema"],
)
def test_it_names_the_field_at_fault(
    as_owner: APIClient, form: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    response = as_owner.post(URL, {**form, **change}, format="multipart")

    assert response.status_code == 400
    assert f"{field}: " in response.json()["detail"]


@pytest.mark.parametrize(
    ("name", "file", "sentence"),
    [
        ("schema", a_file("schema.yaml", "{}"), "The schema file must end in .py or .json"),
        ("sample", a_file("sample.xlsx", "x"), "The sample file must end in .csv, .tsv, .txt, .json"),
        ("form", a_file("form.txt", "{}"), "The form file must end in .json"),
        ("form", a_file("form.json", "{"), "The form configuration is not JSON"),
        ("form", a_file("form.json", "[]"), "The form configuration must be an object"),
        ("form", a_file("form.json", b"\xff"), "cannot be read as UTF-8 text"),
        (
            "form",
            a_file("form.json", '{"sections": [], "x": NaN}'),
            "The form configuration is not JSON: expected value",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_it_says_what_is_wrong_with_a_file(
    as_owner: APIClient, form: dict[str, Any], name: str, file: SimpleUploadedFile, sentence: str
) -> None:
    response = as_owner.post(URL, {**form, name: file}, format="multipart")

    assert response.status_code == 422
    assert response.json()["type"].endswith("/problems/bad-upload")
    assert sentence in response.json()["detail"]


@pytest.mark.parametrize(
    ("name", "file", "check", "sentence"),
    [
        ("schema", a_file("schema.json", "{}"), "schema", "must describe one record"),
        ("schema", a_file("schema.json", '{"a": NaN}'), "schema", "schema.json is not JSON"),
        (
            "schema",
            a_file("validation.py", "import absent_module"),
            "schema",
            "imports absent_module, which is not installed",
        ),
        ("schema", a_file("validation.py", "x = 1"), "schema", "no pydantic class 'RawData'"),
        ("sample", a_file("sample.csv", "island,year\nDream\n"), "accepts", "line 2: 1 cells"),
        ("sample", a_file("sample.csv", "a,b\n1,2\n"), "accepts", "needs are absent: island, year. It has a, b."),
        ("sample", a_file("sample.json", '[{"year": 1e999}]'), "accepts", "too large"),
        ("sample", a_file("sample.csv", "island,year\n"), "accepts", "holds no rows"),
        ("form", a_file("form.json", '{"titel": "x"}'), "form", "titel: "),
        ("form", a_file("form.json", '{"sections": [{"fields": [{"name": "wings"}]}]}'), "form", "names wings"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_it_reports_what_the_inspection_refuses(
    as_owner: APIClient, form: dict[str, Any], name: str, file: SimpleUploadedFile, check: str, sentence: str
) -> None:
    from tests.conftest import EXAMPLE

    written = {"schema": a_file("validation.py", (EXAMPLE / "validation.py").read_bytes())}

    response = as_owner.post(URL, {**written, **form, name: file}, format="multipart")

    assert response.status_code == 422
    failed = failed_check(response.json())
    assert failed["name"] == check
    assert sentence in failed["detail"]


@pytest.mark.parametrize(
    "url", ["/api/models/two words/versions", "/api/models/größe/versions", "/api/models/.x/versions"]
)
def test_it_refuses_a_name_that_cannot_stand_in_an_address(as_owner: APIClient, form: dict[str, Any], url: str) -> None:
    response = as_owner.post(url, form, format="multipart")

    assert response.status_code == 422
    assert "cannot be a model name" in response.json()["detail"]


def test_it_refuses_an_artifact_above_the_limit(as_owner: APIClient, form: dict[str, Any], settings: Any) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = 100

    response = as_owner.post(URL, form, format="multipart")

    assert response.status_code == 413
    assert "MLSERVE_MAX_ARTIFACT_BYTES" in response.json()["detail"]


def test_it_refuses_a_broken_multipart_body(as_owner: APIClient) -> None:
    response = as_owner.generic("POST", URL, "--no\r\nnonsense", content_type="multipart/form-data; boundary=yes")

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["../../evil.py", "/etc/passwd.py", "a\x00b.py", ".py", "x" * 300 + ".py"], ids=ascii)
def test_it_does_not_trust_the_name_of_a_file(
    as_owner: APIClient, form: dict[str, Any], tmp_path: Path, name: str
) -> None:
    schema = a_file("validation.py", "x = 1")
    schema.name = name  # the class would have cleaned it

    response = as_owner.post(URL, {**form, "schema": schema}, format="multipart")

    assert response.status_code in {400, 422}
    assert "Traceback" not in response.content.decode()


def test_it_gives_all_names_to_trust_in_one_line(as_owner: APIClient, form: dict[str, Any], settings: Any) -> None:
    settings.MLSERVE_TRUSTED_MODULES = ("our_features",)
    names = b"".join(
        b"\x8c" + bytes([len(module)]) + module + b"\x8c\x05Thing\x93"
        for module in (b"no_such_encoders.one", b"no_such_sampler.two", b"no_such_encoders.two")
    )
    form["artifact"] = a_file("model.pkl", b"\x80\x04(" + names + b"t.")

    failed = failed_check(as_owner.post(URL, form, format="multipart").json())

    assert failed["name"] == "names"
    assert "MLSERVE_TRUSTED_MODULES=our_features,no_such_encoders,no_such_sampler in its environment" in failed["fix"]
    assert failed["fix"].count("MLSERVE_TRUSTED_MODULES") == failed["fix"].count("may then call") == 1
    assert "Install no_such_encoders, no_such_sampler where mlserve runs" in failed["fix"]


def test_it_names_the_fields_of_the_api(as_owner: APIClient, form: dict[str, Any]) -> None:
    form["schema"] = a_file("schema.json", "{}")

    failed = failed_check(as_owner.post(URL, form, format="multipart").json())

    assert "`schema`" in failed["fix"]
    assert "--" not in failed["fix"]
