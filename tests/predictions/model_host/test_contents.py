"""What bodies hold. Those that a model process wrote are a stranger's."""

import json
from typing import Any

import pytest

from predictions.model_host import contents
from predictions.model_host.contents import (
    packed_call,
    read_answers,
    read_raised,
    read_ready,
    read_refused,
    unpacked_call,
)
from predictions.model_host.errors import ModelRaised, ModelRefused, WrongAnswers
from registry.schema.columns import Values
from tests.predictions.model_host.running import specification

_NOT_JSON = [b"", b"\x80\x04N.", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b"Infinity", b'{"a": 1} x', b"1" * 10_000]


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_it_reads_what_it_packs() -> None:
    columns: list[Values] = [[1, 2**70], b"12345678", [None, "ü"], [[1.5, True], ""]]

    assert unpacked_call(packed_call(columns, 2, ["predict"])) == (columns, 2, ["predict"])
    assert specification().unpacked(specification().packed()) == specification()


def test_it_takes_no_number_beyond_float64() -> None:
    with pytest.raises(WrongAnswers, match="no JSON"):
        read_answers(b'{"predictions":[1e400]}', names=["predictions"], row_count=1)
    assert read_answers(b'{"predictions":[1e300]}', names=["predictions"], row_count=1) == {"predictions": [1e300]}


def test_it_reads_no_more_values_than_it_can_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_VALUES", 100)

    with pytest.raises(WrongAnswers, match="more than 100 values"):
        read_answers(as_json({"predictions": [[0] * 200]}), names=["predictions"], row_count=1)


def test_it_takes_one_json_value_for_each_row() -> None:
    answers = {"predictions": [1, "a", None], "probabilities": [{"a": 0.5}, [1.5], 2**70]}

    assert read_answers(as_json(answers), names=["predictions", "probabilities"], row_count=3) == answers


@pytest.mark.parametrize(
    "body",
    [
        *_NOT_JSON,
        as_json([1, 2]),
        as_json({}),
        as_json({"predictions": [1]}),
        as_json({"predictions": [1, 2, 3]}),
        as_json({"predictions": {"0": 1, "1": 2}}),
        as_json({"predictions": "ab"}),
        as_json({"predictions": None}),
        as_json({"predictions": [1, 2], "probabilities": [1, 2]}),
        as_json({"__proto__": [1, 2]}),
        b'{"predictions": [NaN, 1]}',
        b'{"predictions": [1, 1e999999999999999999999x]}',
        b'{"predictions": ["\\ud800", 1]}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_it_takes_nothing_else_for_answers(body: bytes) -> None:
    with pytest.raises(WrongAnswers):
        read_answers(body, names=["predictions"], row_count=2)


def test_it_reads_what_a_pipeline_raised() -> None:
    error = read_raised(as_json({"kind": "ValueError", "message": "bad row"}))

    assert isinstance(error, ModelRaised)
    assert (error.kind, str(error)) == ("ValueError", "bad row")
    assert isinstance(read_raised(as_json({"kind": "WrongAnswerCount", "message": "2 for 3 rows"})), WrongAnswers)


def test_it_bounds_what_a_model_says_of_its_errors() -> None:
    error = read_raised(as_json({"kind": "K" * 10_000, "message": "m" * 100_000}))
    refused = read_refused(as_json({"detail": "d" * 100_000, "untrusted": "u" * 100_000}))

    assert isinstance(error, ModelRaised)
    assert (len(error.kind), len(str(error))) == (100, 2_000)
    assert (len(refused.detail), len(refused.untrusted)) == (2_000, 2_000)


@pytest.mark.parametrize("body", [as_json(None), as_json({"kind": 1, "message": {}}), as_json([])])
def test_it_reads_an_error_that_says_nothing(body: bytes) -> None:
    error = read_raised(body)

    assert isinstance(error, ModelRaised)
    assert (error.kind, str(error)) == ("", "")
    assert read_refused(body).detail == ""


@pytest.mark.parametrize("body", _NOT_JSON, ids=lambda body: repr(body[:40]))
def test_it_reads_no_error_that_is_no_json(body: bytes) -> None:
    for read in (read_raised, read_refused):
        with pytest.raises(WrongAnswers):
            read(body)


def test_it_reads_how_a_model_was_loaded() -> None:
    assert read_ready(as_json({"seconds": 0.5, "sandbox": ["limits"]})) == (0.5, ("limits",))


@pytest.mark.parametrize(
    "body",
    [
        *_NOT_JSON,
        as_json([]),
        as_json({}),
        as_json({"seconds": "0.5", "sandbox": []}),
        as_json({"seconds": 10**400, "sandbox": []}),
        as_json({"seconds": 0.5, "sandbox": "limits"}),
        as_json({"seconds": 0.5, "sandbox": ["limits", 1]}),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_it_refuses_a_model_that_does_not_say_how_it_was_loaded(body: bytes) -> None:
    with pytest.raises(ModelRefused):
        read_ready(body)
