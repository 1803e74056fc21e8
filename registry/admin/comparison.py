"""A version as tables for its page, and two versions side by side."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from mlserve.units import duration_text, size_text
from registry.inspection.report import report_from_json
from registry.models import ModelVersion
from registry.pipelines.answer_differences import difference_text
from registry.pipelines.environment import installed
from registry.pipelines.golden_comparison import same_answer
from registry.publishing.admission import Admitted, why_not_admitted
from registry.schema.flattening import types_of
from registry.schema.long_lists import long_lists, without_long_lists
from registry.storage.digest import Digest

_EXACT_INTEGERS = 2**53
_MOST_GOLDEN_CHECKS = 20
_MOST_LISTED, _FIRST_OF_MANY, _MOST_OF_A_VALUE = 100, 5, 80
_MOST_CHARACTERS = 50_000
_LIMITS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}", "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "pattern": "matches {}", "format": "{}",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnLine:
    """One column of the schema, in words."""

    name: str
    kind: str
    dtype: str
    is_nullable: bool
    is_required: bool
    limits: str

    def __str__(self) -> str:
        notes = ["nullable"] * self.is_nullable + ["required"] * self.is_required
        return "; ".join(filter(None, [self.kind, self.dtype, *notes, self.limits]))


@dataclass(frozen=True)
class Pair:
    """The same thing of two versions; '' where one lacks it. `difference` says by how much numbers differ."""

    name: str
    left: str
    right: str
    differs: bool
    difference: str = ""


@dataclass(frozen=True)
class Comparison:
    """`sections` are in the order of interest. `answers` are those that differ among the `shared_rows` sample rows that
    both versions have. `notes` say of a section what could not be compared.
    """

    sections: dict[str, list[Pair]]
    shared_rows: int
    answers: list[Pair]
    notes: dict[str, str]

    @property
    def differences(self) -> dict[str, list[Pair]]:
        """The sections that differ, with what differs in them."""
        found = {name: [pair for pair in pairs if pair.differs] for name, pairs in self.sections.items()}
        return {name: pairs for name, pairs in found.items() if pairs}

    @property
    def answers_percent(self) -> str:
        """The share of the shared rows that have another answer."""
        return f"{100 * len(self.answers) / self.shared_rows:.3g} %" if self.shared_rows else ""


def shown(value: Any) -> str:
    """A JSON value as text, floats with eight digits: later ones depend on the order of a sum."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < _EXACT_INTEGERS else f"{value:.8g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(shown, value)) if len(value) <= _MOST_LISTED else _some_of(value)
    return value if isinstance(value, str) else json.dumps(value)


def _some_of(values: Sequence[Any]) -> str:
    """The first of many values, and a fingerprint by which two long lists can be told apart."""
    fingerprint = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:8]
    first = ", ".join(shown(value)[:_MOST_OF_A_VALUE] for value in values[:_FIRST_OF_MANY])
    return f"{first}, … ({len(values):,} in all, fingerprint {fingerprint})"


def tables_of(version: ModelVersion) -> dict[str, Any]:
    """What the version's page shows beside its plain fields."""
    outputs = [name for name, answers in version.golden_outputs.items() if answers]
    schema_address = reverse("version-schema", kwargs={"model": version.model.name, "tag": version.tag})
    names = version.record_schema.names
    rows = [
        [*(shown(row.get(name)) for name in names), *(shown(version.golden_outputs[name][index]) for name in outputs)]
        for index, row in enumerate(version.sample_rows)
    ]
    return {
        "columns": column_lines(version),
        "environment": environment_lines(version),
        "admission": admission_sentence(version),
        "golden_checks": version.golden_checks.all()[:_MOST_GOLDEN_CHECKS],
        "sample": {"inputs": names, "outputs": outputs, "rows": rows},
        "schema_json": _indented(without_long_lists(version.ordered_schema(), f"{schema_address}?format=json")),
        "schema_address": schema_address,
        "form_json": _indented(version.form_config) if version.form_config else "",
    }


def _indented(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}\n…"


def admission_sentence(version: ModelVersion) -> str:
    """Whether it may be loaded, and which user allowed an exception."""
    admitted = Admitted(Digest(version.sha256, version.size_bytes), version.artifact_format)
    if reason := why_not_admitted(admitted, version.admission):
        command = f".venv/bin/python manage.py admit_models {version.model.name} --tag {version.tag}"
        return f"Not admitted, so it cannot be loaded: its signature {reason}. {command} inspects it again."
    if version.other_versions_allowed_by:
        return f"Admitted, although another scikit-learn trained it: {version.other_versions_allowed_by} allowed it."
    return "Admitted: it passed the inspection, and has this service's signature."


def column_lines(version: ModelVersion) -> list[ColumnLine]:
    schema = version.record_schema
    long = long_lists({name: node["enum"] for name, node in schema.properties.items() if "enum" in node})
    lines = []
    for column in schema.columns:
        node = schema.properties[column.name]
        kind, is_nullable = types_of(node)
        is_required = column.name in schema.json_schema["required"]
        lines.append(
            ColumnLine(column.name, kind, column.dtype, is_nullable, is_required, _limits(node, column.name in long))
        )
    return lines


def environment_lines(version: ModelVersion) -> list[dict[str, str]]:
    """Versions of each package at the training (where the artifact has it), at the inspection, and in this process."""
    trained = version.environment.get("trained_with", {})
    inspected = version.environment.get("inspected_with", {})
    lines = []
    for name in {**inspected, **trained}:
        here = installed(name) or "not installed"
        known = {trained.get(name, here), inspected.get(name, here), here}
        lines.append(
            {
                "name": name,
                "trained": trained.get(name, "–"),
                "inspected": inspected.get(name, "–"),
                "here": here,
                "note": "≠ differs" if len(known) > 1 else "= same",
            }
        )
    return lines


def compare(left: ModelVersion, right: ModelVersion) -> Comparison:
    """What differs, and what is the same: the pipeline first, then what it takes, answers and costs."""
    sections = {
        name: _pairs(describe(left), describe(right))
        for name, describe in (
            ("Estimator", _estimators), ("Parameters", _parameters), ("Schema", _columns), ("Answers", _outputs),
            ("Size and timings", _costs), ("Version", _facts), ("Environment", _environment),
            ("Inspection", _checks), ("Form configuration", _form),
        )
    }  # fmt: skip
    # Pipelines have hundreds of parameters, nearly all of them with the default of their class.
    sections["Parameters"] = [pair for pair in sections["Parameters"] if pair.differs]
    ours, theirs = _answers(left), _answers(right)
    shared = [row for row in ours if row in theirs]
    answers = [
        Pair(
            f"Row {number}: {row}", shown(ours[row]), shown(theirs[row]), True, difference_text(ours[row], theirs[row])
        )
        for number, row in enumerate(ours, start=1)
        if row in theirs and not same_answer(ours[row], theirs[row])
    ]
    return Comparison(sections, len(shared), answers, _notes(left, right))


def _notes(left: ModelVersion, right: ModelVersion) -> dict[str, str]:
    """Versions from before parameters were recorded have none."""
    without = [version for version in (left, right) if version.parameters is None]
    commands = ", ".join(f"manage.py admit_models {version.model.name} --tag {version.tag}" for version in without)
    if not without:
        return {}
    return {
        "Parameters": f"Not recorded when {', '.join(version.tag for version in without)} was inspected: {commands}"
    }


def _estimators(version: ModelVersion) -> dict[str, str]:
    named = (version.parameters or {}).get("estimators", {})
    return {name or "the whole": kind for name, kind in named.items()}


def _parameters(version: ModelVersion) -> dict[str, str]:
    values: dict[str, str] = (version.parameters or {}).get("values", {})
    return values


def _outputs(version: ModelVersion) -> dict[str, str]:
    return {"outputs": shown(version.outputs), "classes": shown(version.class_labels)}


def _costs(version: ModelVersion) -> dict[str, str]:
    """As measured once, at the inspection."""
    facts = report_from_json(version.report).facts
    rows = len(version.sample_rows)
    return {
        "size": size_text(version.size_bytes),
        "loading": duration_text(facts.get("load_seconds")),
        f"predicting {rows} sample row{'s' if rows != 1 else ''}": duration_text(facts.get("predict_seconds")),
    }


def _limits(node: Mapping[str, Any], is_long: bool) -> str:
    if "enum" in node:
        values = [value for value in node["enum"] if value is not None]
        return f"one of {_some_of(values) if is_long else ', '.join(map(shown, values))}"
    return ", ".join(sentence.format(shown(node[key])) for key, sentence in _LIMITS.items() if key in node)


def _pairs(left: Mapping[str, str], right: Mapping[str, str]) -> list[Pair]:
    both = [(name, left.get(name, ""), right.get(name, "")) for name in {**left, **right}]
    return [Pair(name, ours, theirs, ours != theirs) for name, ours, theirs in both]


def _facts(version: ModelVersion) -> dict[str, str]:
    return {
        "status": version.get_status_display(),
        "uploaded": f"{version.uploaded_at:%Y-%m-%d %H:%M} by {version.uploaded_by or 'an unnamed user'}",
        "SHA-256": version.sha256,
        "format": version.artifact_format,
        "fitted on": version.container,
        "batchable": "yes" if version.is_batchable else "no",
        "another scikit-learn allowed by": version.other_versions_allowed_by or "–",
    }


def _columns(version: ModelVersion) -> dict[str, str]:
    return {"order": ", ".join(version.record_schema.names), **{each.name: str(each) for each in column_lines(version)}}


def _environment(version: ModelVersion) -> dict[str, str]:
    return {
        f"{package} {when}": text
        for key, when in (("trained_with", "at the training"), ("inspected_with", "at the inspection"))
        for package, text in version.environment.get(key, {}).items()
    }


def _checks(version: ModelVersion) -> dict[str, str]:
    """Details only of checks that did not pass: those of passed ones differ in seconds only."""
    checks = report_from_json(version.report).checks
    return {
        each.question: each.status if each.status == "passed" else f"{each.status}: {each.detail}" for each in checks
    }


def _form(version: ModelVersion) -> dict[str, str]:
    config = version.form_config or {}
    fields = [field for section in config.get("sections", ()) for field in section["fields"]]
    words = {name: shown(value) for name, value in config.items() if name != "sections"}
    return words | {
        f"field {field['name']}": shown({key: value for key, value in field.items() if key != "name"})
        for field in fields
    }


def _answers(version: ModelVersion) -> dict[str, dict[str, Any]]:
    """What each sample row gave under each output, by the row in words."""
    outputs = {name: answers for name, answers in version.golden_outputs.items() if answers}
    return {
        shown(row): {name: answers[index] for name, answers in outputs.items()}
        for index, row in enumerate(version.sample_rows)
    }
