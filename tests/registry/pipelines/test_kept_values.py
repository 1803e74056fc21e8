"""Values that change on their way into the frame."""

from typing import Any

import pytest

from registry.pipelines.frames import rows_to_input
from registry.pipelines.kept_values import ChangedValue, first_changed_value
from registry.schema.record import Container, RecordSchema


def changed(node: dict[str, Any], *values: Any, container: Container = "frame") -> ChangedValue | None:
    """Of rows with a column `other` before the one that is looked at."""
    raw = {"type": "object", "properties": {"other": {"type": "number"}, "value": node}}
    schema = RecordSchema.from_json_schema(raw, container=container)
    rows = [{"other": 1, "value": value} for value in values]
    return first_changed_value(schema, rows, rows_to_input(schema, rows))


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ({"type": "number"}, 0.1),
        ({"type": "number"}, 2**53),
        ({"type": "integer", "x-dtype": "Int64"}, 9007199254740993),
        ({"type": "number", "x-dtype": "float32"}, 0.1),
        ({"type": "number", "x-dtype": "Float32"}, 0.1),
        ({"type": "boolean"}, True),
        ({"type": "string"}, "ä"),
        ({"type": "string", "enum": ["a", "b"], "x-dtype": "category"}, "b"),
        ({"type": "integer", "x-dtype": "str"}, 7),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "format": "date-time"}, "2026-01-31T12:00:00+02:00"),
        ({"type": ["number", "null"]}, None),
    ],
)
def test_it_finds_nothing_where_all_are_kept(node: dict[str, Any], value: Any) -> None:
    assert changed(node, value) is None


@pytest.mark.parametrize(
    ("node", "value", "held"),
    [
        ({"type": "number"}, 9007199254740993, 9007199254740992.0),
        ({"type": ["integer", "null"]}, 9007199254740993, 9007199254740992.0),
        ({"type": "integer", "x-dtype": "float32"}, 16777217, 16777216.0),
    ],
)
def test_it_finds_a_value_that_its_dtype_cannot_hold(node: dict[str, Any], value: Any, held: Any) -> None:
    found = changed(node, None, value)

    assert found is not None
    assert (found.row, found.column.name, found.given) == (1, "value", value)
    assert found.held == held


def test_it_finds_what_an_array_rounds() -> None:
    """Beside a column of floats, whole numbers become floats as well."""
    found = changed({"type": "integer"}, 9007199254740993, container="array")

    assert found is not None
    assert found.held == 9007199254740992.0


def test_it_finds_a_fraction_of_a_second_that_is_cut_off() -> None:
    found = changed({"type": "string", "format": "date-time"}, "2026-01-31T12:00:00.123456789")

    assert found is not None
    assert "2026-01-31T12:00:00.123456789" in found.detail


def test_it_says_where_with_both_values() -> None:
    found = changed({"type": "number"}, 1.5, 9007199254740993)

    assert found is not None
    assert found.detail == (
        "Row 2, column value: the sample has 9007199254740993, but as float64 the pipeline gets 9007199254740992.0."
    )
