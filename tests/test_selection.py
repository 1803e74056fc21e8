"""What the second database runs."""

import pytest

from tests.selection import meets_the_database


def test_it_takes_what_asks_for_the_database(request: pytest.FixtureRequest, db: None) -> None:
    assert meets_the_database(request.node)


@pytest.mark.django_db(transaction=True)
def test_it_takes_what_is_marked(request: pytest.FixtureRequest) -> None:
    assert meets_the_database(request.node)


def test_it_takes_what_gets_it_by_way_of_another_fixture(request: pytest.FixtureRequest, penguins: object) -> None:
    assert meets_the_database(request.node)


def test_it_leaves_out_what_asks_for_nothing_of_it(request: pytest.FixtureRequest, penguin: object) -> None:
    assert not meets_the_database(request.node)


def test_it_leaves_out_what_is_on_postgres_in_any_case(request: pytest.FixtureRequest, postgres_url: str) -> None:
    assert not meets_the_database(request.node)
