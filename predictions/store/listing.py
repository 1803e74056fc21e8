"""Pages of predictions, newest first, whose cost does not grow with the table.

A page reads one index from its newest end. Conditions that the index does not cover are checked row by row, for a
limited number of rows. So a page may hold fewer predictions than asked for, even none, and still have a next page.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from mlserve.errors import NotFound
from mlserve.permissions import sees_everything
from predictions.models import Prediction, PredictionQuerySet
from predictions.status import Status
from registry.models import Model, ModelVersion

_MOST_EXAMINED, _MOST_AT_ONCE = 10_000, 1_000
# Each version is a separate range of its index. A model with more versions has so many predictions that reading the
# whole table finds them quickly.
_MOST_VERSIONS = 50
_UNUSED_ID = -1
_UNANSWERED = (Status.FAILED, Status.CANCELED, Status.EXPIRED)


@dataclass(frozen=True)
class Page:
    """`next` is where the following page starts, None after the last one."""

    ids: list[UUID]
    next: UUID | None


class _Entry(NamedTuple):
    """The columns that are read; fields have their names."""

    pk: UUID
    owner_id: int | None
    version_id: int
    status: str


@dataclass(frozen=True)
class Listing:
    """The predictions of all owners or of one (None: of callers without an account), filtered or not."""

    is_of_all_owners: bool = False
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
            entries = self._next_entries(older_than, limit)
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
            (self.is_of_all_owners or entry.owner_id == self.owner_id)
            and (self.versions is None or entry.version_id in self.versions)
            and (self.status is None or entry.status == self.status)
        )

    def _next_entries(self, older_than: UUID | None, limit: int) -> list[_Entry]:
        """The next entries of the index, merged if there are several ranges of it."""
        entries: list[_Entry] = []
        for path in self._ranges:
            rest = path.filter(pk__lt=older_than) if older_than else path
            entries += [_Entry._make(row) for row in rest.values_list(*_Entry._fields)[:limit]]
        return entries if len(self._ranges) == 1 else sorted(entries, reverse=True)[:limit]

    @cached_property
    def _ranges(self) -> list[PredictionQuerySet]:
        """Querysets that each read one index in the order of ids; together they have all that is listed.

        PostgreSQL tends to read the primary key and filter, since it assumes that the rows of a frequent value are
        spread evenly; for a retired version, or an owner who left, it would read millions of rows. So each queryset
        asks for the order of its own index, from the first column on, and filters by a second value that no row has:
        with one value only, PostgreSQL would drop the column from the order.
        """
        everything = Prediction.objects.order_by("-pk")
        if self.status == Status.QUEUED:
            return [everything.queued()]
        if self.status == Status.RUNNING:
            return [everything.running()]
        if self.is_of_all_owners and self.status in _UNANSWERED:
            return [everything.unanswered().filter(status__in=[self.status, ""]).order_by("status", "-pk")]
        if not self.is_of_all_owners:
            owned = Q(owner=None) if self.owner_id is None else Q(owner__in=[self.owner_id, _UNUSED_ID])
            path = everything.filter(owned).order_by("owner_id", "-pk")
            return [path.unanswered().filter(status=self.status) if self.status in _UNANSWERED else path]
        if self.versions is not None and len(self.versions) <= _MOST_VERSIONS:
            ordered = everything.order_by("version_id", "-pk")
            return [ordered.filter(version__in=[version, _UNUSED_ID]) for version in self.versions]
        return [everything]


def listing_for(
    user: AbstractBaseUser | AnonymousUser, *, model: str | None, tag: str | None, status: str | None
) -> Listing:
    """The listing for `user`: staff see all, other accounts their own, callers without one those of public models that
    were asked without one.

    Raises NotFound for a model or version that is not there, or that `user` may not see.
    """
    versions: QuerySet[ModelVersion] = ModelVersion.objects.order_by()
    if model:
        versions = versions.filter(model__name=model)
    if tag:
        versions = versions.filter(tag=tag)
    if not user.is_authenticated:
        versions = versions.filter(model__is_public=True)
    is_narrowed = bool(model or tag) or not user.is_authenticated
    ids = _ids(versions) if is_narrowed else None
    if (model or tag) and not ids:
        _require_present(user, model, tag)
    return Listing(is_of_all_owners=sees_everything(user), owner_id=user.pk, versions=ids, status=status)


def _require_present(user: AbstractBaseUser | AnonymousUser, model: str | None, tag: str | None) -> None:
    """Raise NotFound with the part of a filter that names nothing; one statement for a hidden model as well."""
    if not model:
        raise NotFound(f"There is no version {tag!r} of any model that you may use: the filter finds nothing.")
    if not Model.objects.visible_to(user).filter(name=model).exists():
        raise NotFound(f"There is no model {model!r}, or it is not yours to see. GET /api/models lists the models.")
    if tag:
        raise NotFound(f"The model {model!r} has no version {tag!r}. GET /api/models/{model}/versions lists them.")


def listing_of_model(model_id: int | None, status: str | None) -> Listing:
    """Those of all owners, for the admin."""
    versions = None if model_id is None else _ids(ModelVersion.objects.order_by().filter(model=model_id))
    return Listing(is_of_all_owners=True, versions=versions, status=status)


def _ids(versions: QuerySet[ModelVersion]) -> frozenset[int]:
    return frozenset(versions.values_list("pk", flat=True))
