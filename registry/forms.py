"""The admin's forms: upload a version, compare two; and the tables in which a version is shown."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin

from mlserve.errors import ArtifactRejected, MlserveError, TagTaken
from registry.golden import same_answer
from registry.incoming import submission_of
from registry.inspection import Submission
from registry.json_schema import types_of
from registry.models import Model, ModelVersion, validate_name
from registry.publishing import Published, Upload, publish
from registry.report import Report, report_from_json

PROMOTE = "registry.change_modelversion"
_CHANGE_MODEL = "registry.change_model"
_FILES = ("artifact", "schema", "sample", "form")

User = AbstractBaseUser | AnonymousUser


class UploadForm(forms.Form):
    """One upload. `publish` runs it; a refusal becomes errors of this form and, from an inspection, `report`."""

    model = forms.CharField(
        max_length=100,
        widget=forms.TextInput(attrs={"list": "model-names", "autocomplete": "off"}),
        help_text="One that exists, or a new name: letters, digits, '.', '_' and '-'.",
    )
    tag = forms.CharField(max_length=100, help_text="Names this version for ever, such as 1.0.")
    artifact = forms.FileField(help_text="The fitted pipeline: pickle or joblib.")
    schema = forms.FileField(
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".py,.json"}),
        help_text="What one raw record may be: validation.py or a JSON Schema. Read from the pipeline when absent.",
    )
    class_name = forms.RegexField(
        r"\A[^\W\d]\w*\Z",
        initial="RawData",
        required=False,
        label="Class in the schema file",
        error_messages={"invalid": "This is not the name of a Python class."},
        help_text="For validation.py: the pydantic class of one record.",
    )
    sample = forms.FileField(
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.json"}),
        help_text="Some raw rows, CSV or JSON. The inspection predicts them and keeps the answers.",
    )
    form = forms.FileField(
        required=False,
        label="Form configuration",
        widget=forms.ClearableFileInput(attrs={"accept": ".json"}),
        help_text="JSON with titles, labels and widgets of the web form. Made from the schema when absent.",
    )
    title = forms.CharField(max_length=200, required=False, help_text="For people. Empty: leave it as it is.")
    is_public = forms.NullBooleanField(required=False, label="Who may use the model")
    promote = forms.BooleanField(required=False, label="Promote at once", help_text="Live as soon as it is registered.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.report: Report | None = None
        self.fields["is_public"].widget = forms.Select(
            choices=[
                ("", f"Leave it as it is; a new model: {settings.MLSERVE_NEW_MODELS}"),
                ("true", "Public: anyone, without signing in"),
                ("false", "Private: signed-in users"),
            ]
        )
        if not has_permission(user, PROMOTE):
            del self.fields["promote"]

    def clean_model(self) -> str:
        return self._valid_name("model", "model name")

    def clean_tag(self) -> str:
        return self._valid_name("tag", "tag")

    def clean(self) -> dict[str, Any]:
        """What changes an existing model needs the same permission as on the model's own page."""
        data = self.cleaned_data
        changes = [name for name in ("title", "is_public") if data.get(name) not in (None, "")]
        if changes and self._may_not_change(data.get("model")):
            for name in changes:
                self.add_error(name, f"The model exists, and your account lacks {_CHANGE_MODEL}. Leave this empty.")
        return data

    def publish(self) -> Published | None:
        """Publish what the cleaned form asks for. None when it was refused; takes as long as the inspection."""
        try:
            with submission_of({name: self.cleaned_data[name] for name in _FILES}) as submission:
                return publish(self._upload(submission))
        except ArtifactRejected as error:
            self.report = report_from_json(error.report)
            self.add_error(None, f"Refused, nothing was stored. {error.detail}")
        except MlserveError as error:
            self.add_error("tag" if isinstance(error, TagTaken) else None, error.detail)
        return None

    def _upload(self, submission: Submission) -> Upload:
        data = self.cleaned_data
        schema = submission.schema
        if schema is not None and data["class_name"]:
            submission = replace(submission, schema=replace(schema, class_name=data["class_name"]))
        return Upload(
            model=data["model"],
            tag=data["tag"],
            submission=submission,
            title=data["title"] or None,
            is_public=data["is_public"],
            promote=data.get("promote", False),
            uploaded_by=self.user.get_username(),
        )

    def _may_not_change(self, model: str | None) -> bool:
        return not has_permission(self.user, _CHANGE_MODEL) and Model.objects.filter(name=model).exists()

    def _valid_name(self, field: str, what: str) -> str:
        name: str = self.cleaned_data[field]
        validate_name(name, what)
        return name


class ComparisonForm(forms.Form):
    """Which other version of the same model."""

    other = forms.ModelChoiceField(ModelVersion.objects.none(), label="Compare with", empty_label=None)

    def __init__(self, *args: Any, version: ModelVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version
        others = version.model.versions.exclude(pk=version.pk).select_related("model")
        self.fields["other"].queryset = others  # type: ignore[attr-defined]

    def comparison(self) -> "Comparison":
        """Both versions of the valid form side by side."""
        return compare(self.version, self.cleaned_data["other"])


def has_permission(user: User, permission: str) -> bool:
    return isinstance(user, PermissionsMixin | AnonymousUser) and user.has_perm(permission)


# --- Tables ------------------------------------------------------------------------------------------------
_EXACT_INTEGERS = 2**53
_LIMITS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}", "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "pattern": "matches {}", "format": "{}",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnLine:
    """One column as the schema has it, in words."""

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
    """The same thing of two versions; '' where one lacks it."""

    name: str
    left: str
    right: str
    differs: bool


@dataclass(frozen=True)
class Comparison:
    """`answers` are those that differ among the `shared_rows` sample rows that both versions have."""

    sections: dict[str, list[Pair]]
    shared_rows: int
    answers: list[Pair]


def shown(value: Any) -> str:
    """A JSON value for people, floats with eight digits: more would only show the noise of another sum's order."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < _EXACT_INTEGERS else f"{value:.8g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return value if isinstance(value, str) else json.dumps(value)


def tables_of(version: ModelVersion) -> dict[str, Any]:
    """What the version's page shows beside its plain fields."""
    outputs = [name for name, answers in version.golden_outputs.items() if answers]
    names = version.record_schema.names
    rows = [
        [*(shown(row.get(name)) for name in names), *(shown(version.golden_outputs[name][index]) for name in outputs)]
        for index, row in enumerate(version.sample_rows)
    ]
    return {
        "columns": column_lines(version),
        "environment": environment_lines(version),
        "sample": {"inputs": names, "outputs": outputs, "rows": rows},
        "schema_json": json.dumps(version.ordered_schema(), indent=2, ensure_ascii=False),
        "form_json": json.dumps(version.form_config, indent=2, ensure_ascii=False) if version.form_config else "",
    }


def column_lines(version: ModelVersion) -> list[ColumnLine]:
    schema = version.record_schema
    lines = []
    for column in schema.columns:
        node = schema.properties[column.name]
        kind, is_nullable = types_of(node)
        is_required = column.name in schema.json_schema["required"]
        lines.append(ColumnLine(column.name, kind, column.dtype, is_nullable, is_required, _limits(node)))
    return lines


def environment_lines(version: ModelVersion) -> list[dict[str, str]]:
    """Versions of each package at the training (where the artifact tells), at the inspection, and here and now."""
    trained = version.environment.get("trained_with", {})
    inspected = version.environment.get("inspected_with", {})
    lines = []
    for name in {**inspected, **trained}:
        here = _installed(name)
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
    sections = {
        name: _pairs(describe(left), describe(right))
        for name, describe in (
            ("Version", _facts), ("Columns", _columns), ("Environment", _environment), ("Inspection", _checks),
            ("Form configuration", _form),
        )
    }  # fmt: skip
    ours, theirs = _answers(left), _answers(right)
    shared = [row for row in ours if row in theirs]
    other = [row for row in shared if not same_answer(ours[row], theirs[row])]
    answers = [Pair(row, shown(ours[row]), shown(theirs[row]), differs=True) for row in other]
    return Comparison(sections, len(shared), answers)


def _limits(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return "one of " + ", ".join(shown(value) for value in node["enum"] if value is not None)
    return ", ".join(sentence.format(shown(node[key])) for key, sentence in _LIMITS.items() if key in node)


def _installed(package: str) -> str:
    try:
        return platform.python_version() if package == "python" else installed_version(package)
    except PackageNotFoundError:
        return "not installed"


def _pairs(left: Mapping[str, str], right: Mapping[str, str]) -> list[Pair]:
    both = [(name, left.get(name, ""), right.get(name, "")) for name in {**left, **right}]
    return [Pair(name, ours, theirs, ours != theirs) for name, ours, theirs in both]


def _facts(version: ModelVersion) -> dict[str, str]:
    return {
        "status": version.get_status_display(),
        "uploaded": f"{version.uploaded_at:%Y-%m-%d %H:%M} by {version.uploaded_by or 'nobody named'}",
        "size": f"{version.size_bytes:,} bytes",
        "SHA-256": version.sha256,
        "format": version.artifact_format,
        "fitted on": version.container,
        "outputs": shown(version.outputs),
        "classes": shown(version.class_labels),
        "batchable": "yes" if version.is_batchable else "no",
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
    """What passed has nothing to compare but the seconds that it took."""
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
