"""Which version serves: one small query per request; what never changes comes from this process's memory.

The query reads all that can change (what is live, who may see it, the model's title), so a promotion that has been
committed is seen by the very next look-up of every process.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

from django.db import Error as DatabaseError
from django.db.models import QuerySet

from mlserve.errors import NotAdmitted, Unavailable
from mlserve.prepared import Parameter, PreparedQuery
from registry.models import Model, ModelVersion
from registry.publishing.admission import Admitted, why_not_admitted
from registry.storage.digest import Digest

_MOST_VERSIONS = 256


class Identity(NamedTuple):
    """The state of a version and its model that can change. Its fields are look-ups from a version.

    None of them is stored behind the large columns of a version's row, which a database would have to read first.
    """

    pk: int
    status: str
    sha256: str
    model__name: str
    model__title: str
    model__description: str
    model__is_public: bool
    model__is_default: bool


def find_version(model: str | None, tag: str | None, *, only_public: bool = False) -> ModelVersion | None:
    """The live version, or the one with this tag, of a model (None: of the default one). None when there is none.

    With `only_public` also None for a private model, at the same cost. The object is shared between threads: read only.
    """
    row = _QUERIES[model is not None, tag is not None].first(model=model, tag=tag)
    try:
        if row is None or (only_public and not Identity._make(row).model__is_public):
            return None
        version = version_of(Identity._make(row))
    except ModelVersion.DoesNotExist:  # deleted a moment ago
        return None
    # If the version had to be read, its model may have become private since the look-up.
    return None if only_public and not version.model.is_public else version


def version_by_id(version_id: int) -> ModelVersion:
    """The version with this id. Raises ModelVersion.DoesNotExist."""
    row = _BY_ID.first(id=version_id)
    if row is None:
        raise ModelVersion.DoesNotExist
    return version_of(Identity._make(row))


def require_admitted(version: ModelVersion) -> Admitted:
    """The artifact that this service admitted under the version, read from its row.

    Raises NotAdmitted when the row names other bytes than `version`, or its signature is not valid; Unavailable when
    the database does not answer.
    """
    fields = ("sha256", "size_bytes", "artifact_format", "admission")
    try:
        row = ModelVersion.objects.filter(pk=version.pk).values_list(*fields).first()
    except DatabaseError as error:
        raise Unavailable(f"The database did not say whether {version.tag} was admitted: {error}") from error
    if row is None:
        raise NotAdmitted("The version was deleted; its artifact is not loaded any more.")
    sha256, size_bytes, artifact_format, admission = row
    admitted = Admitted(Digest(sha256, size_bytes), artifact_format)
    reason = why_not_admitted(admitted, admission)
    if not reason and admitted.digest != Digest(version.sha256, version.size_bytes):
        reason = "is another artifact's than was asked for: the row was changed a moment ago"
    if reason:
        name, tag = version.model.name, version.tag
        raise NotAdmitted(
            f"{name} {tag} was not admitted by this service: its signature {reason}. "
            f"`.venv/bin/python manage.py admit_models {name} --tag {tag}` inspects it again."
        )
    return admitted


def forget_all() -> None:
    """Drop every version from memory."""
    _versions.clear()


def version_of(identity: Identity) -> ModelVersion:
    """The version in that state, with its model; without the columns that only reports and golden checks read.

    Raises ModelVersion.DoesNotExist when it has been deleted.
    """
    version = _versions.get(identity)
    if version is None:
        version = ModelVersion.objects.without_bulk().select_related("model").get(pk=identity.pk)
        _versions[_identity(version)] = version
        while len(_versions) > _MOST_VERSIONS:
            _versions.popitem(last=False)
    return version


def _identity(version: ModelVersion) -> Identity:
    """The identity of a version as it was read, which may be newer than the one that was looked up."""
    model = version.model
    return Identity(
        version.pk, version.status, version.sha256,
        model.name, model.title, model.description, model.is_public, model.is_default,
    )  # fmt: skip


def _by_id() -> "QuerySet[Any, Any]":
    versions = ModelVersion.objects.filter(pk=Parameter("id", ModelVersion._meta.pk)).order_by()
    return versions.values_list(*Identity._fields)


def _query(is_named: bool, is_tagged: bool) -> "QuerySet[Any, Any]":
    versions = ModelVersion.objects.order_by()
    if is_named:
        versions = versions.filter(model__name=Parameter("model", Model._meta.get_field("name")))
    else:
        versions = versions.filter(model=Model.objects.ordered_for_default().values("pk")[:1])
    if is_tagged:
        versions = versions.filter(tag=Parameter("tag", ModelVersion._meta.get_field("tag")))
    else:
        versions = versions.live()
    return versions.values_list(*Identity._fields)


_versions: OrderedDict[Identity, ModelVersion] = OrderedDict()
_BY_ID = PreparedQuery(_by_id)
_QUERIES = {
    (is_named, is_tagged): PreparedQuery(lambda named=is_named, tagged=is_tagged: _query(named, tagged))  # type: ignore[misc]
    for is_named in (True, False)
    for is_tagged in (True, False)
}
