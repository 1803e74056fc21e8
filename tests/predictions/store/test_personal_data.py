"""Export and erase the predictions of one user or token: by the API, and by commands."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.access.tokens import make_token
from mlserve.models import ApiToken
from predictions import tasks
from predictions.models import Prediction
from predictions.serving.submission import submit
from predictions.store.personal_data import Whose, erase, export
from predictions.worker.claiming import claim
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db

EXPORT, ERASE = "/api/predict/export", "/api/predict/erase"


class Cast:
    """A reader with two tokens, another person, and what each of them asked."""

    def __init__(self, reader: User, version: ModelVersion, record: dict[str, Any]) -> None:
        self.reader, self.version, self.record = reader, version, record
        self.other = User.objects.create_user("other")
        self.token, self.client = self._token("one")
        self.second_token, self.second_client = self._token("two")

    def _token(self, name: str) -> tuple[ApiToken, APIClient]:
        token, secret = make_token(self.reader, name=name, scopes=["predict"], days=None, created_by="")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return token, client

    def asks(self, user: Any, token: ApiToken | None = None, **values: Any) -> Prediction:
        prediction = submit(self.version, {**self.record, **values}, outputs=["predict"], user=user)
        if token is not None:
            Prediction.objects.filter(pk=prediction.pk).update(token_id=token.pk)
        return prediction

    def signed_in(self, user: User) -> APIClient:
        client = APIClient()
        client.force_login(user)
        return client


@pytest.fixture
def cast(reader: User, penguins: ModelVersion, penguin: dict[str, Any]) -> Cast:
    return Cast(reader, penguins, penguin)


def lines(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]


def ids(response: Any) -> list[str]:
    return [line["prediction_id"] for line in lines(response)]


def test_it_exports_what_a_token_asked(cast: Cast) -> None:
    first, second = (cast.asks(cast.reader, cast.token) for _ in range(2))
    for user, token in ((cast.reader, cast.second_token), (cast.reader, None), (cast.other, None)):
        cast.asks(user, token)
    cast.asks(AnonymousUser())
    tasks.drain()

    exported = lines(cast.client.get(EXPORT))

    assert [line["prediction_id"] for line in exported] == [str(second.pk), str(first.pk)]
    assert exported[0]["inputs"] == [cast.record]
    assert exported[0]["result"]["predictions"] == ["Gentoo"]
    assert (exported[0]["token"], exported[0]["status"]) == (cast.token.pk, "succeeded")


def test_it_exports_everything_of_the_user_who_signed_in(cast: Cast) -> None:
    own = [cast.asks(cast.reader, token) for token in (None, cast.token, cast.second_token)]
    cast.asks(cast.other)
    client = cast.signed_in(cast.reader)

    assert ids(client.get(EXPORT)) == [str(each.pk) for each in reversed(own)]
    assert ids(client.get(f"{EXPORT}?token={cast.token.pk}")) == [str(own[1].pk)]


def test_it_exports_in_pages(cast: Cast) -> None:
    made = [str(cast.asks(cast.reader, cast.token).pk) for _ in range(5)]

    first = ids(cast.client.get(f"{EXPORT}?limit=3"))
    rest = ids(cast.client.get(f"{EXPORT}?limit=3&cursor={first[-1]}"))

    assert first + rest == made[::-1]


def test_it_exports_more_than_fits_at_once(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictions.store.personal_data._AT_ONCE", 2)
    made = [str(cast.asks(cast.reader).pk) for _ in range(5)]

    assert [json.loads(line)["prediction_id"] for line in export(Whose(cast.reader))] == made[::-1]


@pytest.mark.parametrize("url", [EXPORT, ERASE])
def test_it_asks_who_you_are(cast: Cast, api: APIClient, url: str) -> None:
    response = api.get(url) if url == EXPORT else api.post(url)

    assert response.status_code == 401


@pytest.mark.parametrize("url", [EXPORT, ERASE])
@pytest.mark.parametrize("who", ["another token of the same", "another account", "staff without the permission"])
def test_it_hides_tokens_of_others(cast: Cast, url: str, who: str) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    client = {
        "another token of the same": cast.second_client,
        "another account": cast.signed_in(cast.other),
        "staff without the permission": cast.signed_in(staff),
    }[who]
    cast.asks(cast.reader, cast.token)

    answers = [
        client.generic("GET" if url == EXPORT else "POST", f"{url}?token={token}") for token in (cast.token.pk, 999_999)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    known, unknown = (answer.content.decode() for answer in answers)
    assert known.replace(f"token {cast.token.pk},", "token 999999,") == unknown
    assert Prediction.objects.count() == 1


def test_it_lets_staff_with_the_permission_export_for_another_user(cast: Cast) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_inputs"))
    own = cast.asks(cast.reader, cast.token)
    client = cast.signed_in(staff)

    assert ids(client.get(f"{EXPORT}?token={cast.token.pk}")) == [str(own.pk)]
    assert client.post(f"{ERASE}?token={cast.token.pk}").status_code == 404
    assert LogEntry.objects.get().change_message == f"Exported predictions made with the token {cast.token.pk}."


@pytest.mark.parametrize("query", ["token=x", "token=0", "token=-1", "limit=0", "cursor=1", "token=9" + "9" * 30])
def test_it_refuses_what_it_cannot_read(cast: Cast, query: str) -> None:
    response = cast.client.get(f"{EXPORT}?{query}")

    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["detail"]


@pytest.mark.parametrize("row_bytes", [2**20, 10], ids=["in the row", "in the storage"])
def test_it_erases_what_a_token_asked(cast: Cast, settings: Any, row_bytes: int) -> None:
    settings.MLSERVE_ROW_BYTES = row_bytes
    kept = [cast.asks(cast.reader, cast.second_token), cast.asks(cast.reader), cast.asks(cast.other)]
    cast.asks(cast.reader, cast.token)
    tasks.drain()
    cast.asks(cast.reader, cast.token)  # queued

    response = cast.client.post(ERASE)

    assert response.json() == {"erased": 2, "running": 0, "complete": True}
    assert set(Prediction.objects.all()) == set(kept)
    left = {path.parent.name for path in Path(storages["artifacts"].path("predictions")).glob("**/*.json")}
    assert left <= {str(each.pk) for each in kept}
    assert LogEntry.objects.get().change_message == f"Erased 2 predictions made with the token {cast.token.pk}."


def test_it_leaves_what_is_being_predicted(cast: Cast) -> None:
    cast.asks(cast.reader, cast.token)
    claim(holder="host:1", now=timezone.now())

    response = cast.client.post(ERASE)

    assert response.json() == {"erased": 0, "running": 1, "complete": False}
    assert response.headers["Retry-After"] == "1"
    assert Prediction.objects.count() == 1


def test_it_says_when_there_is_more(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictions.store.personal_data._AT_ONCE", 2)
    for _ in range(5):
        cast.asks(cast.reader)

    first = erase(Whose(cast.reader), seconds=0)
    rest = erase(Whose(cast.reader))

    assert (first.count, first.is_complete) == (2, False)
    assert (rest.count, rest.is_complete) == (3, True)


def test_it_keeps_rows_whose_objects_cannot_be_deleted(cast: Cast, settings: Any) -> None:
    """Without its row an object would be found no more."""
    settings.MLSERVE_ROW_BYTES = 10
    cast.asks(cast.reader, cast.token)
    tasks.drain()
    root = Path(storages["artifacts"].path("predictions"))
    root.rename(root.with_name("moved"))
    root.write_bytes(b"")  # no folder

    refused = cast.client.post(ERASE)
    root.unlink()
    root.with_name("moved").rename(root)

    assert (refused.status_code, Prediction.objects.count()) == (503, 1)
    assert cast.client.post(ERASE).json()["erased"] == 1
    assert not list(root.glob("**/*.json"))


def test_it_names_what_it_could_not_export(cast: Cast, settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    cast.asks(cast.reader, cast.token)
    for path in Path(storages["artifacts"].path("predictions")).glob("**/*.json"):
        path.unlink()

    (line,) = lines(cast.client.get(EXPORT))

    assert (line["inputs"], line["unavailable"]) == (None, ["inputs"])


def test_it_exports_at_a_shell(cast: Cast, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    one, two = cast.asks(cast.reader, cast.token), cast.asks(cast.reader)
    out = tmp_path / "predictions.ndjson"

    call_command("export_predictions", "--user", "reader", "--out", str(out))
    capsysbinary.readouterr()
    call_command("export_predictions", "--token", str(cast.token.pk))

    written = [json.loads(line)["prediction_id"] for line in out.read_text().splitlines()]
    assert written == [str(two.pk), str(one.pk)]
    assert json.loads(capsysbinary.readouterr().out)["prediction_id"] == str(one.pk)
    assert out.stat().st_mode & 0o777 == 0o600


def test_it_erases_at_a_shell(cast: Cast, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cast.asks(cast.reader)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    with pytest.raises(CommandError, match="Give --yes"):
        call_command("erase_predictions", "--user", "reader")

    call_command("erase_predictions", "--user", "reader", "--yes")

    assert "1 prediction of reader erased." in capsys.readouterr().out
    assert not Prediction.objects.exists()


@pytest.mark.parametrize("arguments", [("--user", "nobody"), ("--token", "999999")])
@pytest.mark.parametrize("command", ["export_predictions", "erase_predictions"])
def test_it_knows_no_user_of_that_name(db: None, command: str, arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="There is no"):
        call_command(command, *arguments, *(["--yes"] if command.startswith("erase") else []))
