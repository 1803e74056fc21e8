import json

import pytest

from registry.schema.long_lists import MOST_VALUES, long_lists, without_long_lists
from registry.schema.record import RecordSchema

TEXTS = [f"value {number}" for number in range(MOST_VALUES + 1)]


@pytest.mark.parametrize(
    ("lists", "long"),
    [
        ({"a": TEXTS, "b": TEXTS[:-1]}, {"a"}),
        ({"a": ["x" * 50_000], "b": ["y"]}, {"a"}),
        ({f"c{number}": TEXTS[:100] for number in range(2)} | {"d": TEXTS[:-1] * 10}, {"d"}),
        ({"a": []}, set()),
    ],
)
def test_it_finds_the_lists_that_are_too_long(lists: dict[str, list[str]], long: set[str]) -> None:
    assert long_lists(lists) == long


def test_it_shows_the_shortest_of_many() -> None:
    lists = {f"c{number}": TEXTS[:100] for number in range(1_000)} | {"short": TEXTS[:3]}

    long = long_lists(lists)

    assert "short" not in long
    assert len(long) > 900


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("enum", "One of 301 values;"), ("x-training-values", "Training saw 301 values;"),
     ("examples", "Examples: 301 values;")],
)  # fmt: skip
def test_it_leaves_examples_of_a_long_list(key: str, sentence: str) -> None:
    node = {"type": "string", key: TEXTS, "description": "A place."}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node, "b": {"enum": [1, 2]}}})

    cut = without_long_lists(schema.json_schema, "/schema")

    assert cut["properties"] == {
        "a": {
            "type": "string",
            "description": f"A place. {sentence} all of them are in /schema.",
            "examples": TEXTS[:3],
        },
        "b": {"type": "integer", "enum": [1, 2]},
    }
    assert schema.properties["a"][key] == TEXTS


def test_it_shows_no_long_example() -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": {"enum": ["x" * 10**6]}}})

    assert "examples" not in without_long_lists(schema.json_schema, "/schema")["properties"]["a"]


def test_it_keeps_a_document_small_however_the_values_are_spread() -> None:
    properties = {f"column {number}": {"enum": TEXTS[:100]} for number in range(1_000)}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": properties})

    assert len(json.dumps(without_long_lists(schema.json_schema, "/api/models/m/schema"))) < 200_000
