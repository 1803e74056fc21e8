"""The reckoning finds what no client has seen."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.databases import Sqlite
from tests.torture.invariants import check
from tests.torture.journal import Journal, Request
from tests.torture.models import BY_NAME
from tests.torture.places import DiskStore

_COLUMNS = (
    "id TEXT, status TEXT, result TEXT, error TEXT, inputs TEXT, attempts INT, lease_holder TEXT DEFAULT '', "
    "lease_expires_at TEXT, row_count INT DEFAULT 1, finished_at TEXT"
)
_OTHERS = {
    "registry_model": "id INT, name TEXT",
    "registry_modelversion": "id INT, model_id INT",
    "registry_incident": "version_id INT, kind TEXT, detail TEXT",
}


class Story:
    """A database as the service would leave it, and the journal of the clients."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.journal, self.database, self.store = journal, Sqlite(folder), DiskStore(folder)
        self.database.ask(f"CREATE TABLE predictions_prediction ({_COLUMNS})")
        for table, columns in _OTHERS.items():
            self.database.ask(f"CREATE TABLE {table} ({columns})")
        self.database.watch()

    def accepted(self) -> Request:
        request = self.journal.ask("squares", [3])
        self.journal.answer(request, 202, json.dumps({"prediction_id": f"id-{request.serial}"}).encode())
        return request

    def insert(self, prediction_id: str, serial: int) -> None:
        result = json.dumps({"predictions": BY_NAME["squares"].expected([3])})
        inputs = json.dumps([{"x": 3, "serial": serial}])
        columns, values = "id, status, result, inputs, finished_at", f"'succeeded', '{result}', '{inputs}', 'now'"
        self.database.ask(f"INSERT INTO predictions_prediction ({columns}) VALUES ('{prediction_id}', {values})")

    def blame(self, model: str, kind: str) -> None:
        self.database.ask(f"INSERT INTO registry_model VALUES (1, '{model}')")
        self.database.ask("INSERT INTO registry_modelversion VALUES (2, 1)")
        self.database.ask(f"INSERT INTO registry_incident VALUES (2, '{kind}', 'It did.')")

    def violations(self) -> str:
        check(self.journal, self.database, self.store)
        return "\n".join(self.journal.violations)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with Journal(tmp_path / "journal.jsonl") as journal:
        yield Story(tmp_path, journal)


def test_it_is_content_with_what_is_there_and_right(story: Story) -> None:
    request = story.accepted()
    story.insert("id1", request.serial)

    assert story.violations() == ""


def test_it_misses_what_was_accepted(story: Story) -> None:
    story.accepted()

    assert "is not in the database" in story.violations()


def test_it_sees_a_second_end(story: Story) -> None:
    story.insert("id1", story.accepted().serial)
    story.database.ask("UPDATE predictions_prediction SET status = 'succeeded'")

    assert "ended 2 times" in story.violations()


def test_it_sees_a_step_that_there_is_not(story: Story) -> None:
    story.insert("id1", story.accepted().serial)
    story.database.ask("UPDATE predictions_prediction SET status = 'queued', finished_at = NULL")

    assert "succeeded → queued" in story.violations()


def test_it_sees_what_never_ends(story: Story) -> None:
    story.insert("id1", story.accepted().serial)
    story.database.ask("UPDATE predictions_prediction SET status = 'running', finished_at = NULL")

    assert "without an end" in story.violations()


def test_it_sees_a_request_stored_twice(story: Story) -> None:
    request = story.accepted()
    story.insert("id1", request.serial)
    story.insert("id2", request.serial)

    assert "is its second one" in story.violations()


def test_it_sees_refused_rows_that_were_stored(story: Story) -> None:
    request = story.journal.ask("squares", [3], is_invalid=True)
    story.journal.answer(request, 422, b"{}")
    story.insert("id9", request.serial)

    assert "was refused (422)" in story.violations()


@pytest.mark.parametrize(
    ("model", "kind", "is_wrong"),
    [("squares", "crashed", True), ("squares", "killed", False), ("crashes", "crashed", False)],
)
def test_it_sees_a_healthy_model_that_is_blamed(story: Story, model: str, kind: str, is_wrong: bool) -> None:
    story.blame(model, kind)

    assert ("blamed for what it did not do" in story.violations()) is is_wrong
