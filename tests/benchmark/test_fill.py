"""python -m benchmark.fill."""

import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from benchmark import fill
from predictions.models import Prediction
from predictions.store.reading import find_readable
from registry.models import ModelVersion


@pytest.fixture
def lines(transactional_db: None) -> list[str]:
    return []


def filled(count: int, lines: list[str], chunk: int = 400) -> list[Prediction]:
    fill.fill(count, chunk=chunk, say=lines.append)
    return list(Prediction.objects.order_by("pk"))


def test_it_adds_what_was_asked_for_in_transactions_of_the_given_size(
    lines: list[str], penguins: ModelVersion, owner: User
) -> None:
    assert len(filled(1000, lines)) == 1000
    assert [line.partition(" of")[0] for line in lines] == ["400", "800", "1,000"]


def test_it_adds_more_when_it_runs_again(lines: list[str], penguins: ModelVersion) -> None:
    filled(30, lines)

    assert len(filled(30, lines)) == 60


def test_it_fills_with_rows_of_the_model_that_can_be_read_like_any_other(
    lines: list[str], penguins: ModelVersion, owner: User
) -> None:
    predictions = filled(1000, lines)

    answered = next(each for each in predictions if each.status == "succeeded")
    read = find_readable(answered.pk, owner)
    assert read is not None
    assert set(answered.rows[0]) == set(penguins.record_schema.names)
    assert read.result is not None
    assert read.result.startswith('{"predictions":["')
    assert {each.owner_id for each in predictions} == {owner.pk, None}
    assert {each.status for each in predictions} == {"succeeded", "failed", "canceled", "expired"}


def test_it_spreads_them_over_the_past_29_days_in_the_order_of_their_ids(
    lines: list[str], penguins: ModelVersion
) -> None:
    predictions = filled(100, lines)

    now = timezone.now()
    times = [each.created_at for each in predictions]
    assert times == sorted(times)
    assert timedelta(days=28) < now - times[0] < timedelta(days=29, seconds=60)
    assert all(each.pk.version == 7 for each in predictions)
    assert all(
        abs(each.created_at.timestamp() * 1000 - (each.pk.int >> 80)) <= 1 and each.created_at < each.finished_at
        for each in predictions
        if each.finished_at
    )


def test_it_leaves_nothing_for_the_sweep_to_do(lines: list[str], penguins: ModelVersion) -> None:
    filled(100, lines)
    month_ago = timezone.now() - timedelta(days=30)

    assert Prediction.objects.delete_ended_before(month_ago) == 0
    assert not Prediction.objects.queued().exists()


def test_it_refuses_when_nothing_is_registered(lines: list[str]) -> None:
    with pytest.raises(fill.NothingToFillWith, match="upload_model"):
        fill.fill(10, say=lines.append)
    with pytest.raises(fill.NothingToFillWith, match="'other' has no version"):
        fill.fill(10, model="other", say=lines.append)


@pytest.mark.parametrize("rows", ["0", "-5", "many"])
def test_it_refuses_a_number_of_rows_that_is_none(
    rows: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fill", rows])

    with pytest.raises(SystemExit):
        fill.main()

    assert "ROWS" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The connection that was prepared for filling is not used by other tests."""
    yield
    connection.close()
