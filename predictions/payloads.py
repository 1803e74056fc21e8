"""Inputs and results as JSON: small ones in the row, large ones in the artifact storage with a reference in the row.

A row of megabytes would be copied at each step of its life, and make the table too large to keep in memory. Bytes
are stored before the row that refers to them, so a crash leaves at most an object that nobody needs.
"""

from collections.abc import Iterable
from uuid import UUID, uuid4

from django.conf import settings

from registry import storage

# No JSON text begins like this.
REFERENCE = "@"
_FOLDER = "predictions"


def keep(text: bytes, prediction_id: UUID, name: str) -> str:
    """What stands in the row for this JSON text: the text itself, or a reference. Raises Unavailable.

    Each call makes an object of its own: a second attempt must not overwrite what the first one's row refers to.
    """
    if len(text) <= settings.MLSERVE_ROW_BYTES:
        return text.decode()
    key = f"{_FOLDER}/{prediction_id}/{name}-{uuid4().hex[:8]}.json"
    storage.put(key, text)
    return f"{REFERENCE}{key}"


def fetch(kept: str) -> str | bytes:
    """The JSON text for what `keep` gave. Raises Unavailable."""
    return storage.get(kept.removeprefix(REFERENCE)) if kept.startswith(REFERENCE) else kept


def discard(kept: Iterable[str | None]) -> None:
    """Delete the objects that are referred to, after their rows; what cannot be deleted is logged and stays."""
    storage.remove([text.removeprefix(REFERENCE) for text in kept if text and text.startswith(REFERENCE)])
