from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from benchmark.asking import check_all, one_answer, poll_until_done, repeated, requests_of
from benchmark.client import Client
from benchmark.dialects import HANDWRITTEN, MLSERVE_POLLING, MLSERVE_WAITING, QUEUED, Polling, Waiting, WrongAnswer
from benchmark.example import Example, make_example
from tests.benchmark.server import ScriptedServer, answer


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return make_example(tmp_path_factory.mktemp("benchmark"))


def finished(predictions: Sequence[str]) -> bytes:
    """What mlserve answers."""
    return answer(orjson.dumps({"status": "succeeded", "result": {"predictions": predictions}}))


def ask(dialect: Waiting, example: Example, reply: bytes, *, rows: int = 1) -> None:
    with ScriptedServer(lambda _: [reply]) as server, Client(server.port, connections=1) as client:
        answers = client.run(requests_of(dialect, example, rows=rows, count=1))
    check_all(answers, dialect, example, rows=rows)


def test_it_trains_the_same_pipeline_each_time(example: Example, tmp_path: Path) -> None:
    again = make_example(tmp_path)

    assert again.predictions == example.predictions
    assert set(example.predictions) == {"no", "yes"}


def test_it_sends_missing_numbers_as_null(example: Example) -> None:
    values = [value for record in example.records for value in record.values()]

    assert None in values
    orjson.dumps(example.records)


def test_it_accepts_right_predictions(example: Example) -> None:
    ask(MLSERVE_WAITING, example, finished(example.predictions[:3]), rows=3)


def test_it_accepts_the_peer_s_predictions(example: Example) -> None:
    ask(HANDWRITTEN, example, answer(orjson.dumps({"predictions": example.predictions[:3]})), rows=3)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(finished(["maybe"]), "instead of", id="other-prediction"),
        pytest.param(finished([]), "predictions", id="no-prediction"),
        pytest.param(answer(b'{"status": "running"}'), "not finished", id="unfinished"),
        pytest.param(answer(b'{"status": "failed"}'), "not succeeded", id="failed"),
        pytest.param(answer(b"<html>"), "not JSON", id="html"),
        pytest.param(answer(b'{"status": "queued"}', status="202 Accepted"), "status 202", id="accepted-only"),
        pytest.param(answer(b"too many", status="503 Busy"), "1 of 1 .* status 503 .*too many", id="busy"),
    ],
)
def test_it_refuses_every_other_answer(example: Example, reply: bytes, reason: str) -> None:
    with pytest.raises(WrongAnswer, match=reason):
        ask(MLSERVE_WAITING, example, reply)


def test_it_refuses_fewer_predictions_than_rows(example: Example) -> None:
    with pytest.raises(WrongAnswer, match="1 predictions for 2 rows"):
        ask(MLSERVE_WAITING, example, finished(example.predictions[:1]), rows=2)


@pytest.mark.parametrize(
    ("dialect", "accepted", "pending", "done"),
    [
        pytest.param(
            MLSERVE_POLLING,
            {"prediction_id": "7"},
            {"status": "queued"},
            lambda predictions: {"status": "succeeded", "result": {"predictions": predictions}},
            id="mlserve",
        ),
        pytest.param(
            QUEUED,
            {"task_id": "7"},
            {"status": "PENDING"},
            lambda predictions: {"status": "SUCCESS", "predictions": predictions},
            id="celery",
        ),
    ],
)
def test_it_polls_until_the_result_is_there(
    example: Example, dialect: Polling, accepted: object, pending: object, done: object
) -> None:
    replies: Iterator[bytes] = iter(
        [
            answer(orjson.dumps(accepted), status="202 Accepted"),
            answer(orjson.dumps(pending)),
            answer(orjson.dumps(pending)),
            answer(orjson.dumps(done(example.predictions[:1]))),  # type: ignore[operator]
        ]
    )

    with ScriptedServer(lambda _: [next(replies)]) as server:
        one_answer(server.port, dialect, example)

    assert b"/7 HTTP/1.1" in server.requests[-1]
    assert len(server.requests) == 4


def test_it_stops_polling_for_what_failed(example: Example) -> None:
    replies = iter([answer(b'{"prediction_id": "7"}', status="202 Accepted"), answer(b'{"status": "failed"}')])

    with ScriptedServer(lambda _: [next(replies)]) as server, Client(server.port, connections=1) as client:
        accepted = client.run(requests_of(MLSERVE_POLLING, example, rows=1, count=1))
        with pytest.raises(WrongAnswer, match="not succeeded"):
            poll_until_done(client, MLSERVE_POLLING, example, accepted)


def test_it_sends_nothing_when_there_is_no_time(example: Example) -> None:
    assert list(repeated(requests_of(HANDWRITTEN, example, rows=1, count=2), seconds=0)) == []
