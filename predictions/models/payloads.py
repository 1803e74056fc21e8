"""Inputs and results as JSON: small ones in the row, large ones in the artifact storage with a reference in the row.

A row of megabytes would be copied at each step of its life, and make the table too large to keep in memory. Bytes
are stored before the row that refers to them, so a crash leaves at most an object without a row, which the sweep
deletes (predictions/store/payload_sweep.py). Keys are

    predictions/SERVICE/SHARD/PREDICTION/NAME-RANDOM.json

SERVICE is made from SECRET_KEY: a sweep must not delete what another service keeps in the same bucket. SHARD is the
random end of the prediction's id. Older rows refer to predictions/PREDICTION/NAME-RANDOM.json, which no sweep looks at.
"""

import hashlib
import hmac
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from uuid import UUID, uuid4

from django.conf import settings

from mlserve.errors import Unavailable
from predictions.batching.backoff import Backoff
from registry.storage import artifacts

log = logging.getLogger(__name__)

# No JSON text begins like this.
REFERENCE = "@"
# Between the key of an object and that of the object that it replaces and that is still to be deleted. No key holds it.
_INSTEAD_OF = "|"
_FOLDER = "predictions"
SHARDS = 16**3
# Whether the storage takes and gives payloads, as far as this process knows.
away: Backoff[str] = Backoff()


def inline_or_store(text: bytes, prediction_id: UUID, name: str) -> str:
    """What stands in the row for this JSON text: the text itself, or a reference. Raises Unavailable.

    Each call makes an object of its own: a second attempt must not overwrite what the first one's row refers to.
    """
    if len(text) <= settings.MLSERVE_ROW_BYTES:
        return text.decode()
    return _stored(text, prediction_id, name)


def store_or_inline(text: bytes, prediction_id: UUID, name: str) -> str:
    """As `keep`, but text that the storage does not take stays in the row, which is slower, but loses nothing."""
    if len(text) <= settings.MLSERVE_ROW_BYTES or not away.paused():
        try:
            return inline_or_store(text, prediction_id, name)
        except Unavailable as error:
            log.warning("A large %s of %s stays in its row: %s", name, prediction_id, error.detail)
    return text.decode()


def replace(kept: str, text: bytes, prediction_id: UUID, name: str) -> str:
    """What stands in the row instead of `kept`; not tidy where an object is replaced. Raises Unavailable.

    The old object is still named, so that any process that finds the row can delete it (`delete_replaced_object`).
    """
    if not kept.startswith(REFERENCE):
        return inline_or_store(text, prediction_id, name)
    return f"{_stored(text, prediction_id, name)}{_INSTEAD_OF}{keys(kept)[0]}"


def has_no_replaced_object(kept: str) -> bool:
    """Whether no object is left that this one replaces."""
    return not kept.startswith(REFERENCE) or _INSTEAD_OF not in kept


def delete_replaced_object(kept: str) -> str:
    """Delete the objects that were replaced; what stands in the row then. Raises Unavailable."""
    current, *obsolete = keys(kept)
    for key in obsolete:
        artifacts.remove_or_raise(key)
    return f"{REFERENCE}{current}"


def fetch(kept: str) -> str | bytes:
    """The JSON text for what `keep` gave. Raises Unavailable."""
    if not kept.startswith(REFERENCE):
        return kept
    with _noticed():
        return artifacts.get(keys(kept)[0])


def discard(kept: Iterable[str | None]) -> None:
    """Delete the objects that are referred to, after their rows; one that cannot be deleted is logged and stays."""
    artifacts.remove([key for text in kept if text and text.startswith(REFERENCE) for key in keys(text)])


def delete(*kept: str | None) -> None:
    """The same before their rows are deleted. Raises Unavailable where something stays."""
    for text in kept:
        if text and text.startswith(REFERENCE):
            for key in keys(text):
                artifacts.remove_or_raise(key)


def folders() -> list[str]:
    """Where the objects of this service lie: new ones in the first, those of its earlier keys in the others."""
    return [f"{_FOLDER}/{_service(key)}" for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=8)
def _service(secret_key: str) -> str:
    """A name that tells nothing about the key."""
    return hmac.new(secret_key.encode(), b"mlserve payloads", hashlib.sha256).hexdigest()[:16]


def keys(kept: str) -> list[str]:
    """The key of the object that is referred to first, then those that it replaces."""
    return kept.removeprefix(REFERENCE).split(_INSTEAD_OF)


def prediction_of(key: str) -> UUID | None:
    """Whose an object in one of `folders` is; None when no prediction made this key."""
    parts = key.split("/")
    try:
        return UUID(parts[3]) if len(parts) == 5 else None
    except ValueError:
        return None


def _stored(text: bytes, prediction_id: UUID, name: str) -> str:
    key = f"{folders()[0]}/{prediction_id.hex[-3:]}/{prediction_id}/{name}-{uuid4().hex[:8]}.json"
    with _noticed():
        artifacts.require_there()  # where a disk is not mounted, what is written now would be hidden later
        artifacts.put(key, text)
    return f"{REFERENCE}{key}"


@contextmanager
def _noticed() -> Iterator[None]:
    """Around a use of the storage."""
    try:
        yield
    except Unavailable as error:
        if error.may_pass:
            away.begin(_FOLDER)
        raise
    away.end(_FOLDER)
