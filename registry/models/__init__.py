"""The tables of the registry, where Django looks for them."""

from registry.models.direct_upload import DirectUpload
from registry.models.golden_check import GoldenCheck
from registry.models.incident import Incident
from registry.models.model import NAME_PATTERN, Model, ModelQuerySet, ModelVersion, Promotion, validate_name

__all__ = [
    "NAME_PATTERN",
    "DirectUpload",
    "GoldenCheck",
    "Incident",
    "Model",
    "ModelQuerySet",
    "ModelVersion",
    "Promotion",
    "validate_name",
]
