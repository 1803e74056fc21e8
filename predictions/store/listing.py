"""Pages of predictions, newest first, whose cost does not grow with the table.

A page walks one index from its newest end. Where that index knows less than was asked for, the rest is looked at row
by row, and after so many rows the page is handed out as it is: it may then hold fewer than asked for, even none, and
still lead on to a next one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from mlserve.permissions import sees_everything
from predictions.models import Prediction, PredictionQuerySet
from predictions.status import Status
from registry.models import ModelVersion

_MOST_EXAMINED, _MOST_AT_ONCE = 10_000, 1_000
# Each version has a place of its own in its index; a model with more than these is found in the whole table quickly.
_MOST_VERSIONS = 50
_NOBODYS_ID = -1
_UNANSWERED = (Status.FAILED, Status.CANCELED, Status.EXPIRED)


@dataclass(frozen=True)
class Page:
    """`next` is where the following page starts, None after the last one."""

    ids: list[UUID]
    next: UUID | None


class _Entry(NamedTuple):
    """Fields are the columns."""

    pk: UUID
    owner_id: int | None
    version_id: int
    status: str


@dataclass(frozen=True)
class Listing:
    """The predictions of everybody or of one owner (None: of callers without an account), narrowed or not."""

    is_everybodys: bool = False
    owner_id: int | None = None
    versions: frozenset[int] | None = None
    status: str | None = None

    def page(self, size: int, *, older_than: UUID | None = None) -> Page:
        """The newest `size` ids that are older than the given one."""
        if self.versions is not None and not self.versions:
            return Page([], None)
        found: list[UUID] = []
        examined, limit = 0, size + 1
        while examined < _MOST_EXAMINED:
            entries = self._walk(older_than, limit)
            found += [entry.pk for entry in entries if self._holds(entry)]
            if len(found) > size:
                return Page(found[:size], found[size - 1])
            if len(entries) < limit:
                return Page(found, None)
            older_than = entries[-1].pk
            examined += len(entries)
            limit = max(limit, min(4 * limit, _MOST_AT_ONCE))
        return Page(found, older_than)

    def _holds(self, entry: _Entry) -> bool:
        return (
            (self.is_everybodys or entry.owner_id == self.owner_id)
            and (self.versions is None or entry.version_id in self.versions)
            and (self.status is None or entry.status == self.status)
        )

    def _walk(self, older_than: UUID | None, limit: int) -> list[_Entry]:
        """The next entries along the index, or of all the places in it together."""
        entries: list[_Entry] = []
        for path in self._paths:
            rest = path.filter(pk__lt=older_than) if older_than else path
            entries += [_Entry._make(row) for row in rest.values_list(*_Entry._fields)[:limit]]
        return entries if len(self._paths) == 1 else sorted(entries, reverse=True)[:limit]

    @cached_property
    def _paths(self) -> list[PredictionQuerySet]:
        """Querysets that one index each answers in the order of ids; together they hold whatever is listed.

        PostgreSQL would rather walk the primary key and filter, in the hope that what is frequent is frequent
        everywhere; a version that was retired, or an owner who left, would let it walk over millions of rows. So each
        asks for the order of its own index, from its first column on, and names a second value that is nobody's:
        a column that is known to have one value only would count as no order.
        """
        everything = Prediction.objects.order_by("-pk")
        if self.status == Status.QUEUED:
            return [everything.queued()]
        if self.status == Status.RUNNING:
            return [everything.running()]
        if self.is_everybodys and self.status in _UNANSWERED:
            return [everything.unanswered().filter(status__in=[self.status, ""]).order_by("status", "-pk")]
        if not self.is_everybodys:
            owned = Q(owner=None) if self.owner_id is None else Q(owner__in=[self.owner_id, _NOBODYS_ID])
            path = everything.filter(owned).order_by("owner_id", "-pk")
            return [path.unanswered().filter(status=self.status) if self.status in _UNANSWERED else path]
        if self.versions is not None and len(self.versions) <= _MOST_VERSIONS:
            ordered = everything.order_by("version_id", "-pk")
            return [ordered.filter(version__in=[version, _NOBODYS_ID]) for version in self.versions]
        return [everything]


def listing_for(
    user: AbstractBaseUser | AnonymousUser, *, model: str | None, tag: str | None, status: str | None
) -> Listing:
    """What `user` finds in a listing: staff all, others their own, strangers what strangers asked of public models."""
    versions: QuerySet[ModelVersion] = ModelVersion.objects.order_by()
    if model:
        versions = versions.filter(model__name=model)
    if tag:
        versions = versions.filter(tag=tag)
    if not user.is_authenticated:
        versions = versions.filter(model__is_public=True)
    is_narrowed = bool(model or tag) or not user.is_authenticated
    return Listing(
        is_everybodys=sees_everything(user),
        owner_id=user.pk,
        versions=_ids(versions) if is_narrowed else None,
        status=status,
    )


def listing_of_model(model_id: int | None, status: str | None) -> Listing:
    """Everybody's, for the admin."""
    versions = None if model_id is None else _ids(ModelVersion.objects.order_by().filter(model=model_id))
    return Listing(is_everybodys=True, versions=versions, status=status)


def _ids(versions: QuerySet[ModelVersion]) -> frozenset[int]:
    return frozenset(versions.values_list("pk", flat=True))
