"""Columns that are needed."""

import pytest

from mlserve.errors import BadUpload
from registry.tables.columns import alike, require_columns


def test_it_accepts_other_columns_and_gaps() -> None:
    require_columns([{"a": 1, "id": 7}, {"b": 2}], ["a", "b"], "the pipeline")


def test_it_needs_an_optional_column_only_where_it_is_written_otherwise() -> None:
    require_columns([{"a": 1, "id": 7}], ["a"], "the schema", optional=["a", "b"])

    with pytest.raises(BadUpload, match=r"absent: b\. It writes 'B' for 'b'"):
        require_columns([{"a": 1, "B": 7}], ["a"], "the schema", optional=["a", "b"])


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"id": 1}, "Columns that the pipeline needs are absent: rooms, living area. It has id."),
        ({}, "There are no columns."),
        (
            {"ROOMS": 1, "living_area": 2},
            "It writes 'ROOMS' for 'rooms', 'living_area' for 'living area': name columns alike.",
        ),
        ({"rooms": 1, " Living  Area": 2}, "are absent: living area. It writes ' Living  Area' for 'living area'"),
    ],
)
def test_it_names_what_is_absent_and_what_was_meant(row: dict[str, int], sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        require_columns([row], ["rooms", "living area"], "the pipeline")

    assert sentence in refusal.value.detail


def test_it_keeps_a_refusal_short() -> None:
    with pytest.raises(BadUpload) as refusal:
        require_columns([{"x" * 100_000: 1}], [f"column{index}" for index in range(70_000)], "the pipeline")

    assert len(refusal.value.detail) < 1000
    assert "and 69980 more" in refusal.value.detail


def test_it_compares_letters_however_they_are_composed() -> None:
    assert alike(["Gro\u0308\u00dfe (m²)"], ["größe_m2"]) == {"Gro\u0308\u00dfe (m²)": "größe_m2"}


def test_it_does_not_compare_punctuation_only() -> None:
    assert alike(["-"], ["+"]) == {}
