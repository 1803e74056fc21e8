"""granian with the settings that docs/decisions/0003-web-server.md measured."""

import signal
import socket
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.urls import get_resolver

from mlserve.observability import logs
from mlserve.observability.monitoring import start_monitoring
from mlserve.observability.tracing import traced
from mlserve.processes.orphans import end_with_parent
from mlserve.processes.stopping import notice_stop

# A request may wait for MLSERVE_MAX_WAIT, also one for an inspection that goes on; the rest is for its answer.
_SECONDS_BEYOND_WAIT = 15
# Counts connections, idle keep-alive ones included.
_MOST_CONNECTIONS = 1024


class PortTaken(Exception):
    """Another process listens at the address, or it may not be used."""


class UnknownHost(Exception):
    """No address belongs to the name."""


def address_of(host: str) -> str:
    """The address to listen at for a host name, which granian does not look up; of IPv4 where it has both.

    Raises UnknownHost.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHost(
            f"HOST is {host!r}, which is no address and no name that is known here; allowed is an address or host name "
            "of this machine, such as 127.0.0.1, ::1 or 0.0.0.0."
        ) from error
    by_family = {family: str(address[0]) for family, *_, address in reversed(found)}
    return by_family.get(socket.AF_INET) or by_family[socket.AF_INET6]


def require_free_port(host: str, port: int) -> None:
    """Raise PortTaken unless the address is free, UnknownHost for a name that has none.

    granian itself would share a port that is in use.
    """
    address = address_of(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} of {host} cannot be used: {error.strerror}. Stop what listens there, or choose another "
                f"one: PORT={port + 1} make serve."
            ) from error


def import_web_server() -> None:
    """Import the code of the web server, so that its processes, which are forked afterwards, share it."""
    import granian  # noqa: F401

    from mlserve import wsgi  # noqa: F401
    from registry.schema import form_config  # noqa: F401 - otherwise imported by the first page

    _ = get_resolver().url_patterns  # imports the views


def load_application() -> Callable[..., Any]:
    """The WSGI application; runs in each process of the web server before it listens."""
    # The process inherits a handler that ignores SIGTERM until it listens, and it would survive granian's own death.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
    notice_stop()
    logs.name_process("web")

    from mlserve.wsgi import application
    from predictions.metrics.totals import flush_in_background

    start_monitoring()
    flush_in_background()
    return traced(application)


def run_web_server(host: str, port: int, processes: int) -> None:
    """Blocks until SIGTERM or SIGINT; accepted requests are still answered."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    import_web_server()
    Granian(
        f"{__name__}:{load_application.__name__}",
        factory=True,
        address=address_of(host),
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=processes,
        runtime_threads=1,
        blocking_threads=settings.MLSERVE_WEB_THREADS,
        backpressure=_MOST_CONNECTIONS,
        backlog=1024,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        respawn_failed_workers=True,
        # A library may leak; a process that has grown answers its requests and is replaced.
        workers_max_rss=settings.MLSERVE_PROCESS_BYTES // 2**20,
        workers_kill_timeout=settings.MLSERVE_MAX_WAIT + _SECONDS_BEYOND_WAIT,
        log_access=False,
        log_level=LogLevels.error,
        # Its lines go to the common handler instead of one of its own.
        log_dictconfig={"incremental": True, "handlers": {}, "loggers": {"_granian": {"propagate": True}}},
    ).serve()
