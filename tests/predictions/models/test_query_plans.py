"""No hot query reads more rows in a large table than in a small one: asked of the database's own planner.

The table has the shape of production, nearly everything in it has ended, and is large enough for PostgreSQL's planner
to choose as it would among millions.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.test import Client

from predictions import tasks
from predictions.models import Prediction
from predictions.models.completion import Completion
from predictions.store.listing import Listing, listing_for
from predictions.store.personal_data import Whose, export
from predictions.store.retention import delete_what_is_too_old
from predictions.store.waiting import wait_until_ended
from predictions.worker.claiming import claim
from registry.admin.deletion import why_kept
from registry.models import Model, ModelVersion

pytestmark = pytest.mark.django_db

ENDED, QUEUED, RUNNING = 30_000, 300, 40
NOW = datetime.now(UTC).replace(microsecond=0)
# More than any statement needs, and a tenth of what a search through the table would read.
MOST_ROWS = 3_000
TABLE = "predictions_prediction"
ADMIN, MODEL = "/admin/predictions/prediction/", "version__model__id__exact"
PARTIAL = ("predictions_queued", "predictions_running", "predictions_unanswered", "predictions_raw_ended")


@dataclass(frozen=True)
class Cast:
    """Who and what the filled table is about. The first half of the month was the former owner's and the retired
    version's, and the days when a tenth failed; the rare version answered only at its very beginning."""

    staff: User
    owner: User
    former: User
    common: ModelVersion
    retired: ModelVersion
    rare: ModelVersion


@pytest.fixture(scope="module")
def _filled(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    """Committed once for the tests of this file, which change it inside transactions that are rolled back."""
    with django_db_blocker.unblock():
        cast = make_cast()
        Prediction.objects.bulk_create(predictions(cast), batch_size=500)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE" if connection.vendor == "postgresql" else "SELECT 1")
        yield cast
        Prediction.objects.all()._raw_delete("default")
        ModelVersion.objects.all().delete()
        Model.objects.all().delete()
        User.objects.filter(username__startswith="plans-").delete()


@pytest.fixture
def cast(_filled: Cast, db: None) -> Cast:
    return _filled


def make_cast() -> Cast:
    def version(model: str, tag: str) -> ModelVersion:
        return ModelVersion.objects.create(
            model=Model.objects.get_or_create(name=model, defaults={"is_public": True})[0], tag=tag, size_bytes=1,
            sha256="0" * 64, schema={}, columns=[], container="frame", outputs=["predict"],
        )  # fmt: skip

    staff = User.objects.create_superuser("plans-staff")
    owner, former = (User.objects.create_user(f"plans-{name}") for name in ("owner", "former"))
    return Cast(staff, owner, former, version("common", "2"), version("common", "1"), version("rare", "1"))


def predictions(cast: Cast) -> Iterator[Prediction]:
    """From the oldest to the newest: what has ended, what runs, what waits."""
    for number in range(ENDED + RUNNING + QUEUED):
        at = NOW - timedelta(days=29) * (1 - number / (ENDED + RUNNING + QUEUED))
        more: dict[str, Any] = {"status": "succeeded", "result": '{"predictions":["no"]}', "finished_at": at}
        if number >= ENDED + RUNNING:
            more = {"status": "queued"}
        elif number >= ENDED:
            more = {"status": "running", "lease_holder": "worker", "lease_expires_at": NOW + timedelta(minutes=1)}
        elif number % 10 == 0 and number < ENDED / 2:
            more = {"status": ("failed", "canceled", "expired")[number % 3], "finished_at": at}
        version, owner = (cast.retired, cast.former) if number < ENDED / 2 else (cast.common, cast.owner)
        yield Prediction(
            id=id_at(at, number), version=cast.rare if number < 50 else version, row_count=1, inputs="[]" * 150,
            owner=owner if number % 3 else None, created_at=at, **more,
        )  # fmt: skip


def id_at(at: datetime, number: int) -> UUID:
    """UUIDv7 of that moment."""
    return UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0x8 << 60 | number)


@dataclass
class Plans:
    """What the database planned for each statement on the table of predictions, and what is wrong with that."""

    explained: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def explain(self, execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        """A wrapper of Django's cursors: each statement is explained with the very parameters that it is run with."""
        if f'"{TABLE}"' in sql and not many and sql.startswith(("SELECT", "UPDATE", "DELETE", "\n")):
            self.explained.append(sql)
            faults = _EXPLAINERS[connection.vendor](context["cursor"].cursor, sql, parameters)
            self.faults += [f"{fault} in {sql[:2000]}" for fault in faults]
        return execute(sql, parameters, many, context)


@contextmanager
def explained() -> Iterator[Plans]:
    plans = Plans()
    with connection.execute_wrapper(plans.explain):
        yield plans


def sqlite_faults(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    """A scan is fine over an index of few rows, or in the order of ids up to a LIMIT when nothing is filtered."""
    marks = sql % tuple("?" * len(parameters)) if parameters else sql
    raw = connection.connection.execute(f"EXPLAIN QUERY PLAN {marks}", tuple(parameters or ()))
    steps = [row[3] for row in raw.fetchall()]
    for step in steps:
        if step.startswith(f"SCAN {TABLE}") and not any(f"INDEX {name}" in step for name in PARTIAL):
            is_plain_walk = "INDEX sqlite_autoindex" in step and "LIMIT" in sql and "WHERE" not in sql
            if not is_plain_walk:
                yield step
    are_few = any("(id=?)" in step or "SUBQUERY" in step or "CO-ROUTINE" in step for step in steps)
    if any("TEMP B-TREE" in step for step in steps) and not are_few:
        yield "; ".join(steps)


def postgresql_faults(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    """Reading statements are run, so that rows which an index gives and a filter then drops are counted, too."""
    options = "ANALYZE, FORMAT JSON" if sql.startswith("SELECT") else "FORMAT JSON"
    cursor.execute(f"EXPLAIN ({options}) {sql}", parameters)
    found = cursor.fetchone()[0]
    for node in nodes(json.loads(found)[0]["Plan"] if isinstance(found, str) else found[0]["Plan"]):
        rows = node.get("Actual Rows", node["Plan Rows"]) + node.get("Rows Removed by Filter", 0)
        kind = node["Node Type"]
        if (kind == "Seq Scan" and node["Relation Name"] == TABLE) or rows * node.get("Actual Loops", 1) > MOST_ROWS:
            yield f"{kind} {node.get('Index Name', '')} of {rows} rows"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


_EXPLAINERS = {"sqlite": sqlite_faults, "postgresql": postgresql_faults}


def claim_and_finish() -> None:
    batch = claim(holder="me", now=NOW)
    assert len(batch) == QUEUED
    completions = [Completion(each.pk, result={"predictions": []}) for each in batch]
    assert Prediction.objects.finish(completions, holder="me", now=NOW) == QUEUED


def release() -> None:
    assert Prediction.objects.requeue_held_by(["no-worker"], now=NOW) == 0
    assert Prediction.objects.requeue_expired(now=NOW + timedelta(hours=1)) == RUNNING


def expire() -> None:
    assert Prediction.objects.expire(now=NOW + timedelta(days=2), batch=100) == QUEUED


def retain() -> None:
    assert Prediction.objects.delete_ended_before(NOW - timedelta(days=28), batch=200) > 600


def poll() -> None:
    newest = Prediction.objects.queued().latest("pk")
    assert not wait_until_ended(newest.pk, 0.01)
    assert Prediction.objects.cancel(newest.pk, now=NOW)
    assert Client().get(f"/api/predict/{newest.pk}").json()["status"] == "canceled"


def sweep() -> None:
    assert tasks.sweep()["deleted"] == 0


def ready() -> None:
    assert Client().get("/readyz").json()["checks"]["database"]["ok"]


HOT: dict[str, Callable[[], None]] = {
    "claim and finish": claim_and_finish,
    "release": release,
    "expire": expire,
    "retain": retain,
    "poll": poll,
    "sweep": sweep,
    "ready": ready,
}


@pytest.mark.parametrize("name", HOT)
def test_it_reads_few_rows(cast: Cast, name: str) -> None:
    with explained() as plans:
        HOT[name]()

    assert plans.explained
    assert plans.faults == []


@pytest.mark.parametrize("who", ["staff", "owner", "former", "stranger"])
@pytest.mark.parametrize("status", [None, "queued", "running", "succeeded", "failed", "expired"])
@pytest.mark.parametrize("model", [None, "common", "rare"])
def test_it_lists_by_reading_few_rows(
    cast: Cast, who: str, status: str | None, model: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of so small a table a thousand rows are so many that PostgreSQL would rather sort all of it.
    monkeypatch.setattr("predictions.store.listing._MOST_AT_ONCE", 100)
    user = AnonymousUser() if who == "stranger" else getattr(cast, who)
    listing = listing_for(user, model=model, tag=None, status=status)

    with explained() as plans:
        first = listing.page(50)
        listing.page(50, older_than=first.next)

    assert plans.faults == []
    assert list(Prediction.objects.filter(pk__in=first.ids).order_by("-pk").values_list("pk", flat=True)) == first.ids


@pytest.mark.parametrize("query", ["", "cursor={0}", "model=rare", "version=1", "model=common&version=1&status=failed"])
def test_it_answers_a_page_of_the_api_by_reading_few_rows(cast: Cast, client: Client, query: str) -> None:
    client.force_login(cast.staff)
    middle = id_at(NOW - timedelta(days=15), 0)

    with explained() as plans:
        answer = client.get(f"/api/predict?{query.format(middle)}")

    assert answer.status_code == 200
    assert plans.faults == []


@pytest.mark.parametrize(
    "asked",
    [{}, {"p": "3"}, {"q": "an id"}, {"status__exact": "failed"}, {"status__exact": "queued"}, {MODEL: "the rare one"}],
    ids=str,
)
def test_it_shows_the_admin_by_reading_few_rows(cast: Cast, client: Client, asked: dict[str, str]) -> None:
    client.force_login(cast.staff)
    named = {"an id": str(id_at(NOW, 0)), "the rare one": str(cast.rare.model_id)}

    with explained() as plans:
        page = client.get(ADMIN, {name: named.get(value, value) for name, value in asked.items()})

    assert page.status_code == 200
    assert plans.explained
    assert plans.faults == []


def test_it_deletes_what_models_keep_shorter_by_reading_few_rows(cast: Cast) -> None:
    Model.objects.update(retention_days=29)

    with explained() as plans:
        delete_what_is_too_old(now=NOW)

    assert plans.explained
    assert plans.faults == []


@pytest.mark.parametrize("token", [None, 5])
def test_it_exports_by_reading_few_rows(cast: Cast, token: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "predictions.store.personal_data._WALKED_AT_ONCE", 50
    )  # of so small a table a thousand are many
    with explained() as plans:
        list(export(Whose(cast.former, token), most=20))

    assert plans.explained
    assert plans.faults == []


def test_it_asks_for_the_predictions_of_a_version_by_reading_few_rows(cast: Cast) -> None:
    with explained() as plans:
        assert "has made predictions" in why_kept(cast.rare)

    assert plans.faults == []


@pytest.mark.parametrize(
    "listing",
    [Listing(is_of_all_owners=True), Listing(is_of_all_owners=True, status="failed"), Listing(owner_id=None)],
    ids=["all", "failed", "without an owner"],
)
def test_it_leads_from_page_to_page_through_the_whole_listing(cast: Cast, listing: Listing) -> None:
    page = listing.page(400)
    found = [*page.ids]
    while page.next:
        page = listing.page(400, older_than=page.next)
        found += page.ids

    wanted = Prediction.objects.order_by("-pk")
    if listing.status:
        wanted = wanted.filter(status=listing.status)
    if not listing.is_of_all_owners:
        wanted = wanted.filter(owner=None)
    assert found == list(wanted.values_list("pk", flat=True))


def test_it_hands_out_a_page_that_would_take_long_and_leads_on(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """What strangers asked of the rare model are the oldest of their ten thousand."""
    monkeypatch.setattr("predictions.store.listing._MOST_EXAMINED", 4_000)
    wanted = Listing(owner_id=None, versions=frozenset([cast.rare.pk]))

    pages = [wanted.page(50)]
    while following := pages[-1].next:
        pages.append(wanted.page(50, older_than=following))

    assert [len(page.ids) for page in pages] == [0, 0, 17]


def test_it_recognizes_a_query_that_reads_everything(cast: Cast) -> None:
    with explained() as plans:
        list(Prediction.objects.filter(row_count=2))
        list(Prediction.objects.filter(status="succeeded", row_count=2).order_by("-pk")[:5])
        list(Prediction.objects.order_by("created_at")[:5])

    assert len(plans.faults) >= 3
