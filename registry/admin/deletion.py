"""What may not be deleted, and why: checked before Django collects the related rows."""

from django.conf import settings
from django.db import models

from registry.models import Model, ModelVersion


def why_kept(row: models.Model) -> str:
    """Why `row` must not be deleted; '' when it may be."""
    if isinstance(row, Model):
        return f"{row} has versions. Delete those first." if row.versions.exists() else ""
    if not isinstance(row, ModelVersion):
        return ""
    if row.is_live:
        return f"{row} is live. Promote another version first."
    if _is_referred_to(row):
        return (
            f"{row} has made predictions, which name it as their source. They are deleted "
            f"{settings.MLSERVE_RETENTION_DAYS} days after they ended (MLSERVE_RETENTION_DAYS); then it can be, too."
        )
    return ""


def _is_referred_to(version: ModelVersion) -> bool:
    """Found through the relations, since `registry` must not import `predictions`; Django would fetch all the rows."""
    relations = [
        field
        for field in ModelVersion._meta.get_fields(include_hidden=True)
        if isinstance(field, models.ManyToOneRel) and field.on_delete is models.PROTECT
    ]
    return any(
        relation.related_model._base_manager.filter(**{relation.field.name: version}).exists() for relation in relations
    )
