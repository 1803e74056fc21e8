"""The words of one model for code generators: the same values, whatever the names."""

from dataclasses import replace
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from mlserve.site.model_documents import Described, components_of, operation_of

PREDICTION = {"type": "object", "properties": {"status": {"type": "string"}, "result": {}}, "required": ["status"]}
MODEL = Described(
    name="penguins-eu",
    label="Penguins",
    description="",
    tag="1.0",
    outputs=["predict", "predict_proba"],
    record={"type": "object", "title": "RawData", "properties": {"a": {"type": "number"}}, "required": ["a"]},
    result={"type": "object", "properties": {"predictions": {"type": "array", "items": {"type": "number"}}}},
    example={"a": 1},
)


def column(**node: Any) -> dict[str, Any]:
    """What becomes of a column."""
    record = {**MODEL.record, "properties": {"a": node}}
    made = components_of(replace(MODEL, record=record), "penguins", PREDICTION)["PenguinsRecord"]
    properties: dict[str, Any] = made["properties"]["a"]
    return properties


def accepted(node: dict[str, Any], values: list[Any]) -> list[Any]:
    return [value for value in values if Draft202012Validator(node).is_valid(value)]


def test_it_names_components_by_the_model_and_not_by_the_class() -> None:
    made = components_of(MODEL, "penguins_eu", PREDICTION)

    assert {name: each["title"] for name, each in made.items()} == {
        name: name for name in ("PenguinsEuRecord", "PenguinsEuResult", "PenguinsEuPrediction")
    }
    assert made["PenguinsEuRecord"]["description"] == "One record for Penguins (RawData)."
    assert made["PenguinsEuPrediction"]["properties"]["result"]["anyOf"][0] == {
        "$ref": "#/components/schemas/PenguinsEuResult"
    }
    assert made["PenguinsEuPrediction"]["properties"]["status"] == {"type": "string"}


def test_it_describes_the_operation_of_the_model() -> None:
    general = [
        {"name": "model", "in": "path", "schema": {}},
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}},
        {"name": "outputs", "in": "query", "schema": {"type": "string"}},
    ]

    operation = operation_of(MODEL, "penguins_eu", general)

    assert operation["operationId"] == "predict_penguins_eu"
    assert operation["summary"] == "Predict with Penguins (live version 1.0)"
    assert "description" not in operation
    assert [each["name"] for each in operation["parameters"]] == ["Prefer", "outputs"]
    assert operation["parameters"][1]["schema"]["pattern"] == ("^(predict|predict_proba)(,(predict|predict_proba))*$")


@pytest.mark.parametrize(
    "node",
    [
        {"type": "string", "enum": ["Biscoe", "Dream"]},
        {"type": ["string", "null"], "enum": ["female", "male", None]},
        {"type": "integer", "enum": [0, 1, 2]},
        {"type": "string", "enum": ["<=50K", ">50K"]},
        {"type": "number", "minimum": 0},
    ],
    ids=str,
)
def test_it_leaves_what_generators_understand(node: dict[str, Any]) -> None:
    assert column(**node) == node


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ({"type": "string", "enum": ["A+", "A-", "0+"]}, ["A+", "A-", "0+", "A", "", None]),
        ({"type": ["string", "null"], "enum": ["yes", "Yes", None]}, ["yes", "Yes", "YES", None, 1]),
        ({"type": "string", "enum": ["a b", "a-b", ""]}, ["a b", "a-b", "", "ab"]),
    ],
    ids=str,
)
def test_it_accepts_the_same_texts_where_names_would_meet(node: dict[str, Any], values: list[Any]) -> None:
    made = column(**node)

    assert "enum" not in made
    assert accepted(made, values) == accepted(node, values)


@pytest.mark.parametrize(
    "node",
    [
        {"type": "number", "enum": [0.5, 1.5]},
        {"type": "number", "enum": [1, 2.5]},
        {"type": ["boolean", "null"], "enum": [True, None]},
        {"type": "string", "enum": [*(f"v {number}" for number in range(200)), "V-7"]},
    ],
    ids=lambda node: str(node)[:40],
)
def test_it_says_what_it_cannot_type(node: dict[str, Any]) -> None:
    made = column(**node)

    assert "enum" not in made
    assert made["type"] == node["type"]
    assert made["description"].startswith("One of ")
    assert len(made["description"]) < 300


def test_it_keeps_a_title_that_says_more_than_the_name() -> None:
    assert column(type="number", title="A") == {"type": "number"}
    assert column(type="number", title="Area in m²") == {"type": "number", "description": "Area in m²"}


def test_it_maps_classes_whose_names_would_meet() -> None:
    share = {"type": "number"}
    shares = {"type": "object", "properties": {"<=50K": share, ">50K": share}, "required": ["<=50K", ">50K"]}
    result = {"type": "object", "properties": {"probabilities": {"type": "array", "items": shares}}}

    made = components_of(replace(MODEL, result=result), "census", PREDICTION)["CensusResult"]

    assert made["properties"]["probabilities"]["items"] == {
        "type": "object",
        "propertyNames": {"enum": ["<=50K", ">50K"]},
        "additionalProperties": share,
    }
