"""Read the report of the inspection's child process as untrusted input. Pure.

The artifact's code runs in that process, so it can write anything into the report. This module accepts only fields that
are named here, each of its type and a bounded size, and computes derived values again. So a forged report can only be
wrong about the artifact's own columns and answers.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from mlserve.errors import BadUpload, InvalidRows
from registry.inspection.report import CHECKS, Check
from registry.pipelines.outputs import RESULT_NAMES
from registry.pipelines.parameters import is_parameters
from registry.sandbox.sandbox import MAX_FILE_BYTES, PARTS
from registry.schema.record import Container, RecordSchema

MAX_GOLDEN_ROWS = 100
_MAX_SHOWN = 4000
# Each becomes an object of about 60 bytes; 100 sample rows with 10,000 columns have a third of this number.
_MAX_VALUES = 3_000_000
_MAX_LABELS = 100_000
# Control characters could clear, rename or overwrite the terminal that shows the report. Line ends and tabs may stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STATUSES = ("passed", "warning", "failed")


class NotAReport(Exception):
    """The report has an entry that no inspection writes; the message says which."""


@dataclass(frozen=True)
class ChildReport:
    """`version_fields` is None until the last check has passed. `problem` says why the report must not be trusted."""

    checks: tuple[Check, ...] = ()
    version_fields: dict[str, Any] | None = None
    sandbox: tuple[str, ...] = ()
    problem: str = ""


@dataclass
class _Reading:
    checks: list[Check] = field(default_factory=list)
    version_fields: dict[str, Any] | None = None
    sandbox: tuple[str, ...] = ()

    def take(self, line: bytes) -> None:
        """Raises NotAReport."""
        entry = _parsed(line)
        if set(entry) == {"sandbox"} and not (self.sandbox or self.checks):
            self.sandbox = tuple(
                part for part in PARTS if isinstance(entry["sandbox"], list) and part in entry["sandbox"]
            )
        elif set(entry) == {"check"} and self.version_fields is None:
            self.checks.append(_check(entry["check"], self.checks))
        elif set(entry) == {"version_fields"} and self.version_fields is None:
            if [check.name for check in self.checks] != list(CHECKS):
                raise NotAReport("it ends before its last check")
            self.version_fields = _version_fields(entry["version_fields"])
        else:
            raise NotAReport("an unknown entry")


def read_child_report(path: Path, *, is_ended: bool = True) -> ChildReport:
    """What is in the file so far. A last line without its end was cut off when the process ended."""
    reading = _Reading()
    try:
        content = _content(path)
        if content.count(b",") + content.count(b"[") + content.count(b"{") > _MAX_VALUES:
            raise NotAReport(f"more than {_MAX_VALUES:,} values")
        for line in content.split(b"\n")[:-1]:
            # The last entry is large, and the progress of an inspection shows only its checks.
            if is_ended or line.startswith(b'{"check"'):
                reading.take(line)
    except NotAReport as error:
        return ChildReport(tuple(reading.checks), None, reading.sandbox, str(error))
    return ChildReport(tuple(reading.checks), reading.version_fields, reading.sandbox)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return b""
    if len(content) > MAX_FILE_BYTES:
        raise NotAReport(f"more than {MAX_FILE_BYTES:,} bytes")
    return content


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        json.dumps(entry, allow_nan=False)  # also 1e999, which is read as infinite
    except (ValueError, RecursionError) as error:
        raise NotAReport("a line that is not JSON") from error
    if not isinstance(entry, dict):
        raise NotAReport("a line that is not an object")
    return entry


def _check(given: Any, earlier: list[Check]) -> Check:
    if not isinstance(given, dict) or not set(given) <= {"name", "status", "detail", "fix"}:
        raise NotAReport("a check with other fields than a check has")
    name, status = given.get("name"), given.get("status")
    texts = [given.get("detail"), given.get("fix", "")]
    order = list(CHECKS)
    last = order.index(earlier[-1].name) if earlier else -1
    if name not in order[last + 1 :] or status not in _STATUSES or not all(isinstance(text, str) for text in texts):
        raise NotAReport("a check that does not exist, comes twice or has an unknown status")
    detail, fix = (shown(text) for text in texts)
    return Check(name, status, detail, fix)


def shown(text: str) -> str:
    """A text that the artifact may have written, shortened and without characters that a database, a page or a terminal
    cannot take.
    """
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}…"
    return _CONTROLS.sub("\ufffd", text).encode("utf-8", "replace").decode("utf-8")


def _version_fields(given: Any) -> dict[str, Any]:
    """The fields of a version, each of its type and size. Raises NotAReport."""
    if not isinstance(given, dict) or set(given) != {*_FIELDS, "columns"}:
        raise NotAReport("other fields than a version has")
    if problem := why_not_stored(given):
        raise NotAReport(problem)
    for name, is_right in _FIELDS.items():
        if not is_right(given[name]):
            raise NotAReport(f"an impossible value of {name.replace('_', ' ')}")
    schema = _schema(given)
    _require_answers(given)
    return {**given, "schema": schema.json_schema, "columns": schema.stored_columns()}


def _schema(given: Mapping[str, Any]) -> RecordSchema:
    """The schema, flattened and compiled again, so that it refers to nothing outside and cannot fail later."""
    try:
        schema = RecordSchema.from_json_schema(given["schema"], container=given["container"])
        schema.validated(given["sample_rows"])
    except (BadUpload, InvalidRows, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise NotAReport("an invalid schema, or one that does not fit its own sample") from error
    columns = given["columns"]
    if not isinstance(columns, list) or columns != schema.stored_columns():
        raise NotAReport("columns that are not those of the schema")
    return schema


def _require_answers(given: Mapping[str, Any]) -> None:
    outputs, answers = given["outputs"], given["golden_outputs"]
    if set(answers) != {RESULT_NAMES[output] for output in outputs}:
        raise NotAReport("answers of other outputs than it has")
    if any(not isinstance(each, list) or len(each) != len(given["sample_rows"]) for each in answers.values()):
        raise NotAReport("not one answer for each row")


def why_not_stored(value: Any) -> str:
    """Why a database would not take the value as JSON; '' for one that it takes."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return "a number that JSON does not have: NaN or an infinite one"
    if "\\u0000" in text or not _is_text(json.dumps(value, ensure_ascii=False)):
        return "a text with characters that cannot be stored"
    return ""


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_GOLDEN_ROWS and all(isinstance(row, dict) for row in value)


def _is_outputs(value: Any) -> bool:
    return isinstance(value, list) and value != [] and value == [name for name in RESULT_NAMES if name in value]


def _is_environment(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"inspected_with", "trained_with"}
        and all(isinstance(packages, dict) and len(packages) <= 100 for packages in value.values())
        and all(
            isinstance(version, str) and len(version) <= 200
            for packages in value.values()
            for version in packages.values()
        )
    )


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < 10**6


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "artifact_format": lambda value: isinstance(value, str) and 0 < len(value) <= 30,
    "load_seconds": _is_seconds,
    "predict_seconds": _is_seconds,
    "parameters": is_parameters,
    "outputs": _is_outputs,
    "class_labels": lambda value: value is None or (isinstance(value, list) and len(value) <= _MAX_LABELS),
    "environment": _is_environment,
    "sample_rows": _is_rows,
    "golden_outputs": lambda value: isinstance(value, dict),
    "is_batchable": lambda value: isinstance(value, bool),
    "schema": lambda value: isinstance(value, dict),
    "container": lambda value: value in get_args(Container),
}
