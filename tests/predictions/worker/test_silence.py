"""No log line, and nothing that a process prints, holds the input of a caller."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from predictions import tasks
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db

MARKER = "Zq7Marker"
URL = "/api/predict"
Record = dict[str, Any]


def submits(api: APIClient, record: Record, **headers: str) -> int:
    return int(api.post(URL, {**record, "island": MARKER}, headers=headers).status_code)


def is_refused(api: APIClient, record: Record, _path: Path) -> None:
    assert submits(api, {**record, MARKER: MARKER, "year": MARKER}) == 422


def is_no_json(api: APIClient, record: Record, _path: Path) -> None:
    content = f'{{"island": "{MARKER}", NaN}}'.encode()
    assert api.post(URL, content, content_type="application/json").status_code == 400


def is_predicted_by_a_worker(api: APIClient, record: Record, _path: Path) -> None:
    assert submits(api, record) == 202
    tasks.drain()
    tasks.sweep()


def is_predicted_in_place(api: APIClient, record: Record, _path: Path) -> None:
    assert submits(api, record, Prefer="wait=20") == 200


def is_posted_by_a_page(_api: APIClient, record: Record, _path: Path) -> None:
    response = Client().post("/models/penguins", {**record, "island": MARKER, "year": MARKER})
    assert response.status_code == 422
    assert Client().post("/models/penguins", {**record, "island": MARKER}).status_code in (200, 302)


def is_read_from_a_file(_api: APIClient, record: Record, path: Path) -> None:
    rows = path / "rows.csv"
    rows.write_text(",".join(record) + "\n" + ",".join([MARKER, *map(str, list(record.values())[1:])]) + "\n")
    with pytest.raises(CommandError):
        call_command("predict", "penguins", str(rows), "--out", str(path / "answers.csv"))


WAYS = [is_refused, is_no_json, is_predicted_by_a_worker, is_predicted_in_place, is_posted_by_a_page]


@pytest.fixture
def lenient(penguins: ModelVersion) -> ModelVersion:
    """The island may be any text, so that the marker reaches the model."""
    penguins.schema["properties"]["island"] = {"type": "string"}
    penguins.save(update_fields=["schema"])
    return penguins


@pytest.fixture
def is_silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[..., None]:
    caplog.set_level(logging.DEBUG)
    formatter = logging.Formatter()

    def check(*, may_print: bool = False) -> None:
        # With everything that a handler could write of a record: arguments, tracebacks, facts beside the message.
        logged = [formatter.format(record) + repr(vars(record)) for record in caplog.records]
        assert not [line for line in logged if MARKER in line]
        printed = capfd.readouterr()
        assert may_print or MARKER not in printed.out + printed.err

    return check


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fails", [False, True], ids=["answers", "raises"])
def test_it_prints_no_inputs(
    lenient: ModelVersion, penguin: Record, api: APIClient, tmp_path: Path, way: Callable[..., None], fails: bool,
    is_silent: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if fails:
        monkeypatch.setattr("predictions.runtime.loaded_models.predict", refuse)

    way(api, penguin, tmp_path)

    is_silent()


def refuse(_version: ModelVersion, rows: Any, _outputs: Any, **_: Any) -> Any:
    raise ValueError(f"could not convert string to float: {json.dumps(rows[0])}")


def test_it_shows_the_input_only_at_the_shell_that_it_came_from(
    lenient: ModelVersion, penguin: Record, api: APIClient, tmp_path: Path, is_silent: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The error of a command is for its caller; its log has other readers."""
    monkeypatch.setattr("predictions.runtime.loaded_models.predict", refuse)

    is_read_from_a_file(api, penguin, tmp_path)

    is_silent(may_print=True)
