"""Files that are posted to a page: from whom, and how much."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from registry.uploads.upload_handler import NamelessFiles

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """Where Django writes files that are on their way."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    return tmp_path


def posted(client: Client, size_bytes: int) -> Any:
    return client.post(LOGIN, {"username": "nobody", "file": SimpleUploadedFile("large", bytes(size_bytes))})


def test_it_takes_no_file_from_a_stranger(client: Client, folder: Path) -> None:
    response = posted(client, 2**22)

    assert response.status_code == 403
    assert "Files are taken only from those who may upload a model." in response.content.decode()
    assert list(folder.iterdir()) == []


def test_it_takes_no_file_from_who_may_not_upload(client: Client, reader: User, folder: Path) -> None:
    client.force_login(reader)

    assert posted(client, 10).status_code == 403


def test_it_takes_files_from_who_may_upload(client: Client, owner: User, folder: Path) -> None:
    client.force_login(owner)

    assert posted(client, 2**22).status_code != 403


def test_it_gives_files_no_name_that_a_killed_process_would_leave(folder: Path) -> None:
    handler = NamelessFiles()
    handler.new_file("artifact", "large", "application/octet-stream", None)

    handler.receive_data_chunk(b"content", 0)

    assert list(folder.iterdir()) == []
    file = handler.file_complete(7)
    assert file is not None
    assert (b"".join(file.chunks()), file.size, file.name) == (b"content", 7, "large")
    handler.upload_interrupted()
    assert file.closed


def test_it_stops_where_files_are_larger_than_an_artifact_may_be(
    client: Client, owner: User, folder: Path, settings: Any
) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = 2**20
    client.force_login(owner)

    response = client.post("/api/models/penguins/versions", {"artifact": SimpleUploadedFile("a", bytes(2**24 + 2**23))})

    assert response.status_code == 413, response.content
    assert "MLSERVE_MAX_ARTIFACT_BYTES" in response.json()["detail"]
    assert list(folder.iterdir()) == []
