import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserve.errors import InvalidRows
from registry.pipelines.frames import rows_to_input
from registry.schema.record import MAX_LISTED_WARNINGS, RecordSchema
from registry.schema.row_errors import MAX_LISTED_ERRORS

SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "height": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "city": {"enum": ["Bern", "Basel", "Chur"]},
            "born": {"type": ["string", "null"], "format": "date"},
            "seen": {"type": ["string", "null"], "format": "date-time"},
            "member": {"type": ["boolean", "null"]},
        },
        "required": ["age", "city"],
    }
)
VALID = {"age": 39, "height": 1.8, "city": "Bern", "born": "1986-05-01", "seen": None, "member": True}


def schema_of(**properties: dict[str, Any]) -> RecordSchema:
    return RecordSchema.from_json_schema({"type": "object", "properties": properties, "required": list(properties)})


def refused(payload: Any, schema: RecordSchema = SCHEMA) -> dict[str, str]:
    """{pointer: detail} of the refusal."""
    with pytest.raises(InvalidRows) as refusal:
        schema.validated(payload)
    assert refusal.value.total == len(refusal.value.errors)
    return {error.pointer: error.detail for error in refusal.value.errors}


def test_it_takes_one_record() -> None:
    assert SCHEMA.validated(VALID) == [VALID]


def test_it_takes_a_list_of_records() -> None:
    assert SCHEMA.validated([VALID, {"age": 1, "city": "Chur"}]) == [VALID, {"age": 1, "city": "Chur"}]


@pytest.mark.parametrize(
    ("column", "value", "detail"),
    [
        ("age", "39", "must be a whole number"),
        ("age", 39.5, "must be a whole number"),
        ("age", None, "must be a whole number"),
        ("age", True, "must be a whole number"),
        ("age", [39], "must be a whole number"),
        ("age", -1, "must be at least 0"),
        ("age", 121, "must be at most 120"),
        ("height", False, "must be a number or null"),
        ("height", "1.80", "must be a number or null"),
        ("height", 0, "must be more than 0"),
        ("city", "Bsel", "must be 'Bern', 'Basel' or 'Chur'; did you mean 'Basel'?"),
        ("city", "BASEL", "must be 'Bern', 'Basel' or 'Chur'; did you mean 'Basel'?"),
        ("city", "Tokyo", "must be 'Bern', 'Basel' or 'Chur'"),
        ("member", 1, "must be true or false or null"),
        ("member", "true", "must be true or false or null"),
        ("born", "01.05.1986", "must be a date as 2026-01-31"),
        ("born", 1986, "must be a string or null"),
        (
            "seen",
            "yesterday",
            (
                "must be a date and time as 2026-01-31T12:00:00, without an offset (the model was trained on times "
                "without a zone)"
            ),
        ),
    ],
    ids=str,
)
def test_it_says_what_a_value_must_be(column: str, value: Any, detail: str) -> None:
    assert refused({**VALID, column: value}) == {f"#/{column}": detail}


def test_it_names_a_missing_column() -> None:
    assert refused({"city": "Bern"}) == {"#/age": "is required"}


def test_it_names_unknown_columns_and_guesses_what_was_meant() -> None:
    assert refused({**VALID, "Hieght": 1.8, "zzz": 1}) == {
        "#/Hieght": "is not a column of this model; did you mean 'height'?",
        "#/zzz": "is not a column of this model",
    }


def test_it_lists_every_error_of_a_record() -> None:
    assert set(refused({"age": "x", "height": -1, "colour": "red"})) == {"#/age", "#/height", "#/colour", "#/city"}


def test_it_points_at_the_row_in_a_list() -> None:
    assert set(refused([VALID, {**VALID, "age": -1}, VALID, {"city": "Bern"}])) == {"#/1/age", "#/3/age"}


def test_it_points_at_a_row_in_a_list_of_one() -> None:
    assert set(refused([{**VALID, "age": -1}])) == {"#/0/age"}


@pytest.mark.parametrize("row", [1, "text", None, [VALID], True], ids=str)
def test_it_wants_every_row_to_be_an_object(row: Any) -> None:
    assert refused([VALID, row]) == {"#/1": 'must be an object {"column": value, …}'}


@pytest.mark.parametrize("payload", [None, 3, "text", True, 1.5], ids=str)
def test_it_refuses_what_is_neither_a_record_nor_a_list(payload: Any) -> None:
    assert refused(payload) == {"#": "must be one record {…} or a list of records [{…}, …]"}


def test_it_refuses_an_empty_list() -> None:
    assert refused([]) == {"#": "must hold at least one record"}


@pytest.mark.parametrize(
    "value",
    ["2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:00", "2026-01-31T12:00:00.25", "0001-01-01T00:00:00"],
)
def test_it_takes_dates_and_times_as_iso_8601(value: str) -> None:
    assert SCHEMA.validated({**VALID, "seen": value})


@pytest.mark.parametrize("moment", ["2026-01-31T00:00:00", "2026-01-31 00:00", "2026-01-31T00:00:00.000"])
def test_it_takes_the_midnight_of_a_day_as_the_day(moment: str) -> None:
    """to_json(date_format="iso") and MLflow write a column of days so."""
    born = {**VALID, "born": "2026-01-31"}

    assert SCHEMA.validated({**VALID, "born": moment}) == [born]
    assert SCHEMA.validated([VALID, {**VALID, "born": moment}]) == [VALID, born]
    assert set(refused({**VALID, "born": moment.replace("00:00", "01:00", 1)})) == {"#/born"}


@pytest.mark.parametrize("offset", ["Z", "+01:00", ".123456-0530"])
def test_it_takes_an_offset_where_the_column_has_a_zone_and_only_there(offset: str) -> None:
    """Without a zone, the offset would have to be dropped or calculated with, and training did one of the two."""
    moment = "2026-01-31T12:00:00"
    zoned = schema_of(seen={"type": "string", "format": "date-time", "x-dtype": "datetime64[us, UTC]"})

    assert zoned.validated({"seen": f"{moment}{offset}"})
    assert "with its offset" in refused({"seen": moment}, zoned)["#/seen"]
    assert "trained on times without a zone" in refused({**VALID, "seen": f"{moment}{offset}"})["#/seen"]


@pytest.mark.parametrize(
    "value",
    ["", "2026", "2026-02-30", "2026-W05-1", "20260131", "20260131T120000", "2026-01-31x12:00:00", "12:00:00",
     "2026-01-31T25:00:00", "2026-01-31T12:00:60", "2026-01-31T12:00:00+01:30:15", "2026-01-31\n12:00:00",
     "2026-01-31T12:00:00Z ", "٢٠٢٦-01-31"],
    ids=repr,
)  # fmt: skip
def test_it_refuses_other_spellings_of_times(value: str) -> None:
    assert set(refused({**VALID, "seen": value})) == {"#/seen"}


@pytest.mark.parametrize(
    "value", ["2026-01-31T00:00:01", "2026-01-31T00:00:00Z", "20260131", "2026-W05-1", "2026-02-29", "31/01/2026", ""]
)
def test_it_refuses_other_spellings_of_dates(value: str) -> None:
    assert set(refused({**VALID, "born": value})) == {"#/born"}


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int64", -(2**63), 2**63 - 1),
        ("int8", -128, 127),
        ("Int32", -(2**31), 2**31 - 1),
        ("uint8", 0, 255),
        ("UInt16", 0, 65535),
    ],
)
def test_it_holds_the_limits_of_the_dtype(dtype: str, low: int, high: int) -> None:
    schema = schema_of(n={"type": "integer", "x-dtype": dtype})

    assert schema.validated([{"n": low}, {"n": high}])
    assert set(refused([{"n": low - 1}, {"n": high + 1}], schema)) == {"#/0/n", "#/1/n"}


def test_it_keeps_a_wider_limit_of_the_schema_within_the_dtype() -> None:
    assert refused({"n": 2**63}, schema_of(n={"type": "integer", "maximum": 1e30})) == {
        "#/n": "must be at most 9223372036854775807"
    }


def test_it_takes_one_point_zero_as_a_whole_number() -> None:
    assert SCHEMA.validated({**VALID, "age": 39.0})


def test_it_lists_a_hundred_errors_with_the_total() -> None:
    with pytest.raises(InvalidRows) as refusal:
        SCHEMA.validated([{"age": "x"}] * 80)

    assert len(refusal.value.errors) == MAX_LISTED_ERRORS == 100
    assert refusal.value.total == 160
    assert refusal.value.errors[-1].pointer.startswith("#/49/")


def test_it_counts_unknown_columns_one_by_one() -> None:
    with pytest.raises(InvalidRows) as refusal:
        SCHEMA.validated({**VALID, **{f"x{index}": 1 for index in range(50_000)}})

    assert len(refusal.value.errors) == MAX_LISTED_ERRORS
    assert refusal.value.total == 50_000


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("a/b", "#/a~1b"),
        ("a~b", "#/a~0b"),
        ("~1", "#/~01"),
        ("a b", "#/a%20b"),
        ("50%", "#/50%25"),
        ("größe", "#/gr%C3%B6%C3%9Fe"),
        ('a"b', "#/a%22b"),
        ("x#y?", "#/x%23y%3F"),
        ("0", "#/0"),
    ],
)
def test_it_escapes_names_in_pointers(name: str, pointer: str) -> None:
    schema = schema_of(**{name: {"type": "number"}})

    assert list(refused({name: "x"}, schema)) == list(refused({}, schema)) == [pointer]


def test_it_keeps_the_column_order_through_a_database_that_forgets_it() -> None:
    stored = json.loads(json.dumps(SCHEMA.json_schema, sort_keys=True))

    again = RecordSchema.from_stored(stored, json.loads(json.dumps(SCHEMA.stored_columns())), "frame")
    assert again.names == SCHEMA.names == ("age", "height", "city", "born", "seen", "member")
    assert list(again.json_schema["properties"]) == list(SCHEMA.names)
    assert again.columns == SCHEMA.columns
    assert again.validated(VALID) == [VALID]


def test_it_follows_a_given_column_order() -> None:
    raw = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}

    assert RecordSchema.from_json_schema(raw, order=["b", "a"]).names == ("b", "a")


WATCHED = schema_of(
    ranged={"type": ["number", "null"], "x-training-range": [17.0, 90.0]},
    usual={"type": "number", "x-training-usual": [100.0, 10.0]},
    city={"type": "string", "x-training-values": ["Bern", "Basel"]},
)
USUAL = {"ranged": 17, "usual": 140, "city": "Bern"}


def test_it_does_not_warn_of_what_training_saw() -> None:
    assert WATCHED.training_warnings([USUAL, {**USUAL, "ranged": None}]) == []


@pytest.mark.parametrize(
    ("column", "value", "detail"),
    [
        ("ranged", 91, "above the training maximum 90"),
        ("ranged", 16.5, "below the training minimum 17"),
        ("usual", 141, "far from what training saw (mean 100, deviation 10)"),
        ("usual", 59, "far from what training saw (mean 100, deviation 10)"),
        ("city", "Chur", "'Chur' was not seen in training"),
    ],
)
def test_it_warns_of_what_training_did_not_see(column: str, value: Any, detail: str) -> None:
    assert WATCHED.validated({**USUAL, column: value})

    warnings = WATCHED.training_warnings([USUAL, {**USUAL, column: value}])
    assert [warning.as_json() for warning in warnings] == [{"row": 1, "column": column, "detail": detail}]


def test_it_warns_in_row_order_up_to_a_limit() -> None:
    warnings = WATCHED.training_warnings([{**USUAL, "ranged": 1, "usual": 0}] * 80)

    assert len(warnings) == MAX_LISTED_WARNINGS
    assert [warning.row for warning in warnings[:3]] == [0, 0, 1]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["age", "city", "seen", "x"]), inner),
))  # fmt: skip
def test_it_either_takes_or_refuses_any_json(payload: Any) -> None:
    try:
        rows = SCHEMA.validated(payload)
    except InvalidRows as refusal:
        rows = [error.as_json() for error in refusal.errors]
    assert rows


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("1677-09-21T00:12:43", False),
        ("1677-09-21T00:12:44", True),
        ("2262-04-11T23:47:16Z", True),
        ("2262-04-11T23:47:16-00:01", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31", False),
    ],
)
def test_it_refuses_moments_that_nanoseconds_cannot_reach(value: str, fits: bool) -> None:
    is_zoned = "Z" in value or value.count(":") > 2
    node = {"type": "string", "format": "date-time", "x-dtype": f"datetime64[ns{', UTC' if is_zoned else ''}]"}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"at": node}, "required": ["at"]})

    if fits:
        data: Any = rows_to_input(schema, schema.validated([{"at": value}]))
        assert data.shape == (1, 1)
    else:
        with pytest.raises(InvalidRows) as refusal:
            schema.validated([{"at": value}])
        assert "between 1677-09-22 and 2262-04-11" in refusal.value.errors[0].detail
