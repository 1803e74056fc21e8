"""The live models against the worker that loads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployment.evidence import WORKER, Evidence, sound
from deployment.findings import Finding, failed, ok, warning

# A worker with Django, scikit-learn and pandas takes 230 MB; the rest is for rows. A pipeline in memory, and its bytes
# while it is loaded, take about three times its artifact.
_BASE_MB, _TIMES = 400, 3
# The part of /tmp for other things than artifacts: an inspection, a file that is being received.
_SPARE_BYTES = 50 * 2**20
# A pipeline may answer differently, or fail, with another version of these.
_DECISIVE = ("scikit-learn",)


def memory(evidence: Evidence) -> Finding:
    live, megabytes = _live(evidence), int(evidence.current(WORKER, "MemorySize", "memory_size", default=512))
    if not live:
        return ok("no live model yet")
    largest = max(live, key=lambda model: int(model["size_bytes"]))
    needed = _BASE_MB + _TIMES * int(largest["size_bytes"]) // 2**20
    size = _mib(int(largest["size_bytes"]))
    found = f"{largest['version']} ({size}) needs about {needed} MB, the worker has {megabytes} MB"
    if needed > megabytes:
        return failed(found, f'"memory_size": {_rounded(needed)} for worker in zappa_settings.json, then make deploy')
    return ok(found)


def disk(evidence: Evidence) -> Finding:
    """The worker's /tmp against its cache and the largest artifact."""
    planned = evidence.settings(WORKER).get("ephemeral_storage", {"Size": 512})
    room = int(evidence.current(WORKER, "EphemeralStorage", "ephemeral_storage", default=planned)["Size"]) * 2**20
    settings, _ = evidence.inside("settings")
    cache = int(settings["cache_bytes"])
    largest = max((int(model["size_bytes"]) for model in _live(evidence)), default=0)
    fix = '"ephemeral_storage" of worker in zappa_settings.json (at most 10240), or MLSERVE_CACHE_BYTES'
    if largest > cache:
        return failed(f"an artifact of {_mib(largest)} does not fit into the cache of {_mib(cache)}", fix)
    if cache + _SPARE_BYTES > room:
        return failed(f"the cache may take {_mib(cache)} of a /tmp of {_mib(room)}", fix)
    uploads = int(settings["max_artifact_bytes"])
    if uploads > cache:
        return warning(
            f"uploads of {_mib(uploads)} are accepted, the worker can keep {_mib(cache)}",
            f"{fix}; or MLSERVE_MAX_ARTIFACT_BYTES={cache}",
        )
    return ok(f"{_mib(cache)} of {_mib(room)} for artifacts, the largest live one has {_mib(largest)}")


def packages(evidence: Evidence) -> Finding:
    """Versions of libraries at the inspection of the live models against those of the worker."""
    holds = sound(evidence.self_report(WORKER), "process")["packages"]
    different = [
        f"{model['version']} was inspected with {name} {then}, the worker has {holds.get(name)}"
        for model in _live(evidence)
        for name, then in model["inspected_with"].items()
        if name in _DECISIVE and then != holds.get(name)
    ]
    if different:
        return warning(
            f"{different[0]}" + (f", and {len(different) - 1} more" if len(different) > 1 else ""),
            ".venv/bin/python manage.py verify_models compares the answers; train again with the worker's version",
        )
    return ok("the live models were inspected with the worker's versions")


def _live(evidence: Evidence) -> Sequence[Mapping[str, Any]]:
    told, _ = evidence.inside("models")
    live: Sequence[Mapping[str, Any]] = told["live"]
    return live


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:.0f} KiB"


def _rounded(megabytes: int) -> int:
    """Rounded up to the next 256, and at most Lambda's limit."""
    return min(-(-megabytes // 256) * 256, 10_240)
