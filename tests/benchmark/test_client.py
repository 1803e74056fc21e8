from collections.abc import Sequence

import pytest

from benchmark.client import Answer, Client, FollowUp
from benchmark.connection import BadAnswer, Request, build
from benchmark.programs import free_port
from tests.benchmark.server import ScriptedServer, answer


def echo(request: bytes) -> Sequence[bytes]:
    return [answer(request.partition(b"\r\n\r\n")[2])]


def posts(*bodies: bytes) -> list[Request]:
    return [Request(build("POST", "/", body), number) for number, body in enumerate(bodies)]


def bodies_by_subject(answers: Sequence[Answer]) -> dict[int, bytes]:
    return {each.request.subject: each.body for each in answers}


def test_it_builds_requests_that_servers_read() -> None:
    assert build("POST", "/p", b"{}", {"Prefer": "wait=10"}) == (
        b"POST /p HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Prefer: wait=10\r\n\r\n{}"
    )


def test_it_keeps_its_connections() -> None:
    with ScriptedServer(echo) as server, Client(server.port, connections=2) as client:
        client.run(posts(*[b"again"] * 20))
        client.run(posts(*[b"and again"] * 20))

        assert (server.connections, len(server.requests)) == (2, 40)


def test_it_tells_answers_apart_on_many_connections() -> None:
    bodies = [b"%d" % number for number in range(50)]

    with ScriptedServer(echo) as server, Client(server.port, connections=8) as client:
        answers = client.run(posts(*bodies))

    assert bodies_by_subject(answers) == dict(enumerate(bodies))


@pytest.mark.parametrize("size", [1, 20, 40])
def test_it_joins_answers_that_come_in_pieces(size: int) -> None:
    def in_pieces(request: bytes) -> Sequence[bytes]:
        whole = answer(b"a body\r\n\r\nwith an empty line")
        return [whole[start : start + size] for start in range(0, len(whole), size)]

    with ScriptedServer(in_pieces) as server, Client(server.port, connections=1) as client:
        answers = client.run(posts(b"first", b"second"))

    assert [each.body for each in answers] == [b"a body\r\n\r\nwith an empty line"] * 2


def test_it_sends_and_receives_more_than_a_socket_holds() -> None:
    body = b"x" * 8_000_000

    with ScriptedServer(echo) as server, Client(server.port, connections=1) as client:
        answers = client.run(posts(body))

    assert answers[0].body == body


def test_it_hands_on_statuses_other_than_200() -> None:
    with (
        ScriptedServer(lambda _: [answer(b"busy", status="503 Service Unavailable")]) as server,
        Client(server.port, connections=1) as client,
    ):
        answers = client.run(posts(b"x"))

    assert [(each.status, each.body) for each in answers] == [(503, b"busy")]


def test_it_sends_follow_ups_after_their_pause() -> None:
    pause_ns = 20_000_000

    def once_more(received: Answer) -> FollowUp | None:
        return FollowUp(Request(received.request.payload, 2), pause_ns) if received.request.subject < 2 else None

    with ScriptedServer(echo) as server, Client(server.port, connections=2) as client:
        answers = client.run(posts(b"a", b"b"), once_more)

    first, last = answers[:2], answers[2:]
    assert [each.request.subject for each in last] == [2, 2]
    assert min(each.sent_ns for each in last) - min(each.received_ns for each in first) >= pause_ns


def test_it_begins_nothing_new_while_a_follow_up_waits_on_the_connection() -> None:
    def once_more(received: Answer) -> FollowUp | None:
        subject = received.request.subject
        return FollowUp(Request(received.request.payload, subject + 10), 1_000_000) if subject < 10 else None

    with ScriptedServer(echo) as server, Client(server.port, connections=1) as client:
        answers = client.run(posts(b"a", b"b"), once_more)

    assert [each.request.subject for each in answers] == [0, 10, 1, 11]


def test_it_opens_a_connection_again_that_was_closed_while_idle() -> None:
    with ScriptedServer(lambda _: [answer(b"bye"), b""]) as server, Client(server.port, connections=1) as client:
        client.run(posts(b"x"))
        assert server.has_closed.wait(10)
        answers = client.run(posts(b"x"))

        assert [each.body for each in answers] == [b"bye"]
        assert server.connections == 2


def test_it_refuses_answers_without_a_length() -> None:
    with (
        ScriptedServer(lambda _: [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"]) as server,
        Client(server.port, connections=1) as client,
        pytest.raises(BadAnswer, match="Content-Length"),
    ):
        client.run(posts(b"x"))


def test_it_reports_a_connection_that_ends_within_an_answer() -> None:
    with (
        ScriptedServer(lambda _: [answer(b"complete")[:-3], b""]) as server,
        Client(server.port, connections=1) as client,
        pytest.raises(BadAnswer, match="closed the connection"),
    ):
        client.run(posts(b"x"))


def test_it_does_not_wait_for_ever() -> None:
    with (
        ScriptedServer(lambda _: []) as server,
        Client(server.port, connections=1, timeout_seconds=0.05) as client,
        pytest.raises(BadAnswer, match="no answer within"),
    ):
        client.run(posts(b"x"))


def test_it_says_where_no_server_listens() -> None:
    port = free_port()

    with pytest.raises(BadAnswer, match=f"port {port}"), Client(port, connections=1):
        pass
