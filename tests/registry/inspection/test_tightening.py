"""A schema that refuses what fails."""

from typing import Any

import pytest

from registry.inspection.tightening import Kind, Refused, tighten
from registry.schema.record import RecordSchema, Row
from tests.registry.inspection.test_probing import is_valid


def tightened(
    node: dict[str, Any], kind: Kind, *, rows: list[Row] | None = None, required: bool = False
) -> tuple[RecordSchema, Refused]:
    raw = {"type": "object", "properties": {"a": node, "b": {"type": "number"}}, "required": ["a"] if required else []}
    return tighten(RecordSchema.from_json_schema(raw), rows or [{"a": None, "b": 1}][:0], {(kind, "a")})


def test_it_refuses_null_and_what_stands_for_it() -> None:
    schema, refused = tightened({"type": ["string", "null"], "enum": ["x", None], "default": None}, "null")

    assert refused == {("null", "a"), ("absent", "a")}
    assert schema.properties["a"] == {"type": "string", "enum": ["x"]}
    assert (is_valid(schema, {"a": "x"}), is_valid(schema, {"a": None}), is_valid(schema, {})) == (True, False, False)


def test_it_leaves_a_default_that_is_a_value() -> None:
    schema, refused = tightened({"type": ["number", "null"], "default": 3}, "null")

    assert refused == {("null", "a")}
    assert is_valid(schema, {"b": 1})


def test_it_requires_a_column_whose_default_fails() -> None:
    schema, refused = tightened({"type": "number", "default": 3}, "absent")

    assert refused == {("absent", "a")}
    assert "default" not in schema.properties["a"]
    assert not is_valid(schema, {"b": 1})


@pytest.mark.parametrize("node", [{"type": ["integer", "null"]}, {"type": ["boolean", "null"]}])
def test_it_keeps_the_dtype_that_was_tried(node: dict[str, Any]) -> None:
    before = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    after, _ = tightened(node, "null")

    assert after.columns[0].dtype == before.columns[0].dtype


def test_it_makes_known_values_the_only_ones() -> None:
    schema, _ = tightened({"type": ["string", "null"], "x-training-values": ["x", "y"]}, "unseen", required=True)

    assert schema.properties["a"] == {"type": ["string", "null"], "enum": ["x", "y", None]}


def test_it_refuses_an_empty_text() -> None:
    schema, _ = tightened({"type": "string"}, "empty", required=True)

    assert (is_valid(schema, {"a": "x"}), is_valid(schema, {"a": ""})) == (True, False)


@pytest.mark.parametrize(
    ("node", "kind", "row"),
    [
        ({"type": ["number", "null"]}, "null", {"a": None}),
        ({"type": ["number", "null"]}, "null", {"b": 1}),
        ({"type": ["number", "null"], "default": 1}, "absent", {"b": 1}),
        ({"type": "string", "x-training-values": ["x"]}, "unseen", {"a": "z"}),
        ({"type": "string"}, "empty", {"a": ""}),
    ],
)
def test_it_refuses_nothing_that_the_sample_has(node: dict[str, Any], kind: Kind, row: Row) -> None:
    schema, refused = tightened(node, kind, rows=[{"a": 1 if node["type"] != "string" else "x", "b": 1}, row])

    assert refused == set()
    assert is_valid(schema, row)


def test_it_tightens_nothing_for_a_single_value() -> None:
    schema, refused = tightened({"type": "number", "minimum": 0}, "value", required=True)

    assert refused == set()
    assert schema.properties["a"] == {"type": "number", "minimum": 0}
