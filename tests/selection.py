"""pytest plugin: which tests a run takes, and in which order. It decides by what a test asks for, its fixtures.

The unit part (`--unit`) starts no service: it is run with every Python and every installer that is supported.

The second database (`--database postgres`) runs what meets a database: SQL, locks, transactions, migrations and flows.
Everything else does the same on both, and has run on the first one.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_FLOWS = Path(__file__).resolve().parent / "flows"
# Fixtures whose tests use the database of the run: pytest-django's (not the mark `django_db`), and those that
# start a service on it or ask which one it is.
_MEET_IT = {"db", "transactional_db", "live_server", "prepared", "service", "database"}
# Fixtures whose tests would meet it, but show nothing about it.
_OF_NO_ACCOUNT = {
    "postgres_url",  # is there in both runs
    "browser",  # what a browser makes of a page that the test client has fetched on both
    "on_sqs",  # the queue is all that matters
    "redis",  # the same
    "served",  # what the web server makes of bytes; what is strange in SQL, test_openapi_abuse.py sends
    "harmed",  # about processes that models take along
}


# Fixtures that start a service: ours, a database server, a stand-in for AWS or Redis, a browser; and those that need an
# environment beside that of the tests.
_SERVICES = {
    "service", "prepared", "live_server", "served", "shared", "postgres_url", "redis", "remote_queue", "queue_kind",
    "_aws_server", "region", "browser", "deploy_python", "mlflow_models", "image",
}  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="only the tests that start no service")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than there are processors, because flows wait for their services half of the time."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 1 + (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)


def meets_the_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    has_mark = item.get_closest_marker("django_db") is not None
    return (has_mark or bool(fixtures & _MEET_IT)) and not fixtures & _OF_NO_ACCOUNT


def starts_no_service(item: pytest.Item) -> bool:
    return _FLOWS not in item.path.parents and not _SERVICES & set(getattr(item, "fixturenames", ()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.database == "postgres":
        _take(config, items, meets_the_database)
    if config.option.unit:
        _take(config, items, starts_no_service)
    # The long ones first, so that no process still runs one when the others have nothing left.
    items.sort(key=lambda item: _FLOWS not in item.path.parents)


def _take(config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], bool]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = [item for item in items if wanted(item)]
