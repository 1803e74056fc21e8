"""The layouts in which trainers write the answers to their sample rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlserve.errors import BadUpload
from registry.schema.record import RecordSchema
from registry.sources.answer_files import TrainerAnswers, from_column, from_file, without_column

ANSWERS = pd.Series(["a", "b"])


def read(folder: Path, text: str, name: str = "expected.csv") -> TrainerAnswers:
    path = folder / name
    path.write_text(text, "utf-8")
    return from_file(path)


@pytest.mark.parametrize(
    "text",
    [
        ANSWERS.to_csv(),
        ANSWERS.to_csv(index=False),
        ANSWERS.rename("species").to_csv(),
        ANSWERS.rename("prediction").to_csv(index=False),
        ANSWERS.set_axis(pd.Index([17, 3], name="id")).to_csv(),
        "\ufeff" + ANSWERS.to_csv(index=False),
    ],
)
def test_it_reads_what_pandas_writes_as_csv(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == TrainerAnswers(["a", "b"], is_text=True)


@pytest.mark.parametrize(
    "text",
    [
        '["a", "b"]',
        ANSWERS.to_json(),
        ANSWERS.to_frame("prediction").to_json(orient="records"),
    ],
)
def test_it_reads_what_pandas_writes_as_json(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text, "expected.json") == TrainerAnswers(["a", "b"])


def test_it_reads_probabilities(tmp_path: Path) -> None:
    entries = [{"prediction": "a", "probabilities": {"a": 0.9, "b": 0.1}}]
    cells = "prediction,probability_a,probability_b\na,0.9,0.1\n"

    assert read(tmp_path, json.dumps(entries), "expected.json") == TrainerAnswers(["a"], [{"a": 0.9, "b": 0.1}])
    assert read(tmp_path, cells) == TrainerAnswers(["a"], [{"a": "0.9", "b": "0.1"}], is_text=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("expected.csv", "prediction;probability_ä\n1,5;0,25\n".encode("cp1252")),
        ("expected.tsv", "prediction\tprobability_ä\n1.5\t0.25\n".encode()),
        ("expected.txt", "prediction,probability_ä\n1.5,0.25\n".encode("utf-16")),
    ],
)
def test_it_reads_what_spreadsheets_write(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert from_file(path) == TrainerAnswers(["1.5"], [{"ä": "0.25"}], is_text=True)


def test_it_reads_answers_beside_the_inputs(tmp_path: Path) -> None:
    path = tmp_path / "expected.csv"
    pd.DataFrame({"age": [1, 2], "prediction": ["a", "b"], "warnings": ["", "odd"]}).to_csv(path)

    assert from_file(path, ["age"]) == TrainerAnswers(["a", "b"], is_text=True)


def test_it_refuses_a_column_that_is_neither_answer_nor_input(tmp_path: Path) -> None:
    """It would not be compared, and nobody would know."""
    (tmp_path / "expected.csv").write_text("age,prediction,probabilty_a\n1,a,0.9\n")

    with pytest.raises(BadUpload, match="has probabilty_a, which is neither an answer nor a column of the sample"):
        from_file(tmp_path / "expected.csv", ["age"])


def test_it_reads_the_outputs_that_predict_writes(tmp_path: Path) -> None:
    header = ",".join(f"prediction_{number}" for number in range(1, 12))
    cells = ",".join(map(str, range(1, 12)))

    assert read(tmp_path, f"{header}\n{cells}\n").predictions == [[str(number) for number in range(1, 12)]]


def test_it_reads_decimal_commas_under_a_single_name(tmp_path: Path) -> None:
    assert read(tmp_path, "0\n12,5\n-3,25\n").predictions == ["12.5", "-3.25"]


def test_it_reads_several_outputs(tmp_path: Path) -> None:
    table = pd.DataFrame(np.array([[1, 2], [3, 4]]))

    assert read(tmp_path, table.to_csv()) == TrainerAnswers([["1", "2"], ["3", "4"]], is_text=True)
    assert read(tmp_path, "[[1, 2], [3, 4]]", "expected.json") == TrainerAnswers([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("expected.csv", "", "is empty"),
        ("expected.csv", "0\na,b\n", "row 1: 2 cells"),
        ("expected.csv", '0\n"a\n', "line"),
        ("expected.csv", "age,city\n1,Bern\n", "has age, city. Expected answers are one column"),
        ("expected.csv", "0,0\na,b\n", "more than once"),
        ("expected.json", "[NaN]", "is not JSON"),
        ("expected.json", '[{"prediction": 1}, 2]', "row 2 has other parts"),
        ("expected.json", '[1, {"prediction": 1}]', "row 1 has other parts"),
        ("expected.json", '[{"predicted": 1}]', "has predicted"),
    ],
)
def test_it_says_what_it_cannot_read(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(BadUpload, match=words):
        read(tmp_path, text, name)


def test_it_refuses_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "expected.csv").write_bytes(b"PK\x03\x04")

    with pytest.raises(BadUpload, match="an Excel workbook"):
        from_file(tmp_path / "expected.csv")


@pytest.mark.parametrize(
    ("cells", "labels", "found"),
    [
        (["01", "1.0"], ["01", "1.0"], ["01", "1.0"]),
        (["NA", "DE"], ["DE", "NA"], ["NA", "DE"]),
        (["1", "NA"], None, ["1", None]),
    ],
)
def test_it_reads_a_column_as_it_is_written(
    tmp_path: Path, cells: Sequence[str], labels: Any, found: list[Any]
) -> None:
    (tmp_path / "sample.csv").write_text("a,y\n" + "".join(f"0,{cell}\n" for cell in cells))

    assert from_column(tmp_path / "sample.csv", "y", labels) == TrainerAnswers(found, is_text=True)


def test_it_reads_a_column_of_json_with_its_types(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_text('[{"a": 0, "y": 1}, {"a": 0, "y": "1"}]')

    assert from_column(tmp_path / "sample.json", "y", [0, 1]) == TrainerAnswers([1, "1"])


def test_it_takes_the_column_out_of_the_rows() -> None:
    assert without_column([{"a": 1, "y": 2}], "y", None) == [{"a": 1}]
    assert without_column([{"a": 1, "y": 2}], None, None) == [{"a": 1, "y": 2}]


def test_it_refuses_a_column_that_is_absent_or_an_input() -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": {"type": "number"}}})

    with pytest.raises(BadUpload, match=r"no column 'y'.*its columns: a"):
        without_column([{"a": 1}], "y", None)
    with pytest.raises(BadUpload, match="is an input of the pipeline"):
        without_column([{"a": 1}], "a", schema)
