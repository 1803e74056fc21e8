"""A minimal server, to measure how fast the client is: `python -m benchmark.responder PORT`."""

import argparse
import asyncio
from typing import cast

import uvloop

_BODY = b'{"predictions": ["yes"], "padding": "' + b"-" * 400 + b'"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


class Responder(asyncio.Protocol):
    """Answers each received packet at once; correct only for requests that fit into one packet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Responder, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer every request with the same bytes.")
    parser.add_argument("port", type=int, help="port of 127.0.0.1 to listen at")
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
