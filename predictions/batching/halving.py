"""Split rows into calls, and a call that raises into halves, until the bad rows stand alone. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Naming each of very many bad rows would cost a call per row; beyond this the rest of a range fails together.
MOST_NAMED_FAILURES = 20

Answers = dict[str, list[Any]]
Call = Callable[[Sequence[Any]], Answers]


@dataclass(frozen=True)
class RowFailure:
    """What the call raised for one row (or for a range of rows that was not looked into any more)."""

    error: Exception


@dataclass
class _Run:
    call: Call
    answers: Answers
    failures: dict[int, RowFailure]
    undivided: tuple[type[Exception], ...]
    passing: tuple[type[Exception], ...]


def call_in_batches(
    call: Call,
    rows: Sequence[Any],
    *,
    batch_rows: int,
    undivided: tuple[type[Exception], ...] = (),
    passing: tuple[type[Exception], ...] = (),
) -> tuple[Answers, dict[int, RowFailure]]:
    """Answers and failures for all rows, calling with at most `batch_rows` of them at a time.

    `call` maps rows to {name: one answer per row}. Returns one list of len(rows) per name, with None where the
    row failed, and the failures by position. A raising call is tried again in halves: one bad row among n costs
    about 2·log2(n) extra calls; for what is `undivided` all rows of the call fail, for with fewer rows the fault would
    only not be seen. What is `passing` is no fault of the rows and passes through, as does what is no `Exception`.
    """
    run = _Run(call, {}, {}, undivided, passing)
    for start in range(0, len(rows), batch_rows):
        _halve(run, rows, start, min(start + batch_rows, len(rows)))
    return run.answers, run.failures


def _halve(run: _Run, rows: Sequence[Any], start: int, stop: int) -> None:
    try:
        answers = run.call(rows[start:stop])
    except run.passing:
        raise
    except Exception as error:  # noqa: BLE001 - the model's own code, which may raise anything
        is_last = stop - start == 1 or len(run.failures) >= MOST_NAMED_FAILURES
        if is_last or isinstance(error, run.undivided):
            run.failures.update({position: RowFailure(error) for position in range(start, stop)})
            return
        middle = (start + stop) // 2
        _halve(run, rows, start, middle)
        _halve(run, rows, middle, stop)
        return
    for name, values in answers.items():
        run.answers.setdefault(name, [None] * len(rows))[start:stop] = values
