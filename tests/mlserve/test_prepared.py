"""Statements that are compiled once: the same rows as from Django's own queryset."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from mlserve.models import RateWindow
from mlserve.prepared import Parameter, PreparedQuery, execute_many, fetch
from registry.models import Model

pytestmark = pytest.mark.django_db

FIELDS = ("pk", "name", "title", "is_public", "created_at")


@pytest.fixture(params=["unwatched", "watched"])
def either_way(request: pytest.FixtureRequest, db: None) -> Iterator[None]:
    """Statements go to the driver itself, or through Django's cursor where they are logged."""
    with CaptureQueriesContext(connection) if request.param == "watched" else nullcontext():
        yield


@pytest.fixture
def models(db: None) -> list[Model]:
    names = ("ant", "bee", "100%", "o'hara", 'a "b" ?', "größe")
    return [Model.objects.create(name=name, title=f"{name} %s", is_public=name < "b") for name in names]


def by_name() -> "QuerySet[Any, Any]":
    return Model.objects.filter(name=Parameter("name", Model._meta.get_field("name"))).values_list(*FIELDS)


def by_flag() -> "QuerySet[Any, Any]":
    flag = Parameter("is_public", Model._meta.get_field("is_public"))
    return Model.objects.filter(is_public=flag).order_by("-pk").values_list(*FIELDS)


def from_then_on() -> "QuerySet[Any, Any]":
    earliest = Parameter("earliest", Model._meta.get_field("created_at"))
    return Model.objects.filter(created_at__gte=earliest).order_by("created_at", "pk").values_list(*FIELDS)


def test_it_gives_the_row_that_django_gives(either_way: None, models: list[Model]) -> None:
    query = PreparedQuery(by_name)

    for model in models:
        row = query.first(name=model.name)
        assert row == Model.objects.values_list(*FIELDS).get(name=model.name)
        assert row is not None
        assert isinstance(row[3], bool)


@pytest.mark.parametrize("name", ["", "wasp", "' OR 1=1 --", "%", "%s", "?", "ANT"])
def test_it_finds_nothing_where_nothing_is(either_way: None, models: list[Model], name: str) -> None:
    query = PreparedQuery(by_name)

    assert query.first(name=name) is None
    assert query.all(name=name) == []


def test_it_gives_all_rows_in_order(either_way: None, models: list[Model]) -> None:
    query = PreparedQuery(by_flag)

    for is_public in (True, False):
        rows = Model.objects.filter(is_public=is_public).order_by("-pk").values_list(*FIELDS)
        assert query.all(is_public=is_public) == list(rows)
        assert query.first(is_public=is_public) == rows[0]


def test_it_gives_values_as_the_database_wants_them(either_way: None, models: list[Model]) -> None:
    """SQLite has no times and truths of its own."""
    query = PreparedQuery(from_then_on)

    for model in models:
        assert query.first(earliest=model.created_at) == Model.objects.values_list(*FIELDS).get(pk=model.pk)
    assert query.all(earliest=models[3].created_at) == list(Model.objects.values_list(*FIELDS).order_by("pk")[3:])


def test_it_keeps_what_the_query_itself_compares_with(either_way: None, models: list[Model]) -> None:
    def public() -> Any:
        name = Parameter("name", Model._meta.get_field("name"))
        return Model.objects.filter(is_public=True).filter(name=name).values_list(*FIELDS)

    query = PreparedQuery(public)

    assert query.first(name="ant") is not None
    assert query.first(name="bee") is None


def test_it_sees_each_change(either_way: None, models: list[Model]) -> None:
    query = PreparedQuery(by_name)
    query.first(name="ant")

    Model.objects.filter(name="ant").update(title="Formica")
    row = query.first(name="ant")
    assert row is not None
    assert row[2] == "Formica"
    Model.objects.filter(name="ant").delete()
    assert query.first(name="ant") is None


def test_it_is_built_once_and_asks_once(models: list[Model], django_assert_num_queries: Any) -> None:
    built: list[int] = []

    def build() -> "QuerySet[Any, Any]":
        built.append(1)
        return by_name()

    query = PreparedQuery(build)
    assert not built  # not before the first run: at import there is no database

    for name in ("ant", "bee", "wasp"):
        with django_assert_num_queries(1):
            query.first(name=name)
    assert len(built) == 1


def test_it_needs_each_value(models: list[Model]) -> None:
    with pytest.raises(KeyError):
        PreparedQuery(by_name).first()


@pytest.mark.django_db(transaction=True)
def test_it_runs_on_the_connection_of_each_thread(models: list[Model]) -> None:
    query = PreparedQuery(by_name)
    expected = query.first(name="ant")

    def find() -> Any:
        try:
            return query.first(name="ant")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(find) for _ in range(8)]
    assert {each.result() for each in found} == {expected}


@pytest.mark.django_db(transaction=True)
def test_it_runs_as_the_first_statement_of_a_connection(models: list[Model]) -> None:
    query = PreparedQuery(by_name)
    expected = query.first(name="ant")
    connection.close()

    assert query.first(name="ant") == expected


def test_it_takes_part_in_the_transaction(either_way: None, models: list[Model]) -> None:
    query = PreparedQuery(by_name)

    with transaction.atomic():
        Model.objects.filter(name="ant").update(name="emmet")
        assert query.first(name="emmet") is not None
        transaction.set_rollback(True)
    assert query.first(name="emmet") is None


def run_select() -> None:
    fetch("SELECT name FROM registry_model WHERE name = %s", ["ant"])


INSERT = "INSERT INTO mlserve_ratewindow (name, count, ends_at) VALUES (%s, %s, %s)"


def run_insert() -> None:
    execute_many(INSERT, [(f"{name} % %s ?", count, "2026-01-01") for count, name in enumerate(("ant", "bee"))])


@pytest.mark.parametrize("run", [run_select, run_insert])
def test_it_runs_nothing_in_a_transaction_that_is_to_be_rolled_back(
    either_way: None, models: list[Model], run: Callable[[], None]
) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            run()


def test_it_inserts_each_row(either_way: None, db: None) -> None:
    run_insert()

    assert dict(RateWindow.objects.values_list("name", "count")) == {"ant % %s ?": 0, "bee % %s ?": 1}


@pytest.mark.django_db(transaction=True)
def test_it_inserts_all_rows_or_none(either_way: None) -> None:
    with pytest.raises(IntegrityError):
        execute_many(INSERT, [("ant", 1, "2026-01-01"), ("ant", 2, "2026-01-01")])

    assert not RateWindow.objects.exists()


def test_it_inserts_many_rows_in_one_statement_on_postgresql(db: None, django_assert_num_queries: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's driver runs the statement once per row")
    with django_assert_num_queries(1):
        execute_many(INSERT, [(str(count), count, "2026-01-01") for count in range(300)])


def test_it_raises_what_django_raises(either_way: None, models: list[Model]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        execute_many(INSERT, [("ant", None, "2026-01-01")])
    with pytest.raises(DatabaseError, match="no_such_table"), transaction.atomic():
        fetch("SELECT 1 FROM no_such_table", [])
