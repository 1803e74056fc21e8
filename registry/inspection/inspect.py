"""Inspect an artifact before it may be stored: starts the child process, bounds it, reads its report."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from mlserve.processes.temporary_folders import temporary_folder
from registry.bundles.bundle import Origin
from registry.inspection.child_report import ChildReport, read_child_report, shown
from registry.inspection.report import CHECKS, REQUEST_FILE, RESULT_FILE, Check, Report, with_skipped
from registry.inspection.version_request import VersionRequest
from registry.inspection.versions import without_vain_allowance
from registry.sandbox.environment import clean_environment

_SHOWN_OUTPUT_BYTES = 10_000
# How often the parent polls a running inspection.
_POLL_SECONDS = 0.5

OnCheck = Callable[[tuple[Check, ...]], None]


@dataclass(frozen=True)
class StoredRecord:
    """The schema and sample rows of a registered version, for an inspection without the files of its upload."""

    schema: dict[str, Any]
    columns: list[Any]
    container: str
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Inspected:
    """The report and, when it was accepted, what was read from the artifact (the fields of a ModelVersion)."""

    report: Report
    version_fields: dict[str, Any]


def inspect(
    artifact: Path,
    request: VersionRequest,
    *,
    stored: StoredRecord | None = None,
    on_check: OnCheck | None = None,
    on_look: Callable[[], None] = lambda: None,
) -> Inspected:
    """Run every check on what is to be published in a child process with limits of time, CPU time and memory.

    Takes as long as the artifact needs to load and to predict its sample, at most MLSERVE_INSPECTION_SECONDS.
    `stored` takes the place of the request's schema, sample and expected answers. `on_look` is called twice a second,
    and `on_check` gets all checks that are done whenever there are more; what they raise ends the inspection and its
    process.
    """
    with temporary_folder("inspection") as folder:
        _write_request(folder, artifact, request, stored)
        ending = _run_child(folder, on_check, on_look)
        child_report = read_child_report(folder / RESULT_FILE)
    checks, fields = child_report.checks, child_report.version_fields
    facts: dict[str, Any] = {"sandbox": list(child_report.sandbox)}
    if request.origin is not None:
        checks, fields = _with_origin(checks, fields, request.origin)
        facts["origin"] = asdict(request.origin)
    is_refused = any(check.status == "failed" for check in checks)
    if not is_refused and (fields is None or ending):
        fields, checks = None, _with_end(child_report, ending)
    if fields is None or is_refused:
        return Inspected(Report(with_skipped(without_vain_allowance(checks)), facts), {})
    timings = {name: fields.pop(name) for name in ("load_seconds", "predict_seconds")}
    report = Report(checks, {**timings, **facts})
    return Inspected(report, {**fields, "report": report.as_json()})


def _with_origin(
    checks: tuple[Check, ...], fields: dict[str, Any] | None, origin: Origin
) -> tuple[tuple[Check, ...], dict[str, Any] | None]:
    """The check `loads` says what the artifact was taken out of, and `environment` what was written there.

    What the artifact itself tells about its versions, which is scikit-learn's, decides.
    """
    said = ", ".join(f"{name} {version}" for name, version in sorted(origin.trained_with.items()))
    more = {"loads": str(origin), "environment": f"Written beside it: {said}." if said else ""}
    checks = tuple(replace(each, detail=f"{each.detail} {more.get(each.name, '')}".strip()) for each in checks)
    if fields is not None:
        environment = fields["environment"]
        trained_with = {**origin.trained_with, **environment["trained_with"]}
        fields = {**fields, "environment": {**environment, "trained_with": trained_with}}
    return checks, fields


def _write_request(folder: Path, artifact: Path, request: VersionRequest, stored: StoredRecord | None) -> None:
    schema = request.schema
    child_request = {
        "artifact": str(artifact.resolve()),
        "schema_kind": schema.kind if schema else None,
        "schema_path": str(schema.path.resolve()) if schema else None,
        "schema_class": schema.class_name if schema else None,
        "sample": str(request.sample.resolve()) if request.sample else None,
        "expected": str(request.expected.resolve()) if request.expected else None,
        "expected_column": request.expected_column,
        "form_config": request.form_config,
        "allow_other_versions": request.allow_other_versions,
        "stored": asdict(stored) if stored else None,
        "trusted_modules": settings.MLSERVE_TRUSTED_MODULES,
        "memory_bytes": settings.MLSERVE_INSPECTION_BYTES,
        "cpu_seconds": settings.MLSERVE_INSPECTION_SECONDS,
        "parent": os.getpid(),
    }
    (folder / REQUEST_FILE).write_text(json.dumps(child_request), "utf-8")


def _run_child(folder: Path, on_check: OnCheck | None, on_look: Callable[[], None]) -> str:
    """Run the child to its end; '' when it ended by itself, else how it ended."""
    environment = clean_environment(settings.BASE_DIR, folder)
    command = [sys.executable, "-m", "registry.inspection.child", str(folder)]
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = _wait(child, folder, on_check, on_look)
        except subprocess.TimeoutExpired:
            return f"It did not finish within {settings.MLSERVE_INSPECTION_SECONDS} s."
        finally:
            _end_group(child)
    return "" if code == 0 else _describe_exit(code, folder / "output.txt")


def _wait(child: subprocess.Popen[bytes], folder: Path, on_check: OnCheck | None, on_look: Callable[[], None]) -> int:
    """The child's exit status. Raises TimeoutExpired after MLSERVE_INSPECTION_SECONDS."""
    deadline, seen, result = time.monotonic() + settings.MLSERVE_INSPECTION_SECONDS, 0, folder / RESULT_FILE
    while True:
        left = deadline - time.monotonic()
        try:
            return child.wait(max(0.0, min(left, _POLL_SECONDS)))
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise
        on_look()
        size = result.stat().st_size if result.exists() else 0
        if on_check is not None and size > seen:
            seen = size
            on_check(read_child_report(result, is_ended=False).checks)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and every process that the artifact's code has started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _describe_exit(code: int, output: Path) -> str:
    if code == -signal.SIGKILL:
        return "It was killed, most likely because the machine ran out of memory."
    if code == -signal.SIGXCPU:
        return f"It used more than {settings.MLSERVE_INSPECTION_SECONDS} s of CPU time."
    if code < 0:
        # Most real-time signals have no name in Python, but end a process as well.
        known = {each.value: each.name for each in signal.Signals}
        return f"Its process crashed with signal {known.get(-code, -code)}."
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - _SHOWN_OUTPUT_BYTES))
        lines = file.read().decode("utf-8", errors="replace").strip().splitlines()
    return f"Its process ended with status {code}: {shown(lines[-1][:500]).rstrip('.') if lines else 'no message'}."


_UNFINISHED_FIX = (
    "A very large model may need a higher MLSERVE_INSPECTION_SECONDS or MLSERVE_INSPECTION_BYTES; "
    "otherwise look at what its code does when it is loaded or called."
)


_FORGED_FIX = "Code of the artifact or of its schema wrote into the report. Do not use this file; ask where it is from."


def _with_end(child_report: ChildReport, ending: str) -> tuple[Check, ...]:
    """The checks with a failed one for the child's end: the check that ran then, or `loads` for a forged report."""
    if child_report.problem:
        detail = f"The process that loaded it wrote a report that no inspection writes: {child_report.problem}."
        return (Check("loads", "failed", detail, _FORGED_FIX),)
    done = {check.name for check in child_report.checks}
    current = next((name for name in CHECKS if name not in done), "form")
    unfinished = Check(current, "failed", ending or "The inspection ended without a result.", _UNFINISHED_FIX)
    return (*(check for check in child_report.checks if check.name != current), unfinished)
