"""What a form asks: one question per column, from the form configuration, else from the schema. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from predictions.pages.suggestions import LONGEST_SUGGESTION
from registry.schema.flattening import types_of
from registry.schema.long_lists import long_lists
from registry.schema.record import RecordSchema
from registry.schema.row_files import cell_value

if TYPE_CHECKING:
    from registry.schema.form_config import FieldConfig, FormConfig

# In one field, and in all of a form; more are fetched while a person types.
_FIRST_SUGGESTIONS, _MOST_SUGGESTIONS = 50, 500
_WORDS = {True: "Yes", False: "No"}


@dataclass(frozen=True)
class Choice:
    """One value to choose; `text` is what the browser posts for it."""

    text: str
    label: str
    value: Any


@dataclass(frozen=True)
class Question:
    """How one column is asked for. `control` is the configured widget, which may not suit the column.

    A column with too many choices (`is_long`) is typed into; `suggestions` are some of what can be typed.
    """

    name: str
    label: str
    help: str
    limits: str
    node: dict[str, Any]
    is_required: bool
    control: str | None
    choices: tuple[Choice, ...]
    is_long: bool
    suggestions: tuple[Choice, ...]
    minimum: Any
    maximum: Any
    step: float | None
    placeholder: str
    initial: Any

    @property
    def kind(self) -> str:
        return types_of(self.node)[0]

    @property
    def is_nullable(self) -> bool:
        return types_of(self.node)[1]

    @property
    def must_be_filled(self) -> bool:
        return self.is_required and not self.is_nullable

    @property
    def may_be_empty(self) -> bool:
        return not self.must_be_filled

    @property
    def empty_label(self) -> str:
        """The label of the choice that gives no answer."""
        if self.is_nullable:
            return "not known"
        return "choose" if self.is_required else "not given"

    def add_answer(self, text: str, record: dict[str, Any]) -> None:
        """Put the value that `text` stands for into `record`; the schema judges it.

        Empty is null where the column allows it. Elsewhere the column is left out, so that the schema says
        that it is required, or its default applies.
        """
        if text.strip():
            record[self.name] = self._value_of(text)
        elif self.is_nullable:
            record[self.name] = None

    def text_for(self, value: Any) -> str:
        """The text that posts `value`."""
        chosen = [choice.text for choice in self.choices if choice.value == value]
        return chosen[0] if chosen else text_of(value)

    def _value_of(self, text: str) -> Any:
        chosen = [choice.value for choice in self.choices if choice.text == text]
        return chosen[0] if chosen else cell_value(self.node, text)


@dataclass(frozen=True)
class Section:
    """Questions under one heading."""

    title: str
    questions: tuple[Question, ...]


def sections_of(schema: RecordSchema, config: "FormConfig") -> list[Section]:
    """The configured sections in their order; columns that none of them names follow in one more."""
    from registry.schema.form_config import FieldConfig  # pydantic takes a tenth of a second to import

    named = {field.name for section in config.sections for field in section.fields}
    parts = [(section.title or "", section.fields) for section in config.sections]
    if others := [FieldConfig(name=name) for name in schema.names if name not in named]:
        parts.append(("More" if named else "", others))
    offers = {field.name: _offered(schema.properties[field.name], field) for _, fields in parts for field in fields}
    long = long_lists(offers)
    most = _MOST_SUGGESTIONS // max(_MOST_SUGGESTIONS // _FIRST_SUGGESTIONS, len(long))
    suggestions = {name: offers[name][:most] for name in long}
    return [
        Section(
            title, tuple(_question(schema, field, offers[field.name], suggestions.get(field.name)) for field in fields)
        )
        for title, fields in parts
    ]


def offered_texts(schema: RecordSchema, config: "FormConfig", name: str) -> list[str]:
    """The text of everything that a column offers to choose, as its field posts it."""
    from registry.schema.form_config import FieldConfig

    fields = (field for section in config.sections for field in section.fields if field.name == name)
    node = schema.properties[name]
    return [choice.text for choice in _choices(node, _offered(node, next(fields, FieldConfig(name=name))))]


def text_of(value: Any) -> str:
    """A JSON value as a field shows and posts it: '' for null, whole floats without '.0', text as it is."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return orjson.dumps(value).decode()


def humanised(name: str) -> str:
    """`bill_length_mm` as 'Bill length mm'."""
    words = re.sub(r"[\s_.-]+", " ", name).strip() or name
    return words[0].upper() + words[1:]


def _question(
    schema: RecordSchema, field: "FieldConfig", offered: Sequence[Any], suggested: Sequence[Any] | None
) -> Question:
    """`suggested` are some of what is offered, where that is too much to be listed."""
    is_long = suggested is not None
    node = schema.properties[field.name]
    lowest = node.get("minimum", node.get("exclusiveMinimum", field.min))
    highest = node.get("maximum", node.get("exclusiveMaximum", field.max))
    return Question(
        name=field.name,
        label=field.label or node.get("title") or humanised(field.name),
        help=field.help or node.get("description") or "",
        limits=_number_of(offered, node) if is_long else _limits(node, lowest, highest),
        node=node,
        is_required=field.name in schema.json_schema["required"],
        control=field.widget,
        choices=() if is_long else _choices(node, offered),
        is_long=is_long,
        suggestions=tuple(each for each in _choices(node, suggested or ()) if len(each.text) <= LONGEST_SUGGESTION),
        minimum=lowest if field.min is None else field.min,
        maximum=highest if field.max is None else field.max,
        step=field.step,
        placeholder=field.placeholder or "",
        initial=field.initial if "initial" in field.model_fields_set else node.get("default"),
    )


def _limits(node: Mapping[str, Any], lowest: Any, highest: Any) -> str:
    """The range of a number in a few words."""
    if "x-training-range" in node:
        low, high = node["x-training-range"]
        return f"Training range {_short(low)}–{_short(high)}."
    if lowest is not None and highest is not None:
        return f"Allowed: {_short(lowest)} to {_short(highest)}."
    if lowest is not None:
        return f"Allowed: {'more than' if 'exclusiveMinimum' in node else 'at least'} {_short(lowest)}."
    if highest is not None:
        return f"Allowed: {'less than' if 'exclusiveMaximum' in node else 'at most'} {_short(highest)}."
    if "x-training-usual" in node:
        return f"Around {_short(node['x-training-usual'][0])} in training."
    return ""


def _short(number: float) -> str:
    return text_of(number) if float(number).is_integer() else f"{number:.4g}"


def _number_of(offered: Sequence[Any], node: Mapping[str, Any]) -> str:
    """How many values a field offers that lists none of them."""
    return f"One of {len(offered):,} values." if "enum" in node else f"{len(offered):,} values are known."


def _offered(node: dict[str, Any], field: "FieldConfig") -> Sequence[Any]:
    offered: Sequence[Any] = field.choices or node.get("enum") or node.get("x-training-values") or ()
    return offered or ((True, False) if types_of(node)[0] == "boolean" else ())


def _choices(node: dict[str, Any], offered: Sequence[Any]) -> tuple[Choice, ...]:
    """What can be chosen. A configured choice is a value, `[value, label]` or `{"value": …, "label": …}`."""
    choices = (_choice(node, each) for each in offered)
    return tuple(choice for choice in choices if choice.value is not None)


def _choice(node: dict[str, Any], offered: Any) -> Choice:
    label = None
    if isinstance(offered, Mapping):
        offered, label = offered.get("value"), offered.get("label")
    elif isinstance(offered, list):
        offered, label = (*offered, None, None)[:2]
    value = offered
    if isinstance(value, str) and types_of(node)[0] != "string":
        value = cell_value(node, value)
    # An empty text means no answer, so that a blank string is posted in quotation marks.
    text = orjson.dumps(value).decode() if isinstance(value, str) and not value.strip() else text_of(value)
    if label is None:
        label = _WORDS[value] if isinstance(value, bool) else text
    return Choice(text, str(label), value)
