"""Deletes payload objects that no row refers to: a process that dies between storing an object and writing its row, or
between replacing an object and deleting the old one, leaves such an object.

Listing a large bucket takes minutes, so that each sweep begins at a random place and looks at as much as fits into its
time. Keys are spread evenly (`payloads.folders`), so that each object has the same chance.
"""

import logging
import secrets
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from time import monotonic as _seconds_now
from uuid import UUID

from django.db import connection

from mlserve.errors import Unavailable
from predictions.models import Prediction, payloads
from registry.storage import artifacts

log = logging.getLogger(__name__)

# Younger objects are left alone, for their rows may be about to be written.
_LEAST_AGE = timedelta(days=1)
# A sweep makes room for predictions again after so long; what is left is a later one's.
_SECONDS = 2.0
_AT_ONCE = 500


def delete_unreferenced(*, now: datetime, seconds: float = _SECONDS) -> int:
    """How many objects it deleted, in about `seconds`. A storage that does not answer is left to the next sweep, and is
    not asked at all while it is known to be unreachable.
    """
    if payloads.unreachable.failing():
        return 0
    deadline, deleted = _seconds_now() + seconds, 0
    try:
        listed = _listed()
        while _seconds_now() < deadline and (batch := list(islice(listed, _AT_ONCE))):
            for key in _unreferenced(key for key, written_at in batch if written_at < now - _LEAST_AGE):
                if _seconds_now() > deadline:
                    break
                artifacts.remove_or_raise(key)
                deleted += 1
    except Unavailable as error:
        log.warning("Payloads without a row stay until the next sweep: %s", error.detail)
    return deleted


def _listed() -> Iterator[tuple[str, datetime]]:
    """Every object once, from a random shard on to the end, then from the beginning."""
    start = f"{secrets.randbelow(payloads.SHARDS):03x}"
    folders = payloads.folders()
    secrets.SystemRandom().shuffle(folders)  # those of earlier keys have their turn, too
    for folder in folders:
        yield from artifacts.listed(folder, after=start)
        for key, written_at in artifacts.listed(folder):
            if key >= f"{folder}/{start}":
                break
            yield key, written_at


def _unreferenced(keys: Iterable[str]) -> list[str]:
    """Objects from before this database was made can have no row in it.

    The first 48 bits of a prediction's id, a UUID of version 7, are the milliseconds of its time.
    """
    by_key = {key: prediction_id for key in keys if (prediction_id := payloads.prediction_of(key))}
    if not by_key:
        return []
    made_at = payloads.database_made_at(connection.settings_dict["NAME"]).timestamp() * 1000
    referenced = _referenced(set(by_key.values()))
    return [key for key, pk in by_key.items() if key not in referenced and pk.int >> 80 > made_at]


def _referenced(ids: Collection[UUID]) -> set[str]:
    """The keys that the rows with these ids refer to. Small payloads are not read."""
    rows = Prediction.objects.filter(pk__in=ids).order_by()
    texts = chain.from_iterable(
        rows.filter(**{f"{column}__startswith": payloads.REFERENCE}).values_list(column, flat=True)
        for column in ("inputs", "result")
    )
    return {key for text in texts for key in payloads.keys(text)}
