"""The inspection itself: runs in a child process (`python -m registry.inspection.child FOLDER`) without Django.

Reads `request.json` in the folder, enters the sandbox, and appends one JSON line per finished check to `result.jsonl`,
so that the checks before a crash are not lost. The last line has the version's fields as read from the artifact.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlserve.processes.orphans import end_with_parent
from registry.inspection.answer_checks import check_answers, check_batching, check_json, check_nulls, check_predicts
from registry.inspection.artifact_checks import (
    check_environment,
    check_loads,
    check_names,
    check_pipeline,
    explained,
)
from registry.inspection.input_checks import check_accepts, check_form, check_schema
from registry.inspection.inspection import Failed, Inspection
from registry.inspection.report import REQUEST_FILE, RESULT_FILE, Check
from registry.sandbox.sandbox import Sandbox, enter

CHECKS_IN_ORDER: tuple[Callable[[Inspection], Check], ...] = (
    check_names,
    check_loads,
    check_pipeline,
    check_environment,
    check_schema,
    check_accepts,
    check_predicts,
    check_answers,
    check_json,
    check_batching,
    check_nulls,
    check_form,
)


def _sandbox_for(folder: Path, request: dict[str, Any], result: int) -> Sandbox:
    files = [Path(request[name]) for name in ("artifact", "schema_path", "sample", "expected") if request[name]]
    return Sandbox(request["memory_bytes"], request["cpu_seconds"], (folder, *files), (result,))


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0])
    request = json.loads((folder / REQUEST_FILE).read_text("utf-8"))
    end_with_parent(request["parent"])
    inspection = Inspection(request)
    with (folder / RESULT_FILE).open("a", encoding="utf-8") as out:

        def emit(line: dict[str, Any]) -> None:
            out.write(json.dumps(line) + "\n")
            out.flush()

        # From here on the uploader's code may run: the artifact's, and that of its schema.
        emit({"sandbox": enter(_sandbox_for(folder, request, out.fileno()))})
        for check in CHECKS_IN_ORDER:
            try:
                emit({"check": asdict(check(inspection))})
            except Failed as failed:
                emit({"check": asdict(explained(inspection, failed.check))})
                return
        schema = inspection.require_schema()
        emit(
            {
                "version_fields": {
                    **inspection.version_fields,
                    "schema": schema.json_schema,
                    "columns": schema.stored_columns(),
                    "container": schema.container,
                }
            }
        )


if __name__ == "__main__":
    main(sys.argv[1:])
