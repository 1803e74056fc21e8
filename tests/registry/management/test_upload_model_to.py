"""`manage.py upload_model --to URL`, at the real server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from mlserve.access.tokens import make_token
from registry.client import uploads
from registry.client.resume_store import cache_folder
from registry.client.server import RemoteServer
from registry.models import Model, ModelVersion
from registry.models.direct_upload import DirectUpload, Status
from registry.publishing.publish import Published
from tests.conftest import EXAMPLE
from tests.registry.inspecting import inspecting
from tests.registry.scripted_server import without_pauses

pytestmark = pytest.mark.django_db(transaction=True)

DESCRIBED = (
    *("--schema", f"{EXAMPLE}/validation.py:RawData"),
    *("--sample", f"{EXAMPLE}/sample.csv", "--expected", f"{EXAMPLE}/expected.csv"),
)


@pytest.fixture(autouse=True)
def _account(owner: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLSERVE_TOKEN", "owner:owner-password")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setattr(uploads, "_LOOK_EVERY_SECONDS", 0.05)


@pytest.fixture
def worker() -> Iterator[None]:
    with inspecting():
        yield


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server cuts even the example's artifact into parts."""
    monkeypatch.setattr("registry.multipart.parts.PART_BYTES", 1024)
    monkeypatch.setattr("registry.uploads.sender.part_bytes_for", lambda size_bytes: 1024)


def upload(server: LiveServer, path: Path, *options: str, tag: str = "1.0", below: str = "") -> None:
    to = f"{server.url}{below}"
    call_command("upload_model", str(path), "--model", "penguins", "--tag", tag, "--to", to, *options)


def test_it_publishes_and_shows_the_report_of_the_server(
    live_server: LiveServer, worker: None, place: str, penguins_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(live_server, penguins_artifact, *DESCRIBED, "--form", f"{EXAMPLE}/form.json", "--title", "P", "--public")

    version, out = ModelVersion.objects.get(), capsys.readouterr().out
    assert (version.uploaded_by, version.model.title, version.model.is_public) == ("owner", "P", True)
    assert version.form_config is not None
    assert out.count("✓ passed") == 12
    assert f"penguins 1.0 registered at {live_server.url} (sha256 {version.sha256[:12]}…" in out
    assert "not live yet; promote it in the admin or with" in out
    assert (
        f"""curl -u "$MLSERVE_TOKEN" --json '{{"tag": "1.0"}}' {live_server.url}/api/models/penguins/promote""" in out
    )
    assert "owner-password" not in out


def test_it_sends_by_a_token_what_its_scope_allows(
    live_server: LiveServer,
    worker: None,
    small_parts: None,
    owner: User,
    penguins_artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = {
        scope: make_token(owner, name="CI", scopes=[scope], days=1, created_by="")[1] for scope in ("upload", "predict")
    }
    monkeypatch.setenv("MLSERVE_TOKEN", secrets["upload"])
    upload(live_server, penguins_artifact)
    with pytest.raises(CommandError, match="lacks the scope admin"):
        upload(live_server, penguins_artifact, "--promote", tag="2.0")
    monkeypatch.setenv("MLSERVE_TOKEN", secrets["predict"])
    with pytest.raises(CommandError, match="lacks the scope upload"):
        upload(live_server, penguins_artifact, tag="3.0")

    version = ModelVersion.objects.get()
    assert (version.tag, version.uploaded_by, version.is_live) == ("1.0", "owner", False)
    assert LogEntry.objects.get(user=owner).get_change_message().startswith("Uploaded in parts")


def test_it_shows_how_to_promote_by_a_token(
    live_server: LiveServer,
    worker: None,
    owner: User,
    penguins_artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLSERVE_TOKEN", make_token(owner, name="CI", scopes=["upload"], days=1, created_by="")[1])
    upload(live_server, penguins_artifact)

    assert 'curl -H "Authorization: Bearer $MLSERVE_TOKEN" --json' in capsys.readouterr().out


def test_it_sends_many_parts(live_server: LiveServer, worker: None, small_parts: None, penguins_artifact: Path) -> None:
    upload(live_server, penguins_artifact, "--promote")

    version = ModelVersion.objects.get()
    assert version.is_live
    assert DirectUpload.objects.get().staging.part_count > 3
    assert version.size_bytes == penguins_artifact.stat().st_size


def interrupt_upload(live_server: LiveServer, artifact: Path, *, at: str) -> None:
    """Begin an upload that Ctrl+C ends where it calls the function `at`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at, Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upload(live_server, artifact)


def test_it_goes_on_where_an_earlier_run_ended(
    live_server: LiveServer,
    worker: None,
    small_parts: None,
    penguins_artifact: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_upload(live_server, penguins_artifact, at="registry.client.parts.submitted")
    assert "Run the same command again to go on." in capsys.readouterr().err

    _lose_part(number=2)
    upload(live_server, penguins_artifact, below="/")

    assert "are at the server already." in capsys.readouterr().out
    assert DirectUpload.objects.count() == ModelVersion.objects.count() == 1
    assert list(cache_folder().iterdir()) == []


def _lose_part(*, number: int) -> None:
    from django.core.files.storage import storages

    location = Path(storages["artifacts"].location)  # type: ignore[attr-defined]
    (location / DirectUpload.objects.get().staging.prefix / "parts" / f"{number:05}").unlink()


def test_it_follows_what_an_earlier_run_submitted(live_server: LiveServer, penguins_artifact: Path) -> None:
    interrupt_upload(live_server, penguins_artifact, at="registry.management.remotely.followed")
    assert DirectUpload.objects.get().status == Status.QUEUED

    with inspecting():
        upload(live_server, penguins_artifact)

    assert DirectUpload.objects.get().version == ModelVersion.objects.get()


def test_it_begins_anew_when_the_earlier_run_asked_for_something_else(
    live_server: LiveServer, penguins_artifact: Path
) -> None:
    interrupt_upload(live_server, penguins_artifact, at="registry.management.remotely.followed")

    with inspecting():
        upload(live_server, penguins_artifact, tag="2.0")

    assert set(ModelVersion.objects.values_list("tag", flat=True)) == {"1.0", "2.0"}


def test_it_begins_anew_when_the_server_forgot(live_server: LiveServer, worker: None, penguins_artifact: Path) -> None:
    interrupt_upload(live_server, penguins_artifact, at="registry.client.parts.submitted")
    DirectUpload.objects.all().delete()

    upload(live_server, penguins_artifact)

    assert ModelVersion.objects.count() == 1


def test_it_shows_the_report_of_what_is_refused(
    live_server: LiveServer, worker: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"hello, world")

    with pytest.raises(CommandError, match=r"The upload is refused\. .*not a skops, joblib or pickle file") as refused:
        upload(live_server, path)

    assert refused.value.returncode == 1
    assert "✗ failed" in capsys.readouterr().out
    assert list(cache_folder().iterdir()) == []


def test_it_sends_nothing_for_a_tag_that_holds_other_bytes(
    live_server: LiveServer, publish_penguins: Callable[..., Published], tmp_path: Path
) -> None:
    publish_penguins("1.0")
    path = tmp_path / "model.pkl"
    path.write_bytes(b"other bytes")

    with pytest.raises(CommandError, match=r"is another artifact.*upload under a new tag"):
        upload(live_server, path)

    assert not DirectUpload.objects.exists()


def test_it_sends_nothing_when_the_same_bytes_are_there(
    live_server: LiveServer,
    publish_penguins: Callable[..., Published],
    penguins_artifact: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish_penguins("1.0")

    upload(live_server, penguins_artifact, *DESCRIBED, "--promote")

    out = capsys.readouterr().out
    assert "before with the same bytes and is live." in out
    assert "never change" in out
    assert ModelVersion.objects.get().is_live
    assert not DirectUpload.objects.exists()


def test_it_changes_a_model_whose_version_is_there(
    live_server: LiveServer, worker: None, publish_penguins: Callable[..., Published], penguins_artifact: Path
) -> None:
    publish_penguins("1.0")

    upload(live_server, penguins_artifact, "--title", "New title")

    assert Model.objects.get().title == "New title"


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("owner:wrong", "does not accept the account in MLSERVE_TOKEN"),
        ("no-token-yet", "does not accept the account in MLSERVE_TOKEN|needs an account"),
        ("reader:reader-password", "lacks the permission registry.add_modelversion"),
    ],
)
def test_it_says_who_may_not(
    live_server: LiveServer,
    reader: User,
    penguins_artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    sentence: str,
) -> None:
    monkeypatch.setenv("MLSERVE_TOKEN", token)

    with pytest.raises(CommandError, match=sentence) as refused:
        upload(live_server, penguins_artifact)

    assert refused.value.returncode == 1
    assert token not in str(refused.value)


@pytest.mark.parametrize(
    ("to", "token", "sentence"),
    [
        ("http://mlserve.example.com", "a:b", "not encrypted.*--insecure"),
        ("ftp://127.0.0.1", "a:b", "is not an address"),
        ("mlserve.example.com", "a:b", "is not an address"),
        ("https://a:b@mlserve.example.com", "a:b", "holds an account"),
        ("https://mlserve.example.com/?x=1", "a:b", "more than a path"),
        ("https://mlserve.example.com", "", "MLSERVE_TOKEN is not set"),
        ("https://mlserve.example.com", "a\nb", "MLSERVE_TOKEN"),
    ],
)
def test_it_calls_wrong_usage_wrong(
    penguins_artifact: Path, monkeypatch: pytest.MonkeyPatch, to: str, token: str, sentence: str
) -> None:
    monkeypatch.setenv("MLSERVE_TOKEN", token)

    with pytest.raises(CommandError, match=sentence) as refused:
        call_command("upload_model", str(penguins_artifact), "--model", "m", "--tag", "1", "--to", to)

    assert refused.value.returncode == 2


def test_it_wants_an_address_with_insecure(penguins_artifact: Path) -> None:
    with pytest.raises(CommandError, match="--to") as refused:
        call_command("upload_model", str(penguins_artifact), "--model", "m", "--tag", "1", "--insecure")

    assert refused.value.returncode == 2


def test_it_refuses_an_empty_file_and_names_that_fit_no_address(live_server: LiveServer, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.touch()

    with pytest.raises(CommandError, match="is empty"):
        upload(live_server, path)
    with pytest.raises(CommandError, match="cannot be a"):
        upload(live_server, path, tag="1/2")


def test_it_says_that_no_server_answers(penguins_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteServer, "retries", without_pauses(RemoteServer.retries))

    with pytest.raises(CommandError, match=r"127\.0\.0\.1:9 does not answer: .*refused") as refused:
        call_command("upload_model", str(penguins_artifact), "--model", "m", "--tag", "1", "--to", "http://127.0.0.1:9")

    assert refused.value.returncode == 1
