"""predictions/pages/answers.py"""

from typing import Any

import pytest

from predictions.pages.answers import Bar, answers_of, value_text


def test_it_labels_a_class_and_sorts_its_probabilities() -> None:
    result = {"predictions": ["b"], "probabilities": [{"a": 0.1, "b": 0.7, "c": 0.2}]}

    ((answer,),) = answers_of(result, {"b": "the second"}, limit=10)

    assert answer.label == "the second"
    assert [(bar.label, bar.percent) for bar in answer.bars] == [
        ("the second", "70.0%"),
        ("c", "20.0%"),
        ("a", "10.0%"),
    ]
    assert answer.top == Bar("the second", 0.7)


@pytest.mark.parametrize(("value", "name"), [(True, "true"), (1, "1"), (0.0, "0.0"), ("a", "a")])
def test_it_finds_the_label_of_a_class_of_any_type(value: Any, name: str) -> None:
    ((answer,),) = answers_of({"predictions": [value], "probabilities": None}, {name: "found"}, limit=1)

    assert (answer.label, answer.bars, answer.top) == ("found", (), None)


def test_it_tells_the_outputs_of_a_row_apart() -> None:
    result = {"predictions": [["a", "x"]], "probabilities": [[{"a": 1.0}, {"x": 0.6, "y": 0.4}]]}

    ((first, second),) = answers_of(result, {}, limit=10)

    assert (first.label, len(first.bars)) == ("a", 1)
    assert (second.label, len(second.bars)) == ("x", 2)


def test_it_shows_the_labels_of_a_row_with_the_probability_of_each() -> None:
    """One-vs-rest: the probabilities are of three labels, not of three classes of each."""
    result = {"predictions": [[1, 0, 1], [0, 0, 0]], "probabilities": [{"0": 0.9, "1": 0.2, "2": 0.8}] * 2}

    (answer,), (without,) = answers_of(result, {"0": "red"}, limit=10)

    assert answer.label == "red, 2"
    assert [(bar.label, bar.percent) for bar in answer.bars] == [("red", "90.0%"), ("2", "80.0%"), ("1", "20.0%")]
    assert without.label == "no label"


def test_it_tells_the_numbers_of_a_row_apart() -> None:
    ((first, second),) = answers_of({"predictions": [[1.5, 2.0]], "probabilities": None}, {}, limit=10)

    assert (first.label, second.label) == ("1.5", "2")


def test_it_stops_at_the_limit() -> None:
    result = {"predictions": list("abc"), "probabilities": [{"a": 1.0}] * 3}

    assert len(answers_of(result, {}, limit=2)) == 2


def test_it_sets_the_least_probable_of_many_classes_apart() -> None:
    result = {"predictions": ["0"], "probabilities": [{str(number): 0.1 for number in range(10)}]}

    ((answer,),) = answers_of(result, {}, limit=1)

    assert (len(answer.main_bars), len(answer.other_bars)) == (8, 2)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "100%"), (0.99999, "> 99.9%"), (0.5, "50.0%"), (0.0004, "< 0.1%"), (0.0, "0%"), (1, "100%")],
)
def test_it_never_rounds_to_certainty(probability: float, text: str) -> None:
    assert Bar("a", probability).percent == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (206855.4123, "206,855"),
        (1.23456789, "1.23457"),
        (100.0, "100"),
        (-0.000123456, "-0.000123456"),
        (1e-9, "1e-09"),
        (1.5e20, "1.5e+20"),
        (0.0, "0"),
        (2009, "2009"),
        ("a", "a"),
        (False, "false"),
        (None, ""),
    ],
)
def test_it_writes_values_for_people(value: Any, text: str) -> None:
    assert value_text(value) == text
