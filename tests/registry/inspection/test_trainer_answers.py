"""When the served answers are the trainer's."""

from typing import Any

import pytest

from mlserve.errors import BadUpload
from registry.inspection.trainer_answers import absent, outputs_for, require_same
from registry.sources.answer_files import TrainerAnswers


def compare(given: list[Any], served: list[Any], *, labels: Any = None, is_text: bool = False) -> str:
    return require_same(TrainerAnswers(given, is_text=is_text), {"predictions": served}, labels)


@pytest.mark.parametrize(
    ("given", "served", "labels"),
    [
        ("a", "a", ["a", "b"]),
        (1, 1, [0, 1]),
        (1.0, 1, [0, 1]),
        (True, True, [False, True]),
        (0.1 + 0.2, 0.3, None),
        (1_000_000.5, 1_000_000.0, None),
        (1, 1.0000001, None),
        ([1, "a"], [1, "a"], [[1, 2], ["a", "b"]]),
    ],
)
def test_it_takes_the_same_answer(given: Any, served: Any, labels: Any) -> None:
    assert "relative 1e-6" in compare([given], [served], labels=labels)


@pytest.mark.parametrize(
    ("given", "served", "labels", "words"),
    [
        ("a", "b", ["a", "b"], 'row 1: the trainer saw "a", here it is "b"'),
        ("1", 1, [0, 1], 'the trainer saw "1", here it is 1'),
        (1, "1", ["0", "1"], 'the trainer saw 1, here it is "1"'),
        (True, 1, [0, 1], "the trainer saw true, here it is 1"),
        (1, True, [False, True], "the trainer saw 1, here it is true"),
        (1_000_000.5, 1_000_000.0, [0.5, 1_000_000.0], "saw 1000000.5"),
        (9007199254740993, 9007199254740992, [1, 9007199254740992], "saw 9007199254740993"),
        (1.00001, 1.0, None, "saw 1.00001"),
        (3e-12, 5e-12, None, "saw 3e-12"),
        (10**400, 1.0, None, "the trainer saw 1000"),
        ([1, 2], [1, 3], [[1], [2, 3]], "output 1: the trainer saw 2, here it is 3"),
        ([1], [1, 3], [[1], [3]], "saw [1], here it is [1, 3]"),
    ],
)
def test_it_shows_both_values_of_another_answer(given: Any, served: Any, labels: Any, words: str) -> None:
    with pytest.raises(BadUpload) as refused:
        compare([given], [served], labels=labels)

    assert words in refused.value.detail
    assert refused.value.detail.startswith("1 of 1 rows")


@pytest.mark.parametrize(
    ("cell", "served", "labels"),
    [
        ("1", 1, [0, 1]),
        ("1.0", 1, [0, 1]),
        ("1", "1", ["0", "1"]),
        ("1.0", "1.0", ["1.0"]),
        ("True", True, [False, True]),
        ("1", 1.0, [0.0, 1.0]),
        ("9007199254740993", 9007199254740993, [9007199254740993]),
        ("NA", "NA", ["DE", "NA"]),
        ("0.1", 0.1, None),
    ],
)
def test_it_reads_a_cell_as_the_type_that_is_served(cell: str, served: Any, labels: Any) -> None:
    assert compare([cell], [served], labels=labels, is_text=True)


@pytest.mark.parametrize(
    ("cell", "served", "labels"),
    [("True", 1, [0, 1]), ("1.0", "1", ["0", "1"]), ("1.5", 1, [0, 1]), ("inf", 1.0, None), ("a", 1.0, None)],
)
def test_it_reads_nothing_else_into_a_cell(cell: str, served: Any, labels: Any) -> None:
    with pytest.raises(BadUpload, match="1 of 1 rows get another answer"):
        compare([cell], [served], labels=labels, is_text=True)


@pytest.mark.parametrize(("given", "is_text"), [(None, False), ("", True), ("nan", True)])
def test_it_names_the_row_without_an_answer(given: Any, is_text: bool) -> None:
    with pytest.raises(BadUpload, match="no value for row 2"):
        compare(["1" if is_text else 1.0, given], [1.0, 2.0], is_text=is_text)


def test_it_shows_the_first_rows_and_counts_the_others() -> None:
    with pytest.raises(BadUpload) as refused:
        compare([0.0, *map(float, range(20))], [0.0, *(float(row) + 1 for row in range(20))])

    assert refused.value.detail.startswith("20 of 21 rows")
    assert refused.value.detail.count(", here it is") == 5
    assert "row 1:" not in refused.value.detail


def test_it_recognises_another_order_of_rows() -> None:
    with pytest.raises(BadUpload, match="the same answers in another order"):
        compare(["a", "b", "c"], ["b", "a", "c"], labels=["a", "b", "c"])


@pytest.mark.parametrize(
    ("given", "is_text"),
    [
        ({"a": 0.25, "b": 0.75}, False),
        ([0.25, 0.75], False),
        ({"a": "0.25", "b": "0.75"}, True),
    ],
)
def test_it_compares_probabilities(given: Any, is_text: bool) -> None:
    trainer = TrainerAnswers(["b"], [given], is_text)

    assert "predictions and probabilities" in require_same(
        trainer, {"predictions": ["b"], "probabilities": [{"a": 0.25, "b": 0.75}]}, ["a", "b"]
    )
    with pytest.raises(BadUpload, match=r"row 1: a: the trainer saw 0.25, here it is 0.26"):
        require_same(trainer, {"predictions": ["b"], "probabilities": [{"a": 0.26, "b": 0.74}]}, ["a", "b"])


def test_it_compares_the_probabilities_of_true_and_false() -> None:
    trainer = TrainerAnswers(["True"], [{"False": "0.25", "True": "0.75"}], is_text=True)

    assert require_same(
        trainer, {"predictions": [True], "probabilities": [{"false": 0.25, "true": 0.75}]}, [False, True]
    )


def test_it_asks_for_what_was_given() -> None:
    assert outputs_for(TrainerAnswers([1]), ["predict", "predict_proba"], row_count=1) == ["predict"]
    assert outputs_for(TrainerAnswers(None, [{}]), ["predict", "predict_proba"], row_count=1)[1] == "predict_proba"


def test_it_refuses_another_count_and_probabilities_of_nothing() -> None:
    with pytest.raises(BadUpload, match="2 expected answers were given for 3 sample rows"):
        outputs_for(TrainerAnswers([1, 2]), ["predict"], row_count=3)
    with pytest.raises(BadUpload, match="no predict_proba"):
        outputs_for(TrainerAnswers([1], [{}]), ["predict"], row_count=1)


def test_it_says_how_to_give_them_and_what_is_guessed() -> None:
    check = absent(["age", "city"])

    assert check.status == "warning"
    assert "Guessed from the sample: the type of age, city." in check.detail
    assert 'pd.Series(pipeline.predict(X)).to_csv("expected.csv", index=False)' in check.fix
    assert "Guessed" not in absent(()).detail
