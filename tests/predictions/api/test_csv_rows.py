"""text/csv in and out: the same schema, the same answers and the same errors as JSON."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from predictions import tasks
from predictions.api.csv_rows import CsvParser, payload_of
from predictions.models import Prediction
from registry.models import ModelVersion
from registry.schema.record import RecordSchema
from tests.predictions.draining_worker import draining_worker

pytestmark = pytest.mark.django_db

URL = "/api/predict"
HEADER = "island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year"
ROW = "Biscoe,46.1,13.2,211,4500,female,2007"


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    with draining_worker():
        yield


def post(api: APIClient, text: str | bytes, url: str = URL, content_type: str = "text/csv", **headers: str) -> Any:
    body: Any = text if isinstance(text, bytes) else text.encode()
    return api.generic("POST", url, body, content_type=content_type, headers=headers)


def table(response: Any) -> list[dict[str, str]]:
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n{ROW}\n",
        f"{HEADER}\r\n{ROW}\r\n{ROW}",
        f"\ufeff{HEADER}\r\n{ROW}\r\n{ROW}\r\n",
        f"{HEADER}\n" + '"Biscoe","46.1","13.2","211","4500","female","2007"\n' * 2,
        f"{HEADER}\n{ROW}\n{ROW}\n".replace(",", ";"),
    ],
    ids=["lines", "CRLF", "byte order mark", "quoted", "semicolons"],
)
def test_it_stores_the_same_rows_as_of_json(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], text: str
) -> None:
    assert post(api, text).status_code == 202
    assert api.post(URL, [penguin, penguin]).status_code == 202

    of_csv, of_json = Prediction.objects.order_by("pk")
    assert json.loads(of_csv.inputs) == json.loads(of_json.inputs)
    assert of_csv.row_count == 2


def test_it_reads_an_empty_cell_as_null(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    text = f"{HEADER}\n{ROW}\n".replace("female", "").replace("46.1", "NA")

    assert post(api, text).status_code == 202
    assert api.post(URL, [{**penguin, "sex": None, "bill_length_mm": None}]).status_code == 202
    of_csv, of_json = Prediction.objects.order_by("pk")
    assert json.loads(of_csv.inputs) == json.loads(of_json.inputs)


def test_it_reads_cells_as_the_schema_says() -> None:
    kinds = {"code": "string", "note": "string", "amount": "number", "count": "integer", "known": "boolean"}
    properties = {name: {"type": [kind, "null"]} for name, kind in kinds.items()}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": properties, "required": list(kinds)})
    text = 'code,note,amount,count,known\r\n007,"a ""b"", c\r\nd",1e3,9007199254740993,true\r\n1e3,,,,\r\n'
    sent = APIRequestFactory().generic("POST", URL, text, content_type="text/csv")

    payload = payload_of(Request(sent, parsers=[CsvParser()]), schema)

    assert payload == [
        {"code": "007", "note": 'a "b", c\r\nd', "amount": 1000.0, "count": 9007199254740993, "known": True},
        {"code": "1e3", "note": None, "amount": None, "count": None, "known": None},
    ]


@pytest.mark.parametrize(
    ("row", "record"),
    [
        (ROW.replace("Biscoe", "Bisco"), {"island": "Bisco"}),
        (ROW.replace("2007", "soon"), {"year": "soon"}),
        (ROW.replace("46.1", "-5"), {"bill_length_mm": -5}),
        (ROW.replace("2007", ""), {"year": None}),
    ],
)
def test_it_lists_the_same_errors_by_row_and_column(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], row: str, record: dict[str, Any]
) -> None:
    of_csv = post(api, f"{HEADER}\n{ROW}\n{row}\n", Accept="text/csv")
    of_json = api.post(URL, [penguin, {**penguin, **record}])

    assert of_csv.status_code == of_json.status_code == 422
    assert of_csv.headers["Content-Type"] == "application/problem+json"
    assert of_csv.json()["errors"] == of_json.json()["errors"]
    assert of_csv.json()["errors"][0]["pointer"].startswith("#/1/")


def test_it_names_columns_that_are_missing_or_unknown(api: APIClient, penguins: ModelVersion) -> None:
    response = post(api, f"{HEADER.replace('island', 'iland')}\n{ROW}\n")

    pointers = {each["pointer"] for each in response.json()["errors"]}
    assert response.status_code == 422
    assert "#/0/iland" in pointers


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("", 400, "empty"),
        ("\n\n", 400, "is empty"),
        (f"{HEADER}\n{ROW},1\n", 400, "line 2: 8 cells, but the header names 7"),
        (f'{HEADER}\n"{ROW}\n', 400, "line 2"),
        (f"{ROW}\n{ROW}\n", 400, "the first line holds values"),
        (f"{HEADER}\n{ROW}\0\n", 400, "NUL"),
        (f"{HEADER},year\n{ROW},2007\n", 400, "more than once"),
        (f"{HEADER}\n", 422, ""),
        ("," * 100_000, 400, "names more than"),
        (f"\n\r\n{',' * 100_000}", 400, "names more than"),
        (HEADER + "\n" * 200_000, 413, "MLSERVE_MAX_ROWS"),
        (b"PK\x03\x04", 400, "a zip archive or an Excel workbook"),
    ],
    ids=lambda part: repr(part)[:20],
)
def test_it_says_what_is_wrong_with_a_table(
    api: APIClient, penguins: ModelVersion, text: str | bytes, status: int, words: str
) -> None:
    response = post(api, text)

    assert response.status_code == status, response.content[:300]
    assert words in response.json()["detail"]


def test_it_refuses_too_many_rows(api: APIClient, penguins: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_MAX_ROWS = 2

    assert post(api, f"{HEADER}\n" + f"{ROW}\n" * 2).status_code == 202
    assert post(api, f"{HEADER}\n" + f"{ROW}\n" * 3).status_code == 413


def test_it_refuses_a_body_above_the_limit(api: APIClient, penguins: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_MAX_BODY_BYTES = 100

    assert post(api, f"{HEADER}\n{ROW}\n").status_code == 413


@pytest.mark.parametrize("content_type", ["text/csv; charset=utf-8; header=present", "TEXT/CSV"])
def test_it_reads_the_type_with_parameters(api: APIClient, penguins: ModelVersion, content_type: str) -> None:
    assert post(api, f"{HEADER}\n{ROW}\n", content_type=content_type).status_code == 202


def test_it_answers_with_csv(api: APIClient, penguins: ModelVersion, worker: None) -> None:
    text = f"{HEADER}\n{ROW}\n{ROW.replace('4500', '8999')}\n"
    url = f"{URL}?outputs=predict,predict_proba"

    response = post(api, text, url, Accept="text/csv", Prefer="wait=20")
    as_json = post(api, text, url, Prefer="wait=20").json()["result"]

    rows = table(response)
    assert [row["prediction"] for row in rows] == as_json["predictions"]
    assert [{name: float(row[f"probability_{name}"]) for name in as_json["probabilities"][0]} for row in rows] == (
        as_json["probabilities"]
    )
    assert rows[0]["warnings"] == ""
    assert rows[1]["warnings"].startswith("body_mass_g: far from what training saw")
    assert response.headers["Preference-Applied"] == "wait=20"


def test_it_reads_a_result_as_csv(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    url = api.post(URL, [penguin] * 3).json()["url"]
    before = api.get(url, headers={"Accept": "text/csv"})
    tasks.drain()

    assert before.json()["status"] == "queued"
    assert len(table(api.get(url, headers={"Accept": "text/csv"}))) == 3
    assert len(table(api.get(f"{url}?format=csv"))) == 3
    assert api.get(url).headers["Content-Type"] == "application/json"


def test_it_answers_with_json_what_is_no_result(api: APIClient, penguins: ModelVersion) -> None:
    accepted = post(api, f"{HEADER}\n{ROW}\n", Accept="text/csv")
    absent = api.get(f"{URL}/01936f5e-0000-7000-8000-000000000000", headers={"Accept": "text/csv"})

    assert (accepted.status_code, accepted.headers["Content-Type"]) == (202, "application/json")
    assert (absent.status_code, absent.headers["Content-Type"]) == (404, "application/problem+json")
    assert api.get(URL, headers={"Accept": "text/csv"}).status_code == 406
