"""A service with secrets, the clean process that it forks models' processes from, and each way out in one of these.

`python -m tests.registry.sandbox.service_and_models '{"user": 65534, "without": ["files"], "is_hidden": true}'` prints
a JSON object: the effects of each way, and how it ended inside.
"""

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import asdict
from typing import Any

from registry.sandbox import sandbox
from tests.registry.sandbox.outside_world import OutsideWorld
from tests.registry.sandbox.targets import Targets
from tests.registry.sandbox.ways_out import WAYS

_LONGEST_SECONDS = 20
_DUMPABLE = 4


def main(asked: dict[str, Any]) -> None:
    sandbox.prepare()
    service, parent = socket.socketpair()
    if asked["user"]:
        os.setgroups([])
        os.setgid(asked["user"])
        os.setuid(asked["user"])
    # A user who changed is hidden at once, and a program that is executed is not.
    ctypes.CDLL(None).prctl(_DUMPABLE, 0 if asked["is_hidden"] else 1)
    if os.fork() == 0:
        with service:
            pass
        fork_models(parent, asked["without"])
        os._exit(0)
    parent.close()
    print(json.dumps({name: found_of(name, service) for name in WAYS}))


def found_of(name: str, service: socket.socket) -> dict[str, Any]:
    """Each way has an outside world of its own, because it may harm it."""
    world = OutsideWorld()
    try:
        socket.send_fds(service, [json.dumps([name, asdict(world.targets)]).encode()], world.descriptors())
        told = json.loads(service.recv(2**20))
        return {"effects": world.effects(told["got"], told["session"]), "ended": told["ended"]}
    finally:
        world.close()


def fork_models(parent: socket.socket, without: list[str]) -> None:
    """The clean parent: it never had the secrets, but all descriptors."""
    while True:
        asked, descriptors, _, _ = socket.recv_fds(parent, 2**16, 16)
        if not asked:
            return
        name, targets = json.loads(asked)
        reading, writing = os.pipe()
        if (model := os.fork()) == 0:
            os.close(reading)
            try_way(name, Targets(**targets), writing, without)
        for number in (writing, *descriptors):
            os.close(number)
        told = os.read(reading, 2**16) if select.select([reading], [], [], _LONGEST_SECONDS)[0] else b""
        os.close(reading)
        try:
            got, ended = json.loads(told)
        except ValueError:
            got, ended = "", f"it said {told!r} and ended"
            time.sleep(0.3)  # as another program it may be about to do something
        os.kill(model, signal.SIGKILL)
        os.waitpid(model, 0)
        parent.sendall(json.dumps({"got": got, "ended": ended, "session": model}).encode())


def try_way(name: str, targets: Targets, writing: int, without: list[str]) -> None:
    try:
        os.setsid()
        leave_out(without)
        sandbox.enter(sandbox.Sandbox(2**33, None, keep_open=(writing,)))
        got, ended = "", "as if done"
        try:
            result = WAYS[name](targets)
            got = result.decode("latin-1") if isinstance(result, bytes) else "" if result is None else str(result)
        except BaseException as error:  # noqa: BLE001 - a model may raise anything
            ended = f"{type(error).__name__}: {error}"
        os.write(writing, json.dumps([got[:4000], ended[:200]]).encode())
    finally:
        os._exit(0)


def leave_out(parts: list[str]) -> None:
    """As if this system lacked them. `namespace` is the user namespace, which is no part by itself."""
    instead: dict[str, dict[str, Any]] = {
        sandbox.FILES: {"refuse_files": lambda _: False},
        sandbox.SYSTEM_CALLS: {"refuse_system_calls": lambda *_, **__: False},
        sandbox.LIMITS: {"_limit": lambda *_: None, "_give_up_privileges": lambda **_: None},
        "namespace": {"_NEW_USER_NAMESPACE": 0},
    }
    for part in parts:
        vars(sandbox).update(instead[part])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
