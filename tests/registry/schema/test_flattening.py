from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from mlserve.errors import BadUpload
from registry.schema.flattening import default_dtype, example_record, flat_record_schema, in_column_order
from registry.schema.record import RecordSchema


class Island(Enum):
    BISCOE = "Biscoe"
    DREAM = "Dream"


class Written(BaseModel):
    """As data scientists write it."""

    island: Island
    home: Island | None = None
    sex: Literal["female", "male"] | None = None
    kind: Literal["penguin"]
    maybe: Literal["x", None]  # noqa: PYI061 - the other way to write it
    length: Annotated[float, Field(gt=0, le=80)] | None = None
    mass: int | float = Field(ge=1500)
    wings: Annotated[int | float, Field(lt=3)] | None = None
    year: int = Field(default=2007, alias="year of birth")
    seen: date
    alive: bool | None = None


def flat(node: Any, **record: Any) -> dict[str, Any]:
    """The flat property of one column."""
    schema: dict[str, Any] = flat_record_schema({"type": "object", "properties": {"a": node}, **record})
    return dict(schema["properties"]["a"])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("island", {"type": "string", "enum": ["Biscoe", "Dream"]}),
        ("home", {"type": ["string", "null"], "enum": ["Biscoe", "Dream", None], "default": None}),
        ("sex", {"type": ["string", "null"], "enum": ["female", "male", None], "default": None}),
        ("kind", {"type": "string", "enum": ["penguin"]}),
        ("maybe", {"type": ["string", "null"], "enum": ["x", None]}),
        ("length", {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 80, "default": None}),
        ("mass", {"type": "number", "minimum": 1500}),
        ("wings", {"type": ["number", "null"], "exclusiveMaximum": 3, "default": None}),
        ("year of birth", {"type": "integer", "default": 2007}),
        ("seen", {"type": "string", "format": "date"}),
        ("alive", {"type": ["boolean", "null"], "default": None}),
    ],
)
def test_it_dissolves_what_pydantic_writes(column: str, expected: dict[str, Any]) -> None:
    properties = flat_record_schema(Written.model_json_schema(by_alias=True))["properties"]

    assert {key: value for key, value in properties[column].items() if key != "title"} == expected


def test_it_keeps_what_describes_the_record() -> None:
    schema = flat_record_schema(Written.model_json_schema(by_alias=True))

    assert schema["title"] == "Written"
    assert schema["description"] == "As data scientists write it."
    assert schema["required"] == ["island", "kind", "maybe", "mass", "seen"]
    assert schema["additionalProperties"] is False
    assert "$defs" not in schema


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"const": 3}, {"type": "integer", "enum": [3]}),
        ({"enum": [True, False]}, {"type": "boolean", "enum": [True, False]}),
        ({"enum": [1, 2.5]}, {"type": "number", "enum": [1, 2.5]}),
        ({"type": ["null", "string"]}, {"type": ["string", "null"]}),
        ({"type": ["integer", "number"]}, {"type": "number"}),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]}, {"type": "string", "enum": ["a", "b"]}),
        ({"anyOf": [{"type": "number", "minimum": 1}, {"type": "null"}]}, {"type": ["number", "null"], "minimum": 1}),
        ({"allOf": [{"$ref": "#/$defs/n"}], "maximum": 3}, {"type": "number", "maximum": 3}),
        (
            {
                "anyOf": [
                    {"type": "number", "minimum": 0},
                    {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"},
                ]
            },
            {"type": "number", "minimum": 0},
        ),
        ({"$ref": "#/$defs/n", "title": "N"}, {"type": "number", "title": "N"}),
        ({"anyOf": [{"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}]}, {"type": ["number", "null"]}),
    ],
    ids=str,
)
def test_it_dissolves_what_people_write(node: dict[str, Any], expected: dict[str, Any]) -> None:
    assert flat(node, **{"$defs": {"n": {"type": "number"}}}) == expected


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"type": "object", "properties": {}}, "'a' has the type object"),
        ({"type": "array", "items": {"type": "number"}}, "'a' has the type array"),
        ({"type": "null"}, "'a' has the type not given"),
        ({}, "'a' has the type not given"),
        ({"title": "A"}, "'a' has the type not given"),
        ({"enum": [[1]]}, "'a' has the type object"),
        ({"type": ["string", "number"]}, "'a' has the type string or number"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "'a' allows several kinds of value"),
        ({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "number"}]}, "'a' allows several kinds of value"),
        ({"anyOf": [True, {"type": "number"}]}, "'a' must be described by an object"),
        (True, "'a' must be described by an object"),
        ({"$ref": "#/$defs/absent"}, "'#/$defs/absent' cannot be followed"),
        ({"$ref": "https://example.com/schema"}, "cannot be followed; only local ones can"),
        ({"$ref": "#/properties/a"}, "'#/properties/a' cannot be followed"),
        ({"anyOf": [{"$ref": "#/properties/a"}]}, "'a' is nested too deeply"),
        ({"type": "number", "minimum": "low"}, "not a valid JSON Schema at properties/a/minimum"),
        ({"type": 5}, "not a valid JSON Schema at properties/a/type"),
        ({"type": "number", "x-training-range": [1, "b"]}, "x-training-range must be two numbers"),
        ({"type": "string", "x-training-range": [1, 2]}, "x-training-range must be two numbers"),
        ({"type": "number", "x-training-usual": 3}, "x-training-usual must be two numbers"),
        ({"type": "number", "x-training-values": 3}, "x-training-values must be a list"),
        ({"type": "number", "x-dtype": 64}, "x-dtype must be the name of a pandas dtype"),
    ],
    ids=str,
)
def test_it_refuses_what_is_no_column(node: Any, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        flat(node)

    assert sentence in refusal.value.detail


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"type": "object"},
        {"properties": {}},
        {"type": "array", "items": {"type": "number"}},
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": 5},
        {"type": "object", "properties": [1]},
        {"type": "object", "properties": {"": {"type": "number"}}},
    ],
    ids=str,
)
def test_it_refuses_what_is_no_record(raw: dict[str, Any]) -> None:
    with pytest.raises(BadUpload):
        flat_record_schema(raw)


def test_it_refuses_a_column_without_a_name() -> None:
    with pytest.raises(BadUpload, match=r"a column without a name .* usually an index"):
        flat_record_schema({"type": "object", "properties": {"a": {"type": "number"}, "": {"type": "number"}}})


def test_it_refuses_a_required_column_that_is_not_described() -> None:
    with pytest.raises(BadUpload, match=r"requires b, c, which it does not describe"):
        flat({"type": "number"}, required=["a", "c", "b"])


@pytest.mark.parametrize(
    "node", [{"type": "string", "pattern": "["}, {"type": "number", "allOf": [{"$ref": "#/x"}] * 2}]
)
def test_it_refuses_a_schema_that_does_not_compile(node: dict[str, Any]) -> None:
    with pytest.raises(BadUpload, match="cannot be used"):
        RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})


def test_it_reads_a_schema_of_an_older_draft() -> None:
    assert flat({"type": "number"}, **{"$schema": "http://json-schema.org/draft-07/schema#"}) == {"type": "number"}


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["number", "string", "null", "#/properties/a"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "enum", "anyOf", "oneOf", "allOf", "$ref", "const", "minimum",
                                       "maximum", "examples", "default", "x-dtype", "x-training-range"]), inner),
    max_leaves=8,
))  # fmt: skip
def test_it_refuses_nonsense_with_a_sentence(node: Any) -> None:
    try:
        schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})
    except BadUpload:
        return
    assert set(schema.example()) == {"a"}


@pytest.mark.parametrize(
    ("node", "dtype"),
    [
        ({"type": "number"}, "float64"),
        ({"type": ["number", "null"]}, "float64"),
        ({"type": "integer"}, "int64"),
        ({"type": ["integer", "null"]}, "float64"),
        ({"type": "boolean"}, "bool"),
        ({"type": ["boolean", "null"]}, "object"),
        ({"type": "string"}, "str"),
        ({"type": "string", "format": "date"}, "datetime64"),
        ({"type": "string", "format": "date-time"}, "datetime64"),
        ({"type": "string", "format": "email"}, "str"),
        ({"type": ["integer", "null"], "x-dtype": "Int64"}, "Int64"),
    ],
    ids=str,
)
def test_it_takes_the_dtype_of_read_csv(node: dict[str, Any], dtype: str) -> None:
    assert default_dtype(node) == dtype


@pytest.mark.parametrize(("kind", "dtype"), [("integer", "float64"), ("boolean", "object")])
def test_it_leaves_room_for_an_absent_value(kind: str, dtype: str) -> None:
    """Without it an absent boolean would silently become False, and a whole number an error in the worker."""
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": {"type": kind}}})

    assert schema.columns[0].dtype == dtype


def test_it_needs_no_room_where_there_is_a_default() -> None:
    node = {"type": "integer", "default": 3}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    assert schema.columns[0].dtype == "int64"


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint32", "bool"])
@pytest.mark.parametrize("required", [["a"], []])
def test_it_refuses_a_dtype_that_cannot_be_missing(dtype: str, required: list[str]) -> None:
    node = {"type": ["integer", "null"], "x-dtype": dtype}

    with pytest.raises(BadUpload, match=f"which the dtype {dtype} cannot hold"):
        RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}, "required": required})


def test_it_puts_columns_in_order() -> None:
    schema = flat_record_schema(
        {"type": "object", "properties": {name: {"type": "number"} for name in "abc"}, "required": ["a", "b"]}
    )

    ordered = in_column_order(schema, ["c", "b", "a"])
    assert list(ordered["properties"]) == ["c", "b", "a"]
    assert ordered["required"] == ["b", "a"]


@pytest.mark.parametrize(
    ("node", "example"),
    [
        ({"type": "number", "examples": [46.1]}, 46.1),
        ({"type": "integer", "default": 7}, 7),
        ({"type": "string", "enum": ["a", "b"]}, "a"),
        ({"type": ["string", "null"], "enum": [None, "b"]}, "b"),
        ({"type": "string", "x-training-values": ["seen"]}, "seen"),
        ({"type": "boolean"}, False),
        ({"type": "number", "x-training-usual": [44.123, 5.0]}, 44.12),
        ({"type": "number", "x-training-range": [10, 20]}, 15),
        ({"type": "integer", "minimum": 100, "x-training-range": [10, 20]}, 100),
        ({"type": "number", "minimum": 0.001, "maximum": 0.002}, 0.0015),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 1}, 1),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": ["string", "null"]}, None),
    ],
    ids=str,
)
def test_it_makes_a_plausible_example(node: dict[str, Any], example: Any) -> None:
    assert example_record({"properties": {"a": node}}) == {"a": example}


@pytest.mark.parametrize(
    "node",
    [
        {"type": "string", "minLength": 10**15},
        {"type": "string", "maxLength": 2.0},
        {"type": "number", "minimum": 1, "multipleOf": 5e-324},
        {"type": "number", "exclusiveMaximum": 1e308, "multipleOf": 2**53 + 1},
        {"type": "integer", "minimum": 1.7e308, "maximum": 1.7e308},
        {"type": "integer", "x-training-range": [1.7e308, 1.7e308]},
        {"type": "number", "multipleOf": 1e300},
    ],
    ids=str,
)
def test_it_makes_some_example_of_extreme_limits(node: dict[str, Any]) -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    assert len(str(schema.example()["a"])) <= 10_000


@pytest.mark.parametrize("key", ["minimum", "exclusiveMaximum", "multipleOf", "default"])
def test_it_refuses_numbers_that_no_float_holds(key: str) -> None:
    with pytest.raises(BadUpload, match="too large for a 64-bit float"):
        flat_record_schema({"type": "object", "properties": {"a": {"type": "number", key: 10**400}}})


def limits(value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """At most one limit at each end, with room for a value between them."""
    low = st.sampled_from(["minimum", "exclusiveMinimum"])
    high = st.sampled_from(["maximum", "exclusiveMaximum"])
    return st.one_of(
        st.just({}),
        st.builds(lambda key, at: {key: at}, low | high, value),
        st.builds(lambda one, other, at, span: {one: at, other: at + span}, low, high, value, st.integers(2, 10**6)),
    )


_NUMBERS = st.builds(lambda more: {"type": "number", **more}, limits(st.floats(-1e9, 1e9)))
_INTEGERS = st.builds(lambda more: {"type": "integer", **more}, limits(st.integers(-(10**9), 10**9)))
_TEXTS = st.builds(
    lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
    st.integers(0, 30), st.integers(0, 30),
)  # fmt: skip
_CHOICES = st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=5), min_size=1, unique=True))
_DATES = st.sampled_from([{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}])


@given(st.dictionaries(st.text(min_size=1, max_size=5), _NUMBERS | _INTEGERS | _TEXTS | _CHOICES | _DATES, min_size=1))
def test_it_makes_examples_that_fit(properties: dict[str, Any]) -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": properties, "required": list(properties)})

    assert schema.validated(schema.example()) == [schema.example()]
