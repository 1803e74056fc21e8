"""The admin's forms: upload a version, compare two."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms.utils import pretty_name

from mlserve.errors import ArtifactRejected, MlserveError, TagTaken
from registry.admin.comparison import Comparison, compare
from registry.inspection.report import Report, report_from_json
from registry.inspection.slots import inspect_in_request
from registry.inspection.version_request import version_request
from registry.inspection.wording import on_page
from registry.models import Model, ModelVersion, validate_name
from registry.publishing.publish import Published, log_published, publish
from registry.schema.row_files import SUFFIXES
from registry.uploads.incoming import MAX_SMALL_FILE_BYTES, received

PROMOTE = "registry.change_modelversion"
ALLOW_OTHER_VERSIONS = "registry.allow_other_versions"
_CHANGE_MODEL = "registry.change_model"
_FILES = ("schema", "sample", "expected", "form")

User = AbstractBaseUser | AnonymousUser


class DescriptionForm(forms.Form):
    """The fields of an upload that describe the artifact, without the artifact itself."""

    model = forms.CharField(
        max_length=100,
        widget=forms.TextInput(attrs={"list": "model-names", "autocomplete": "off"}),
        help_text="One that exists, or a new name: letters, digits, '.', '_' and '-'.",
    )
    tag = forms.CharField(max_length=100, help_text="Names this version for ever, such as 1.0.")
    schema = forms.FileField(
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".py,.json"}),
        help_text="What one raw record may be: validation.py or a JSON Schema. Read from the pipeline when absent.",
    )
    schema_class = forms.RegexField(
        r"\A[^\W\d]\w*\Z",
        initial="RawData",
        required=False,
        label="Class in the schema file",
        error_messages={"invalid": "This is not the name of a Python class."},
        help_text="For validation.py: the pydantic class of one record.",
    )
    sample = forms.FileField(
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ",".join(SUFFIXES)}),
        help_text="Some raw rows: CSV with a header line, or JSON. The inspection predicts them and keeps the answers.",
    )
    expected = forms.FileField(
        required=False,
        label="Expected answers",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.json"}),
        help_text="What the pipeline answered to these rows where it was trained, CSV or JSON: "
        'pd.Series(pipeline.predict(X)).to_csv("expected.csv", index=False). The inspection compares.',
    )
    expected_column = forms.CharField(
        max_length=1000,
        required=False,
        strip=False,
        label="Column of answers",
        help_text="Instead of that file: the column of the sample that holds the expected answers. It is no input.",
    )
    form = forms.FileField(
        required=False,
        label="Form configuration",
        widget=forms.ClearableFileInput(attrs={"accept": ".json"}),
        help_text="JSON with titles, labels and widgets of the web form. Made from the schema when absent.",
    )
    title = forms.CharField(
        max_length=200, required=False, empty_value=None, help_text="For people. Empty: leave it as it is."
    )
    is_public = forms.NullBooleanField(required=False, label="Who may use the model")
    promote = forms.BooleanField(required=False, label="Promote at once", help_text="Live as soon as it is registered.")
    allow_other_versions = forms.BooleanField(
        required=False,
        label="Admit although another scikit-learn trained it",
        help_text="Its answers may differ from those at its training. Your name is kept with the version.",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["is_public"].widget = forms.Select(
            choices=[
                ("", f"Leave it as it is; a new model: {settings.MLSERVE_NEW_MODELS}"),
                ("true", "Public: anyone, without signing in"),
                ("false", "Private: signed-in users"),
            ]
        )
        for name, permission in (("promote", PROMOTE), ("allow_other_versions", ALLOW_OTHER_VERSIONS)):
            if not has_permission(user, permission):
                del self.fields[name]

    def clean_model(self) -> str:
        return self._valid_name("model", "model name")

    def clean_tag(self) -> str:
        return self._valid_name("tag", "tag")

    def clean(self) -> dict[str, Any]:
        """Changes of an existing model need the same permission as on the model's own page."""
        data = self.cleaned_data
        if data.get("expected") and data.get("expected_column"):
            self.add_error("expected_column", "Leave this empty, or send no file of expected answers.")
        changes = [name for name in ("title", "is_public") if data.get(name) not in (None, "")]
        may_change = has_permission(self.user, _CHANGE_MODEL)
        if changes and not may_change and Model.objects.filter(name=data.get("model")).exists():
            for name in changes:
                self.add_error(name, f"The model exists, and your account lacks {_CHANGE_MODEL}. Leave this empty.")
        return data

    def predictable_errors(self) -> list[dict[str, str]]:
        """The errors that `publish` would find without the artifact, as `field` ('' for none) and `detail`."""
        errors = [(name, str(sentence)) for name, listed in self.errors.items() for sentence in listed]
        for name in _FILES:
            try:
                with received({name: self.cleaned_data.get(name)}, most_bytes=MAX_SMALL_FILE_BYTES) as paths:
                    version_request({}, paths)
            except MlserveError as error:
                errors.append((name, error.detail))
        return [{"field": "" if name == NON_FIELD_ERRORS else name, "detail": detail} for name, detail in errors]

    def registered_sha256(self) -> str | None:
        """The SHA-256 of the artifact that is registered under the valid form's tag."""
        named = {"model__name": self.cleaned_data["model"], "tag": self.cleaned_data["tag"]}
        return ModelVersion.objects.filter(**named).values_list("sha256", flat=True).first()

    def _valid_name(self, field: str, what: str) -> str:
        name: str = self.cleaned_data[field]
        validate_name(name, what)
        return name


class UploadForm(DescriptionForm):
    """One upload. `publish` runs it; a refusal becomes errors of this form and, from an inspection, `report`."""

    artifact = forms.FileField(
        help_text="The fitted pipeline: skops, joblib or pickle. Also a zip of an MLflow model, or a model.tar.gz."
    )
    field_order = ("model", "tag", "artifact")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.report: Report | None = None

    def publish(self) -> Published | None:
        """Publish the artifact of the cleaned form. None when it was refused; takes as long as the inspection."""
        by = self.user.get_username()
        try:
            with received({name: self.cleaned_data[name] for name in ("artifact", *_FILES)}) as paths:
                request = version_request(self.cleaned_data, paths)
                published = publish(paths["artifact"], request, by=by, inspect=inspect_in_request)
        except ArtifactRejected as error:
            self.report = report_from_json(error.report).worded(on_this_page)
            self.add_error(None, f"Refused, nothing was stored. {on_this_page(error.detail)}")
            return None
        except MlserveError as error:
            self.add_error("tag" if isinstance(error, TagTaken) else None, error.detail)
            return None
        log_published(self.user, published, request, how="Uploaded")
        return published


def on_this_page(text: str) -> str:
    """A text of a report, with the fields of an upload called as in the form above."""
    labels = {name: str(each.label or pretty_name(name)) for name, each in DescriptionForm.base_fields.items()}
    return on_page(text, labels)


class ComparisonForm(forms.Form):
    """The choice of another version of the same model."""

    other = forms.ModelChoiceField(ModelVersion.objects.none(), label="Compare with", empty_label=None)

    def __init__(self, *args: Any, version: ModelVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version
        others = version.model.versions.exclude(pk=version.pk).select_related("model")
        self.fields["other"].queryset = others  # type: ignore[attr-defined]

    def comparison(self) -> Comparison:
        """Both versions of the valid form side by side."""
        return compare(self.version, self.cleaned_data["other"])


def has_permission(user: User, permission: str) -> bool:
    return isinstance(user, PermissionsMixin | AnonymousUser) and user.has_perm(permission)
