"""The start of `serve` and its database: it waits for a server that starts at the same time, and says what lacks."""

import logging
import time
from collections.abc import Callable

from django import db

from mlserve.conf.command_lines import manage
from mlserve.observability.database_errors import NOT_MIGRATED, trouble_of
from mlserve.observability.migrations import missing_migrations
from mlserve.observability.repeated_lines import log_again

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 2.0


def wait_for_database(
    *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return when the database can be asked. What does not pass by itself, such as a wrong password, is not waited for.

    Raises django.db.Error, after a minute at the latest.
    """
    until, is_said = clock() + _PATIENCE_SECONDS, False
    while True:
        try:
            db.connection.ensure_connection()
        except db.Error as error:
            trouble = trouble_of(error)
            if trouble is None or not trouble.may_pass or clock() >= until:
                raise
            if not is_said:
                log.warning("%s; waiting up to %.0f s for it", trouble.for_operators(error), _PATIENCE_SECONDS)
                is_said = True
            sleep(_PAUSE_SECONDS)
        else:
            return


def report_missing_migrations() -> None:
    """One line in the log when the database is not migrated: the service runs, but answers with 503."""
    try:
        missing = missing_migrations()
    except db.Error as error:
        if trouble_of(error) is not NOT_MIGRATED:
            raise
        missing = "it is empty"
    if missing:
        line = f"{NOT_MIGRATED.what} ({missing}): run {manage('migrate')}"
        log_again(log, logging.ERROR, line, about=NOT_MIGRATED.what)


def wait_until_migrated() -> None:
    """For workers, which can do nothing before it and would log an error for each try. Blocks without an end."""
    while not _is_migrated():
        db.connections.close_all()
        time.sleep(_LOOK_SECONDS)
    db.connections.close_all()


def _is_migrated() -> bool:
    try:
        return not missing_migrations()
    except db.Error as error:
        # Workers cope with a database that is away for a while.
        return trouble_of(error) is not NOT_MIGRATED
