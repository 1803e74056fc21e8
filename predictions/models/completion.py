"""How a prediction ended, and the statement that writes it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from mlserve.errors import GivenUp
from mlserve.http.problems import stored_problem
from mlserve.http.renderers import dump_json
from predictions.models.payloads import store_or_inline
from predictions.status import Status


@dataclass(frozen=True)
class Completion:
    """How one prediction ended: a result, or an error (a problem object). Times are the batch's.

    `inputs` is the JSON of its rows after redaction, if the version has redacted columns. `kept_result` is the text for
    the row's column `result`, or None before it was made.
    """

    prediction_id: UUID
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    warnings: tuple[dict[str, Any], ...] = ()
    predict_seconds: float = 0.0
    inputs: bytes | None = None
    kept_result: str | None = None

    def with_kept_result(self) -> "Completion":
        """With `kept_result` set, so that a second try of `finish` does not store a large result again."""
        return self if self.error is not None else replace(self, kept_result=self.result_text())

    def result_text(self) -> str:
        return self.kept_result or store_or_inline(dump_json(self.result), self.prediction_id, "result")


def lease_duration() -> timedelta:
    """How long a claim holds without being renewed: the longest batch, and room to write its results."""
    return timedelta(seconds=settings.MLSERVE_BATCH_SECONDS + 15)


def given_up_error() -> str:
    """The stored error of a prediction that outlived all its attempts."""
    error = GivenUp(
        f"The worker died or ran out of time {settings.MLSERVE_MAX_ATTEMPTS} times on this prediction. "
        "Try fewer rows, and tell the model's owner."
    )
    return dump_json(stored_problem(error)).decode()


@lru_cache(maxsize=64)
def finish_sql(rows: int, *, replaces_inputs: bool) -> str:
    """The statement; all values are parameters. Both databases call the columns of VALUES column1, column2, …"""
    # PostgreSQL takes parameters for text unless they are cast.
    casts = ["::uuid", "", "", "", "", "::double precision", *(["::text", "::boolean"] if replaces_inputs else [])]
    entry = ", ".join(f"%s{cast if connection.vendor == 'postgresql' else ''}" for cast in casts)
    replacing = (
        """, inputs = coalesce(ended.column7, prediction.inputs),
            is_raw = coalesce(ended.column8, prediction.is_raw)"""
        if replaces_inputs
        else ""
    )
    table = connection.ops.quote_name("predictions_prediction")
    return f"""
        UPDATE {table} AS prediction
        SET status = ended.column2, result = ended.column3, error = ended.column4, warnings = ended.column5,
            predict_seconds = ended.column6, finished_at = %s, lease_holder = '', lease_expires_at = NULL{replacing}
        FROM (VALUES {", ".join([f"({entry})"] * rows)}) AS ended
        WHERE prediction.id = ended.column1 AND prediction.status = 'running' AND prediction.lease_holder = %s
    """  # noqa: S608


def finished_row(completion: Completion) -> list[Any]:
    """The parameters of one entry of `finish`'s VALUES."""
    succeeded = completion.error is None
    return [
        completion.prediction_id if connection.vendor == "postgresql" else completion.prediction_id.hex,
        Status.SUCCEEDED.value if succeeded else Status.FAILED.value,
        completion.result_text() if succeeded else None,
        None if succeeded else dump_json(completion.error).decode(),
        dump_json(completion.warnings).decode(),
        completion.predict_seconds,
    ]
