"""All that is stored of an account's predictions: exported as lines of JSON, or erased.

Both walk the index of owners from its newest end, page by page, so that neither memory nor a transaction grows with
what was asked. Predictions that were asked without an account cannot be told apart by caller.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth.models import User
from django.utils import timezone

from mlserve.errors import NotFound, Unavailable
from mlserve.http.problems import with_absolute_type
from mlserve.http.renderers import dump_json
from mlserve.models import DeletedAccount
from predictions.models import Prediction, payloads

_AT_ONCE, _WALKED_AT_ONCE = 100, 1000
_NOBODYS_ID = -1
# A sweep looks at so many deleted accounts.
_MOST_FORGOTTEN = 100


@dataclass(frozen=True)
class Whose:
    """All predictions of an account, or those that were asked with one of its tokens."""

    owner: User | DeletedAccount
    token_id: int | None = None

    def __str__(self) -> str:
        made = "" if self.token_id is None else f" made with the token {self.token_id}"
        return f"{self.owner.get_username()}{made}"

    def pages(self, *, older_than: UUID | None = None) -> Iterator[list[UUID]]:
        """Their ids, newest first, at most `_AT_ONCE` together.

        Tokens are told apart here: PostgreSQL would rather read the whole table for a token than walk the owner's part
        of the index. It does walk if the owner could be another one, too.
        """
        found = Prediction.objects.filter(owner__in=[self.owner.pk, _NOBODYS_ID]).order_by("owner_id", "-pk")
        entries = found.values_list("pk", "token_id")
        while walked := list((entries if older_than is None else entries.filter(pk__lt=older_than))[:_WALKED_AT_ONCE]):
            ids = [pk for pk, token_id in walked if self.token_id in (None, token_id)]
            yield from (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
            older_than = walked[-1][0]


@dataclass(frozen=True)
class Erased:
    """`running` are being predicted at this moment and stay; `is_complete` unless the time was up before the end."""

    count: int
    running: int
    is_complete: bool


def of_user(name: str) -> Whose:
    """The account of this name, or else the one that was deleted last. Raises NotFound."""
    owner = User.objects.filter(username=name).first() or DeletedAccount.objects.filter(name=name).first()
    if owner is None:
        raise NotFound(f"There is no account {name!r}, and no predictions of a deleted one of this name.")
    return Whose(owner)


def of_user_id(user_id: int) -> Whose:
    """The account with this id, also a deleted one, whose name another account may have now. Raises NotFound."""
    owner = User.objects.filter(pk=user_id).first() or DeletedAccount.objects.filter(pk=user_id).first()
    if owner is None:
        raise NotFound(f"There is no account with the id {user_id}, and no predictions of a deleted one.")
    return Whose(owner)


def forget_deleted_accounts() -> int:
    """Delete the names of deleted accounts that have no predictions any more, of the oldest ones; how many."""
    oldest = DeletedAccount.objects.order_by("deleted_at")[:_MOST_FORGOTTEN]
    gone = [account.pk for account in oldest if not any(Whose(account).pages())]
    return DeletedAccount.objects.filter(pk__in=gone).delete()[0] if gone else 0


def of_token(token_id: int) -> Whose:
    """Raises NotFound. Also a revoked or expired token's."""
    owner = User.objects.filter(api_tokens=token_id).first()
    if owner is None:
        raise NotFound(f"There is no token {token_id}, or it is not yours to see.")
    return Whose(owner, token_id)


def export(
    whose: Whose, *, older_than: UUID | None = None, most: int | None = None, origin: str = ""
) -> Iterator[bytes]:
    """A line of JSON for each prediction, newest first: at most `most`, and only those before `older_than`.

    `origin` (https://models.example.com) makes the types of their problems absolute.

    What lies in a storage that does not answer, or is gone, is null, and named in the line's `unavailable`.
    """
    left = most
    for ids in whose.pages(older_than=older_than):
        wanted = ids if left is None else ids[:left]
        found = Prediction.objects.filter(pk__in=wanted).order_by("-pk").select_related("version__model").defer(*_BULK)
        yield from (_line(prediction, origin) for prediction in found)
        if left is not None:
            left -= len(wanted)
            if left <= 0:
                return


def erase(whose: Whose, *, seconds: float | None = None) -> Erased:
    """Delete the rows and their objects in the storage, for about `seconds` at most; again erases the rest.

    1. cancel what is queued    2. objects, which the rows still name if this process is killed here    3. rows

    Raises Unavailable when the storage does not answer; what was erased before stays erased.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    count = running = 0
    for ids in whose.pages():
        if deadline is not None and count and time.monotonic() > deadline:
            return Erased(count, running, is_complete=False)
        gone, busy = erase_page(ids)
        count, running = count + gone, running + busy
    return Erased(count, running, is_complete=running == 0)


def erase_page(ids: list[UUID]) -> tuple[int, int]:
    """(how many are gone, how many are running). Raises Unavailable when the storage does not answer."""
    for pk in Prediction.objects.queued().filter(pk__in=ids).values_list("pk", flat=True):
        Prediction.objects.cancel(pk, now=timezone.now())
    ended = Prediction.objects.filter(pk__in=ids, finished_at__isnull=False)
    rows = list(ended.values_list("pk", "inputs", "result"))
    for _, inputs, result in rows:
        payloads.delete(inputs, result)
    gone = Prediction.objects.filter(pk__in=[pk for pk, *_ in rows]).delete_rows()
    return gone, Prediction.objects.filter(pk__in=ids).running().count()


def _line(prediction: Prediction, origin: str) -> bytes:
    unavailable: list[str] = []
    return dump_json({
        "prediction_id": prediction.pk,
        "status": prediction.status,
        "model": prediction.version.model.name,
        "version": prediction.version.tag,
        "token": prediction.token_id,
        "created_at": prediction.created_at,
        "started_at": prediction.started_at,
        "finished_at": prediction.finished_at,
        "rows": prediction.row_count,
        "inputs": _fetched(prediction.inputs, "inputs", unavailable),
        "result": _fetched(prediction.result, "result", unavailable),
        "warnings": orjson.Fragment(prediction.warnings),
        "error": with_absolute_type(orjson.loads(prediction.error), origin) if prediction.error else None,
        "unavailable": unavailable,
    }) + b"\n"  # fmt: skip


def _fetched(kept: str | None, name: str, unavailable: list[str]) -> Any:
    if kept is None:
        return None
    try:
        return orjson.Fragment(payloads.fetch(kept))
    except Unavailable:
        unavailable.append(name)
        return None


_BULK = tuple(
    f"version__{name}" for name in ("schema", "columns", "parameters", "sample_rows", "golden_outputs", "report")
)
