"""A version with redacted columns, and the rows that its predictions are asked with."""

from typing import Any

from django.utils import timezone

from registry.models import ModelVersion
from registry.publishing import lookup

# Values that appear nowhere else.
ISLAND, MASS = "Biscoe", 4517.25


def with_redacted_columns(version: ModelVersion, **marks: str) -> ModelVersion:
    """The version as if its schema had been uploaded with these marks."""
    for column, kind in marks.items():
        version.schema["properties"][column]["x-stored"] = kind
    # A schema is cached under the time of its upload.
    ModelVersion.objects.filter(pk=version.pk).update(schema=version.schema, uploaded_at=timezone.now())
    lookup.forget_all()
    return ModelVersion.objects.select_related("model").get(pk=version.pk)


def record(penguin: dict[str, Any]) -> dict[str, Any]:
    return {**penguin, "island": ISLAND, "body_mass_g": MASS}
