"""Bodies of requests: how many of a client's are read at once, and what becomes of those that were not read."""

import io
import threading
import time
from typing import Any

import pytest

from mlserve.errors import TooManyRequests
from mlserve.http import bodies
from mlserve.http.bodies import Body, Readers, has_body


class Slow:
    """A body that never comes."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.goes_on.wait(20)
        return b""


def body(stream: Any, length: Any = None, *, readers: Readers | None = None, address: str = "192.0.2.1") -> Body:
    environ = {"wsgi.input": stream, "REMOTE_ADDR": address}
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return Body(environ, readers or Readers(16))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, False), ({"CONTENT_LENGTH": "0"}, False), ({"CONTENT_LENGTH": ""}, False), ({"CONTENT_LENGTH": "5"}, True),
     ({"HTTP_TRANSFER_ENCODING": "chunked"}, True)],
)  # fmt: skip
def test_it_knows_which_requests_have_one(environ: dict[str, str], expected: bool) -> None:
    assert has_body(environ) is expected


def test_it_reads_what_is_left_before_a_refusal() -> None:
    stream = io.BytesIO(bytes(300_000))
    given = body(stream, 300_000)
    given.read(10)

    given.drop()

    assert stream.tell() == 300_000


def test_it_has_nothing_to_read_after_all_was_read() -> None:
    given = body(io.BytesIO(b"abc"), 3)

    assert given.read(100) == b"abc"
    given.drop()

    assert given.read() == b""


def test_it_does_not_begin_to_read_what_is_too_much() -> None:
    stream = io.BytesIO(b"abc")

    body(stream, 10**12).drop()

    assert stream.tell() == 0


def test_it_reads_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_DROPPING_SECONDS", 0.0)
    stream = io.BytesIO(b"abc")

    body(stream, 3).drop()

    assert stream.tell() == 0


def test_it_leaves_no_read_behind_when_the_answer_goes_out() -> None:
    stream = Slow()
    dropping = threading.Thread(target=body(stream, 10).drop)
    dropping.start()

    dropping.join(0.2)
    assert dropping.is_alive()

    stream.goes_on.set()
    dropping.join(10)
    assert not dropping.is_alive()


def test_it_reads_nothing_of_a_sender_that_waits_for_leave() -> None:
    stream = io.BytesIO(b"abc")
    environ = {"wsgi.input": stream, "REMOTE_ADDR": "192.0.2.1", "CONTENT_LENGTH": "3", "HTTP_EXPECT": "100-continue"}

    Body(environ, Readers(16)).drop()

    assert stream.tell() == 0


def test_it_reads_the_rest_of_a_sender_that_got_leave() -> None:
    """Else it would see a broken connection in place of the refusal."""
    stream = io.BytesIO(b"abc")
    environ = {"wsgi.input": stream, "REMOTE_ADDR": "192.0.2.1", "CONTENT_LENGTH": "3", "HTTP_EXPECT": "100-continue"}
    begun = Body(environ, Readers(16))

    begun.read(1)
    begun.drop()

    assert stream.tell() == 3


def test_it_refuses_a_client_whose_other_bodies_do_not_come() -> None:
    readers, slow = Readers(16), Slow()
    threads = [threading.Thread(target=body(slow, 10, readers=readers).read) for _ in range(4)]
    for thread in threads:
        thread.start()
    while readers._reading["192.0.2.1"] < 4:
        time.sleep(0.01)

    with pytest.raises(TooManyRequests) as refused:
        body(io.BytesIO(b"abc"), 3, readers=readers).read()

    unread = io.BytesIO(b"abc")
    body(unread, 3, readers=readers).drop()

    assert refused.value.retry_after_seconds == 5
    assert unread.tell() == 0
    assert body(io.BytesIO(b"abc"), 3, readers=readers, address="192.0.2.2").read() == b"abc"
    slow.goes_on.set()
    for thread in threads:
        thread.join()
    assert not readers._reading


def test_it_ends_where_a_client_broke_off() -> None:
    given = body(io.BytesIO(b"abc"), 1000)

    assert (given.read(1000), given.read(1000)) == (b"abc", b"")


@pytest.mark.parametrize("length", ["-1", "x", "٣"])
def test_it_takes_a_length_that_is_none_for_unknown(length: str) -> None:
    assert body(io.BytesIO(b"abc"), length).read() == b"abc"
