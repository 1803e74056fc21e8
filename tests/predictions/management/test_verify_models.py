"""`manage.py verify_models`."""

from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from predictions.runtime import golden_rerun
from registry.models import ModelVersion


def test_it_finds_the_same_answers(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_models")

    assert capsys.readouterr().out == (
        f"✓ penguins 1.0 answers as inspected: {len(penguins.sample_rows)} rows compared.\n"
    )


def test_it_tolerates_the_last_digits(penguins: ModelVersion) -> None:
    for answer in penguins.golden_outputs["probabilities"]:
        answer["Adelie"] *= 1 + 1e-9
    penguins.save(update_fields=["golden_outputs"])

    call_command("verify_models", "penguins")


def test_it_shows_what_differs(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    penguins.golden_outputs["predictions"][2] = "Albatross"
    penguins.golden_outputs["probabilities"][3]["Gentoo"] = 0.75
    penguins.save(update_fields=["golden_outputs"])

    with pytest.raises(CommandError, match=r"1 of 1 live versions.*penguins 1\.0") as refused:
        call_command("verify_models")

    lines = capsys.readouterr().out.splitlines()
    assert refused.value.returncode == 1
    assert lines[0].endswith(f"differs: 2 of {len(penguins.sample_rows)} rows get another answer.")
    assert lines[2].split() == ["penguins", "1.0", "2", "predictions", '"Albatross"', '"Adelie"']
    assert lines[3].split()[2:5] == ["3", "probabilities/Gentoo", "0.75"]


def test_it_counts_differences_beyond_the_first(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(penguins.sample_rows)
    penguins.golden_outputs["predictions"] = ["Albatross"] * count
    penguins.golden_outputs["decision_function"] = [[0, 0, 0]] * count
    penguins.save(update_fields=["golden_outputs"])

    with pytest.raises(CommandError):
        call_command("verify_models")

    assert f"… and {4 * count - 20} more differences." in capsys.readouterr().out


def test_it_reports_rows_that_the_model_fails_on(penguins: ModelVersion) -> None:
    penguins.sample_rows[0]["bill_length_mm"] = "long"
    penguins.save(update_fields=["sample_rows"])

    found = golden_rerun.verify(penguins)

    (difference,) = found.differences
    assert (difference.row, difference.output) == (0, "error")
    assert "long" in difference.now


def test_it_reports_an_artifact_that_is_gone(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    storages["artifacts"].delete(penguins.artifact_key)

    with pytest.raises(CommandError, match=r"penguins 1\.0\. The message about each of them above"):
        call_command("verify_models")

    assert "✗ penguins 1.0 cannot be loaded: The artifact" in capsys.readouterr().out


def test_it_mentions_other_packages(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    environment: dict[str, Any] = penguins.environment
    environment["inspected_with"] |= {"scikit-learn": "0.1", "no-such-package": "7"}
    penguins.save(update_fields=["environment"])

    call_command("verify_models")

    out = capsys.readouterr().out
    assert "Inspected with other packages: scikit-learn 0.1, here " in out
    assert "no-such-package 7, here is none" in out


def test_it_looks_at_live_versions_only(penguins: ModelVersion, capsys: pytest.CaptureFixture[str]) -> None:
    ModelVersion.objects.update(status=ModelVersion.Status.RETIRED)

    call_command("verify_models")

    assert "there is nothing to verify" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "sentence"), [("whales", "no model 'whales'"), ("penguins", "no live version")])
def test_it_refuses_a_name_without_a_live_version(penguins: ModelVersion, name: str, sentence: str) -> None:
    ModelVersion.objects.update(status=ModelVersion.Status.RETIRED)

    with pytest.raises(CommandError, match=sentence):
        call_command("verify_models", name)
