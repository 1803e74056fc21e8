"""What the second database runs."""

import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.selection import meets_the_database, starts_no_service


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


def test_it_counts_what_stays_in_this_process_to_the_unit_part(request: pytest.FixtureRequest, db: None) -> None:
    assert starts_no_service(request.node)


def test_it_counts_no_test_to_the_unit_part_that_needs_a_server(request: pytest.FixtureRequest, aws: object) -> None:
    assert not starts_no_service(request.node)


def test_it_counts_no_flow_to_the_unit_part() -> None:
    flow = "tests/flows/test_containers.py"
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-n", "0", "--unit"]

    done = subprocess.run([*command, flow], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    assert "deselected" in done.stdout
