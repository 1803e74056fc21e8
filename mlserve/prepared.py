"""Querysets that are compiled to SQL once per process and then run with other values.

Django needs about half a millisecond to build the SQL of a look-up with joins, several times what a database needs
to answer it. Only for the few statements that every request makes.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, Field, QuerySet


class Parameter(Expression):
    """A value that is given at each run; `field` converts it for the database."""

    def __init__(self, name: str, field: "Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self]


class PreparedQuery:
    """`build` gives a `values_list` queryset whose filters hold `Parameter`s; it is called at the first run."""

    def __init__(self, build: Callable[[], "QuerySet[Any, Any]"]) -> None:
        self._build = build

    def first(self, **values: Any) -> tuple[Any, ...] | None:
        """The first row, or None. `values` are those of the parameters, by name."""
        rows = self.all(**values)
        return rows[0] if rows else None

    def all(self, **values: Any) -> list[tuple[Any, ...]]:
        sql, parameters, converters = self._compiled
        rows = fetch(sql, [_prepared(each, values) for each in parameters])
        return [_converted(row, converters) for row in rows] if converters else list(rows)

    @cached_property
    def _compiled(self) -> tuple[str, tuple[Any, ...], dict[int, Any]]:
        compiler = self._build().query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        return sql, parameters, compiler.get_converters([selected[0] for selected in compiler.select])


def fetch(sql: str, parameters: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    """The rows of a statement with `%s` for each value. Raises Django's database errors."""
    database = connections[DEFAULT_DB_ALIAS]
    if _is_watched(database):
        with database.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
    with database.wrap_database_errors:
        rows: list[tuple[Any, ...]] = _driver(database).execute(_native(sql, database), parameters).fetchall()
    return rows


def execute_many(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement with `%s` for each value once per row. Raises Django's database errors.

    Several rows need a transaction around them: PostgreSQL's driver sends them through a pipeline, which does not
    survive a constraint that is checked at the commit.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if _is_watched(database):
        with database.cursor() as watched:
            watched.execute(sql, rows[0]) if len(rows) == 1 else watched.executemany(sql, rows)
        return
    with database.wrap_database_errors:
        cursor, native = _driver(database).cursor(), _native(sql, database)
        cursor.execute(native, rows[0]) if len(rows) == 1 else cursor.executemany(native, rows)


def _driver(database: BaseDatabaseWrapper) -> Any:
    """The driver's own connection: Django's cursor costs as much as a small statement."""
    database.ensure_connection()
    database.validate_no_broken_transaction()
    return database.connection


def _is_watched(database: BaseDatabaseWrapper) -> bool:
    """Whether statements are observed, as by tests, which must see these too."""
    return bool(database.execute_wrappers or database.queries_logged)


def _native(sql: str, database: BaseDatabaseWrapper) -> str:
    """SQLite's driver marks values by `?`. None of our statements has a literal per cent sign or question mark."""
    return sql.replace("%s", "?") if database.vendor == "sqlite" else sql


def _converted(row: Sequence[Any], converters: dict[int, Any]) -> tuple[Any, ...]:
    converted, database = list(row), connections[DEFAULT_DB_ALIAS]
    for position, (functions, expression) in converters.items():
        for convert in functions:
            converted[position] = convert(converted[position], expression, database)
    return tuple(converted)


def _prepared(parameter: Any, values: dict[str, Any]) -> Any:
    if not isinstance(parameter, Parameter):
        return parameter
    return parameter.output_field.get_db_prep_value(values[parameter.name], connections[DEFAULT_DB_ALIAS])
