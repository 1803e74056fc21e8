"""Delete a model with its versions, and with or without the predictions that name them as their source."""

from dataclasses import dataclass

from django.conf import settings
from django.db import models, transaction
from django.db.models import ProtectedError

from registry.models import Model, ModelVersion
from registry.publishing.publish import retire
from registry.publishing.signals import predictions_unwanted

# A request of the admin ends soon enough for each proxy in front.
_ERASE_SECONDS = 15.0


@dataclass(frozen=True)
class Deleted:
    """The tags of what was deleted; `kept` are versions that predictions name, for which the model stays, too."""

    versions: list[str]
    kept: list[str]
    predictions: int = 0


def delete_model(model: Model, *, with_predictions: bool, by: str = "") -> Deleted:
    """Retire the live version, erase the predictions if that is asked for, delete versions and then the model.

    Versions that predictions name stay, retired, with the model: their predictions can be read until retention deletes
    them. That is so of all of them without `with_predictions`, and otherwise of those that are being predicted at this
    moment, that came meanwhile, or for which the time was too short. Raises Unavailable when the storage does not
    answer.
    """
    if model.versions.live().exists():
        retire(model.name, by=by)
    erased = 0
    if with_predictions:
        ids = list(model.versions.values_list("pk", flat=True))
        answers = predictions_unwanted.send(sender=Model, version_ids=ids, seconds=_ERASE_SECONDS)
        erased = sum(int(count or 0) for _, count in answers)
    gone: list[str] = []
    kept: list[str] = []
    for version in model.versions.without_bulk():
        (gone if _is_deleted(version) else kept).append(version.tag)
    if not kept:
        try:
            model.delete()
        except ProtectedError:  # a version was uploaded just now
            kept = list(model.versions.values_list("tag", flat=True))
    return Deleted(gone, kept, erased)


def predictions_of(versions: "models.QuerySet[ModelVersion]", *, most: int) -> int:
    """How many rows refer to these versions as their source; counts no further than `most` + 1."""
    ids = list(versions.values_list("pk", flat=True))
    # A second version, which no row has, lets PostgreSQL walk the index.
    return sum(
        len(rows.filter(**{f"{name}__in": [version_id, -1]}).values_list("pk")[: most + 1])
        for rows, name in _sources()
        for version_id in ids
    )


def is_referred_to(version: ModelVersion) -> bool:
    return any(rows.filter(**{name: version}).exists() for rows, name in _sources())


def retention_sentence(model: Model) -> str:
    """How long predictions of the model are kept, and by what."""
    days = settings.MLSERVE_RETENTION_DAYS
    if model.retention_days is not None and model.retention_days < days:
        return f"{model.retention_days} days after they ended (“Retention days” of the model)"
    return f"{days} days after they ended (MLSERVE_RETENTION_DAYS)"


def _sources() -> "list[tuple[models.Manager[models.Model], str]]":
    """Tables whose rows keep a version from being deleted: found through the relations, since `registry` must not
    import `predictions`; Django would fetch all the rows.
    """
    return [
        (field.related_model._base_manager, field.field.name)
        for field in ModelVersion._meta.get_fields(include_hidden=True)
        if isinstance(field, models.ManyToOneRel) and field.on_delete is models.PROTECT
    ]


def _is_deleted(version: ModelVersion) -> bool:
    if is_referred_to(version):
        return False
    try:
        with transaction.atomic():
            version.delete()
    except ProtectedError:  # a prediction came just now
        return False
    return True
