"""An inspection is used again for the same content only."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.inspection.inspect import SchemaSource, Submission
from registry.inspection.report import Check
from tests import inspections
from tests.inspections import Inspections

Change = Callable[[Submission, Path], Submission]


def _other_artifact(submission: Submission, folder: Path) -> Submission:
    artifact = Path(shutil.copy(submission.artifact, folder))
    with artifact.open("ab") as file:
        file.write(b"\0")
    return dataclasses.replace(submission, artifact=artifact)


def _other_schema(submission: Submission, folder: Path) -> Submission:
    schema = folder / "validation.py"
    schema.write_text("")
    return dataclasses.replace(submission, schema=SchemaSource(schema, "pydantic"))


def _no_sample(submission: Submission, folder: Path) -> Submission:
    return dataclasses.replace(submission, sample=None)


def _no_form(submission: Submission, folder: Path) -> Submission:
    return dataclasses.replace(submission, form_config=None)


@pytest.mark.parametrize("change", [_other_artifact, _other_schema, _no_sample, _no_form])
def test_it_tells_other_content_apart(penguins_submission: Submission, tmp_path: Path, change: Change) -> None:
    other = change(penguins_submission, tmp_path)

    assert inspections._digest_of(other) != inspections._digest_of(penguins_submission)


def test_it_tells_other_limits_apart(penguins_submission: Submission, settings: Any) -> None:
    before = inspections._digest_of(penguins_submission)
    settings.MLSERVE_INSPECTION_SECONDS += 1

    assert inspections._digest_of(penguins_submission) != before


def test_it_shows_the_checks_also_of_what_is_known(inspect_once: Inspections, penguins_submission: Submission) -> None:
    seen: list[tuple[Check, ...]] = []
    first = inspect_once(penguins_submission)

    again = inspect_once(penguins_submission, on_check=seen.append)

    assert again == first
    assert seen == [first.report.checks]
