"""The same request in each language: what arrives is the record, to the last digit and sign."""

import json
import shlex
from typing import Any

import pytest

from predictions.pages.snippets import snippets

URL = "http://testserver/api/models/penguins/predict"
RECORDS: dict[str, dict[str, Any]] = {
    "kinds": {"a": 46.1, "b": None, "c": True, "d": "Biscoe", "e": 2007},
    "signs": {"it's": '$HOME `id` \\ "q" \n </script>', "größe": "§ 💐", "": "'"},
    "numbers": {"a": 9007199254740993, "b": -(2**63), "c": 1e300, "d": 5e-324},
    "nothing": {},
}


def code(
    record: dict[str, Any], *, outputs: tuple[str, ...] = ("predict",), needs_account: bool = False
) -> dict[str, str]:
    return {each.key: each.code for each in snippets(URL, record, outputs, needs_account=needs_account)}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_it_is_a_command_of_a_shell(record: dict[str, Any]) -> None:
    words = shlex.split(code(record)["curl"].replace("\\\n", " "))

    assert words[:2] == ["curl", f"{URL}?outputs=predict"]
    assert json.loads(words[words.index("--data") + 1]) == record
    assert "Prefer: wait=10" in words


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_it_is_a_program_of_python(record: dict[str, Any]) -> None:
    lines = code(record)["python"].partition("answer = ")[0].replace("import requests", "")
    names: dict[str, Any] = {}

    exec(lines, names)

    assert names["record"] == record


def test_it_asks_for_what_the_page_shows() -> None:
    for text in code({"a": 1}, outputs=("predict", "predict_proba")).values():
        assert f"{URL}?outputs=predict,predict_proba" in text


def test_it_sends_a_token_where_the_model_is_private() -> None:
    assert all("Bearer" not in text for text in code({"a": 1}).values())
    assert all("Authorization" in text for text in code({"a": 1}, needs_account=True).values())


def test_it_is_python_with_a_token() -> None:
    compile(code({"a": 1}, needs_account=True)["python"], "snippet", "exec")


def test_it_sends_large_whole_numbers_as_text_from_javascript() -> None:
    assert 'body: "{\\"a\\": 9007199254740993}"' in code({"a": 2**53 + 1})["javascript"]
    assert "body: JSON.stringify({" in code({"a": 2**53})["javascript"]
