"""Rows in other layouts: refused by name, with a record as it should be sent."""

import json
from typing import Any

import pandas as pd
import pytest

from mlserve.errors import InvalidRows
from registry.schema.record import RecordSchema

ROW = {"rooms": 3, "city": "Chur"}
SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {"rooms": {"type": "integer", "examples": [3]}, "city": {"enum": ["Chur", "Bern"]}},
        "required": ["rooms"],
    }
)
# Nothing is required, so that an envelope without its unknown name would be a record.
OPTIONAL = RecordSchema.from_json_schema({**SCHEMA.json_schema, "required": [], "additionalProperties": True})
FRAME = pd.DataFrame([ROW, ROW])
SPLIT = FRAME.to_dict(orient="split")
TENSORS = [{"name": "rooms", "shape": [1], "datatype": "INT64", "data": [3]}]
OTHERS: dict[str, tuple[Any, str]] = {
    "split": (json.loads(FRAME.to_json(orient="split")), "orient='split'"),
    "table": (json.loads(FRAME.to_json(orient="table")), "orient='table'"),
    "columns": (json.loads(FRAME.to_json(orient="columns")), "orient='columns'"),
    "index": (json.loads(FRAME.to_json(orient="index")), "orient='index'"),
    "values": (json.loads(FRAME.to_json(orient="values")), "orient='values'"),
    "lists": (FRAME.to_dict(orient="list"), "a list of values for each column"),
    "one row of values": ([3, "Chur"], "values without the names"),
    "data": ({"data": [ROW]}, "rows inside of 'data'"),
    "data with a model": ({"model": "houses", "data": ROW}, "rows inside of 'data'"),
    "instances": ({"instances": [ROW]}, "rows inside of 'instances'"),
    "instances of values": ({"signature_name": "x", "instances": [[3, "Chur"]]}, "rows inside of 'instances'"),
    "inputs": ({"inputs": {"rooms": [3], "city": ["Chur"]}}, "rows inside of 'inputs'"),
    "dataframe_split": ({"dataframe_split": SPLIT}, "rows inside of 'dataframe_split'"),
    "dataframe_records": ({"dataframe_records": [ROW]}, "rows inside of 'dataframe_records'"),
    "tensors": ({"id": "1", "inputs": TENSORS}, "tensors of the Open Inference Protocol"),
    "an envelope for each row": ([{"features": ROW}, {"features": ROW}], "rows inside of 'features', in each row"),
    "a list in a list": ([[ROW, ROW]], "lists inside of a list"),
    "encoded twice": (json.dumps([ROW]), "encoded twice"),
}  # fmt: skip


def refusal_of(schema: RecordSchema, payload: Any) -> InvalidRows:
    with pytest.raises(InvalidRows) as refusal:
        schema.validated(payload)
    return refusal.value


@pytest.mark.parametrize("schema", [SCHEMA, OPTIONAL], ids=["required", "optional"])
@pytest.mark.parametrize(("payload", "layout"), OTHERS.values(), ids=OTHERS)
def test_it_names_another_layout(schema: RecordSchema, payload: Any, layout: str) -> None:
    refused = refusal_of(schema, payload)

    (error,) = refused.errors
    assert (error.pointer, refused.total) == ("#", 1)
    assert error.detail.startswith("must be one record {…} or a list of records [{…}, …], but is ")
    assert layout in error.detail
    assert error.detail.endswith('send a list of records, such as [{"rooms": 3, "city": "Chur"}]')


def test_it_gives_a_record_that_would_be_accepted() -> None:
    example = refusal_of(SCHEMA, {"data": []}).extra()["example"]

    assert SCHEMA.validated(example) == example


def test_it_gives_the_example_that_the_caller_has() -> None:
    with pytest.raises(InvalidRows) as refusal:
        SCHEMA.validated({"instances": [ROW]}, example=lambda: {"rooms": 7})

    assert refusal.value.example == {"rooms": 7}
    assert 'such as [{"rooms": 7}]' in refusal.value.errors[0].detail


def test_it_gives_a_long_example_once() -> None:
    columns = {f"column {number}": {"type": "number"} for number in range(500)}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": columns})

    refused = refusal_of(schema, {"data": []})

    assert refused.errors[0].detail.endswith("send a list of records, such as the member `example` of this problem")
    assert list(refused.extra()["example"][0]) == list(columns)


@pytest.mark.parametrize(
    "payload",
    [
        {"rooms": [3], "city": "Chur"},
        {"rooms": {"value": 3}, "city": "Chur"},
        [ROW, [3, "Chur"]],
        [ROW, {"data": [ROW]}],
        {"romms": 3},
        "three rooms",
        "",
        {},
    ],
    ids=json.dumps,
)
def test_it_lists_the_errors_of_what_is_no_other_layout(payload: Any) -> None:
    refused = refusal_of(SCHEMA, payload)

    assert refused.example is None
    assert not any("but is" in error.detail for error in refused.errors)


def test_it_takes_columns_that_are_called_like_an_envelope() -> None:
    names = ("data", "columns", "inputs", "instances")
    schema = RecordSchema.from_json_schema(
        {"type": "object", "properties": {name: {"type": "number"} for name in names}}
    )

    assert schema.validated(dict.fromkeys(names, 1)) == [dict.fromkeys(names, 1)]
    assert refusal_of(schema, {"data": [1], "columns": 2}).errors[0].pointer == "#/data"
