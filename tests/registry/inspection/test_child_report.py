"""What the inspection's process wrote, where code of an uploader's may have written it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.inspection.child_report import ChildReport, read_child_report
from registry.inspection.report import CHECKS

FOUND: dict[str, Any] = {
    "artifact_format": "pickle",
    "load_seconds": 0.1,
    "predict_seconds": 0.01,
    "parameters": {"estimators": {"": "Pipeline"}, "values": {"verbose": "False"}},
    "outputs": ["predict"],
    "class_labels": None,
    "environment": {"inspected_with": {"python": "3.13"}, "trained_with": {"scikit-learn": "1.7"}},
    "sample_rows": [{"a": 1.0}],
    "golden_outputs": {"predictions": [2.0]},
    "is_batchable": True,
    "schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"a": {"type": "number"}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "columns": [{"name": "a", "dtype": "float64", "missing": "nan"}],
    "container": "frame",
}
PASSED = [{"check": {"name": name, "status": "passed", "detail": "", "fix": ""}} for name in CHECKS]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., ChildReport]:
    def of(*entries: Any) -> ChildReport:
        lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in entries]
        path = tmp_path / "result.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return read_child_report(path)

    return of


def test_it_reads_what_an_inspection_writes(read: Any) -> None:
    found = read({"sandbox": ["limits", "files"]}, *PASSED, {"version_fields": FOUND})

    assert (found.version_fields, found.problem) == (FOUND, "")
    assert [check.name for check in found.checks] == list(CHECKS)
    assert found.sandbox == ("limits", "files")


def changed(**changes: Any) -> dict[str, Any]:
    return {"version_fields": {**copy.deepcopy(FOUND), **changes}}


@pytest.mark.parametrize(
    "entry",
    [
        changed(status="live"),
        changed(artifact_key="sha256/ab/other"),
        changed(admission="1:forged"),
        {"version_fields": {}},
        {"version_fields": []},
        changed(artifact_format="x" * 31),
        changed(load_seconds="soon"),
        changed(outputs=["predict", "system"]),
        changed(outputs=[]),
        changed(class_labels={"a": 1}),
        changed(environment={"inspected_with": {"python": 3}}),
        changed(sample_rows=[{"a": 1.0}] * 101),
        changed(predict_seconds=-1),
        changed(parameters=None),
        changed(parameters={"estimators": {}}),
        changed(parameters={"estimators": {}, "values": {"a": 1}}),
        changed(parameters={"estimators": {}, "values": {"a": "x" * 401}}),
        changed(parameters={"estimators": {}, "values": {"x" * 201: "a"}}),
        changed(parameters={"estimators": {}, "values": {str(number): "" for number in range(1002)}}),
        changed(sample_rows=[{"a": "text"}]),
        changed(sample_rows=[1]),
        changed(golden_outputs={"predictions": []}),
        changed(golden_outputs={"predictions": [1.0], "more": [1.0]}),
        changed(is_batchable=1),
        changed(container="spreadsheet"),
        changed(columns=[{"name": "b", "dtype": "float64", "missing": "nan"}]),
        changed(columns=[{"name": "a", "dtype": "object", "missing": "nan"}]),
        changed(schema={**FOUND["schema"], "properties": {"a": {"$ref": "http://169.254.169.254/latest"}}}),
        changed(schema={"type": "object", "properties": {"a": 1}}),
        changed(schema={}),
        changed(class_labels=["\x00"]),
        changed(class_labels=["\ud800"]),
        json.dumps(changed()).replace("0.1", "1e999").encode(),
        json.dumps(changed()).replace("0.1", "NaN").encode(),
    ],
)
def test_it_believes_nothing_else_that_was_found(read: Any, entry: Any) -> None:
    found = read(*PASSED, entry)

    assert found.version_fields is None
    assert found.problem


@pytest.mark.parametrize(
    "entries",
    [
        [{"version_fields": FOUND}],
        [*PASSED[1:], {"version_fields": FOUND}],
        [*PASSED, {"version_fields": FOUND}, {"version_fields": FOUND}],
        [*PASSED, {"version_fields": FOUND}, PASSED[0]],
        [PASSED[1], PASSED[0]],
        [PASSED[0], PASSED[0]],
        [{"check": {"name": "safe", "status": "passed", "detail": ""}}],
        [{"check": {"name": "loads", "status": "skipped", "detail": ""}}],
        [{"check": {"name": "loads", "status": "passed", "detail": 1}}],
        [{"check": {"name": ["loads"], "status": "passed", "detail": ""}}],
        [{"check": {"name": "loads", "status": {}, "detail": ""}}],
        [{"check": {"name": "loads", "status": "passed", "detail": "", "more": 1}}],
        [{"more": 1}],
        [b"[1]"],
        [b"{"],
        [b"[" * 100_000],
        [b"\xff\xfe"],
        [b'{"a":' + b"9" * 10_000 + b"}"],
        [b"[" + b"1," * 3_000_001 + b"1]"],
    ],
)
def test_it_believes_no_other_order_or_entry(read: Any, entries: list[Any]) -> None:
    found = read(*entries)

    assert found.version_fields is None
    assert found.problem


def test_it_leaves_out_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "result.jsonl"
    path.write_text(json.dumps(PASSED[0]) + '\n{"check": {"na')

    found = read_child_report(path)

    assert ([check.name for check in found.checks], found.problem) == ([next(iter(CHECKS))], "")


def test_it_makes_any_text_fit_for_a_page_a_terminal_and_a_database(read: Any) -> None:
    detail = "a\x00b\ud800\x1b[2J\r\x9b\n" + "x" * 10_000
    (check,) = read({"check": {"name": "loads", "status": "failed", "detail": detail}}).checks

    assert check.detail.startswith("a\ufffdb?\ufffd[2J\ufffd\ufffd\nx")
    assert len(check.detail) < 5000


def test_it_has_nothing_to_say_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert read_child_report(tmp_path / "none") == ChildReport()
