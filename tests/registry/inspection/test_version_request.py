"""What a caller asks to publish, on its way through an API's form and through an upload's row."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlserve.errors import BadUpload
from registry.inspection.version_request import SchemaSource, VersionRequest, version_request
from tests.conftest import EXAMPLE


@pytest.fixture
def request_for_all(penguins_request: VersionRequest) -> VersionRequest:
    return replace(penguins_request, title="Penguins", is_public=False, promote=True, allow_other_versions=True)


def saved(folder: Path, request: VersionRequest) -> dict[str, Path]:
    """The files of a request as a receiver saves them."""
    paths = {name: folder / file_name for name, (file_name, _) in request.files().items()}
    for name, (_, content) in request.files().items():
        paths[name].write_bytes(content)
    return paths


def test_it_is_the_same_behind_an_uploads_row(request_for_all: VersionRequest, tmp_path: Path) -> None:
    stored = json.loads(json.dumps(request_for_all.options()))

    read = version_request({**stored, "model": "penguins", "tag": "1.0"}, saved(tmp_path, request_for_all))

    assert read.options() == request_for_all.options()
    assert read.files() == request_for_all.files()
    assert (read.model, read.tag) == ("penguins", "1.0")


def test_it_fills_in_the_form_of_the_api(request_for_all: VersionRequest) -> None:
    fields = dict(request_for_all.api_fields())

    assert {name: value for name, value in fields.items() if isinstance(value, str)} == {
        "tag": "1.0", "schema_class": "RawData", "title": "Penguins", "public": "false", "promote": "true",
        "allow_other_versions": "true",
    }  # fmt: skip
    assert [fields[name][0] for name in ("schema", "sample", "expected", "form")] == [
        "schema.py", "sample.csv", "expected.csv", "form.json",
    ]  # fmt: skip


def test_it_leaves_out_of_the_form_what_shall_stay_as_it_is() -> None:
    fields = dict(VersionRequest("m", "1").api_fields())

    assert fields == {"tag": "1", "promote": "false", "allow_other_versions": "false"}


def test_it_reads_what_the_release_before_stored(tmp_path: Path) -> None:
    (tmp_path / "schema.py").write_text("")
    asked: dict[str, Any] = {"schema_class": "Penguin", "title": None, "is_public": None, "promote": True, "files": {}}

    read = version_request({**asked, "model": "m", "tag": "1"}, {"schema": tmp_path / "schema.py"})

    schema = SchemaSource(tmp_path / "schema.py", "pydantic", "Penguin")
    assert read == VersionRequest("m", "1", schema=schema, promote=True)


def test_it_reads_the_class_behind_a_colon() -> None:
    read = version_request({}, {"schema": f"{EXAMPLE / 'validation.py'}:Penguin"})

    assert read.schema == SchemaSource(EXAMPLE / "validation.py", "pydantic", "Penguin")


def test_it_refuses_a_form_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "form.json").write_bytes(b"\xff")

    with pytest.raises(BadUpload, match=r"form\.json cannot be read"):
        version_request({}, {"form": tmp_path / "form.json"})


def test_it_and_the_client_know_no_django_and_no_terminal() -> None:
    code = (
        "import sys, registry.inspection.version_request\n"
        "import registry.client.parts, registry.client.uploads, registry.client.resume_store\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'django', 'rich', 'numpy', 'pydantic'})"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "set()"
