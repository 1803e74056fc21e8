"""By how much two answers differ."""

from typing import Any

import pytest

from registry.pipelines.answer_differences import difference_text


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        pytest.param(10.0, 11.5, "+1.5 (+15 %)", id="more"),
        pytest.param(-10, -11, "-1 (-10 %)", id="below-zero"),
        pytest.param(0.0, 2.0, "+2", id="from-zero"),
        pytest.param(1.0, 1.0 + 1e-9, "", id="the-same"),
        pytest.param("a", "b", "", id="texts"),
        pytest.param(True, False, "", id="booleans"),
        pytest.param(None, 1.0, "", id="nothing"),
        pytest.param([1.0, 2.0], [1.0, 3.0], "2 +1 (+50 %)", id="outputs-count-from-1"),
        pytest.param([1.0], [1.0, 2.0], "", id="other-lengths"),
        pytest.param({"a": 0.9, "b": 0.1}, {"a": 0.5, "b": 0.5}, "a -0.4 (-44.4 %), b +0.4 (+400 %)", id="classes"),
        pytest.param({"a": 1.0}, {"a": 0.75, "c": 0.25}, "a -0.25 (-25 %), c +0.25", id="a-new-class"),
        pytest.param(
            {"predictions": "a", "probabilities": {"a": 0.5}},
            {"predictions": "b", "probabilities": {"a": 0.25}},
            "probabilities a -0.25 (-50 %)",
            id="an-answer",
        ),
        pytest.param([0.0] * 5, [5.0, 1.0, 4.0, 2.0, 3.0], "1 +5, 3 +4, 5 +3 and 2 more", id="the-greatest-first"),
    ],
)
def test_it_says_by_how_much(one: Any, other: Any, text: str) -> None:
    assert difference_text(one, other) == text
