"""Redacted columns: what is stored in place of their values."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mlserve.errors import BadUpload
from registry.schema.privacy import redacted_rows, without_marked
from registry.schema.record import RecordSchema
from tests.conftest import EXAMPLE

KEY = b"a key"


def kept(value: Any, mark: Any = "hashed", *, key: bytes = KEY, scope: str = "1", column: str = "name") -> Any:
    return redacted_rows([{column: value}], {column: mark}, key=key, scope=scope)[0].get(column)


def schema_with(**note: Any) -> RecordSchema:
    name = {"type": ["string", "null"], "x-training-values": ["Ada"], **note}
    return RecordSchema.from_json_schema({"properties": {"name": name, "age": {"type": "number"}}})


def test_it_stores_nothing_of_a_column_marked_no() -> None:
    rows = redacted_rows([{"name": "Ada", "age": 36}], {"name": "no"}, key=KEY, scope="1")

    assert rows == [{"age": 36}]


@pytest.mark.parametrize("value", ["Ada", "", "\ud800", "hmac-sha256:" + 64 * "0", 8000, 1.5, True, 10**30])
def test_it_stores_a_hash_of_a_column_marked_hashed(value: Any) -> None:
    text = kept(value)

    assert text.startswith("hmac-sha256:")
    assert len(text) == len("hmac-sha256:") + 64
    assert text != value


def test_it_gives_equal_values_equal_hashes() -> None:
    assert kept("Ada") == kept("Ada")
    assert kept(1) == kept(1.0)


def test_it_gives_others_other_hashes() -> None:
    """Of another value, model, column or key; nor is a number a text or a truth."""
    hashes = [kept("Ada"), kept("Eve"), kept("Ada", scope="2"), kept("Ada", column="nick"), kept("Ada", key=b"else"),
              kept("1"), kept(1), kept(True), kept(1.5)]  # fmt: skip

    assert len(set(hashes)) == len(hashes)


def test_it_keeps_that_a_value_is_missing() -> None:
    assert kept(None) is None
    assert redacted_rows([{}], {"name": "hashed"}, key=KEY, scope="1") == [{}]


def test_it_leaves_out_marked_columns() -> None:
    assert without_marked({"name": "Ada", "age": 36}, {"name": "hashed"}) == {"age": 36}


@pytest.mark.parametrize("mark", ["hashed", "no"])
def test_it_reads_the_marks_of_a_schema(mark: str) -> None:
    schema = schema_with(**{"x-stored": mark})

    assert schema.marks == {"name": mark}
    assert RecordSchema.from_stored(schema.json_schema, schema.stored_columns(), "frame").marks == {"name": mark}


@pytest.mark.parametrize("wrong", ["yes", "hash", "No", "", None, True, False, ["no"], {}])
def test_it_refuses_a_mark_that_means_nothing(wrong: Any) -> None:
    with pytest.raises(BadUpload, match="'name': x-stored is"):
        schema_with(**{"x-stored": wrong})


def test_it_reads_a_mark_beside_a_reference() -> None:
    """As pydantic writes an optional class of its own with `Field(json_schema_extra=…)`."""
    name = {"anyOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}], "x-stored": "no"}
    schema = RecordSchema.from_json_schema({"properties": {"name": name}, "$defs": {"Name": {"type": "string"}}})

    assert schema.marks == {"name": "no"}


def test_it_warns_without_the_value() -> None:
    warned = [schema_with(**note).training_warnings([{"name": "Eve"}])[0].detail for note in ({}, {"x-stored": "no"})]

    assert warned == ["'Eve' was not seen in training", "the value was not seen in training"]


def check_example(mark: str, tmp_path: Path, artifact: Path) -> None:
    """`check_model` with a pydantic class whose column `island` is redacted."""
    written = (EXAMPLE / "validation.py").read_text("utf-8")
    marked = written.replace(
        'examples=["Biscoe"],', f'examples=["Biscoe"], json_schema_extra={{"x-stored": "{mark}"}},'
    )
    (tmp_path / "validation.py").write_text(marked, "utf-8")
    described = ("--schema", f"{tmp_path}/validation.py:RawData", "--sample", f"{EXAMPLE}/sample.csv")
    call_command("check_model", str(artifact), *described)


def test_it_reports_what_is_not_stored(
    tmp_path: Path, penguins_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_example("no", tmp_path, penguins_artifact)

    out = " ".join(capsys.readouterr().out.split())
    assert "Not stored: island." in out
    assert "the schema redacts in predictions" in out
    assert "can be uploaded" in out


def test_it_refuses_an_upload_with_a_mark_that_means_nothing(
    tmp_path: Path, penguins_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="x-stored is 'never'"):
        check_example("never", tmp_path, penguins_artifact)
