"""Querysets that are compiled to SQL once per process and then run with other values.

Django needs about half a millisecond to build the SQL of a look-up with joins, several times what a database needs
to answer it. Only for the few look-ups that every request makes.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import Expression, Field, QuerySet


class Parameter(Expression):
    """A value that is given at each run; `field` says how the database wants it."""

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
        sql, parameters, converters = self._compiled
        with connection.cursor() as cursor:
            cursor.execute(sql, [_prepared(each, values) for each in parameters])
            row = cursor.fetchone()
        if row is None:
            return None
        converted = list(row)
        for position, (functions, expression) in converters.items():
            for convert in functions:
                converted[position] = convert(converted[position], expression, connection)
        return tuple(converted)

    @cached_property
    def _compiled(self) -> tuple[str, tuple[Any, ...], dict[int, Any]]:
        compiler = self._build().query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        return sql, parameters, compiler.get_converters([selected[0] for selected in compiler.select])


def _prepared(parameter: Any, values: dict[str, Any]) -> Any:
    if not isinstance(parameter, Parameter):
        return parameter
    return parameter.output_field.get_db_prep_value(values[parameter.name], connection)
