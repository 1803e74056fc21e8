"""What an error of the database means: for its operator, with what to do, and for clients, without internals.

A table: the first row that knows the error's SQLSTATE, or the words of SQLite or of a refused connection, counts.
"""

import re
from dataclasses import dataclass

from django import db

from mlserve.conf.command_lines import MANAGE, manage


@dataclass(frozen=True)
class Trouble:
    """`what` is the case, and by `advice` an operator mends it: sentences without their ends.

    `may_pass`: it may end by itself, so that waiting and trying again make sense.
    """

    what: str
    advice: str
    sqlstates: frozenset[str] = frozenset()
    words: str = "(?!)"  # matches nothing
    may_pass: bool = False

    def advised(self) -> str:
        """For everybody: no message of a driver, which names hosts and users."""
        return f"{self.what}: {self.advice.format(manage=MANAGE)}"

    def for_clients(self) -> str:
        advice = self.advice.format(manage=MANAGE)
        what_next = "try again in a moment" if self.may_pass else f"tell the operator of this service: {advice}"
        return f"{self.what}. Nothing was accepted; {what_next}."

    def for_operators(self, error: Exception) -> str:
        """On one line, with the words of the database."""
        return f"{self.what} ({' '.join(str(error).split())}): {self.advice.format(manage=manage())}"


NOT_MIGRATED = Trouble(
    "The database is not migrated to this release",
    "run {manage} migrate",
    # PostgreSQL's "undefined table", "undefined column", "invalid schema".
    frozenset({"42P01", "42703", "3F000"}),
    r"^no such (table|column)|has no column named",
)
UNREACHABLE = Trouble("The database did not answer", "check DATABASE_URL, and that its server runs", may_pass=True)
_TABLE = (
    NOT_MIGRATED,
    Trouble(
        "The database's user lacks a right",
        "let the user of DATABASE_URL own the database and its tables (docs/deploy-server.md)",
        frozenset({"42501"}),
        "permission denied",
    ),
    Trouble(
        "The database takes no changes",
        "let DATABASE_URL lead to the primary server, or to a file that the service's user may write",
        frozenset({"25006"}),
        "readonly database",
    ),
    Trouble(
        "The database's file cannot be opened",
        "let DATABASE_URL or MLSERVE_DATA_DIR name a folder that exists and that the service's user may write",
        words="unable to open database file",
    ),
    Trouble(
        "The database's file is damaged or no database",
        "restore a backup (docs/operations.md), or let DATABASE_URL name another file",
        words="file is not a database|malformed",
    ),
    Trouble(
        "The database's server does not know this user, password or database",
        "check user, password and name in DATABASE_URL; createuser and createdb make them (docs/deploy-server.md)",
        frozenset({"28P01", "28000", "3D000"}),
        r"authentication failed|no pg_hba\.conf entry|no password supplied|(role|database|user) .* does not exist",
    ),
    Trouble(
        "The settings of the connection to the database are wrong",
        "check what stands behind ? in DATABASE_URL",
        words=r"invalid (connection option|\w+ value:|URI)|(certificate|SSL).*(does not exist|not support)",
    ),
    Trouble(
        "The database has no room left",
        "make room on its disk",
        frozenset({"53100"}),
        "disk is full|No space left",
        may_pass=True,
    ),
)
_CONNECTION = (db.OperationalError, db.InterfaceError)


def trouble_of(error: BaseException) -> Trouble | None:
    """None for what no operator can mend: a statement that is wrong, or a constraint that it violates."""
    if not isinstance(error, db.Error):
        return None
    sqlstate, words = _sqlstate(error), str(error)
    for trouble in _TABLE:
        if sqlstate in trouble.sqlstates or (not sqlstate and re.search(trouble.words, words)):
            return trouble
    return UNREACHABLE if isinstance(error, _CONNECTION) else None


def _sqlstate(error: BaseException | None) -> str:
    """Of the driver's error, which Django wraps, "" without one: SQLite has none, nor has a refused connection."""
    while error is not None:
        if sqlstate := getattr(error, "sqlstate", None):
            return str(sqlstate)
        error = error.__cause__ or error.__context__
    return ""
