"""`manage.py predict`."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import Published, publish
from tests import pipelines
from tests.conftest import EXAMPLE

Save = Callable[..., Path]
SAMPLE = str(EXAMPLE / "sample.csv")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], str]:
    """`write("rows.json", rows)` or `write("rows.csv", text)`: the path of the file."""

    def to_file(name: str, content: Any) -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return str(path)

    return to_file


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def register(pipeline: Any, save: Save, write: Callable[[str, Any], str], sample: list[dict[str, Any]]) -> ModelVersion:
    request = VersionRequest("own", "1", sample=Path(write("sample.json", sample)), promote=True)
    return publish(save(pipeline), request).version


def test_it_prints_json(
    penguins: ModelVersion,
    penguin: dict[str, Any],
    write: Callable[[str, Any], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("predict", "penguins", write("rows.json", [penguin, penguin]))

    assert json.loads(capsys.readouterr().out) == {
        "model": "penguins",
        "version": "1.0",
        "rows": 2,
        "result": {"predictions": ["Gentoo", "Gentoo"], "probabilities": None},
        "warnings": [],
    }


def test_it_reads_one_record_from_stdin(
    penguins: ModelVersion, penguin: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(penguin).encode())))

    call_command("predict", "penguins", "-")

    assert json.loads(capsys.readouterr().out)["result"]["predictions"] == ["Gentoo"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pd.read_csv(SAMPLE).to_csv(index=False).encode(), ""),
        (pd.read_csv(SAMPLE).to_csv(sep=";", decimal=",").encode("utf-16"), "semicolon-separated, with decimal commas"),
        ((pd.read_csv(SAMPLE).to_json() or "").encode(), "to_json(orient='columns')"),
        ((pd.read_csv(SAMPLE).to_json(orient="records", lines=True) or "").encode(), "JSON lines"),
    ],
    ids=["csv", "excel", "to_json", "lines"],
)
def test_it_reads_each_layout_from_stdin(
    penguins: ModelVersion,
    penguins_artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    said: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    call_command("predict", "penguins", "-")

    shown = capsys.readouterr()
    expected = joblib.load(penguins_artifact).predict(pd.read_csv(SAMPLE))
    assert json.loads(shown.out)["result"]["predictions"] == list(expected)
    assert said in shown.err
    assert shown.err.count("\n") == bool(said)


def test_it_does_not_use_columns_that_the_model_lacks_but_keeps_them(
    penguins: ModelVersion, tmp_path: Path, write: Callable[[str, Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(SAMPLE).assign(Sex="?")
    frame.insert(0, "id", [f"{number:03d}" for number in range(len(frame))])
    text = frame.to_csv(index=False)
    out = tmp_path / "answers.csv"

    call_command("predict", "penguins", write("rows.csv", text), "--out", str(out))

    assert capsys.readouterr().err == ("warning: not columns of penguins 1.0 and not used: id, Sex.\n")
    assert list(read_csv(out)[0]) == [*frame.columns, "prediction"]
    assert [row["id"] for row in read_csv(out)][:2] == ["000", "001"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,price\n1,2\n", "Columns that penguins 1.0 needs are absent: island, bill_length_mm"),
        (Path(SAMPLE).read_text().replace("island", "Island", 1), "It writes 'Island' for 'island'"),
        ("Dream,1,2,3,4,male,2007\n", "the first line holds values"),
        ("island,year\n", "must hold at least one record"),
    ],
)
def test_it_refuses_rows_without_the_models_columns(
    penguins: ModelVersion,
    write: Callable[[str, Any], str],
    capsys: pytest.CaptureFixture[str],
    text: str,
    sentence: str,
) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("predict", "penguins", write("rows.csv", text))

    assert sentence in f"{capsys.readouterr().err} {refused.value}"


def test_it_predicts_like_the_pipeline(penguins: ModelVersion, penguins_artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    call_command("predict", "penguins", SAMPLE, "--out", str(out))

    expected = joblib.load(penguins_artifact).predict(pd.read_csv(SAMPLE))
    assert [row["prediction"] for row in read_csv(out)] == list(expected)


def test_it_puts_answers_beside_the_columns_of_the_input(penguins: ModelVersion, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    call_command("predict", "penguins", SAMPLE, "--out", str(out), "--outputs", "predict,predict_proba")

    rows = read_csv(out)
    given = read_csv(Path(SAMPLE))
    assert [{name: row[name] for name in given[0]} for row in rows] == given
    assert list(rows[0])[len(given[0]) :] == [
        "prediction", "probability_Adelie", "probability_Chinstrap", "probability_Gentoo"
    ]  # fmt: skip
    assert sum(float(rows[0][name]) for name in rows[0] if name.startswith("probability_")) == pytest.approx(1)


def test_it_keeps_leading_zeros_and_gaps(
    db: None, save: Save, write: Callable[[str, Any], str], tmp_path: Path
) -> None:
    sample: list[dict[str, Any]] = [
        {"age": 40, "city": "Bern", "postcode": "0123"},
        {"age": None, "city": None, "postcode": "4567"},
    ]
    version = register(pipelines.mixed_classifier(), save, write, sample)
    out = tmp_path / "answers.csv"

    call_command("predict", "own", write("rows.csv", "postcode,age,city\n0123,040,Bern\n0890,,\n"), "--out", str(out))

    assert [list(row.values())[:3] for row in read_csv(out)] == [["0123", "040", "Bern"], ["0890", "", ""]]
    assert version.record_schema.properties["postcode"]["type"] == ["string", "null"]


def test_it_writes_a_json_file(penguins: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "answers.json"
    call_command("predict", "penguins", SAMPLE, "--out", str(out), "--outputs", "predict_proba")

    written = json.loads(out.read_text("utf-8"))
    assert len(written["result"]["predictions"]) == len(written["result"]["probabilities"]) == written["rows"]
    assert f"penguins 1.0 predicted {written['rows']} rows into {out}" in capsys.readouterr().out


def test_it_names_a_column_for_each_of_several_outputs(
    db: None, save: Save, write: Callable[[str, Any], str], tmp_path: Path
) -> None:
    register(pipelines.several_outputs(), save, write, [{"a": 1, "b": 0}])
    out = tmp_path / "answers.csv"

    call_command("predict", "own", write("rows.json", [{"a": 1, "b": 0}, {"a": 2, "b": 1}]), "--out", str(out))

    assert list(read_csv(out)[0]) == ["a", "b", "prediction_1", "prediction_2"]


def test_it_predicts_in_batches(penguins: ModelVersion, tmp_path: Path, settings: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 5
    whole, split = tmp_path / "whole.csv", tmp_path / "split.csv"
    call_command("predict", "penguins", SAMPLE, "--out", str(split))
    settings.MLSERVE_BATCH_ROWS = 512
    call_command("predict", "penguins", SAMPLE, "--out", str(whole))

    assert whole.read_text() == split.read_text()


def test_it_predicts_with_a_version_that_is_not_live(
    penguins: ModelVersion, publish_penguins: Callable[..., Published], capsys: pytest.CaptureFixture[str]
) -> None:
    publish_penguins("1.1")

    call_command("predict", "penguins", SAMPLE, "--tag", "1.1")

    assert json.loads(capsys.readouterr().out)["version"] == "1.1"


def test_it_mentions_values_unlike_the_training_data(
    penguins: ModelVersion, penguin: dict[str, Any], write: Callable[[str, Any], str], tmp_path: Path
) -> None:
    out = tmp_path / "answers.json"
    call_command("predict", "penguins", write("rows.json", {**penguin, "body_mass_g": 9000}), "--out", str(out))

    (warning,) = json.loads(out.read_text())["warnings"]
    assert (warning["row"], warning["column"]) == (0, "body_mass_g")


def test_it_groups_what_is_wrong_by_column_and_writes_nothing(
    penguins: ModelVersion,
    penguin: dict[str, Any],
    write: Callable[[str, Any], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "answers.csv"
    rows: list[dict[str, Any]] = [{**penguin, "island": "Atlantis"} for _ in range(30)]
    rows[7]["year"] = "long ago"

    with pytest.raises(CommandError, match="31 errors in the rows, which count from 0") as refused:
        call_command("predict", "penguins", write("rows.json", rows), "--out", str(out))

    assert refused.value.returncode == 1
    assert capsys.readouterr().err.splitlines() == [
        "island: must be 'Biscoe', 'Dream' or 'Torgersen' (rows 0, 1, 2 and 27 more)",
        "year: must be a whole number (row 7)",
    ]
    assert not out.exists()


def test_it_names_the_rows_that_the_model_fails_on(
    db: None, save: Save, write: Callable[[str, Any], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(pipelines.raises_above_100(), save, write, [{"a": 1, "b": 0}])
    out = Path(write("answers.csv", "as it was"))
    rows = write("rows.csv", "a,b\n1,0\n500,0\n2,0\n")

    with pytest.raises(CommandError, match="could not predict 1 of 3 rows"):
        call_command("predict", "own", rows, "--out", str(out))

    assert capsys.readouterr().err == "#/1 ValueError: a must not exceed 100\n"
    assert out.read_text() == "as it was"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("whales", SAMPLE), "no model 'whales'"),
        (("penguins", SAMPLE, "--tag", "9"), "no version '9'"),
        (("penguins", "nowhere.csv"), "nowhere.csv cannot be read: No such file"),
        (("penguins", str(EXAMPLE)), "from files that end in .csv, "),
        (("penguins", "rows.xlsx"), ".jsonl or .ndjson, or from stdin as -"),
        (("penguins", SAMPLE, "--outputs", "transform"), "transform is not among what penguins 1.0 offers: predict, "),
        (("penguins", SAMPLE, "--outputs", ","), "outputs is empty"),
        (("penguins", SAMPLE, "--out", "answers.txt"), "must end in .csv or .json"),
        (("penguins", SAMPLE, "--out", "/no/such/folder/answers.csv"), "does not exist"),
    ],
)
def test_it_refuses(penguins: ModelVersion, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("predict", *arguments)

    assert sentence in str(refused.value)
    assert refused.value.returncode == 1


def test_it_asks_for_a_promotion(penguins: ModelVersion) -> None:
    ModelVersion.objects.update(status=ModelVersion.Status.RETIRED)

    with pytest.raises(CommandError, match=r"no live version.*promote_model penguins TAG"):
        call_command("predict", "penguins", SAMPLE)


def test_it_does_not_overwrite_an_input_column(
    db: None, save: Save, write: Callable[[str, Any], str], tmp_path: Path
) -> None:
    frame = pd.DataFrame({"prediction": [1.0, 2, 3, 4]})
    pipeline = pipelines.several_outputs()
    pipeline.fit(frame, [2.0, 4, 6, 8])
    register(pipeline, save, write, [{"prediction": 1}])
    out = tmp_path / "answers.csv"

    call_command("predict", "own", write("rows.json", [{"prediction": 3}]), "--out", str(out))

    assert list(read_csv(out)[0]) == ["prediction", "prediction_"]
    assert read_csv(out)[0]["prediction"] == "3"
