import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserve.site.identifiers import are_apart, identifiers, in_pascal_case
from registry.models import NAME_PATTERN


def test_it_keeps_what_is_an_identifier() -> None:
    assert identifiers(["penguins", "churn_2026"]) == {"penguins": "penguins", "churn_2026": "churn_2026"}


def test_it_tells_names_apart_that_differ_in_signs_only() -> None:
    names = ["penguins-eu", "penguins.eu", "penguins_eu", "PenguinsEU", "penguinseu"]

    found = identifiers(names)

    assert found["penguins-eu"] == "penguins_eu"
    assert all(found[name].startswith("penguins") for name in names)
    assert len({in_pascal_case(each) for each in found.values()}) == len(names)
    assert are_apart(list(found.values()))


def test_it_does_not_rename_when_another_model_comes() -> None:
    before = identifiers(["a-b", "a.b"])

    assert identifiers(["a-b", "a.b", "a_b", "c"]).items() >= before.items()


def test_it_begins_with_a_letter() -> None:
    assert identifiers(["2024-01"]) == {"2024-01": "model_2024_01"}
    assert in_pascal_case("model_2024_01") == "Model202401"


@given(st.lists(st.from_regex(rf"\A{NAME_PATTERN}\Z", fullmatch=True), unique=True, max_size=30))
def test_it_finds_one_for_any_names(names: list[str]) -> None:
    found = identifiers(names)

    assert list(found) == names
    assert are_apart(list(found.values()))
    for identifier in found.values():
        assert f"predict_{identifier}".isidentifier()
        assert f"{in_pascal_case(identifier)}Record".isidentifier()
        assert not keyword.iskeyword(f"predict_{identifier}")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Adelie", "Gentoo"], True),
        (["<=50K", ">50K"], False),
        (["A+", "A-"], False),
        (["a b", "a_b"], False),
        (["yes", "Yes"], False),
        (["+", "b"], False),
        (["größe", "grösse"], True),
        ([], True),
    ],
    ids=str,
)
def test_it_says_which_can_be_members_of_a_class(names: list[str], expected: bool) -> None:
    assert are_apart(names) is expected
