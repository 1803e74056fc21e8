"""What became of a model process, in words for people and as a kind of incident. Pure."""

import os
import signal
from contextlib import suppress

from predictions.model_host.memory import times_out_of_memory
from predictions.model_host.pool import Ending, ModelProcess, State

_LONGEST_DUMP = 2_000
# By which the host ends a process.
_ENDED_BY_HOST = (-signal.SIGKILL, -signal.SIGABRT)

CLOSED = Ending("crashed", "It closed its connection, so that it could answer no more.")


def explained(process: ModelProcess, status: int, was: State) -> Ending:
    """`status` is negative for a signal; `was` what the process did. The kinds are those of registry.models.incident.

    What the process wrote when it crashed is its own word: frames, as faulthandler writes them.
    """
    dump = _dump_of(process)
    if process.verdict is not None and status in _ENDED_BY_HOST:
        return Ending(process.verdict.kind, f"{process.verdict.detail}{dump}")
    when = "while it was loaded" if was is State.LOADING else "in a call"
    if status == -signal.SIGKILL and times_out_of_memory() > process.out_of_memory_before:
        return Ending("out_of_memory", f"The system ended its process for want of memory {when}.")
    if status >= 0:
        return Ending("exited", f"Its process ended itself {when} (status {status}).{dump}")
    if status in (-signal.SIGKILL, -signal.SIGTERM):
        return Ending("killed", f"Its process ended without a trace {when}: it was killed, or the model ended it.")
    return Ending("crashed", f"Its process crashed {when} ({_name_of(-status)}).{dump}")


def hung(seconds: float, was: State) -> Ending:
    """For one that did not answer, or did not load, in time."""
    when = "to be loaded" if was is State.LOADING else "for a call"
    return Ending("hung", f"It took longer than {round(seconds, 1):g} s {when}.")


def _dump_of(process: ModelProcess) -> str:
    with suppress(OSError):
        text = os.read(process.dump, _LONGEST_DUMP).decode("utf-8", errors="replace").strip()
        return f"\n{text}" if text else ""
    return ""


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
