"""What is wrong with the rows of a file."""

from typing import Any

import pytest

from predictions.management.row_errors import by_column
from registry.schema.record import RecordSchema

SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {"age": {"type": "number"}, "a/b ~": {"type": "number"}, "town": {"enum": ["Bonn", "Ulm"]}},
        "required": ["age"],
    }
)
GOOD: dict[str, Any] = {"age": 1}


@pytest.mark.parametrize(
    ("at_fault", "line"),
    [
        ([4], "age: must be a number (row 4)"),
        ([4, 6], "age: must be a number (rows 4 and 6)"),
        ([3, 7, 12], "age: must be a number (rows 3, 7 and 12)"),
        ([3, 7, 12, *range(20, 60)], "age: must be a number (rows 3, 7, 12 and 40 more)"),
    ],
)
def test_it_names_some_rows_and_counts_the_others(at_fault: list[int], line: str) -> None:
    rows = [{"age": "x"} if index in at_fault else GOOD for index in range(60)]

    assert by_column(rows, SCHEMA) == [line]


def test_it_tells_mistakes_and_columns_apart() -> None:
    rows = [{}, {"age": "x", "a/b ~": "y"}, {}]

    assert by_column(rows, SCHEMA) == [
        "age: is required (rows 0 and 2)",
        "age: must be a number (row 1)",
        "a/b ~: must be a number (row 1)",
    ]


def test_it_suggests_only_what_is_meant_in_all_rows() -> None:
    must = "town: must be 'Bonn' or 'Ulm'"

    assert by_column([{**GOOD, "town": "Bon"}] * 2, SCHEMA) == [f"{must}; did you mean 'Bonn'? (rows 0 and 1)"]
    assert by_column([{**GOOD, "town": town} for town in ("Bon", "Ulmm")], SCHEMA) == [f"{must} (rows 0 and 1)"]


def test_it_stops_after_many_rows_and_kinds() -> None:
    names = [f"column{index}" for index in range(30)]
    schema = RecordSchema.from_json_schema(
        {"type": "object", "properties": {name: {"type": "number"} for name in names}}
    )
    lines = by_column([dict.fromkeys(names, "x")] * 2000, schema)

    assert lines[0] == "column0: must be a number (rows 0, 1, 2 and 997 more)"
    assert len(lines) == 22
    assert lines[20:] == ["… and 10 more kinds of error", "These are the errors of the first 1000 rows that have any."]
