"""The optional form configuration of a version: checked at upload, resolved when a page is made. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlserve.errors import BadUpload
from registry.schema.json_files import read_json

Widget = Literal["number", "range", "select", "radio", "checkbox", "text", "textarea", "date"]
_MOST_NAMED, _MOST_CHOICES = 20, 1_000
_Text = Annotated[str, Field(max_length=2000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldConfig(_Strict):
    """The form's field of one column; the schema gives what is absent."""

    name: _Text
    label: _Text | None = None
    help: _Text | None = None
    widget: Widget | None = None
    choices: list[Any] | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = Field(default=None, gt=0)
    placeholder: _Text | None = None
    initial: Any = None


class SectionConfig(_Strict):
    title: _Text | None = None
    fields: list[FieldConfig]


class ResultConfig(_Strict):
    title: _Text | None = None
    labels: dict[str, _Text] = {}


class FormConfig(_Strict):
    title: _Text | None = None
    description: _Text | None = None
    submit_label: _Text | None = None
    result: ResultConfig = ResultConfig()
    sections: list[SectionConfig] = []


def parse_form_config(text: str) -> dict[str, Any]:
    """The JSON of a form file as an object. Raises BadUpload."""
    try:
        loaded = read_json(text)
    except ValueError as error:
        raise BadUpload(f"The form configuration is not JSON: {error}.") from error
    if not isinstance(loaded, dict):
        raise BadUpload('The form configuration must be an object: {"title": …, "sections": […]}.')
    return loaded


def checked_form_config(raw: Mapping[str, Any], columns: Sequence[str]) -> FormConfig:
    """Raise BadUpload naming every wrong part, and every field that is not a column of the model."""
    try:
        config = FormConfig.model_validate(raw)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise BadUpload(f"The form configuration is wrong: {_some(wrong, '; ')}.") from error
    named = Counter(field.name for section in config.sections for field in section.fields)
    for field in (field for section in config.sections for field in section.fields):
        if len(field.choices or ()) > _MOST_CHOICES:
            raise BadUpload(
                f"The form configuration has {len(field.choices or ()):,} choices for {field.name}, at most "
                f"{_MOST_CHOICES:,} are possible. Leave them out: the form then suggests the values of the schema."
            )
    known = set(columns)
    if unknown := [name for name in named if name not in known]:
        raise BadUpload(
            f"The form configuration names {_some(unknown)}, which the schema lacks. Its columns: {_some(columns)}."
        )
    if repeated := sorted(name for name, times in named.items() if times > 1):
        raise BadUpload(f"The form configuration asks for {_some(repeated)} more than once.")
    return config


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(texts) - _MOST_NAMED:,} more" if len(texts) > _MOST_NAMED else ""
    return separator.join(texts[:_MOST_NAMED]) + more
