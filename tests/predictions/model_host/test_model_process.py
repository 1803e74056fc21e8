"""What models do to their processes: each harms its own only, and exactly the call in it is told."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from predictions.model_host.errors import ModelEnded, ModelRaised, ModelRefused, WrongAnswers
from registry.sandbox.sandbox import PARTS
from tests.predictions.model_host.running import RunningHost, Version
from tests.waiting import wait_until

# Of a call that hangs.
_SHORT_SECONDS = 0.7
# What a process has for itself is looked at so often.
MEASURE_SECONDS = 2.0
# Far more than a call takes that nobody holds up, on a machine that is busy otherwise.
_UNHARMED_SECONDS = 3.0


@pytest.fixture(scope="module")
def healthy(host: RunningHost) -> Version:
    return host.loaded()


@contextmanager
def unharmed(healthy: Version, host: RunningHost) -> Iterator[None]:
    """Calls of the healthy version go on in its process meanwhile, and nothing is left of the other one."""
    host.client.forget_all()
    healthy.load()
    host.wait_for_processes(1)
    facts, descriptors = host.client.state(), host.descriptors()
    is_over, taken = threading.Event(), [0.0]

    def go_on() -> None:
        while not is_over.wait(0.01):
            started = time.monotonic()
            assert healthy.ask("", "") == {"predictions": [0.0, 2.0]}
            taken.append(time.monotonic() - started)

    with ThreadPoolExecutor(1) as thread:
        going_on = thread.submit(go_on)
        try:
            yield
        finally:
            is_over.set()
        going_on.result()
    assert len(taken) > 1
    assert max(taken) < _UNHARMED_SECONDS
    wait_until(lambda: host.client.state()["processes"][1:] == [], lambda: str(host.client.state()))
    after = host.client.state()
    assert [after["pid"], after["processes"][0]["pid"]] == [facts["pid"], facts["processes"][0]["pid"]]
    # A connection more, for the second one that asked at the same time.
    wait_until(lambda: host.descriptors() <= descriptors + 1, lambda: f"{descriptors} descriptors")


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        ("sleep", "hung", "took longer than 0.7 s for a call"),
        ("keep the interpreter", "hung", "took longer than 0.7 s for a call"),
        ("ignore the signal", "hung", "took longer than 0.7 s for a call"),
        ("answer in part", "hung", "took longer than 0.7 s for a call"),
        ("exit", "exited", "ended itself in a call (status 3)"),
        ("close descriptors", "exited", "ended itself in a call (status 1)"),
        ("close the connection", "crashed", "closed its connection"),
        ("crash", "crashed", "crashed in a call (SIGSEGV)"),
        ("kill itself", "killed", "it was killed, or the model ended it"),
        ("write garbage", "crashed", "wrote what is no answer: a message of the kind 255"),
        ("announce gigabytes", "crashed", "wrote what is no answer: a message of 2147483648 bytes"),
        ("say it is ready", "crashed", "wrote what is no answer: a READY that nobody asked for"),
    ],
)
def test_it_ends_a_process_and_tells_its_call(
    host: RunningHost, healthy: Version, act: str, kind: str, words: str
) -> None:
    with unharmed(healthy, host):
        bad = host.loaded()
        with pytest.raises(ModelEnded) as ended:
            bad.ask(act, seconds=_SHORT_SECONDS)
        assert (ended.value.kind, ended.value.is_first) == (kind, True)
        assert words in ended.value.detail
        assert bad.ask("") is None
        host.wait_for_processes(1)


@pytest.mark.parametrize("act", ["sleep", "crash"])
def test_it_says_where_a_call_was(host: RunningHost, act: str) -> None:
    with pytest.raises(ModelEnded) as ended:
        host.loaded().ask(act, seconds=_SHORT_SECONDS)

    assert "misbehaving.py" in ended.value.detail


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        ("raise", "ValueError"),
        ("quit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("recurse", "RecursionError"),
        ("want memory", "MemoryError"),
        ("open files", "OSError"),
        ("fork", "PermissionError"),
        ("signal the parent", "PermissionError"),
        ("signal the group", "PermissionError"),
        ("unspeakable", "Unspeakable"),
        ("nan", "NotJsonable"),
        ("inf", "NotJsonable"),
        ("objects", "NotJsonable"),
    ],
)
def test_it_tells_what_a_model_raised(host: RunningHost, healthy: Version, act: str, kind: str) -> None:
    with unharmed(healthy, host):
        bad = host.loaded()
        with pytest.raises(ModelRaised) as raised:
            bad.ask(act)
        assert raised.value.kind == kind
        assert bad.ask("", "") == {"predictions": [0.0, 2.0]}  # in the same process
        bad.end()


@pytest.mark.parametrize("act", ["print", "change state", "change the folder"])
def test_it_does_not_notice_what_harms_nobody(host: RunningHost, healthy: Version, act: str) -> None:
    bad = host.loaded()

    assert bad.ask(act) == {"predictions": [0.0]}
    assert bad.ask("") == {"predictions": [0.0]}
    assert healthy.ask("") == {"predictions": [0.0]}


@pytest.mark.parametrize("act", ["too few", "too many"])
def test_it_takes_another_number_of_answers_for_none(host: RunningHost, act: str) -> None:
    with pytest.raises(WrongAnswers, match="answers for 2 rows"):
        host.loaded().ask(act, "")


def test_it_takes_what_is_no_json_for_no_answer(host: RunningHost) -> None:
    with pytest.raises(WrongAnswers, match="no JSON"):
        host.loaded().ask("answer no JSON")


def test_it_asks_for_fewer_rows_where_answers_are_huge(host: RunningHost) -> None:
    bad = host.loaded()

    with pytest.raises(ModelRaised, match=r"its answers have 8\d+ bytes .* a call may have 67108864"):
        bad.ask(*["huge"] * 5)
    answers = bad.ask(*["huge"] * 3)
    assert answers is not None
    assert [len(each) for each in answers["predictions"]] == [2**24] * 3


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        ("sleep", "hung", "took longer than 0.7 s to be loaded"),
        ("keep the interpreter", "hung", "took longer than 0.7 s to be loaded"),
        ("exit", "exited", "ended itself while it was loaded (status 3)"),
        ("crash", "crashed", "crashed while it was loaded (SIGSEGV)"),
        ("kill itself", "killed", "while it was loaded"),
        ("write garbage", "crashed", "wrote what is no answer"),
        ("close descriptors", "exited", "while it was loaded"),
    ],
)
def test_it_tells_who_loads_it_that_it_ended(
    host: RunningHost, healthy: Version, act: str, kind: str, words: str
) -> None:
    with unharmed(healthy, host):
        bad = host.bad_when_loaded(act)
        with pytest.raises(ModelEnded) as ended:
            bad.load(seconds=_SHORT_SECONDS)
        assert (ended.value.kind, ended.value.is_first) == (kind, True)
        assert words in ended.value.detail
        assert bad.ask("") is None


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("raise", "ValueError: bad row"),
        ("quit", "SystemExit"),
        ("fork", "PermissionError"),
        ("say it is ready", "did not say how it was loaded"),
    ],
)
def test_it_refuses_what_does_not_load(host: RunningHost, healthy: Version, act: str, words: str) -> None:
    with unharmed(healthy, host):
        bad = host.bad_when_loaded(act)
        with pytest.raises(ModelRefused, match=words):
            bad.load()
        bad.end()


def test_it_loads_what_it_is_told_to_trust_only(host: RunningHost) -> None:
    with pytest.raises(ModelRefused) as refused:
        host.new().load(trusted=[])

    assert "misbehaving" in refused.value.untrusted


def test_it_loads_no_other_format_than_was_admitted(host: RunningHost) -> None:
    with pytest.raises(ModelRefused, match="admitted as joblib-zlib, and is pickle"):
        host.new().load(artifact_format="joblib-zlib")


def test_it_enters_the_sandbox_before_it_loads(host: RunningHost) -> None:
    assert host.new().load().sandbox == PARTS


@pytest.mark.parametrize("act", ["speak later", "crash later"])
def test_it_ends_a_process_that_misbehaves_between_calls(host: RunningHost, healthy: Version, act: str) -> None:
    with unharmed(healthy, host):
        bad = host.loaded()
        assert bad.ask(act) == {"predictions": [0.0]}
        wait_until(lambda: not bad.processes(), "the end of its process")
        bad.load()
        assert bad.ask("count") == {"predictions": [1.0]}  # a new one
        bad.end()


def test_it_replaces_a_process_that_leaks(host: RunningHost) -> None:
    bad = host.loaded()
    before = bad.processes()[0]["pid"]

    time.sleep(MEASURE_SECONDS)
    assert bad.ask("leak") == {"predictions": [0.0]}

    wait_until(lambda: before not in host.model_processes(), "the end of its process")
    assert bad.ask("") is None


def test_it_starts_as_few_threads_as_the_sandbox_allows(host: RunningHost, healthy: Version) -> None:
    """None at all where the kernel does not count them, as for root."""
    with unharmed(healthy, host):
        bad = host.loaded()
        with pytest.raises(ModelRaised, match="can't start new thread"):
            bad.ask("start threads")
        bad.end()
