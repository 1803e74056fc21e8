"""The real inspection, which starts a process and takes a second or two, done once per content and run."""

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from django.conf import settings

from registry.inspection.inspect import Inspected, OnCheck, StoredRecord, inspect
from registry.inspection.version_request import VersionRequest
from tests.shared import one_at_a_time


class Inspections:
    """Call it as `registry.inspection.inspect.inspect`. Processes that were given the same folder share the results."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def __call__(
        self,
        artifact: Path,
        request: VersionRequest,
        *,
        stored: StoredRecord | None = None,
        on_check: OnCheck | None = None,
        on_look: Callable[[], None] = lambda: None,
    ) -> Inspected:
        path = self._folder / _digest_of(artifact, request, stored)
        with one_at_a_time(path):
            is_known = path.exists()
            if not is_known:
                found = inspect(artifact, request, stored=stored, on_check=on_check, on_look=on_look)
                path.write_bytes(pickle.dumps(found))
        inspected: Inspected = pickle.loads(path.read_bytes())
        if is_known and on_check is not None:
            on_check(inspected.report.checks)
        return inspected


def _digest_of(artifact: Path, request: VersionRequest, stored: StoredRecord | None) -> str:
    """Of all that an inspection depends on: what its files hold, what they are called, and the limits."""
    schema, sample = request.schema, request.sample
    files = [path for path in (artifact, schema.path if schema else None, sample) if path is not None]
    facts = {
        "files": [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files],
        "schema": [schema.kind, schema.class_name] if schema else None,
        "sample": sample is not None,
        "form_config": request.form_config,
        "allow_other_versions": request.allow_other_versions,
        "origin": asdict(request.origin) if request.origin else None,
        "stored": asdict(stored) if stored else None,
        "trusted": list(settings.MLSERVE_TRUSTED_MODULES),
        "limits": [settings.MLSERVE_INSPECTION_SECONDS, settings.MLSERVE_INSPECTION_BYTES],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
