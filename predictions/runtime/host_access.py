"""The model host that this process asks: the one of `serve`, or else one of its own."""

import os
import threading
from pathlib import Path

from django.conf import settings

from mlserve.processes.secret_memory import hide_memory
from predictions.model_host.client import HostClient
from predictions.model_host.start import Options, OwnHost
from registry.sandbox.measurement import parts_in_force
from registry.sandbox.sandbox import FILES

# Tells it to the parts of `serve` that are executed anew instead of forked.
ADDRESS_VARIABLE = "MLSERVE_MODEL_HOST"


_ANSWERS_WITHIN_SECONDS = 2.0


class _Access:
    client: HostClient | None = None
    own: OwnHost | None = None


_starting = threading.Lock()


def host_options() -> Options:
    return Options(Path(settings.BASE_DIR), settings.MLSERVE_MODEL_CACHE_BYTES)


def use_host_at(address: Path) -> None:
    """Of this process, and all that it forks or executes from now on."""
    os.environ[ADDRESS_VARIABLE] = str(address)
    _Access.client = HostClient(address)


def process_count() -> int | None:
    """Of model processes on this machine; None in a process that is no part of `serve`, which asks a host of its own.

    Raises HostUnavailable within seconds.
    """
    if ADDRESS_VARIABLE not in os.environ:
        return None
    return len(client().state(timeout_seconds=_ANSWERS_WITHIN_SECONDS)["processes"])


def is_started() -> bool:
    """Whether there is a host that this process has asked already, or may ask."""
    return _Access.client is not None


def client() -> HostClient:
    """The first request for one of its own starts it, which takes a second; so does the first after it has ended."""
    own = _Access.own
    if _Access.client is not None and (own is None or own.is_running):
        return _Access.client
    with _starting:
        own = _Access.own
        if _Access.client is None or (own is not None and not own.is_running):
            _Access.client = HostClient(_address())
    return _Access.client


def given_address() -> Path:
    """Where the host of `serve` listens. Raises KeyError in a process that is no part of it."""
    return Path(os.environ[ADDRESS_VARIABLE])


def _address() -> Path:
    if ADDRESS_VARIABLE in os.environ:
        return given_address()
    if FILES not in parts_in_force():
        hide_memory()  # a model's process, which runs as the same user, could look into this one
    _Access.own = OwnHost(host_options())
    return _Access.own.address
