"""The lines that a terminal shows once the service answers."""

import contextlib
import http.client
import time
from collections.abc import Callable, Sequence
from io import TextIOBase

_PATIENCE_SECONDS = 60.0
_ANSWER_WITHIN_SECONDS = 1.0
# All addresses of a machine are none to ask.
_OWN = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens because of it


def asked_at(host: str) -> str:
    """The host by which this machine reaches a service that listens at `host`."""
    return _OWN.get(host, host)


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def about_address(host: str) -> list[str]:
    if host not in _OWN:
        return []
    return ["It listens at all addresses of this machine; names by which other machines call it go into ALLOWED_HOSTS."]


class Greeting:
    """Call it repeatedly: it asks the web server whether it answers, and prints once."""

    def __init__(
        self,
        host: str,
        port: int,
        lines: Sequence[str],
        out: TextIOBase,
        *,
        base_path: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._port, self._lines, self._out = asked_at(host), port, lines, out
        self._base_path, self._clock = base_path, clock
        self._until = clock() + _PATIENCE_SECONDS
        self._is_over = False

    def __call__(self) -> None:
        if self._is_over:
            return
        if self._answers():
            self._say("\n".join(self._page()))
        elif self._clock() > self._until:
            self._say("The web server does not answer yet.")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_WITHIN_SECONDS)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _say(self, text: str) -> None:
        self._is_over = True
        with contextlib.suppress(OSError):  # a service continues without its terminal
            self._out.write(f"{text}\n")
            self._out.flush()

    def _page(self) -> list[str]:
        address = f"http://{in_url(self._host)}:{self._port}{self._base_path}"
        return [
            "",
            f"  mlserve is ready at   {address}/",
            f"  API documentation     {address}/api/docs",
            f"  Admin                 {address}/admin/",
            "",
            *(f"  {line}" for line in self._lines),
            *([""] if self._lines else []),
            "  Ctrl-C stops it.",
            "",
        ]
