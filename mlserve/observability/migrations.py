"""Whether the database has the tables of this release."""

from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

_MOST_NAMED = 5


@cache
def _latest() -> frozenset[tuple[str, str]]:
    """The last migrations of each app. Imports all of them, which takes a tenth of a second."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def missing_migrations() -> str:
    """The last migrations that were not applied, "" when all were. Raises django.db.Error, also for an empty database.

    Migrations of a newer release do not matter: it migrates before this one stops.
    """
    applied = set(MigrationRecorder(connection).migration_qs.values_list("app", "name"))
    missing = sorted(f"{app} {name}" for app, name in _latest() - applied)
    more = [f"and {len(missing) - _MOST_NAMED} more"] if len(missing) > _MOST_NAMED else []
    return ", ".join([*missing[:_MOST_NAMED], *more])
