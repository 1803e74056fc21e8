"""Which version serves: what changed is seen by the very next look-up, and nothing else is read twice."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection

from mlserve.errors import NotFound
from mlserve.prepared import PreparedQuery
from predictions.serving.submission import Target, resolve
from registry.models import Model, ModelVersion
from registry.publishing import lookup
from registry.publishing.lookup import find_version, version_by_id
from registry.publishing.publish import Published, mark_default, promote, rollback

pytestmark = pytest.mark.django_db

Publish = Callable[..., Published]
BULKY = {"parameters", "sample_rows", "golden_outputs", "report"}


def live_tag(model: str | None = "penguins") -> str | None:
    version = find_version(model, None)
    return None if version is None else version.tag


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """One other thread with one long-lived connection, as a thread of the web server has."""

    def leave() -> None:
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(leave).result()


def copies(version: ModelVersion, count: int) -> list[ModelVersion]:
    """Further versions of the same artifact, without their inspections."""
    values = {
        field.attname: getattr(version, field.attname)
        for field in ModelVersion._meta.concrete_fields
        if field.attname not in {"id", "tag", "status"}
    }
    return [ModelVersion.objects.create(tag=f"copy-{number}", **values) for number in range(count)]


def test_it_finds_the_live_version_and_each_one_by_tag(publish_penguins: Publish) -> None:
    publish_penguins("1.0", promote=True)
    publish_penguins("2.0")

    for model in ("penguins", None):
        assert live_tag(model) == "1.0"
        for tag in ("1.0", "2.0"):
            version = find_version(model, tag)
            assert version is not None
            assert (version.model.name, version.tag) == ("penguins", tag)


@pytest.mark.parametrize(
    ("model", "tag"),
    [("unknown", None), ("unknown", "1.0"), ("penguins", "9.9"), (None, "9.9"), ("Penguins", None), ("", None),
     ("penguins' OR '1'='1", None), ("%", None), ("penguins", "")],
)  # fmt: skip
def test_it_finds_nothing_where_nothing_is(penguins: ModelVersion, model: str | None, tag: str | None) -> None:
    assert find_version(model, tag) is None


def test_it_finds_nothing_before_the_first_model(db: None) -> None:
    assert find_version(None, None) is None
    assert find_version(None, "1.0") is None


def test_it_finds_no_live_version_before_the_first_promotion(publish_penguins: Publish) -> None:
    publish_penguins("1.0")

    assert live_tag() is None
    assert find_version("penguins", "1.0") is not None


def test_it_gives_all_that_serving_needs(penguins: ModelVersion) -> None:
    found = find_version("penguins", None)

    assert found is not None
    for name in {field.attname for field in ModelVersion._meta.concrete_fields} - BULKY:
        assert getattr(found, name) == getattr(penguins, name)
    assert found.get_deferred_fields() == BULKY
    assert found == version_by_id(penguins.pk)


def test_it_sees_a_promotion_and_a_rollback_at_once(publish_penguins: Publish) -> None:
    publish_penguins("1.0", promote=True)
    publish_penguins("2.0")

    seen = [live_tag()]
    promote("penguins", "2.0")
    seen.append(live_tag())
    rollback("penguins")
    seen.append(live_tag())
    promote("penguins", "2.0")
    seen.append(live_tag())
    assert seen == ["1.0", "2.0", "1.0", "2.0"]


def test_it_tells_the_status_as_it_is_now(publish_penguins: Publish) -> None:
    publish_penguins("1.0", promote=True)
    publish_penguins("2.0")
    found = [find_version("penguins", tag) for tag in ("1.0", "2.0")]
    assert [version and version.status for version in found] == ["live", "ready"]

    promote("penguins", "2.0")
    found = [find_version("penguins", tag) for tag in ("1.0", "2.0")]
    assert [version and version.status for version in found] == ["retired", "live"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("title", "Birds"), ("description", "Which bird?"), ("is_public", False), ("is_default", True), ("name", "birds")],
)
def test_it_sees_each_change_of_the_model(penguins: ModelVersion, name: str, value: Any) -> None:
    find_version(None, None)

    Model.objects.update(**{name: value})

    found = find_version(None, None)
    assert found is not None
    assert getattr(found.model, name) == value
    assert version_by_id(penguins.pk) is found


def test_it_follows_the_mark_of_the_default(publish_penguins: Publish) -> None:
    publish_penguins("1.0", promote=True)
    publish_penguins("1.0", model="birds", promote=True)
    publish_penguins("1.0", model="aardvarks")  # has no live version
    seen = []

    for name in ("birds", "penguins", "aardvarks", "birds"):
        mark_default(Model.objects.get(name=name))
        version = find_version(None, None)
        seen.append(version and version.model.name)
    assert seen == ["birds", "penguins", None, "birds"]  # no other model steps in


def test_it_sees_that_a_version_is_gone(publish_penguins: Publish) -> None:
    publish_penguins("1.0", promote=True)
    version = publish_penguins("2.0").version
    find_version("penguins", "2.0")

    version.delete()

    assert find_version("penguins", "2.0") is None
    with pytest.raises(ModelVersion.DoesNotExist):
        version_by_id(version.pk)


def test_it_is_not_fooled_by_a_successor_of_the_same_name(publish_penguins: Publish) -> None:
    old = publish_penguins("1.0", promote=True).version
    find_version("penguins", None)
    Model.objects.get().promotions.all().delete()
    old.delete()
    Model.objects.all().delete()

    new = publish_penguins("1.0", promote=True).version
    assert find_version("penguins", None) == new != old


def test_it_gives_the_same_object_for_one_small_query_while_nothing_changes(
    publish_penguins: Publish, django_assert_num_queries: Any
) -> None:
    publish_penguins("1.0", promote=True)
    publish_penguins("2.0")
    for model, tag in (("penguins", None), (None, None), ("penguins", "2.0"), (None, "2.0")):
        first = find_version(model, tag)
        with django_assert_num_queries(1) as queries:
            assert find_version(model, tag) is first
        assert '"schema"' not in queries[0]["sql"]


def test_it_finds_the_same_object_by_id(penguins: ModelVersion, django_assert_num_queries: Any) -> None:
    first = find_version("penguins", None)

    with django_assert_num_queries(1):
        assert version_by_id(penguins.pk) is first


def test_it_keeps_a_bounded_number_of_versions(penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_MOST_VERSIONS", 3)
    tags = [version.tag for version in copies(penguins, 6)]

    for _ in range(2):
        for tag in tags:
            version = find_version("penguins", tag)
            assert version is not None
            assert version.tag == tag
            assert len(lookup._versions) <= 3


def test_it_forgets_everything_when_asked(penguins: ModelVersion) -> None:
    first = find_version("penguins", None)
    lookup.forget_all()

    assert find_version("penguins", None) == first
    assert find_version("penguins", None) is not first


def test_it_hides_a_private_model_from_strangers_at_once(penguins: ModelVersion, reader: User) -> None:
    """Also where it was found before and is cached."""
    stranger = AnonymousUser()
    for target in (Target(), Target("penguins"), Target("penguins", "1.0")):
        Model.objects.update(is_public=True)
        assert resolve(target, stranger) == penguins

        Model.objects.update(is_public=False)
        assert resolve(target, reader) == penguins
        with pytest.raises(NotFound):
            resolve(target, stranger)


def between(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """`change` happens after the next small query, before the version itself is read."""
    first = PreparedQuery.first

    def and_change(query: PreparedQuery, **values: Any) -> Any:
        row = first(query, **values)
        monkeypatch.setattr(PreparedQuery, "first", first)
        change()
        return row

    monkeypatch.setattr(PreparedQuery, "first", and_change)


def test_it_hides_a_model_that_became_private_while_it_looked(
    penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    between(monkeypatch, lambda: Model.objects.update(is_public=False))

    with pytest.raises(NotFound):
        resolve(Target("penguins"), AnonymousUser())
    with pytest.raises(NotFound):
        resolve(Target("penguins"), AnonymousUser())


def test_it_remembers_nothing_wrong_when_a_promotion_comes_while_it_looks(
    publish_penguins: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_penguins("1.0", promote=True)
    publish_penguins("2.0")
    between(monkeypatch, lambda: promote("penguins", "2.0"))

    assert live_tag() == "1.0"  # it was at the moment of the look-up
    assert live_tag() == "2.0"
    old = find_version("penguins", "1.0")
    assert old is not None
    assert old.status == "retired"
    rollback("penguins")
    again = find_version("penguins", None)
    assert again is not None
    assert (again.tag, again.status) == ("1.0", "live")


@pytest.mark.django_db(transaction=True)
def test_it_sees_what_another_connection_changed(publish_penguins: Publish, elsewhere: ThreadPoolExecutor) -> None:
    publish_penguins("1.0", promote=True, is_public=True)
    publish_penguins("2.0")
    seen = []
    for change in (
        lambda: None,
        lambda: promote("penguins", "2.0"),
        lambda: rollback("penguins"),
        lambda: Model.objects.update(name="birds"),
    ):
        change()
        seen.append(elsewhere.submit(live_tag).result())
    assert seen == ["1.0", "2.0", "1.0", None]

    Model.objects.update(name="penguins", is_public=False)
    with pytest.raises(NotFound):
        elsewhere.submit(resolve, Target("penguins"), AnonymousUser()).result()


@pytest.mark.django_db(transaction=True)
def test_it_is_never_behind_a_promotion_that_was_committed(penguins: ModelVersion) -> None:
    """Threads look while versions are promoted one after the other: what they find is no older than what was live
    when they began."""
    order = {version.tag: number for number, version in enumerate(copies(penguins, 12))}
    order["1.0"] = -1
    promoted, behind, looks = [-1], [], [0]
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                before = promoted[0]
                version = find_version("penguins", None)
                looks[0] += 1
                if version is None or not before <= order[version.tag] <= promoted[0] + 1:
                    behind.append((before, version and version.tag))
        finally:
            connection.close()

    threads = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for tag, number in order.items():
            if number >= 0:
                promote("penguins", tag)
                promoted[0] = number
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert behind == []
    assert looks[0] > len(order)
