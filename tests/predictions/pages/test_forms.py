"""predictions/pages/forms.py"""

from typing import Any

import pytest
from django.http import QueryDict

from mlserve.errors import FieldError, InvalidRows
from predictions.pages.forms import RecordForm
from registry.schema.form_config import FormConfig
from registry.schema.record import RecordSchema

SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0},
            "hours / week": {"type": ["number", "null"], "default": 40},
            "sex": {"enum": ["female", "male", None]},
            "smoker": {"type": "boolean"},
        },
        "required": ["age", "sex", "smoker"],
    }
)
POSTED = {"age": "39", "hours / week": "37.5", "sex": "female", "smoker": "on"}


def posted(**changes: str | None) -> RecordForm:
    data = QueryDict(mutable=True)
    data.update({name: text for name, text in {**POSTED, **changes}.items() if text is not None})
    return RecordForm(SCHEMA, FormConfig(), data=data)


def test_it_reads_a_record_of_typed_values() -> None:
    assert posted().record() == {"age": 39, "hours / week": 37.5, "sex": "female", "smoker": True}


def test_it_reads_empty_fields_as_null_or_as_absent() -> None:
    form = posted(age="", sex="", smoker=None, **{"hours / week": ""})

    assert form.record() == {"hours / week": None, "sex": None, "smoker": False}


def test_it_ignores_what_is_not_a_column() -> None:
    assert "csrfmiddlewaretoken" not in posted(csrfmiddlewaretoken="x").record()


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"age": ""}, {"age": ["Age is required."]}),
        ({"age": "old"}, {"age": ["Age must be a whole number."]}),
        ({"age": "-1"}, {"age": ["Age must be at least 0."]}),
        ({"hours / week": "x"}, {"hours / week": ["Hours / week must be a number or null."]}),
        ({"sex": "other"}, {"sex": ["Sex must be 'female' or 'male'."]}),
    ],
)
def test_it_shows_the_errors_of_the_schema_at_their_fields(changes: dict[str, str], errors: dict[str, Any]) -> None:
    form = posted(**changes)

    with pytest.raises(InvalidRows) as refused:
        SCHEMA.validated(form.record())
    form.show_errors(refused.value.errors)

    assert form.errors == errors
    assert [bound.name for bound in form.wrong_columns()] == list(errors)


def test_it_keeps_what_was_typed() -> None:
    form = posted(age="old")

    assert 'value="old"' in str(form["age"])
    assert 'value="37.5"' in str(form["hours / week"])


def test_it_shows_errors_without_a_field_above_all() -> None:
    form = posted()

    form.show_errors([FieldError("#/7/other", "is not a column of this model")])

    assert form.non_field_errors() == ["#/7/other is not a column of this model."]


def test_it_makes_ids_that_a_page_can_refer_to_whatever_the_columns_are_called() -> None:
    form = posted()
    form.show_errors([FieldError("#/hours%20~1%20week", "must be a number or null")])

    assert 'id="column-1"' in str(form["hours / week"])
    assert 'aria-describedby="column-1_error"' in str(form["hours / week"])


def test_it_begins_with_initial_values() -> None:
    form = RecordForm(SCHEMA, FormConfig())

    assert [bound.value() for bound in form] == [None, "40", None, None]


def test_it_begins_with_the_values_of_a_row() -> None:
    form = RecordForm(SCHEMA, FormConfig(), row={"age": 39.0, "hours / week": None, "sex": "male", "smoker": True})

    assert [bound.value() for bound in form] == ["39", "", "male", "true"]


def test_it_begins_with_the_default_where_a_row_left_the_column_out() -> None:
    form = RecordForm(SCHEMA, FormConfig(), row={"age": 39, "smoker": False})

    assert [bound.value() for bound in form] == ["39", "40", "", "false"]


@pytest.mark.parametrize("row", [{"age": 7, "hours / week": None, "sex": "male", "smoker": True}])
def test_it_posts_the_row_that_it_was_filled_with(row: dict[str, Any]) -> None:
    form = RecordForm(SCHEMA, FormConfig(), row=row)
    data = {bound.name: str(bound.value()) for bound in form}

    assert posted(**data).record() == row


def test_it_ends_the_help_before_it_tells_the_limits() -> None:
    config = FormConfig.model_validate({"sections": [{"fields": [{"name": "age", "help": "In years"}]}]})

    assert RecordForm(SCHEMA, config).fields["age"].help_text == "In years. Allowed: at least 0."
