"""Redact the input of a prediction when it ends, for versions with redacted columns.

Every change to an ended status replaces the input in the same statement. Where the input is an object in the storage,
the row names both the new object and the old one until that is deleted (predictions/models/payloads.py);
`redact_ended` does so, and redacts what an interrupted process, or one of an older release, has left.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import QuerySet

from mlserve.errors import PayloadLost, Unavailable
from mlserve.http.renderers import dump_json
from predictions.models.payloads import delete_replaced_object, fetch, has_no_replaced_object, replace
from registry.models import ModelVersion
from registry.publishing.lookup import version_by_id
from registry.schema.privacy import redacted_rows

log = logging.getLogger(__name__)

_AT_ONCE = 100


class Kept(NamedTuple):
    """The columns of a row with a redacted input. `is_raw` until a replaced object is deleted."""

    inputs: str
    is_raw: bool


class _Raw(NamedTuple):
    pk: UUID
    version_id: int
    inputs: str


def kept_text(version: ModelVersion, rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The JSON of `rows` with redacted columns; None for a version without any."""
    marks = version.record_schema.marks
    if not marks:
        return None
    return dump_json(redacted_rows(rows, marks, key=_key(settings.SECRET_KEY), scope=str(version.model_id)))


def in_place_of(inputs: str, text: bytes, prediction_id: UUID) -> Kept:
    """The columns for a row whose `inputs` are replaced by `text`. Raises Unavailable."""
    replaced = replace(inputs, text, prediction_id, "inputs")
    return Kept(replaced, is_raw=not has_no_replaced_object(replaced))


def end_raw(which: "QuerySet[Any]", skips_unavailable: bool, **changes: Any) -> list[UUID]:
    """`which.update(**changes)` for rows with raw inputs, which it replaces; the ids of those it changed.

    For an input in an unreachable storage raises Unavailable, or leaves that row as it is.
    """
    ended: list[UUID] = []
    # Inputs do not change before the end, so they can be read before the update.
    for raw in _raw_rows(which.filter(is_raw=True)):
        try:
            kept = _kept_of(raw)
        except Unavailable as error:
            if not skips_unavailable:
                raise
            log.warning("Prediction %s cannot be ended before its input can be read: %s", raw.pk, error.detail)
            continue
        if which.filter(pk=raw.pk).update(**kept._asdict(), **changes):
            ended.append(raw.pk)
    return ended


def redact_ended(ended: "QuerySet[Any]", *, seconds: float) -> int:
    """Redact the raw inputs of ended rows, and delete replaced objects; how many rows were completed.

    Takes about `seconds` at most; rows whose objects are unreachable stay for the next sweep.
    """
    deadline, redacted = time.monotonic() + seconds, 0
    raw_rows = ended.filter(is_raw=True, finished_at__isnull=False).order_by("pk")
    found = _raw_rows(raw_rows[:_AT_ONCE])
    while found:
        for raw in found:
            try:
                redacted += _redact(ended, raw)
            except Unavailable as error:
                log.warning("The input of prediction %s is not redacted yet: %s", raw.pk, error.detail)
                return redacted
            if time.monotonic() > deadline:
                return redacted
        found = _raw_rows(raw_rows.filter(pk__gt=found[-1].pk)[:_AT_ONCE])
    return redacted


def _redact(ended: "QuerySet[Any]", raw: _Raw) -> int:
    own, kept = ended.filter(is_raw=True, finished_at__isnull=False, pk=raw.pk), Kept(raw.inputs, is_raw=True)
    if has_no_replaced_object(raw.inputs):
        kept = _kept_of(raw)
        if not own.filter(inputs=raw.inputs).update(inputs=kept.inputs, is_raw=kept.is_raw):
            return 0  # another process was faster
    if kept.is_raw:
        own.filter(inputs=kept.inputs).update(inputs=delete_replaced_object(kept.inputs), is_raw=False)
    return 1


def _kept_of(raw: _Raw) -> Kept:
    try:
        text = kept_text(version_by_id(raw.version_id), orjson.loads(fetch(raw.inputs)))
    except PayloadLost:
        return Kept(raw.inputs, is_raw=False)  # there is no input left to redact
    return Kept(raw.inputs, is_raw=False) if text is None else in_place_of(raw.inputs, text, raw.pk)


def _raw_rows(which: "QuerySet[Any]") -> list[_Raw]:
    return [_Raw._make(row) for row in which.values_list(*_Raw._fields)]


@lru_cache(maxsize=1)
def _key(secret_key: str) -> bytes:
    """A key that is used for these hashes only."""
    return hmac.new(secret_key.encode(), b"mlserve x-stored", hashlib.sha256).digest()
