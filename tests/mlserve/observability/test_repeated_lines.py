import logging
from functools import partial

import pytest

from mlserve.observability import repeated_lines
from mlserve.observability.repeated_lines import log_again

log = logging.getLogger("repeated")


def test_it_writes_a_line_once_a_while(caplog: pytest.LogCaptureFixture) -> None:
    for now in (0.0, 1.0, 599.0, 601.0):
        log_again(log, logging.WARNING, "gone", clock=partial(float, now))
        log_again(log, logging.WARNING, "other", clock=partial(float, now))

    assert [record.message for record in caplog.records] == ["gone", "other", "gone", "other"]


def test_it_takes_lines_about_the_same_for_one(caplog: pytest.LogCaptureFixture) -> None:
    for table in ("a", "b"):
        log_again(log, logging.ERROR, f"no table {table}", about="tables")

    assert [record.message for record in caplog.records] == ["no table a"]


def test_it_remembers_no_more_than_some() -> None:
    for number in range(1000):
        log_again(log, logging.DEBUG, str(number))

    assert len(repeated_lines._until) <= 100
