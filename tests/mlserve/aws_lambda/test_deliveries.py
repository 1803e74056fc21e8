"""What Lambda brings: messages as SQS really hands them out, and the minute's schedule."""

import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.conf import Conf
from django_q.tasks import async_task

from mlserve.aws_lambda import deliveries
from predictions import tasks
from predictions.models import PendingWakeUp, Prediction, Worker
from predictions.queue import heartbeat, wake_ups
from predictions.runtime import loaded_models
from predictions.status import Status
from registry.inspection.version_request import VersionRequest
from registry.models import Incident
from registry.models.incident import Kind
from registry.publishing.publish import publish
from tests import pipelines
from tests.meanwhile import at_once
from tests.predictions.conftest import Submit
from tests.stand_ins.aws import StandIn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("queue_kind", ["sqs"], indirect=True),
    pytest.mark.usefixtures("queue_kind"),
]


class Context:
    """What Lambda's context tells: how much time there is."""

    def __init__(self, seconds: float = 300) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._end - time.monotonic()))


Take = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def take(aws: StandIn) -> Take:
    """The messages of the queue, as an event source mapping gives them to a function."""

    def records() -> list[dict[str, Any]]:
        sqs = aws.client("sqs")
        url = sqs.get_queue_url(QueueName=Conf.CLUSTER_NAME)["QueueUrl"]
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [{"messageId": each["MessageId"], "body": each["Body"], "eventSource": "aws:sqs"} for each in received]

    return records


def failed_of(records: list[dict[str, Any]], seconds: float = 300) -> list[str]:
    answer = deliveries.handle_records({"Records": records}, Context(seconds))
    assert set(answer) == {"batchItemFailures"}
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def statuses() -> list[str]:
    return list(Prediction.objects.order_by("pk").values_list("status", flat=True))


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Let something else happen where the model would be called."""
    return lambda stand_in: monkeypatch.setattr(loaded_models, "predict", stand_in)


def test_it_predicts_what_a_message_was_sent_for(submit_rows: Submit, take: Take) -> None:
    submit_rows()

    assert failed_of(take()) == []
    assert statuses() == [Status.SUCCEEDED]
    assert not PendingWakeUp.objects.exclude(sent_at=None).exists()


def test_it_answers_many_messages_by_one_look(submit_rows: Submit, take: Take, monkeypatch: Any) -> None:
    looks: list[float] = []
    drain = tasks.drain

    def counted(deadline: float, **more: Any) -> int:
        looks.append(deadline)
        return drain(deadline, **more)

    monkeypatch.setattr(tasks, "drain", counted)
    for _ in range(3):
        submit_rows()
        wake_ups.clear_pending_wake_up()  # so that the next one is not told together with this one

    records = take()

    assert (len(records), failed_of(records)) == (3, [])
    assert len(looks) == 1
    assert statuses() == [Status.SUCCEEDED] * 3


def test_it_inspects_uploads_when_a_message_asks_for_that(take: Take, monkeypatch: Any) -> None:
    inspected: list[bool] = []
    monkeypatch.setattr(tasks, "inspect_uploads", lambda: inspected.append(True))
    wake_ups.call_inspector()
    wake_ups.call_inspector()

    assert failed_of(take()) == []
    assert inspected == [True]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body[:-1] + ("A" if body[-1] != "A" else "B"), id="signature"),
        pytest.param(lambda body: "secret-content", id="text"),
        pytest.param(lambda body: "", id="empty"),
        pytest.param(lambda body: body.replace(":", "\x00"), id="binary"),
        pytest.param(lambda body: None, id="nothing"),
        pytest.param(lambda body: "é:secret-content:ü", id="not ascii"),
    ],
)
def test_it_refuses_what_was_not_signed(
    spoil: Callable[[str], Any], submit_rows: Submit, take: Take, caplog: pytest.LogCaptureFixture
) -> None:
    submit_rows()
    good = take()
    bad = {**good[0], "messageId": "the-bad-one", "body": spoil(good[0]["body"])}

    assert failed_of([bad, *good]) == ["the-bad-one"]
    assert statuses() == [Status.SUCCEEDED]
    assert "the-bad-one" in caplog.text
    assert "secret-content" not in caplog.text


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("os.getcwd", ()), ("predictions.tasks.sweep", ()), ("predictions.tasks.attend", (1,))],
)
def test_it_runs_no_other_task_even_with_a_valid_signature(
    function: str, arguments: tuple[int, ...], take: Take
) -> None:
    async_task(function, *arguments)
    [record] = take()

    assert failed_of([record]) == [record["messageId"]]


def test_it_fails_all_messages_when_the_database_is_gone(
    submit_rows: Submit, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_rows()
    records = take()
    settings_dict = connection.settings_dict
    connection.close()
    monkeypatch.setitem(settings_dict, "NAME", "/nowhere/at/all")

    failed = failed_of(records)

    monkeypatch.undo()
    connection.close()
    assert failed == [record["messageId"] for record in records]
    assert statuses() == [Status.QUEUED]


@pytest.mark.parametrize("raised", [TypeError("handler() takes 2 arguments"), SystemExit(3), KeyboardInterrupt()])
def test_it_lets_nothing_escape(raised: BaseException, submit_rows: Submit, take: Take, predict: Any) -> None:
    """Zappa would call a function again after a TypeError; the others would end the process."""

    def leave(*_: Any, **__: Any) -> None:
        raise raised

    submit_rows()
    predict(leave)

    failed = failed_of(take())

    assert bool(failed) is not isinstance(raised, TypeError)  # which is the model's failure, and the prediction's end
    assert statuses() == [Status.FAILED if isinstance(raised, TypeError) else Status.QUEUED]


def test_it_contains_a_type_error_of_its_own(submit_rows: Submit, take: Take, monkeypatch: Any) -> None:
    submit_rows()
    records = take()
    monkeypatch.setattr(wake_ups, "clear_pending_wake_up", lambda too_much: None)

    assert failed_of(records) == [record["messageId"] for record in records]


def test_it_begins_nothing_that_cannot_end_in_time(
    submit_rows: Submit, take: Take, caplog: pytest.LogCaptureFixture
) -> None:
    submit_rows()
    records = take()

    assert failed_of(records, seconds=30) == [record["messageId"] for record in records]
    assert statuses() == [Status.QUEUED]
    assert "raise the function's timeout" in caplog.text


def test_it_calls_for_more_when_its_time_is_up(submit_rows: Submit, take: Take, settings: Any, predict: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 1
    really, slack_seconds = loaded_models.predict, 2

    def slowly(*arguments: Any, **more: Any) -> Any:
        time.sleep(slack_seconds)
        return really(*arguments, **more)

    submit_rows()
    submit_rows()
    predict(slowly)

    assert failed_of(take(), seconds=settings.MLSERVE_BATCH_SECONDS + 15 + slack_seconds) == []
    assert statuses() == [Status.SUCCEEDED, Status.QUEUED]

    assert failed_of(take()) == []
    assert statuses() == [Status.SUCCEEDED] * 2


def test_it_ends_a_call_that_hangs_and_gives_it_up_after_the_attempts(
    submit_rows: Submit, take: Take, settings: Any, save: Callable[..., Path], tmp_path: Path
) -> None:
    settings.MLSERVE_BATCH_SECONDS = 1
    sample = tmp_path / "sample.json"
    sample.write_text('[{"a": 0.0, "b": 0.0}]')
    version = publish(save(pipelines.misbehaves()), VersionRequest("misbehaving", "1", sample=sample)).version
    submit_rows({"a": 60.0, "b": 0.0}, version=version)

    assert failed_of(take()) == []

    assert statuses() == [Status.FAILED]
    assert Prediction.objects.get().attempts == settings.MLSERVE_MAX_ATTEMPTS
    assert "given-up" in (Prediction.objects.get().error or "")
    assert {(each.version, each.kind) for each in Incident.objects.all()} == {(version, Kind.HUNG)}


def test_it_leaves_the_alarm_as_it_was(submit_rows: Submit, take: Take) -> None:
    before = signal.getsignal(signal.SIGALRM)
    submit_rows()
    failed_of(take())

    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_ends_each_prediction_once_in_two_deliveries_at_once(submit_rows: Submit, take: Take) -> None:
    """SQS may deliver one message twice, to two functions."""
    for _ in range(20):
        submit_rows()
    records = take()

    assert at_once(*[lambda: failed_of(records)] * 2) == [[], []]
    assert statuses() == [Status.SUCCEEDED] * 20
    assert set(Prediction.objects.values_list("attempts", flat=True)) == {1}


def test_it_sweeps_by_schedule_and_tells_that_it_lives(submit_rows: Submit, take: Take) -> None:
    submit_rows()
    take()
    PendingWakeUp.objects.update(sent_at=None)
    Worker.objects.create(name="long gone:1", host="long gone", pid=1, seen_at=timezone.now() - timedelta(days=2))

    deliveries.handle_schedule()

    assert len(take()) == 1
    assert heartbeat.count_seen() == 1
    assert not Worker.objects.filter(host="long gone").exists()


def test_it_only_logs_a_sweep_that_failed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OperationalError("the database is gone")

    monkeypatch.setattr(tasks, "sweep_now", fail)

    deliveries.handle_schedule()

    assert "The sweep failed" in caplog.text
