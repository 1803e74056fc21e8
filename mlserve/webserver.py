"""granian with the settings that docs/decisions/0003-web-server.md measured."""

import os
import socket

from django.conf import settings

# A request may wait for MLSERVE_MAX_WAIT; the rest is for its answer.
_SECONDS_BEYOND_WAIT = 15
# Long polls hold a thread each (predictions/waiting.py bounds them below this number), and each thread holds a
# database connection, of which PostgreSQL has 100 unless told otherwise.
_THREADS = 32
# Counts connections, idle keep-alive ones included.
_MOST_CONNECTIONS = 1024


class PortTaken(Exception):
    """Somebody listens at the address already, or it may not be used."""


def require_free_port(host: str, port: int) -> None:
    """Raise PortTaken unless the address is free. granian itself would share a port that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} of {host} cannot be used: {error.strerror}. Stop what listens there, or choose another "
                f"one: PORT={port + 1} make serve."
            ) from error


def run_web_server(host: str, port: int, processes: int) -> None:
    """Blocks until SIGTERM or SIGINT; then requests that were accepted are still answered."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    os.environ["MLSERVE_GRANIAN"] = "1"
    Granian(
        "mlserve.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=processes,
        runtime_threads=1,
        blocking_threads=_THREADS,
        backpressure=_MOST_CONNECTIONS,
        backlog=1024,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        respawn_failed_workers=True,
        workers_kill_timeout=settings.MLSERVE_MAX_WAIT + _SECONDS_BEYOND_WAIT,
        log_access=False,
        log_level=LogLevels.error,
    ).serve()
