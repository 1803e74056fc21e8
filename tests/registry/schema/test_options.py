from typing import Any

import pytest

from registry.schema.options import Options, any_of, enum_options, is_left_to_validator


def always() -> bool:
    return True


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")], ids=str
)
def test_it_joins_names(names: list[str], text: str) -> None:
    assert any_of(names) == text


def test_it_names_some_of_many() -> None:
    sentence = Options([*(f"value{index}" for index in range(200)), None]).sentence

    assert sentence.startswith("must be 'value0', 'value1',")
    assert sentence.endswith("or 'value11' (and 188 more)")


def test_it_counts_a_multitude() -> None:
    options = Options(range(2_000))

    assert options.sentence == "must be one of 2,000 values, such as 0, 1 or 2"


def test_it_cuts_long_names() -> None:
    assert len(Options(["x" * 100_000] * 12).sentence) < 2_000


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [("bern", "; did you mean 'Bern'?"), ("Brn", "; did you mean 'Bern'?"), ("Tokyo", ""), (7, ""), ("B" * 100, "")],
    ids=str,
)
def test_it_suggests_what_was_meant(value: Any, suggestion: str) -> None:
    assert Options(["Bern", "Basel", None, 3]).did_you_mean(value, may_compare=always) == suggestion


def test_it_compares_with_a_few_only_but_always_ignores_case() -> None:
    many = Options(f"Place {number}" for number in range(70_000))

    assert many.did_you_mean("place 69999", may_compare=always) == "; did you mean 'Place 69999'?"
    assert many.did_you_mean("Plaze 69999", may_compare=always) == ""
    assert Options(["Bern"]).did_you_mean("Brn", may_compare=lambda: False) == ""


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ({"type": "string", "enum": ["a", "b"]}, {"a", "b"}),
        ({"type": ["number", "null"], "enum": [1, 2.5, True, None]}, {1, 2.5, None}),
        ({"type": "boolean", "enum": [True]}, {True}),
        ({"type": "number", "enum": [2, [3]]}, {2}),
    ],
    ids=["texts", "numbers", "boolean", "list"],
)
def test_it_reads_an_enum(node: dict[str, Any], values: set[Any]) -> None:
    options = enum_options(node)

    assert options is not None
    assert options.values == values


@pytest.mark.parametrize(
    ("node", "is_left"),
    [
        ({"type": "string", "enum": ["a"]}, True),
        ({"type": "string"}, True),
        ({"type": "boolean", "enum": [True]}, True),
        ({"type": "string", "enum": [str(number) for number in range(51)]}, False),
        ({"type": "number", "enum": [1.5]}, False),
    ],
    ids=str,
)
def test_it_leaves_short_enums_of_texts_to_the_validator(node: dict[str, Any], is_left: bool) -> None:
    assert is_left_to_validator(node) is is_left
