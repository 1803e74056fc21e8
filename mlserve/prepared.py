"""Querysets that are compiled to SQL once per process and then run with other values.

Django needs about half a millisecond to build the SQL of a look-up with joins, several times what a database needs
to answer it. Only for the few statements that every request makes. PostgreSQL also keeps their plans (decision 0017).
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
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
        rows = fetch(sql, [_prepared(each, values) for each in parameters], keeps_plan=True)
        return [_converted(row, converters) for row in rows] if converters else list(rows)

    @cached_property
    def _compiled(self) -> tuple[str, tuple[Any, ...], dict[int, Any]]:
        compiler = self._build().query.get_compiler(connection=connection)
        sql, parameters = _with_constants(*compiler.as_sql())
        return sql, parameters, compiler.get_converters([selected[0] for selected in compiler.select])


def fetch(sql: str, parameters: Sequence[Any], *, keeps_plan: bool = False) -> Sequence[tuple[Any, ...]]:
    """The rows of a statement with `%s` for each value. Raises Django's database errors.

    With `keeps_plan` PostgreSQL parses the statement once per connection, and soon plans it without looking at values.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if _is_watched(database):
        with database.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
    with database.wrap_database_errors:
        driver, keeps_plan = _driver(database), keeps_plan and database.vendor == "postgresql"
        cursor = _kept(driver, sql, parameters) if keeps_plan else driver.execute(_native(sql, database), parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def execute_many(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run `INSERT … VALUES (%s, …)` with one entry for each row, all or nothing. Raises Django's database errors."""
    database, is_one = connections[DEFAULT_DB_ALIAS], len(rows) == 1
    if database.vendor == "postgresql":
        # One statement: a transaction of its own, and one way there and back.
        entry = f"({', '.join(['%s'] * len(rows[0]))})"
        sql, rows = sql.replace(entry, ", ".join([entry] * len(rows))), [[each for row in rows for each in row]]
    # SQLite's driver runs a compiled statement once per row faster than it compiles a long one.
    with transaction.atomic() if len(rows) > 1 else nullcontext():
        if _is_watched(database):
            with database.cursor() as watched:
                watched.execute(sql, rows[0]) if len(rows) == 1 else watched.executemany(sql, rows)
            return
        with database.wrap_database_errors:
            driver = _driver(database)
            if database.vendor == "postgresql":
                _kept(driver, sql, rows[0]) if is_one else driver.execute(sql, rows[0])
            else:
                driver.executemany(_native(sql, database), rows)


def _kept(driver: Any, sql: str, parameters: Sequence[Any]) -> Any:
    from psycopg import Cursor

    # On Lambda a proxy may share sessions between functions, which it can no longer do with one that keeps statements.
    return Cursor(driver).execute(sql, parameters, prepare=not settings.ON_LAMBDA)


def _with_constants(sql: str, parameters: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """With the values that are the same at each run as literals.

    PostgreSQL uses a partial index in a kept plan only if the condition stands in the statement.
    """
    if connection.vendor != "postgresql":
        return sql, tuple(parameters)
    from psycopg.sql import Literal

    marks = [
        "%s" if isinstance(each, Parameter) else Literal(each).as_string().replace("%", "%%") for each in parameters
    ]
    pieces = sql.split("%s")
    text = pieces[0] + "".join(mark + piece for mark, piece in zip(marks, pieces[1:], strict=True))
    return text, tuple(each for each in parameters if isinstance(each, Parameter))


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
