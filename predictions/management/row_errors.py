"""What is wrong with the rows of a file, by column: a mistake is often the same in thousands of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import unquote

from mlserve.errors import InvalidRows
from registry.schema.record import RecordSchema, Row

_SHOWN_ROWS, _SHOWN_MISTAKES = 3, 20
# The sentence for a value that is no category costs milliseconds, because it suggests another one.
_MOST_DESCRIBED_ROWS = 1000
_SUGGESTION = "; did you mean "


@dataclass
class _Mistake:
    """The same mistake in one column: the first of its rows, and how many there are."""

    detail: str
    first: list[int] = field(default_factory=list)
    count: int = 0

    def add(self, row: int, detail: str) -> None:
        self.count += 1
        if len(self.first) < _SHOWN_ROWS:
            self.first.append(row)
        if detail != self.detail:  # another suggestion for another value
            self.detail = self.detail.partition(_SUGGESTION)[0]

    def __str__(self) -> str:
        rows = [str(row) for row in self.first]
        last = f"{self.count - len(rows)} more" if self.count > len(rows) else rows.pop()
        listed = f"{', '.join(rows)} and {last}" if rows else last
        return f"{self.detail} ({'row' if self.count == 1 else 'rows'} {listed})"


def by_column(rows: Sequence[Row], schema: RecordSchema) -> list[str]:
    """A line for each mistake in rows that do not fit, as `age: must be a number (rows 3, 7, 12 and 40 more)`.

    Rows count from 0, as in the answers of the API. The lines end with how many mistakes or rows they leave out.
    """
    mistakes: dict[tuple[str, str], _Mistake] = {}
    described = list(islice(_invalid(rows, schema), _MOST_DESCRIBED_ROWS))
    for index, invalid in described:
        for error in invalid.errors:
            column, kind = _column(error.pointer), error.detail.partition(_SUGGESTION)[0]
            mistakes.setdefault((column, kind), _Mistake(error.detail)).add(index, error.detail)
    lines = [f"{column}: {mistake}" for (column, _), mistake in list(mistakes.items())[:_SHOWN_MISTAKES]]
    if len(mistakes) > len(lines):
        lines.append(f"… and {len(mistakes) - len(lines)} more kinds of error")
    if len(described) == _MOST_DESCRIBED_ROWS:
        lines.append(f"These are the errors of the first {_MOST_DESCRIBED_ROWS} rows that have any.")
    return lines


def _invalid(rows: Sequence[Row], schema: RecordSchema) -> Iterator[tuple[int, InvalidRows]]:
    for index, row in enumerate(rows):
        try:
            schema.validated(row)
        except InvalidRows as invalid:
            yield index, invalid


def _column(pointer: str) -> str:
    """The name in a JSON Pointer as `#/age`."""
    return unquote(pointer.removeprefix("#/")).replace("~1", "/").replace("~0", "~")
