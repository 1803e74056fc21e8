"""The form of a model: a Django form that holds texts and errors, while the schema alone validates."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.http import QueryDict

from mlserve.errors import FieldError
from predictions.pages.controls import UNKNOWN_SUFFIX, widget_for
from predictions.pages.questions import Question, sections_of
from registry.schema.privacy import MARK_KEY, mark_hint
from registry.schema.record import RecordSchema, Row
from registry.schema.violations import pointer

if TYPE_CHECKING:
    from registry.schema.form_config import FormConfig


class ColumnField(forms.Field):
    """Holds a text, which the schema validates."""

    def __init__(self, question: Question, text: str | None, position: int) -> None:
        super().__init__(
            required=False,
            widget=widget_for(question, text),
            label=question.label,
            help_text=_as_sentences(question.help, question.limits, mark_hint(question.node)),
            initial=text,
        )
        self.question, self.position = question, position


def _as_sentences(*texts: str) -> str:
    """The texts joined, each but the last ended by a full stop where it has none."""
    *before, last = [text for text in texts if text] or [""]
    return " ".join([text if text[-1] in ".!?:;…" else f"{text}." for text in before] + [last])


class BoundColumn(forms.BoundField):
    """A field of the page. Its ids are made from its position, because a column's name may hold anything."""

    field: ColumnField

    @property
    def auto_id(self) -> str:
        return f"column-{self.field.position}"

    @property
    def question(self) -> Question:
        return self.field.question

    @property
    def control(self) -> str:
        widget = self.field.widget
        return getattr(widget, "input_type", "textarea")

    @property
    def anchor(self) -> str:
        """The id of what takes the focus."""
        return f"{self.auto_id}_0" if self.control == "radio" else self.auto_id

    @property
    def list_id(self) -> str:
        """The id of the suggestions for what is typed into the field; "" for a field without."""
        return f"{self.auto_id}_list" if self.question.is_long and self.control in ("text", "number") else ""

    def build_widget_attrs(self, attrs: dict[str, Any], widget: forms.Widget | None = None) -> dict[str, Any]:
        return super().build_widget_attrs(attrs, widget) | ({"list": self.list_id} if self.list_id else {})

    @property
    def unknown_name(self) -> str:
        """The name of the checkbox beside a slider that may be left without a value."""
        return self.html_name + UNKNOWN_SUFFIX if self.question.may_be_empty else ""


class RecordForm(forms.Form):
    """One record as a form: unbound with the values of `row` (else the initial ones), or bound to what was posted."""

    bound_field_class = BoundColumn

    def __init__(
        self, schema: RecordSchema, config: "FormConfig", *, data: QueryDict | None = None, row: Row | None = None
    ) -> None:
        super().__init__(data)
        self._sections = sections_of(schema, config)
        questions = [question for section in self._sections for question in section.questions]
        for position, question in enumerate(questions):
            text = _initial_text(question, row) if data is None else data.get(question.name)
            self.fields[question.name] = ColumnField(question, text, position)

    def sections(self) -> Iterator[tuple[str, list[forms.BoundField]]]:
        for section in self._sections:
            yield section.title, [self[question.name] for question in section.questions]

    def record(self) -> Row:
        """What was posted as a record, in the order of the form; not validated."""
        record: Row = {}
        for bound in self._columns():
            bound.question.add_answer(bound.data or "", record)
        return record

    def show_errors(self, errors: Sequence[FieldError]) -> None:
        """Put each error of the schema at its field, and what belongs to none above them all."""
        self.full_clean()
        columns = {pointer(bound.name): bound for bound in self._columns()}
        for error in errors:
            bound = columns.get(error.pointer)
            if bound is None:
                self.add_error(None, f"{error.pointer} {error.detail}.")
            else:
                self.add_error(bound.name, f"{bound.label} {error.detail}.")

    def wrong_columns(self) -> list[BoundColumn]:
        return [bound for bound in self._columns() if bound.errors]

    def unkept_columns(self) -> list[BoundColumn]:
        """Those whose values are not kept, so that no earlier prediction can fill them in."""
        return [bound for bound in self._columns() if MARK_KEY in bound.question.node]

    def _columns(self) -> list[BoundColumn]:
        return [cast(BoundColumn, self[name]) for name in self.fields]


def _initial_text(question: Question, row: Row | None) -> str | None:
    """None when there is nothing to show, '' when a given row says that the value is not known."""
    value = question.initial if row is None else row.get(question.name, question.node.get("default"))
    if value is not None:
        return question.text_for(value)
    return None if row is None or not question.is_nullable else ""
