"""An upload at another server: hashed, taken up again, followed, and not trusted blindly."""

from pathlib import Path
from typing import Any

import pytest

from mlserve.errors import MlserveError, RemoteRefusal, Unavailable
from registry.client import uploads
from registry.client.resume_store import RememberedUploads
from registry.client.server import RemoteServer
from registry.client.uploads import Source, followed, hashed, opened
from tests.registry.scripted_server import ScriptedServer, as_json, document, upload_of


def test_it_reads_a_file_once_for_its_digest(source: Source) -> None:
    assert source.size_bytes == 10
    assert source.sha256.startswith("84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882")


@pytest.mark.parametrize("changes", [
    {"part_bytes": 0}, {"part_bytes": -5, "part_count": -2}, {"part_count": 99}, {"size_bytes": "many"}, {"parts": [1]},
])  # fmt: skip
def test_it_trusts_no_strange_description(
    scripted: ScriptedServer, server: RemoteServer, changes: dict[str, Any]
) -> None:
    scripted.script(as_json(200, **document(**changes)))

    with pytest.raises(RemoteRefusal, match="does not know"):
        uploads.looked_up(server, "u1")


def test_it_goes_on_to_look_while_the_server_is_unreachable(scripted: ScriptedServer, server: RemoteServer) -> None:
    scripted.script(*[(503, {}, b"")] * 7, as_json(200, **document(status="published")))

    ended = followed(server, upload_of(status="queued"), lambda seen: None, pause=lambda seconds: None)

    assert ended.status == "published"


@pytest.mark.parametrize(("name", "sentence"), [("_STILL_SECONDS", "Is a worker running"), ("_AWAY_SECONDS", "down")])
def test_it_does_not_look_for_ever(
    scripted: ScriptedServer, server: RemoteServer, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.setattr(uploads, name, 0)
    queued = as_json(200, **document(status="queued"))
    scripted.script(queued if name == "_STILL_SECONDS" else as_json(503, detail="It is down."))

    with pytest.raises(Unavailable, match=sentence):
        followed(server, upload_of(status="queued"), lambda seen: None, pause=lambda seconds: None)


def test_it_forgets_an_upload_that_the_server_does_not_know(
    scripted: ScriptedServer, server: RemoteServer, source: Source, tmp_path: Path
) -> None:
    remembered = RememberedUploads(tmp_path / "cache")
    remembered.remember(server.url, source.sha256, "gone")
    scripted.answer = lambda method, path: as_json(404) if method == "GET" else as_json(201, **document())

    assert opened(server, source, remembered).upload_id == "u1"
    assert remembered.recall(server.url, source.sha256) == "u1"


def test_it_needs_no_folder_to_store_what_it_would_resume(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remembered = RememberedUploads(tmp_path / "file" / "below")

    remembered.remember("https://x", "ab", "u1")
    remembered.forget("https://x", "ab")

    assert remembered.recall("https://x", "ab") is None


def test_it_says_that_the_file_is_gone(tmp_path: Path) -> None:
    with pytest.raises(MlserveError, match="cannot be read"):
        hashed(tmp_path / "nothing", lambda count: None)
