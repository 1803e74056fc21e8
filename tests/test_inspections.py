"""An inspection is used again for the same content only."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.inspection.report import Check
from registry.inspection.version_request import SchemaSource, VersionRequest
from tests import inspections
from tests.inspections import Inspections

Change = Callable[[VersionRequest, Path], VersionRequest]


def _other_schema(request: VersionRequest, folder: Path) -> VersionRequest:
    schema = folder / "validation.py"
    schema.write_text("")
    return dataclasses.replace(request, schema=SchemaSource(schema, "pydantic"))


def _no_sample(request: VersionRequest, folder: Path) -> VersionRequest:
    return dataclasses.replace(request, sample=None)


def _other_answers(request: VersionRequest, folder: Path) -> VersionRequest:
    expected = folder / "expected.csv"
    expected.write_text("0\n")
    return dataclasses.replace(request, expected=expected)


def _answers_in_a_column(request: VersionRequest, folder: Path) -> VersionRequest:
    return dataclasses.replace(request, expected_column="species")


def _no_form(request: VersionRequest, folder: Path) -> VersionRequest:
    return dataclasses.replace(request, form_config=None)


@pytest.mark.parametrize("change", [_other_schema, _no_sample, _other_answers, _answers_in_a_column, _no_form])
def test_it_tells_other_requests_apart(
    penguins_artifact: Path, penguins_request: VersionRequest, tmp_path: Path, change: Change
) -> None:
    other = inspections._digest_of(penguins_artifact, change(penguins_request, tmp_path), None)

    assert other != inspections._digest_of(penguins_artifact, penguins_request, None)


def test_it_tells_other_artifacts_apart(
    penguins_artifact: Path, penguins_request: VersionRequest, tmp_path: Path
) -> None:
    artifact = Path(shutil.copy(penguins_artifact, tmp_path))
    with artifact.open("ab") as file:
        file.write(b"\0")

    other = inspections._digest_of(artifact, penguins_request, None)

    assert other != inspections._digest_of(penguins_artifact, penguins_request, None)


def test_it_tells_other_limits_apart(penguins_artifact: Path, penguins_request: VersionRequest, settings: Any) -> None:
    before = inspections._digest_of(penguins_artifact, penguins_request, None)
    settings.MLSERVE_INSPECTION_SECONDS += 1

    assert inspections._digest_of(penguins_artifact, penguins_request, None) != before


def test_it_shows_the_checks_also_of_what_is_known(
    inspect_once: Inspections, penguins_artifact: Path, penguins_request: VersionRequest
) -> None:
    seen: list[tuple[Check, ...]] = []
    first = inspect_once(penguins_artifact, penguins_request)

    again = inspect_once(penguins_artifact, penguins_request, on_check=seen.append)

    assert again == first
    assert seen == [first.report.checks]
