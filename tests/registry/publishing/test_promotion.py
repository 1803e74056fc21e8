"""Promote, roll back and retire: what is live, and what stays true whatever happens at the same time."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from mlserve.errors import Conflict, MlserveError, NotFound, NothingToRetire, NothingToRollBack
from registry.models import Model, ModelVersion, Promotion
from registry.publishing.publish import Published, mark_default, promote, retire, rollback
from tests.meanwhile import at_once

Publish = Callable[..., Published]


@pytest.fixture
def versions(publish_penguins: Publish) -> list[str]:
    """A, B and C were promoted one after the other."""
    tags = ["A", "B", "C"]
    for tag in tags:
        publish_penguins(tag, promote=True)
    return tags


def live() -> str | None:
    return ModelVersion.objects.live().values_list("tag", flat=True).first()


def statuses() -> dict[str, str]:
    return dict(ModelVersion.objects.values_list("tag", "status"))


def test_it_makes_one_version_live(versions: list[str]) -> None:
    assert statuses() == {"A": "retired", "B": "retired", "C": "live"}


def test_it_walks_back_step_by_step(versions: list[str]) -> None:
    assert rollback("penguins").tag == "B"
    assert rollback("penguins").tag == "A"

    assert statuses() == {"A": "live", "B": "retired", "C": "retired"}


def test_it_stops_at_the_first_version(versions: list[str]) -> None:
    for _ in range(2):
        rollback("penguins")

    with pytest.raises(NothingToRollBack):
        rollback("penguins")

    assert live() == "A"


def test_it_rolls_back_to_what_was_live_before_a_new_promotion(versions: list[str]) -> None:
    rollback("penguins")
    promote("penguins", "A")

    assert rollback("penguins").tag == "B"
    assert rollback("penguins").tag == "A"


def test_it_can_promote_what_was_rolled_back(versions: list[str]) -> None:
    rollback("penguins")

    promote("penguins", "C")

    assert live() == "C"
    assert rollback("penguins").tag == "B"


def test_it_changes_nothing_to_promote_the_live_version(versions: list[str]) -> None:
    before = Promotion.objects.count()

    promote("penguins", "C")

    assert Promotion.objects.count() == before
    assert rollback("penguins").tag == "B"


def test_it_remembers_who_promoted_what(versions: list[str]) -> None:
    promote("penguins", "A", by="owner")
    rollback("penguins", by="reader")

    last, before = Promotion.objects.all()[:2]
    assert (last.kind, last.version.tag, last.promoted_by) == ("rollback", "C", "reader")
    assert (before.kind, before.version.tag, before.promoted_by) == ("promote", "A", "owner")


def test_it_retires_without_another_version_in_its_place(versions: list[str]) -> None:
    assert retire("penguins", by="owner").tag == "C"

    last = Promotion.objects.all()[0]
    assert statuses() == {"A": "retired", "B": "retired", "C": "retired"}
    assert (last.kind, last.version.tag, last.promoted_by) == ("retire", "C", "owner")


def test_it_undoes_a_retirement(versions: list[str]) -> None:
    retire("penguins", "C")

    assert rollback("penguins").tag == "C"
    assert rollback("penguins").tag == "B"


def test_it_rolls_back_to_another_version_than_the_one_that_served_again(versions: list[str]) -> None:
    for _ in range(2):
        retire("penguins")
        promote("penguins", "C")

    assert rollback("penguins").tag == "B"
    assert rollback("penguins").tag == "A"


def test_it_rolls_back_to_what_served_before_a_retirement(versions: list[str]) -> None:
    """Not to none at all."""
    retire("penguins")
    promote("penguins", "A")

    assert rollback("penguins").tag == "C"


@pytest.mark.parametrize(
    ("tag", "error", "sentence"),
    [
        ("A", NothingToRetire, r"penguins A is retired, so it cannot be retired\. C is live\."),
        ("D", NotFound, r"no version 'D'\. It has C, B, A\."),
    ],
)
def test_it_retires_only_what_is_live(versions: list[str], tag: str, error: type[MlserveError], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        retire("penguins", tag)

    assert live() == "C"


def test_it_retires_once(versions: list[str]) -> None:
    retire("penguins")

    with pytest.raises(NothingToRetire, match="has no live version"):
        retire("penguins")
    with pytest.raises(NothingToRetire, match=r"C is retired, so it cannot be retired\. No version is live\."):
        retire("penguins", "C")


def test_it_has_nothing_to_roll_back_at_first(publish_penguins: Publish) -> None:
    publish_penguins()

    with pytest.raises(NothingToRollBack):
        rollback("penguins")


def test_it_leaves_other_models_alone(versions: list[str], publish_penguins: Publish) -> None:
    publish_penguins("1", model="others", promote=True)

    rollback("penguins")

    assert sorted(ModelVersion.objects.live().values_list("model__name", "tag")) == [("others", "1"), ("penguins", "B")]


def test_it_names_the_tags_that_there_are(versions: list[str]) -> None:
    with pytest.raises(NotFound, match=r"no version 'D'\. It has C, B, A\."):
        promote("penguins", "D")


@pytest.mark.parametrize(
    "act", [lambda: promote("absent", "1"), lambda: rollback("absent")], ids=["promote", "rollback"]
)
def test_it_does_not_know_an_absent_model(db: None, act: Callable[[], Any]) -> None:
    with pytest.raises(NotFound, match="no model 'absent'"):
        act()


def test_the_database_holds_one_live_version_per_model(versions: list[str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.update(status="live")

    assert live() == "C"


def test_the_database_holds_one_version_per_tag(versions: list[str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.update(tag="A")


def test_the_database_knows_the_statuses(versions: list[str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.filter(tag="A").update(status="deleted")


def test_it_marks_one_default_model(publish_penguins: Publish) -> None:
    models = [publish_penguins(model=name).version.model for name in ("first", "second")]

    for model in models:
        mark_default(model)

    assert Model.objects.default() == models[1]
    assert Model.objects.filter(is_default=True).count() == 1


# --- At the same time --------------------------------------------------------------------------------------------


def result_of(act: Callable[[], Any]) -> Any:
    """What it returned, or the error that it raised."""
    try:
        return act()
    except MlserveError as error:
        return error


def together(*acts: Callable[[], Any]) -> list[Any]:
    """The result of each act, all started at once in threads of their own."""
    return at_once(*(partial(result_of, act) for act in acts))


@pytest.mark.django_db(transaction=True)
def test_it_promotes_in_parallel_without_two_or_none_live(transactional_db: None, versions: list[str]) -> None:
    results = together(*(lambda tag=tag: promote("penguins", tag) for tag in versions * 4))

    assert all(isinstance(result, ModelVersion) for result in results)
    assert ModelVersion.objects.live().count() == 1
    assert Promotion.objects.all()[0].version.tag == live()


@pytest.mark.django_db(transaction=True)
def test_it_never_shows_two_or_none_live_to_a_reader(transactional_db: None, versions: list[str]) -> None:
    done = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(ModelVersion.objects.live().count())

    def write() -> None:
        for tag in versions * 5:
            promote("penguins", tag)
        done.set()

    together(read, write)

    assert seen == {1}


@pytest.mark.django_db(transaction=True)
def test_it_rolls_back_in_parallel_one_step_each(transactional_db: None, versions: list[str]) -> None:
    results = together(*[lambda: rollback("penguins")] * 4)

    assert sorted(result.tag for result in results if isinstance(result, ModelVersion)) == ["A", "B"]
    assert sum(isinstance(result, NothingToRollBack) for result in results) == 2
    assert live() == "A"


@pytest.mark.django_db(transaction=True)
def test_it_registers_one_version_for_parallel_uploads(transactional_db: None, publish_penguins: Publish) -> None:
    publish_penguins("warm", model="warm")

    results = together(*[publish_penguins] * 4)

    assert ModelVersion.objects.filter(model__name="penguins").count() == 1
    assert sum(isinstance(result, Published) and result.created for result in results) == 1
    assert all(isinstance(result, Published | Conflict) for result in results)
