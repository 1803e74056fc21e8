"""The input example that is stored with an MLflow model, as sample rows. Pure."""

import json
from collections.abc import Sequence
from typing import Any

# Rows are kept as golden rows up to 100; more only show the range of numbers.
_MOST_ROWS = 1_000
_MOST_BYTES = 4 * 2**20


class UnreadableExample(Exception):
    """The message ends a sentence: “It was not used: …”."""


def rows_of(content: bytes, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of an input_example.json, NaN as null; `names` are the signature's, [] when it has none.

    Raises UnreadableExample.
    """
    try:
        example = json.loads(content.decode("utf-8-sig"), parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise UnreadableExample(f"it is not JSON ({error})") from error
    if isinstance(example, dict) and "inputs" in example and set(example) <= {"inputs", "params"}:
        example = example["inputs"]
    rows = [_checked(row) for row in _rows(example, names)[:_MOST_ROWS]]
    return _within_bounds(rows)


def _rows(example: Any, names: Sequence[str]) -> list[Any]:
    if isinstance(example, dict) and set(example) == {"columns", "data"}:
        return _named(example["data"], [str(name) for name in _list(example["columns"])])
    if isinstance(example, dict) and set(example) == {"data"}:
        return _named(example["data"], names)
    if isinstance(example, dict) and example and all(isinstance(value, list) for value in example.values()):
        return _named([list(row) for row in zip(*example.values(), strict=False)], list(example))
    if isinstance(example, dict):
        return [example]
    if isinstance(example, list) and any(isinstance(row, dict) for row in example):
        return example
    return _named(example, names)


def _named(data: Any, names: Sequence[str]) -> list[Any]:
    """Lists as records. Without names: x0, x1, …, as columns of an array are called here; `text` for texts."""
    rows = [row if isinstance(row, list) else [row] for row in _list(data)]
    width = len(rows[0]) if rows else 0
    if not names:
        is_text = rows and width == 1 and isinstance(rows[0][0], str)
        names = ["text"] if is_text else [f"x{index}" for index in range(width)]
    if any(len(row) != len(names) for row in rows):
        raise UnreadableExample(f"its rows do not have {len(names)} values each, as the signature has columns")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableExample("its layout is unknown")
    return value


def _checked(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or any(isinstance(value, dict | list) for value in row.values()):
        raise UnreadableExample("its rows are no records of plain values")
    return row


def _within_bounds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many rows as fit: a record repeats the names of its columns."""
    left, kept = _MOST_BYTES, []
    for row in rows:
        left -= len(json.dumps(row))
        if left < 0:
            break
        kept.append(row)
    if not kept:
        raise UnreadableExample("it holds no rows" if left >= 0 else "its first row is too large")
    return kept


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"it holds {name}")
