"""Empties the database after a test that commits, in a few milliseconds.

Django's `flush` takes a hundred: it makes content types, permissions and schedules anew each time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.test import TransactionTestCase

_flush_of_django: Callable[[TransactionTestCase], None] = vars(TransactionTestCase)["_fixture_teardown"]


class Flush:
    """Takes the place of `TransactionTestCase._fixture_teardown`. Made while the database is as migrations leave it."""

    def __init__(self) -> None:
        self._tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self._given: dict[str, list[Any]] = {}
        self._note_what_is_given()

    def __get__(self, case: TransactionTestCase, _: type) -> Callable[[], None]:
        return partial(self._flush, case)

    def _flush(self, case: TransactionTestCase) -> None:
        if self._empty_the_rest():
            return
        _flush_of_django(case)
        self._note_what_is_given()

    def _note_what_is_given(self) -> None:
        self._given = {table: rows for table in self._tables if (rows := _rows(table))}

    def _empty_the_rest(self) -> bool:
        """Whether all is as at the beginning then: a test may have changed what was given, too."""
        with transaction.atomic(), connection.cursor() as cursor:
            for table in self._tables:
                if table not in self._given:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
        return all(_rows(table) == rows for table, rows in self._given.items())


def _rows(table: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        return sorted(cursor.fetchall(), key=repr)
