"""`manage.py list_models`, `promote_model`, `rollback_model` and `retire_model`."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import publish


@pytest.fixture
def second(penguins: ModelVersion, penguins_artifact: Path) -> ModelVersion:
    """The version 1.1 of `penguins`, not live."""
    return publish(penguins_artifact, VersionRequest("penguins", "1.1"), by="ada (shell)").version


def test_it_lists_every_version(
    penguins: ModelVersion, second: ModelVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("list_models")

    header, newest, oldest = capsys.readouterr().out.splitlines()
    assert header.split() == ["Model", "Tag", "Status", "Checks", "Size", "SHA-256", "Uploaded"]
    assert newest.split()[:3] == ["penguins", "1.1", "ready"]
    assert "10 passed, 2 warnings" in newest
    assert "KiB" in newest
    assert newest.endswith("by ada (shell)")
    assert oldest.split()[:5] == ["penguins", "1.0", "live", "12", "passed"]
    assert penguins.sha256[:12] in oldest


def test_it_lists_as_json(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("list_models", "--json")

    (listed,) = json.loads(capsys.readouterr().out)
    assert listed == {
        "model": "penguins",
        "tag": "1.0",
        "status": "live",
        "is_live": True,
        "is_public": True,
        "checks": {"passed": 12, "warnings": 0},
        "size_bytes": penguins.size_bytes,
        "sha256": penguins.sha256,
        "uploaded_at": penguins.uploaded_at.isoformat(),
        "uploaded_by": "owner",
        "incidents": "",
    }


def test_it_says_how_to_upload_the_first(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("list_models")

    assert "python manage.py upload_model" in capsys.readouterr().out


def test_it_lists_nothing_as_json(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("list_models", "--json")

    assert json.loads(capsys.readouterr().out) == []


def test_it_promotes(second: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("promote_model", "penguins", "1.1")

    assert capsys.readouterr().out == "penguins 1.1 is live now; 1.0 was before.\n"
    assert ModelVersion.objects.live().get() == second


def test_it_promotes_the_first(db: None, penguins_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(penguins_artifact, VersionRequest("penguins", "1.0"))

    call_command("promote_model", "penguins", "1.0")

    assert capsys.readouterr().out == "penguins 1.0 is live now; no version was before.\n"


def test_it_promotes_the_live_version_without_effect(
    penguins: ModelVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("promote_model", "penguins", "1.0")

    assert "was live already; nothing changed" in capsys.readouterr().out
    assert penguins.model.promotions.count() == 1


@pytest.mark.parametrize(("name", "tag"), [("whales", "1.0"), ("penguins", "9")])
def test_it_promotes_only_what_exists(penguins: ModelVersion, name: str, tag: str) -> None:
    with pytest.raises(CommandError, match=f"no model '{name}'|no version '{tag}'") as refused:
        call_command("promote_model", name, tag)

    assert refused.value.returncode == 1


def test_it_rolls_back(second: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("promote_model", "penguins", "1.1")
    capsys.readouterr()

    call_command("rollback_model", "penguins")

    assert capsys.readouterr().out == "penguins 1.0 is live again; 1.1 was before.\n"
    assert ModelVersion.objects.live().get().tag == "1.0"


@pytest.mark.parametrize(("name", "sentence"), [("whales", "no model 'whales'"), ("penguins", "had no other live")])
def test_it_rolls_back_only_to_what_was_live(penguins: ModelVersion, name: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("rollback_model", name)


@pytest.mark.parametrize("tag", [(), ("1.0",)], ids=["whichever", "tag"])
def test_it_retires(penguins: ModelVersion, capsys: pytest.CaptureFixture[str], tag: tuple[str, ...]) -> None:
    call_command("retire_model", "penguins", *tag)

    assert capsys.readouterr().out == "penguins 1.0 is retired; penguins has no live version now.\n"
    assert not ModelVersion.objects.live().exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("whales",), "no model 'whales'"),
        (("penguins", "9"), "no version '9'"),
        (("penguins", "1.1"), "penguins 1.1 is ready, so it cannot be retired. 1.0 is live."),
    ],
    ids=str,
)
def test_it_retires_only_what_is_live(second: ModelVersion, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refused:
        call_command("retire_model", *arguments)

    assert refused.value.returncode == 1
    assert ModelVersion.objects.live().exists()
