"""What must be true of the database at the end, whatever was done to the service."""

import json
from collections import Counter, defaultdict
from typing import Any

from tests.torture.databases import Database
from tests.torture.journal import Journal, Request, wrong_end
from tests.torture.models import HEALTHY
from tests.torture.places import Store

# The only steps there are; from nothing to an end is what a web process predicted in place.
_STEPS = {
    ("", "queued"), ("", "succeeded"), ("", "failed"), ("queued", "running"), ("queued", "canceled"),
    ("queued", "expired"), ("running", "queued"), ("running", "succeeded"), ("running", "failed"),
}  # fmt: skip
_HEALTHY = frozenset(model.name for model in HEALTHY)
_ENDS = {"succeeded", "failed", "canceled", "expired"}
_COLUMNS = ("id", "status", "result", "error", "inputs", "attempts", "lease_holder", "row_count", "finished_at")
_IMPOSSIBLE = {
    "ended without a time": "status IN ('succeeded','failed','canceled','expired') AND finished_at IS NULL",
    "with a time and not ended": "status IN ('queued','running') AND finished_at IS NOT NULL",
    "held by a worker and not running": "status <> 'running' AND (lease_holder <> '' OR lease_expires_at IS NOT NULL)",
    "succeeded with an error": "status = 'succeeded' AND (error IS NOT NULL OR result IS NULL)",
    "failed without an error": "status = 'failed' AND error IS NULL",
    "failed with a result": "status = 'failed' AND result IS NOT NULL",
    "without an end": "status IN ('queued','running')",
}


def check(journal: Journal, database: Database, store: Store) -> Counter[str]:
    """Report every violation to the journal; what was counted on the way.

    1. each row is in a possible state and has ended    2. each row took allowed steps only, and ended once
    3. each accepted prediction is there, as its client saw it    4. each other row belongs to one request, at most
    5. no healthy model has an incident
    """
    counts: Counter[str] = Counter()
    for what, condition in _IMPOSSIBLE.items():
        for (row_id,) in database.ask(f"SELECT id FROM predictions_prediction WHERE {condition}"):
            journal.violation(f"{row_id} is {what}")
    _check_steps(journal, database, counts)
    rows = {_plain(row[0]): dict(zip(_COLUMNS, row, strict=True)) for row in _rows(database)}
    counts["rows"] = len(rows)
    for prediction_id, request in journal.by_id.items():
        row = rows.pop(_plain(prediction_id), None)
        if row is None:
            counts["lost"] += 1
            journal.violation(f"{prediction_id} was accepted ({request.status}) and is not in the database")
        else:
            _check_row(journal, request, row, store)
    _check_strangers(journal, rows, store, counts)
    _check_blame(journal, database, counts)
    if database.name == "sqlite" and (found := database.ask("PRAGMA integrity_check")) != [("ok",)]:
        journal.violation(f"SQLite's file is damaged: {found[:3]}")
    return counts


def _rows(database: Database) -> list[tuple[Any, ...]]:
    return database.ask(f"SELECT {', '.join(_COLUMNS)} FROM predictions_prediction")


def _check_steps(journal: Journal, database: Database, counts: Counter[str]) -> None:
    taken: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for prediction_id, was, became in database.ask("SELECT prediction_id, was, became FROM torture_steps"):
        taken[_plain(prediction_id)].append((was, became))
    for prediction_id, steps in taken.items():
        counts["steps"] += len(steps)
        counts["tried again"] += sum(step == ("running", "queued") for step in steps)
        if wrong := [step for step in steps if step not in _STEPS]:
            journal.violation(f"{prediction_id} went {' and '.join(' → '.join(step) for step in wrong)}")
        if (ends := sum(became in _ENDS for _, became in steps)) != 1:
            journal.violation(f"{prediction_id} ended {ends} times: {steps}")


def _check_row(journal: Journal, request: Request, row: dict[str, Any], store: Store) -> None:
    name = f"{request.prediction_id} of {request.model}"
    if request.end and request.end != row["status"]:
        journal.violation(f"{name} was seen as {request.end} and is {row['status']}")
    if row["row_count"] != len(request.xs):
        journal.violation(f"{name} has {row['row_count']} rows instead of {len(request.xs)}")
    if row["status"] in _ENDS and not request.is_wrong and (wrong := wrong_end(request, _as_told(row, store))):
        journal.violation(f"in the database: {wrong}")


def _as_told(row: dict[str, Any], store: Store) -> dict[str, Any]:
    result, error = _json(row["result"], store), _json(row["error"], store)
    return {"status": row["status"], "result": result, "error": error}


def _json(text: str | None, store: Store) -> Any:
    if text is None:
        return None
    return json.loads(store.read(text[1:]) if text.startswith("@") else text)


def _check_strangers(journal: Journal, rows: dict[str, dict[str, Any]], store: Store, counts: Counter[str]) -> None:
    """Rows that no client was told of: their connection broke, or the database answered no more when it committed."""
    known = Counter(request.serial for request in journal.by_id.values())
    for prediction_id, row in rows.items():
        serial = _json(row["inputs"], store)[0]["serial"]
        request = journal.requests.get(serial)
        known[serial] += 1
        if request is None or known[serial] > 1:
            journal.violation(f"{prediction_id} belongs to no request, or is its second one (serial {serial})")
        elif request.is_invalid or request.status in (422, 429):
            journal.violation(f"{prediction_id} was refused ({request.status}) and is in the database")
        elif wrong := wrong_end(request, _as_told(row, store)):
            journal.violation(f"in the database, unseen: {wrong}")
        elif request.status == 503:
            counts["answered 503 and stored"] += 1
        else:
            counts["unanswered and stored"] += 1


def _check_blame(journal: Journal, database: Database, counts: Counter[str]) -> None:
    """Incidents of healthy models. One that is killed amid a call is noted, without blame."""
    incidents = """
        SELECT model.name, incident.kind, incident.detail FROM registry_incident incident
        JOIN registry_modelversion version ON version.id = incident.version_id
        JOIN registry_model model ON model.id = version.model_id
    """
    for model, kind, detail in database.ask(incidents):
        if model not in _HEALTHY:
            continue
        if kind == "killed":
            counts["killed amid a call, healthy"] += 1
        else:
            counts["blamed, healthy"] += 1
            journal.violation(f"{model} is blamed for what it did not do: it {kind}: {detail[:300]}")


def _plain(prediction_id: object) -> str:
    """SQLite writes ids without dashes."""
    return str(prediction_id).replace("-", "")
