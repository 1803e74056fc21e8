"""Inputs and results as JSON: small ones in the row, large ones in the artifact storage with a reference in the row.

A row of megabytes would be copied at each update, and make the table too large for the database's memory. Bytes
are stored before the row that refers to them, so a crash leaves at most an object without a row, which the sweep
deletes (predictions/store/payload_sweep.py). Keys are

    predictions/SERVICE/SHARD/PREDICTION/NAME-RANDOM.json

SERVICE is made from SECRET_KEY and from the moment when the database was made: a sweep must not delete objects whose
rows are in another database, whichever services share a bucket or a key. SHARD is the random end of the prediction's
id. Older rows refer to predictions/PREDICTION/NAME-RANDOM.json, which no sweep looks at.
"""

import hashlib
import hmac
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connection
from django.db.models import Min

from mlserve.errors import Unavailable
from predictions.batching.backoff import Backoff
from registry.storage import artifacts

log = logging.getLogger(__name__)

# No JSON text begins like this.
REFERENCE = "@"
# Separates the key of an object from that of the object that it replaces, until that is deleted. No key contains it.
_INSTEAD_OF = "|"
_FOLDER = "predictions"
SHARDS = 16**3
# Whether the storage was unreachable for a payload when this process last used it.
unreachable: Backoff[str] = Backoff()


def inline_or_store(text: bytes, prediction_id: UUID, name: str) -> str:
    """The text for the row's column: this JSON itself, or a reference to it. Raises Unavailable.

    Each call makes a new object: a second attempt must not overwrite the object that the first one's row refers to.
    """
    if len(text) <= settings.MLSERVE_ROW_BYTES:
        return text.decode()
    return _stored(text, prediction_id, name)


def store_or_inline(text: bytes, prediction_id: UUID, name: str) -> str:
    """As `inline_or_store`, but the row gets the text itself when the storage is unreachable: slower, but not lost."""
    if len(text) <= settings.MLSERVE_ROW_BYTES or not unreachable.paused():
        try:
            return inline_or_store(text, prediction_id, name)
        except Unavailable as error:
            log.warning("A large %s of %s stays in its row: %s", name, prediction_id, error.detail)
    return text.decode()


def replace(kept: str, text: bytes, prediction_id: UUID, name: str) -> str:
    """The text for the row's column in place of `kept`. Raises Unavailable.

    If that refers to an object, the new text still names it, so that any process can delete it later
    (`delete_replaced_object`).
    """
    if not kept.startswith(REFERENCE):
        return inline_or_store(text, prediction_id, name)
    return f"{_stored(text, prediction_id, name)}{_INSTEAD_OF}{keys(kept)[0]}"


def has_no_replaced_object(kept: str) -> bool:
    """Whether the replaced object, if there was one, is deleted."""
    return not kept.startswith(REFERENCE) or _INSTEAD_OF not in kept


def delete_replaced_object(kept: str) -> str:
    """Delete the replaced objects; returns the new text for the row's column. Raises Unavailable."""
    current, *obsolete = keys(kept)
    for key in obsolete:
        artifacts.remove_or_raise(key)
    return f"{REFERENCE}{current}"


def fetch(kept: str) -> str | bytes:
    """The JSON text for what `inline_or_store` returned. Raises Unavailable."""
    if not kept.startswith(REFERENCE):
        return kept
    with _recorded_reachability():
        return artifacts.get(keys(kept)[0])


def discard(kept: Iterable[str | None]) -> None:
    """Delete the objects of rows that were deleted already; one that cannot be deleted is logged and stays."""
    artifacts.remove([key for text in kept if text and text.startswith(REFERENCE) for key in keys(text)])


def delete(*kept: str | None) -> None:
    """Delete the objects of rows that are deleted afterwards. Raises Unavailable when one cannot be deleted."""
    for text in kept:
        if text and text.startswith(REFERENCE):
            for key in keys(text):
                artifacts.remove_or_raise(key)


def folders() -> list[str]:
    """The folders of this service: new objects are stored in the first, those of its earlier keys in the others.

    Raises Unavailable when the database does not answer, which is asked once per process.
    """
    keys_of_service = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    made_at = database_made_at(connection.settings_dict["NAME"])
    return [f"{_FOLDER}/{_service(key, made_at)}" for key in keys_of_service]


@lru_cache(maxsize=8)
def database_made_at(_name: str) -> datetime:
    """When the first migration was applied: no two databases have this moment in common, but copies of one."""
    from django.db.migrations.recorder import MigrationRecorder

    try:
        made_at: datetime = MigrationRecorder(connection).migration_qs.aggregate(at=Min("applied"))["at"]
    except AnyDatabaseError as error:
        raise Unavailable("The database does not tell when it was made.") from error
    return made_at


@lru_cache(maxsize=8)
def _service(secret_key: str, made_at: datetime) -> str:
    """A name from which the key cannot be computed."""
    facts = f"mlserve payloads {made_at.timestamp():.6f}".encode()
    return hmac.new(secret_key.encode(), facts, hashlib.sha256).hexdigest()[:16]


def keys(kept: str) -> list[str]:
    """The key of the object that is referred to first, then those that it replaces."""
    return kept.removeprefix(REFERENCE).split(_INSTEAD_OF)


def prediction_of(key: str) -> UUID | None:
    """The prediction that an object in one of `folders` belongs to; None for a key that no prediction made."""
    parts = key.split("/")
    try:
        return UUID(parts[3]) if len(parts) == 5 else None
    except ValueError:
        return None


def _stored(text: bytes, prediction_id: UUID, name: str) -> str:
    key = f"{folders()[0]}/{prediction_id.hex[-3:]}/{prediction_id}/{name}-{uuid4().hex[:8]}.json"
    with _recorded_reachability():
        artifacts.require_there()  # files written where a disk is not mounted would be hidden once it is
        artifacts.put(key, text)
    return f"{REFERENCE}{key}"


@contextmanager
def _recorded_reachability() -> Iterator[None]:
    """Around a use of the storage: record in `unreachable` whether it answered."""
    try:
        yield
    except Unavailable as error:
        if error.may_pass:
            unreachable.begin(_FOLDER)
        raise
    unreachable.end(_FOLDER)
