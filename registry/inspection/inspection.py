"""What the checks of one inspection share: the request, and what they have found so far."""

from dataclasses import dataclass, field
from typing import Any

from registry.inspection.report import Check
from registry.pipelines.environment import installed_here
from registry.schema.record import RecordSchema, Row


class Failed(Exception):
    """Ends the inspection with a failed check."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.detail)
        self.check = check


@dataclass
class Inspection:
    """Each check takes it, adds what it found, and returns its Check or raises Failed."""

    request: dict[str, Any]
    # The other versions of scikit-learn by which it was trained, and that of here.
    trained_with: tuple[str, ...] = ()
    here: dict[str, str] = field(default_factory=installed_here)
    # Whether nothing but the version explains what failed.
    is_by_version: bool = False
    pipeline: Any = None
    schema: RecordSchema | None = None
    guessed: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    sample_size: int = 0
    sample_names: frozenset[str] = frozenset()
    layout: str = ""  # of the sample's file, as a sentence behind others
    answers: dict[str, list[Any]] = field(default_factory=dict)
    version_fields: dict[str, Any] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)

    def require_schema(self) -> RecordSchema:
        if self.schema is None:
            raise AssertionError("the check of the schema runs before those that need one")
        return self.schema
