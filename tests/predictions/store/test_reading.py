"""One prediction by its id: who may see it, and what it costs."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from mlserve import prepared
from mlserve.prepared import fetch
from predictions import tasks
from predictions.models import Prediction
from predictions.serving.submission import submit
from predictions.store.reading import find_readable
from registry.models import Model, ModelVersion
from registry.publishing.publish import promote
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db

PEOPLE = ("stranger", "owner", "reader", "staff")


@pytest.fixture
def people(db: None) -> dict[str, Any]:
    """`owner` submitted it; `reader` has an account, too."""
    return {
        "stranger": AnonymousUser(),
        "owner": User.objects.create(username="anna"),
        "reader": User.objects.create(username="rita"),
        "staff": User.objects.create(username="stan", is_staff=True),
    }


@pytest.mark.parametrize(
    ("is_public", "submitted_by", "may_read"),
    [
        (True, "owner", {"stranger", "owner", "reader", "staff"}),
        (True, "stranger", {"stranger", "owner", "reader", "staff"}),
        (False, "owner", {"owner", "staff"}),
        (False, "stranger", {"staff"}),  # it was public then; a caller without an account owns nothing
        (False, "staff", {"staff"}),
    ],
)
def test_it_shows_a_prediction_to_whom_it_concerns(
    penguins: ModelVersion,
    penguin: dict[str, Any],
    people: dict[str, Any],
    is_public: bool,
    submitted_by: str,
    may_read: set[str],
) -> None:
    prediction = submit(penguins, penguin, outputs=["predict"], user=people[submitted_by])
    Model.objects.update(is_public=is_public)

    readers = {name for name, user in people.items() if find_readable(prediction.pk, user) is not None}

    assert readers == may_read


def test_it_fetches_nothing_of_what_is_hidden(
    submit_rows: Submit, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transferred row takes longer than none, and a large result longer than a small one."""
    prediction, fetched = submit_rows(), []
    Model.objects.update(is_public=False)

    def watched(*statement: Any, **options: Any) -> Any:
        fetched.append(fetch(*statement, **options))
        return fetched[-1]

    monkeypatch.setattr(prepared, "fetch", watched)

    for name in ("stranger", "reader"):
        assert find_readable(prediction.pk, people[name]) is None
    assert [list(rows) for rows in fetched] == [[], []]


def test_it_sees_at_once_that_a_model_became_private(submit_rows: Submit) -> None:
    prediction, stranger = submit_rows(), AnonymousUser()
    seen = []

    for is_public in (True, False, True):
        Model.objects.update(is_public=is_public)
        seen.append(find_readable(prediction.pk, stranger) is not None)
    assert seen == [True, False, True]


def test_it_finds_nothing_where_nothing_is(submit_rows: Submit, people: dict[str, Any]) -> None:
    submit_rows()

    assert find_readable(uuid4(), people["staff"]) is None


@pytest.mark.parametrize("state", ["queued", "succeeded", "failed"])
def test_it_reads_what_django_reads(
    submit_rows: Submit, penguin: dict[str, Any], people: dict[str, Any], tmp_path: Any, state: str
) -> None:
    prediction = submit_rows([penguin, {**penguin, "body_mass_g": 8999}], outputs=("predict", "predict_proba"))
    Prediction.objects.update(owner=people["owner"])
    if state == "failed":
        (tmp_path / "artifacts" / prediction.version.artifact_key).unlink()
    if state != "queued":
        tasks.drain()

    found = find_readable(prediction.pk, people["staff"])

    stored = Prediction.objects.get(pk=prediction.pk)
    assert found is not None
    for field in Prediction._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(stored, field.attname)
    assert (found, found.status) == (stored, state)
    assert found.version == stored.version
    assert found.rows == stored.rows


def test_it_takes_one_statement_and_leaves_the_inputs(submit_rows: Submit, django_assert_num_queries: Any) -> None:
    prediction = submit_rows()
    tasks.drain()
    find_readable(prediction.pk, AnonymousUser())

    with django_assert_num_queries(1) as queries:
        found = find_readable(prediction.pk, AnonymousUser())
        assert found is not None
        assert (found.version.model.name, found.result is None) == ("penguins", False)
    assert '"inputs"' not in queries[0]["sql"]
    assert found.get_deferred_fields() == {"inputs"}


def test_it_takes_one_statement_to_refuse(
    submit_rows: Submit, people: dict[str, Any], django_assert_num_queries: Any
) -> None:
    prediction = submit_rows()
    Model.objects.update(is_public=False)
    find_readable(prediction.pk, people["staff"])

    with django_assert_num_queries(1):
        assert find_readable(prediction.pk, people["reader"]) is None


def test_it_tells_the_version_that_predicted(submit_rows: Submit, publish_penguins: Any) -> None:
    """Not the one that serves now; and that as it is now."""
    prediction = submit_rows()
    publish_penguins("2.0", promote=True)
    Model.objects.update(title="Birds")

    found = find_readable(prediction.pk, AnonymousUser())
    assert found is not None
    assert (found.version.tag, found.version.status, found.version.model.title) == ("1.0", "retired", "Birds")

    promote("penguins", "1.0")
    found = find_readable(prediction.pk, AnonymousUser())
    assert found is not None
    assert found.version.status == "live"


def test_it_gives_an_object_that_can_be_canceled_and_saved(submit_rows: Submit) -> None:
    found = find_readable(submit_rows().pk, AnonymousUser())
    assert found is not None

    found.status, found.finished_at = "canceled", timezone.now()
    found.save(update_fields=["status", "finished_at"])

    assert Prediction.objects.get().has_ended
    assert Prediction.objects.get().rows
