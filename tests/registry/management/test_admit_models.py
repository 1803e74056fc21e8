"""`manage.py admit_models`."""

from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from mlserve.errors import ArtifactUnavailable
from predictions.runtime import loaded_models
from registry.models import ModelVersion


@pytest.fixture
def unsigned(penguins: ModelVersion) -> ModelVersion:
    ModelVersion.objects.update(admission="")
    return penguins


def test_it_signs_again_what_passes_its_inspection(
    penguins: ModelVersion, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.SECRET_KEY = "the key of before is lost " * 3

    call_command("admit_models")

    assert capsys.readouterr().out == "✓ penguins 1.0 admitted.\n"
    assert loaded_models.load(penguins).seconds > 0


def test_it_leaves_alone_what_is_signed(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("admit_models", "penguins", tag="1.0")

    assert "bears this service's signature already" in capsys.readouterr().out


def test_it_lets_an_old_key_go(penguins: ModelVersion, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    old, settings.SECRET_KEY = settings.SECRET_KEY, "the key from now on " * 3
    settings.SECRET_KEY_FALLBACKS = [old]
    storages["artifacts"].delete(penguins.artifact_key)  # nothing is inspected

    call_command("admit_models")

    settings.SECRET_KEY_FALLBACKS = []
    assert "signed with the present SECRET_KEY" in capsys.readouterr().out
    with pytest.raises(ArtifactUnavailable, match="not in the storage"):
        loaded_models.load(penguins)


def test_it_signs_nothing_that_gives_other_answers(unsigned: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    unsigned.golden_outputs["predictions"][2] = "Albatross"
    unsigned.save(update_fields=["golden_outputs"])

    with pytest.raises(CommandError, match=r"1 of 1 versions were not admitted and cannot serve: penguins 1\.0") as end:
        call_command("admit_models")

    assert end.value.returncode == 1
    assert f"1 of {len(unsigned.sample_rows)} sample rows get another answer" in capsys.readouterr().out
    assert ModelVersion.objects.get().admission == ""


def test_it_signs_no_artifact_that_is_gone(unsigned: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    storages["artifacts"].delete(unsigned.artifact_key)

    with pytest.raises(CommandError):
        call_command("admit_models")

    assert "✗ penguins 1.0 refused: The artifact" in capsys.readouterr().out


def test_it_says_when_there_is_nothing(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("admit_models")

    assert "nothing to admit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence", "status"),
    [
        (["whales"], "no model 'whales'", 1),
        (["penguins", "--tag=7"], "no version '7'", 1),
        (["--tag=1.0"], "give NAME", 2),
    ],
)
def test_it_refuses_what_it_cannot_find(
    penguins: ModelVersion, arguments: list[str], sentence: str, status: int
) -> None:
    with pytest.raises(CommandError, match=sentence) as refused:
        call_command("admit_models", *arguments)

    assert refused.value.returncode == status
