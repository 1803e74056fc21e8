"""Request predictions from a system and compare its answers with those of the pipeline."""

import itertools
import time
from collections.abc import Iterator, Sequence

from benchmark.client import Answer, Client, FollowUp
from benchmark.connection import BadAnswer, Request
from benchmark.dialects import Polling, Waiting, WrongAnswer
from benchmark.example import Example

# The same for every system: an impatient caller's.
_POLL_NS = 5_000_000
_PATIENCE_NS = 120 * 10**9


def requests_of(dialect: Waiting | Polling, example: Example, *, rows: int, count: int) -> list[Request]:
    """`count` different requests of `rows` rows each; the subject is the first row's number."""
    starts = range(0, count * rows, rows)
    return [dialect.predict(example.records[start : start + rows], start) for start in starts]


def repeated(requests: Sequence[Request], *, seconds: float) -> Iterator[Request]:
    """The requests repeated until the time is up, which begins with the first one that is taken."""
    end = time.perf_counter_ns() + int(seconds * 1e9)
    for request in itertools.cycle(requests):
        if time.perf_counter_ns() >= end:
            return
        yield request


def check(predictions: Sequence[str], example: Example, first_row: int) -> None:
    """Raises WrongAnswer unless these are the pipeline's predictions of the rows from `first_row` on."""
    expected = example.predictions[first_row : first_row + len(predictions)]
    if not predictions or list(predictions) != expected:
        raise WrongAnswer(f"predictions {predictions[:5]!r} … instead of {expected[:5]!r} … from row {first_row} on")


def check_all(answers: Sequence[Answer], dialect: Waiting, example: Example, *, rows: int) -> None:
    """Raises WrongAnswer that says how many answers are wrong, and what the first one is."""
    wrong: list[WrongAnswer] = []
    for answer in answers:
        try:
            predictions = dialect.read(answer)
            check(predictions, example, answer.request.subject)
            if len(predictions) != rows:
                raise WrongAnswer(f"{len(predictions)} predictions for {rows} rows")
        except WrongAnswer as error:
            wrong.append(error)
    if wrong:
        raise WrongAnswer(f"{len(wrong)} of {len(answers)} answers are wrong; the first one: {wrong[0]}")


def poll_until_done(client: Client, dialect: Polling, example: Example, accepted: Sequence[Answer]) -> list[Answer]:
    """Poll each accepted prediction every 5 ms until it is there. Raises WrongAnswer.

    Each connection stays with its prediction until that is there.
    """

    deadline = time.perf_counter_ns() + _PATIENCE_NS

    def again(answer: Answer) -> FollowUp | None:
        predictions = dialect.read(answer)
        if predictions is None:
            if answer.received_ns > deadline:
                raise WrongAnswer(f"not finished after {_PATIENCE_NS / 1e9:g} s: {answer.body[:500]!r}")
            return FollowUp(answer.request, _POLL_NS)
        check(predictions, example, answer.request.subject)
        return None

    return client.run([dialect.poll(answer) for answer in accepted], again)


def one_answer(port: int, dialect: Waiting | Polling, example: Example) -> None:
    """Returns when one row was predicted correctly. Raises WrongAnswer or BadAnswer."""
    with Client(port, connections=1) as client:
        answers = client.run(requests_of(dialect, example, rows=1, count=1))
        if isinstance(dialect, Polling):
            poll_until_done(client, dialect, example, answers)
        else:
            check_all(answers, dialect, example, rows=1)


def accepts(port: int) -> bool:
    """Whether a process listens at the port of 127.0.0.1."""
    try:
        with Client(port, connections=1):
            return True
    except BadAnswer:
        return False
