"""The sandbox of the inspection: what code in it cannot do, tried by a program in it."""

import errno
import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from registry.sandbox import landlock, sandbox, seccomp
from tests.requirements import everything_is_required

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have limits only; run the suite on Linux"
)

_SETUP = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading, time
from pathlib import Path
from registry.sandbox.sandbox import Sandbox, enter
inside, outside, parent, port, listener = {inside!r}, {outside!r}, {parent}, {port}, {listener}
held = enter(Sandbox({memory}, {seconds}, (Path(inside),), (listener,) if {seconds} is None else ()))

def tried(act):
    try:
        value = act()
    except BaseException as error:
        return [type(error).__name__, getattr(error, "errno", None)]
    return ["done", repr(value)]

def libc(name, *arguments):
    '''A call of the C library, which Python has no name for.'''
    if (result := getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)) == -1:
        raise OSError(ctypes.get_errno(), name)
    return result

def many_threads():
    threading.stack_size(2**15)
    count = 0
    try:
        for count in range(5000):
            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
    except RuntimeError:
        return count
    raise AssertionError("5000 threads")
"""

# Each attempt is an expression in the sandbox, and what comes of it.
PERMISSION, DENIED, READ_ONLY = (
    ["PermissionError", errno.EPERM],
    ["PermissionError", errno.EACCES],
    ["OSError", errno.EROFS],
)
ATTEMPTS: dict[str, tuple[str, list[Any]]] = {
    "connect": ("socket.create_connection(('127.0.0.1', port), 5)", PERMISSION),
    "open a Unix socket": ("socket.socket(socket.AF_UNIX)", PERMISSION),
    "make a pair of sockets": ("socket.socketpair()", PERMISSION),
    "use a socket of the parent's": ("os.fstat(listener)", ["OSError", errno.EBADF]),
    "start a program": ("subprocess.run(['true'])", PERMISSION),
    "become a program": ("os.execv('/bin/true', ['true'])", PERMISSION),
    "fork": ("os.fork()", PERMISSION),
    "kill its parent": ("os.kill(parent, 0)", PERMISSION),
    "signal its group": ("os.killpg(0, 0)", PERMISSION),
    "signal all processes": ("os.kill(-1, 0)", PERMISSION),
    "leave its group": ("os.setsid()", PERMISSION),
    "trace": ("libc('ptrace', 0, 0, 0, 0)", PERMISSION),
    "outlive its parent": ("libc('prctl', 1, 0, 0, 0, 0)", PERMISSION),
    "reach its parent's limits": ("__import__('resource').prlimit(parent, 0)", PERMISSION),
    "free itself of a limit": ("__import__('resource').setrlimit(0, (-1, -1))", ["ValueError", None]),
    "become another user": ("os.setuid(0)", PERMISSION),
    "use kernel memory": ("os.memfd_create('x')", PERMISSION),
    "enter a namespace": ("libc('unshare', 0x10000000)", PERMISSION),
    "write beside itself": ("open(outside + '/new', 'w')", READ_ONLY),
    "write over a file": ("open(outside + '/secret', 'r+')", READ_ONLY),
    "fill the disk": ("open(inside + '/large', 'wb')", READ_ONLY),
    "delete a file": ("os.remove(outside + '/secret')", READ_ONLY),
    "shorten what it reported": ("os.ftruncate(1, 0)", READ_ONLY),
    "write over what it reported": ("__import__('fcntl').fcntl(1, 4, 0)", PERMISSION),
    "keep the disk busy": ("os.sync() or libc('syncfs', 1)", PERMISSION),
    "make a folder": ("os.mkdir(inside + '/folder')", READ_ONLY),
    "open a file to others": ("os.chmod(outside + '/secret', 0o777)", READ_ONLY),
    "read a secret": ("open(outside + '/secret').read()", DENIED),
    "list a folder": ("os.listdir(outside)", DENIED),
    "read a key in a project": ("open(outside + '/project/.env').read()", DENIED),
    "read data in a project": ("open(outside + '/project/data.sqlite3').read()", DENIED),
    "read its parent's variables": ("open(f'/proc/{parent}/environ').read()", DENIED),
    "read the password file": ("open('/etc/passwd').read()", DENIED),
    "take all memory": ("bytearray(2**34)", ["MemoryError", None]),
    "read what was submitted": ("open(inside + '/given').read()", ["done", "'given'"]),
    "import of the project": ("__import__('trusted_step').NAME", ["done", "'trusted'"]),
    "import of a library": ("__import__('sqlite3').connect(':memory:').close()", ["done", "None"]),
    "ask for its limits": ("__import__('resource').getrlimit(0)[0]", ["done", "20"]),
    "discard what it writes": ("os.write(1, b'')", ["done", "0"]),
    "signal itself": ("os.kill(os.getpid(), 0)", ["done", "None"]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`inside` is for the sandbox; beside it lies what it must not reach: a secret, and a project on Python's path."""
    place = tmp_path_factory.mktemp("sandbox")
    (place / "inside").mkdir()
    (place / "inside" / "given").write_text("given")
    (place / "secret").write_text("secret")
    (place / "project").mkdir()
    (place / "project" / ".env").write_text("SECRET_KEY=secret")
    (place / "project" / "data.sqlite3").write_text("rows")
    (place / "project" / "trusted_step.py").write_text("NAME = 'trusted'")
    return place


def run(
    place: Path, code: str, *, memory: int = 2**32, seconds: int | None = 20, stdout: Any = subprocess.PIPE, **more: Any
) -> subprocess.CompletedProcess[str]:
    names = {"port": 0, "listener": 99, "parent": os.getpid(), "memory": memory, "seconds": seconds, **more}
    script = _SETUP.format(inside=str(place / "inside"), outside=str(place), **names) + textwrap.dedent(code)
    path = os.pathsep.join([str(settings.BASE_DIR), str(place / "project")])
    return subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": path}, stdout=stdout, stderr=subprocess.PIPE, text=True,
        timeout=60, check=False, pass_fds=[names["listener"]] if names["listener"] != 99 else [], cwd=place / "inside",
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(place: Path) -> dict[str, Any]:
    """What came of all attempts, made one after the other in one sandbox."""
    attempts = ", ".join(f"{name!r}: tried(lambda: {code})" for name, (code, _) in ATTEMPTS.items())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        code = f"print(json.dumps({{'held': held, **{{{attempts}}}}}))"
        done = run(place, code, port=port, listener=listening.fileno())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def require(part: str, outcomes: dict[str, Any]) -> None:
    if part not in outcomes["held"] and not everything_is_required():
        pytest.skip(f"this kernel has no sandbox of {part}: Linux 5.13 with seccomp and Landlock has")


@pytest.mark.parametrize("name", ATTEMPTS)
def test_it_ends_an_attempt_to(name: str, outcomes: dict[str, Any]) -> None:
    expected = ATTEMPTS[name][1]
    if expected[0] != "done":
        require(sandbox.FILES if expected == DENIED else sandbox.SYSTEM_CALLS, outcomes)

    assert outcomes[name] == expected


def test_it_says_which_parts_hold(outcomes: dict[str, Any]) -> None:
    expected = [sandbox.LIMITS]
    if seccomp.architecture():
        expected.append(sandbox.SYSTEM_CALLS)
    if landlock.version():
        expected.append(sandbox.FILES)

    assert outcomes["held"] == expected


def test_it_bounds_the_number_of_threads(place: Path) -> None:
    done = run(place, "print(many_threads(), flush=True); os._exit(0)")

    assert int(done.stdout) < 1000, done.stderr


def test_it_bounds_what_is_written_to_what_is_open(place: Path) -> None:
    with (place / "output").open("wb") as output:
        run(place, "for _ in range(200): os.write(1, bytes(2**20))", stdout=output)

    assert (place / "output").stat().st_size == sandbox.MAX_FILE_BYTES


def test_it_ends_code_that_only_calculates(place: Path) -> None:
    done = run(place, "while True: pass", seconds=1)

    assert done.returncode == -24  # SIGXCPU


def test_it_talks_by_a_socket_that_it_was_given(place: Path) -> None:
    """As the process of a model does, which stays: no limit of CPU time, and only `read` and `write`."""
    code = """
        print(__import__('resource').getrlimit(0)[0], os.read(listener, 9), os.write(listener, b'answer'))
        given = socket.socket(fileno=listener)
        print(tried(lambda: given.send(b'x')), tried(lambda: given.recv(1)))
        print(tried(lambda: os.set_blocking(listener, False)), tried(lambda: given.setsockopt(1, 7, 1)))
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"rows")
        done = run(place, code, seconds=None, listener=theirs.fileno())
        answer = ours.recv(9)

    assert done.stdout.splitlines() == [
        "-1 b'rows' 6",
        "['PermissionError', 1] ['PermissionError', 1]",
        "['OSError', 25] ['PermissionError', 1]",
    ], done.stderr
    assert answer == b"answer"


def test_it_prepares_what_processes_that_are_forked_need(place: Path) -> None:
    code = """
        from registry.sandbox import readable_paths, sandbox, seccomp
        sandbox.prepare()
        print(readable_paths.python_and_system.cache_info().currsize, seccomp._fixed_part.cache_info().currsize)
    """
    path = {"PYTHONPATH": str(settings.BASE_DIR)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=path, capture_output=True, text=True, check=True
    )

    assert done.stdout == ("1 2\n" if seccomp.architecture() else "1 0\n")


def test_it_hides_system_calls_that_are_newer_than_its_table(place: Path) -> None:
    code = "print(tried(lambda: libc('syscall', 500)))"

    assert run(place, code).stdout.strip() == f"['OSError', {errno.ENOSYS}]"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 exists on x86-64 only")
def test_it_refuses_the_other_ways_to_number_system_calls(place: Path) -> None:
    """x32's getpid; its numbers are the same with one bit more."""
    assert run(place, "print(tried(lambda: libc('syscall', 0x40000000 | 39)))").stdout.strip() == "['OSError', 38]"


@pytest.mark.parametrize("kind", seccomp.ARCHITECTURES.values(), ids=seccomp.ARCHITECTURES)
def test_it_makes_a_program_that_always_returns(kind: seccomp.Architecture) -> None:
    """Every jump stays in the program, as the kernel asks, for both architectures."""
    program = seccomp.filter_for(kind, 4711, may_have_threads=True)
    steps = list(struct.iter_unpack("HBBI", program))

    assert len(steps) < 4096
    assert steps[-1][0] == 0x06
    jumps = [(at, step) for at, step in enumerate(steps) if step[0] in {0x15, 0x25, 0x45}]
    assert all(at + 1 + max(step[1], step[2]) < len(steps) for at, step in jumps)
