"""The torture sees what is wrong with an answer; otherwise its zeros would mean nothing."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.torture.journal import Journal, Request
from tests.torture.models import BY_NAME


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.jsonl") as journal:
        yield journal


def accepted(journal: Journal, xs: Sequence[int] = (3, 4), model: str = "squares") -> Request:
    request = journal.ask(model, xs)
    journal.answer(request, 202, json.dumps({"prediction_id": f"id-{request.serial}", "status": "queued"}).encode())
    return request


def ended(request: Request, **more: Any) -> bytes:
    answers = BY_NAME[request.model].expected(request.xs)
    told = {"prediction_id": request.prediction_id, "status": "succeeded", "result": {"predictions": answers}, **more}
    return json.dumps(told).encode()


def failed(slug: str) -> dict[str, Any]:
    error = {"type": f"/problems/{slug}", "detail": "It died."}
    return {"status": "failed", "result": None, "error": error}


def test_it_accepts_the_right_answer(journal: Journal) -> None:
    request = accepted(journal)

    assert journal.see(request, ended(request))
    assert journal.violations == []
    assert journal.open == {}


def test_it_sees_an_answer_of_other_rows(journal: Journal) -> None:
    request, other = accepted(journal), accepted(journal, (5, 6))

    journal.see(request, ended(other))

    assert "wrong answers" in journal.violations[0]


def test_it_sees_a_second_answer_that_differs(journal: Journal) -> None:
    request = accepted(journal)
    journal.see(request, ended(request))

    journal.see(request, ended(request, warnings=["new"]))

    assert "twice differently" in journal.violations[0]


def test_it_sees_an_end_that_is_taken_back(journal: Journal) -> None:
    request = accepted(journal)
    journal.see(request, ended(request))

    journal.see(request, b'{"status": "running"}', had_ended=True)

    assert "had ended" in journal.violations[0]


def test_it_sees_a_healthy_model_fail(journal: Journal) -> None:
    request = accepted(journal)

    journal.see(request, ended(request, **failed("given-up")))

    assert "without cause" in journal.violations[0]


def test_it_expects_the_due_failure_of_a_faulty_model(journal: Journal) -> None:
    due, wrong = accepted(journal, [-1], "raises"), accepted(journal, [-1], "raises")

    journal.see(due, ended(due, **failed("prediction-failed")))
    assert journal.violations == []
    journal.see(wrong, ended(wrong))
    assert "succeeded, which it cannot" in journal.violations[0]


def test_it_sees_an_unclear_refusal(journal: Journal) -> None:
    journal.answer(journal.ask("squares", [1]), 500, b"Server Error")
    journal.answer(journal.ask("squares", [1], is_invalid=True), 202, b'{"prediction_id": "1"}')

    assert len(journal.violations) == 2


def test_it_sees_an_id_given_twice(journal: Journal) -> None:
    body = b'{"prediction_id": "1", "status": "queued"}'
    for _ in range(2):
        journal.answer(journal.ask("squares", [1]), 202, body)

    assert "given twice" in journal.violations[0]
