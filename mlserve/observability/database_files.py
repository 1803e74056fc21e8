"""An SQLite database whose files are deleted or replaced while it is open: what is written is lost, without an
error.
"""

import logging
from pathlib import Path

from django.db import connection

from mlserve.errors import Unavailable
from mlserve.processes.open_files import lost_database_files

log = logging.getLogger(__name__)


def require_database_files() -> None:
    """Raise Unavailable where this process writes to files that are not the database's any more."""
    if connection.vendor != "sqlite":
        return
    # The first query of a thread opens the files; those of other threads are open already.
    if lost := lost_database_files(Path(connection.settings_dict["NAME"])):
        raise Unavailable(
            f"{' and '.join(lost)} was deleted or replaced while the service has it open, so that what it writes is "
            "lost or not seen by all its processes. Stop the service, restore the files or a backup, and start it"
        )


def report_lost_files() -> None:
    """For processes that nobody asks: the same as an error in the log."""
    try:
        require_database_files()
    except Unavailable as error:
        log.error("%s", error)  # noqa: TRY400 - it is no error of the program
