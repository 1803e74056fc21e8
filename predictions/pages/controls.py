"""The kinds of form widgets as a table: each knows which questions it suits, and makes the widget."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django import forms

from predictions.pages.questions import Question, text_of

# Ends the name of the checkbox that says "not known" beside a slider.
UNKNOWN_SUFFIX = "-unknown"
# Browsers post this for a checked box that has no value attribute.
_CHECKED = "on"
_LONG_TEXT = 200
# In steps: the rounding error that a number on a step may have.
_STEP_TOLERANCE = 1e-6
# What <input type=date> and <input type=datetime-local> can show; anything else they would show as empty.
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?")


class RangeInput(forms.NumberInput):
    """A slider. It always has a value, so a checkbox beside it says that the value is not known."""

    input_type = "range"

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        return "" if name + UNKNOWN_SUFFIX in data else data.get(name)


class CheckboxInput(forms.CheckboxInput):
    """A box for one of two values. An unchecked box posts nothing, which means the first value."""

    def __init__(self, values: tuple[str, str], attrs: dict[str, Any]) -> None:
        super().__init__(attrs, check_test=lambda text: text == values[1])
        self.values = values

    def format_value(self, value: Any) -> str:
        return self.values[1]

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        return self.values[data.get(name, self.values[0]) != self.values[0]]


@dataclass(frozen=True)
class Control:
    """One kind of widget. `suits` tells whether it can ask the question and show the text (None: nothing yet)
    unchanged; where it cannot, `otherwise` asks instead, so that no value is ever moved or lost by its widget.
    """

    make: Callable[[Question, str | None], forms.Widget]
    suits: Callable[[Question, str | None], bool]
    otherwise: str = "text"


def widget_for(question: Question, text: str | None) -> forms.Widget:
    """The configured control, else the one that fits the column, to show `text`."""
    name = question.control or _usual_control(question)
    while not CONTROLS[name].suits(question, text):
        name = CONTROLS[name].otherwise
    return CONTROLS[name].make(question, text)


def _usual_control(question: Question) -> str:
    if question.kind == "boolean" and (not question.may_be_empty or isinstance(question.initial, bool)):
        return "checkbox"
    if question.choices:
        return "select"
    if question.node.get("format") in ("date", "date-time") and not _has_zone(question):
        return "date"
    if question.kind == "string":
        return "textarea" if question.node.get("maxLength", 0) > _LONG_TEXT else "text"
    return "number"


def _typed_attrs(question: Question) -> dict[str, Any]:
    """Attributes of a field that is typed into."""
    attrs: dict[str, Any] = {"required": question.must_be_filled}
    return attrs | ({"placeholder": question.placeholder} if question.placeholder else {})


def _number_attrs(question: Question) -> dict[str, Any]:
    usual_step = "1" if question.kind == "integer" else "any"
    limits = {"min": question.minimum, "max": question.maximum}
    attrs = {name: text_of(limit) for name, limit in limits.items() if limit is not None}
    return attrs | {"step": text_of(question.step) or usual_step}


def _number(question: Question, text: str | None) -> forms.Widget:
    # A browser would refuse to post a number between the steps, though the schema may well allow it.
    step = {} if _is_on_step(question, text) else {"step": "any"}
    return forms.NumberInput(_number_attrs(question) | step | _typed_attrs(question))


def _is_number(question: Question, text: str | None) -> bool:
    return question.kind in ("number", "integer") and (not text or _finite(text) is not None)


def _range(question: Question, _text: str | None) -> forms.Widget:
    return RangeInput(_number_attrs(question))


def _is_on_slider(question: Question, text: str | None) -> bool:
    if not _is_number(question, text) or question.minimum is None or question.maximum is None:
        return False
    number = _finite(text or "")
    return number is None or (question.minimum <= number <= question.maximum and _is_on_step(question, text))


def _is_on_step(question: Question, text: str | None) -> bool:
    number = _finite(text or "")
    if number is None or not question.step:
        return True
    steps = (number - (question.minimum or 0)) / question.step
    return abs(steps - round(steps)) < _STEP_TOLERANCE


def _select(question: Question, text: str | None) -> forms.Widget:
    options = _options(question, text)
    if question.may_be_empty or not text:
        options.insert(0, ("", f"— {question.empty_label} —"))
    return forms.Select({"required": question.must_be_filled}, options)


def _radio(question: Question, text: str | None) -> forms.Widget:
    options = _options(question, text)
    if question.may_be_empty:
        options.append(("", question.empty_label))
    return forms.RadioSelect({"required": question.must_be_filled}, options)


def _options(question: Question, text: str | None) -> list[tuple[str, str]]:
    """(posted text, label) of each choice, and of a text that is none of them, so that it is not lost."""
    options = [(choice.text, choice.label) for choice in question.choices]
    if text and text not in dict(options):
        options.append((text, f"{text} (not one of the choices)"))
    return options


def _has_choices(question: Question, _text: str | None) -> bool:
    return bool(question.choices)


def _checkbox(question: Question, _text: str | None) -> forms.Widget:
    return CheckboxInput(cast(tuple[str, str], _two_texts(question)), {})


def _is_either(question: Question, text: str | None) -> bool:
    values = _two_texts(question)
    return values is not None and (text in (None, _CHECKED) or text in values)


def _two_texts(question: Question) -> tuple[str, str] | None:
    """The texts of unchecked and checked: false and true, 0 and 1, else the only two choices in their order."""
    if question.kind == "boolean":
        return ("false", "true")
    if len(question.choices) == 2:
        return (question.choices[0].text, question.choices[1].text)
    return ("0", "1") if question.kind in ("number", "integer") and not question.choices else None


def _text_input(question: Question, _text: str | None) -> forms.Widget:
    return forms.TextInput(_typed_attrs(question))


def _textarea(question: Question, _text: str | None) -> forms.Widget:
    return forms.Textarea({"rows": 4} | _typed_attrs(question))


def _date(question: Question, _text: str | None) -> forms.Widget:
    widget = forms.TextInput(_typed_attrs(question))
    widget.input_type = "datetime-local" if question.node.get("format") == "date-time" else "date"
    return widget


def _is_date(question: Question, text: str | None) -> bool:
    form = _DATE_TIME if question.node.get("format") == "date-time" else _DATE
    return question.kind == "string" and not _has_zone(question) and (not text or form.fullmatch(text) is not None)


def _has_zone(question: Question) -> bool:
    """Browsers have no control for a moment with its offset."""
    return "," in question.node.get("x-dtype", "")


CONTROLS: dict[str, Control] = {
    "number": Control(_number, _is_number),
    "range": Control(_range, _is_on_slider, otherwise="number"),
    "select": Control(_select, _has_choices, otherwise="number"),
    "radio": Control(_radio, _has_choices, otherwise="number"),
    "checkbox": Control(_checkbox, _is_either, otherwise="select"),
    "date": Control(_date, _is_date),
    "text": Control(_text_input, lambda _, text: "\n" not in (text or ""), otherwise="textarea"),
    "textarea": Control(_textarea, lambda *_: True),
}


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
