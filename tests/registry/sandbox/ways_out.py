"""Ways in which a model's code would reach something outside of its process: each a function of what there is to reach.

They need Python's library only, so that they also run as the code of a model. Each returns what it got hold of, or
None where the effect must be seen from outside (`outside_world.py`), and raises what it was refused with.
"""

import ctypes
import fcntl
import inspect
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARK = "way-out"  # in the name of whatever they make


@dataclass(frozen=True)
class Targets:
    """What there is to reach. Plain values, so that they can be sent as JSON."""

    folder: str  # holds secret files, a database, a project on Python's path
    parent: int  # a process of this user that is mlserve's: it holds a secret in memory, a connection, sockets
    address: int  # of that secret
    group: int  # of processes, the parent's
    stranger: int  # a process of this user that was executed with a secret in its environment
    tcp_port: int
    udp_port: int
    unix_path: str
    abstract: str


def _libc(name: str, *arguments: object) -> int:
    """A call of the C library that Python has no name for."""
    converted = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*converted))
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def _syscall(x86: int, arm: int, *arguments: object) -> int:
    return _libc("syscall", x86 if platform.machine() == "x86_64" else arm, *arguments)


# --- Files ---


def write_a_file(target: Targets) -> None:
    Path(target.folder, MARK).write_text("x")


def write_to_tmp(_: Targets) -> None:
    Path("/tmp", MARK).write_text("x")


def write_to_the_working_folder(_: Targets) -> None:
    Path(MARK).write_text("x")


def write_to_shared_memory(_: Targets) -> None:
    Path("/dev/shm", MARK).write_text("x")


def write_without_a_name(target: Targets) -> object:
    return os.open(target.folder, os.O_TMPFILE | os.O_RDWR)


def overwrite_a_secret(target: Targets) -> None:
    Path(target.folder, ".env").write_text("x")


def append_to_code_that_others_import(target: Targets) -> None:
    with Path(target.folder, "project", "imported.py").open("a") as file:
        file.write("raise SystemExit")


def delete_a_file(target: Targets) -> None:
    Path(target.folder, "data.sqlite3").unlink()


def move_a_file(target: Targets) -> None:
    Path(target.folder, "data.sqlite3").rename(Path(target.folder, MARK))


def shorten_a_file(target: Targets) -> None:
    os.truncate(Path(target.folder, "data.sqlite3"), 0)


def link_to_a_file(target: Targets) -> None:
    Path(target.folder, MARK).symlink_to("/etc/passwd")


def link_hard_to_a_file(target: Targets) -> None:
    Path(target.folder, MARK).hardlink_to(Path(target.folder, ".env"))


def make_a_folder(target: Targets) -> None:
    Path(target.folder, MARK).mkdir()


def make_a_pipe(target: Targets) -> None:
    os.mkfifo(Path(target.folder, MARK))


def open_a_secret_to_others(target: Targets) -> None:
    Path(target.folder, ".env").chmod(0o777)


def change_times(target: Targets) -> None:
    os.utime(Path(target.folder, ".env"), (1, 1))


def attach_an_attribute(target: Targets) -> None:
    os.setxattr(Path(target.folder, ".env"), f"user.{MARK}", b"x")


def lock_a_file(target: Targets) -> object:
    with Path(target.folder, "data.sqlite3").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return "locked"


def read_the_configuration(target: Targets) -> object:
    return Path(target.folder, ".env").read_text()


def read_the_database(target: Targets) -> object:
    return Path(target.folder, "data.sqlite3").read_bytes()


def map_the_database(target: Targets) -> object:
    with Path(target.folder, "data.sqlite3").open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:]


def read_data_in_a_project(target: Targets) -> object:
    return Path(target.folder, "project", ".env").read_text()


def read_a_key(target: Targets) -> object:
    return Path(target.folder, ".ssh", "id_ed25519").read_text()


def list_a_folder(target: Targets) -> object:
    return [path.name for path in Path(target.folder).iterdir()]


def copy_a_file_within_the_kernel(target: Targets) -> object:
    reading, writing = os.pipe()
    with Path(target.folder, ".env").open("rb") as file:
        os.sendfile(writing, file.fileno(), 0, 100)
    return os.read(reading, 100)


def read_a_file_around_the_root(target: Targets) -> object:
    return Path(f"/proc/self/root{target.folder}/.env").read_text()


def read_users(_: Targets) -> object:
    return Path("/etc/passwd").read_text()


def read_the_machine_s_connections(_: Targets) -> object:
    return Path("/proc/self/net/tcp").read_text()


def watch_a_folder(target: Targets) -> object:
    watcher = _libc("inotify_init1", 0)
    return _libc("inotify_add_watch", watcher, target.folder.encode(), 0xFFF)


# --- Network ---


def connect(target: Targets) -> None:
    socket.create_connection(("127.0.0.1", target.tcp_port), 5).close()


def send_a_datagram(target: Targets) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", target.udp_port))


def connect_to_a_path(target: Targets) -> None:
    socket.socket(socket.AF_UNIX).connect(target.unix_path)


def connect_to_an_abstract_name(target: Targets) -> None:
    socket.socket(socket.AF_UNIX).connect("\0" + target.abstract)


def listen(_: Targets) -> object:
    return socket.create_server(("127.0.0.1", 0)).getsockname()


def listen_at_a_path(target: Targets) -> None:
    socket.socket(socket.AF_UNIX).bind(f"{target.folder}/{MARK}")


def listen_to_the_wire(_: Targets) -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


def ask_the_kernel_for_its_routes(_: Targets) -> object:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)


def reach_the_hypervisor(_: Targets) -> object:
    return socket.socket(40, socket.SOCK_STREAM)


def call_by_a_ring(_: Targets) -> object:
    return _syscall(425, 425, 4, ctypes.create_string_buffer(120))


def use_what_it_inherited(_: Targets) -> object:
    """The service's files, folder, connections and sockets, if any were left open."""
    found: list[object] = []
    for number in range(3, 64):
        try:
            link = str(Path(f"/proc/self/fd/{number}").readlink())
        except FileNotFoundError:
            continue
        except OSError:
            link = ""
        if "pipe:" not in link:
            found.append((number, link, os.pread(number, 100, 0) if link.startswith("/") else os.fstat(number)))
    return found or None


# --- Other processes ---


def fork(_: Targets) -> None:
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)


def clone(_: Targets) -> None:
    if _syscall(56, 220, signal.SIGCHLD, 0, 0, 0, 0) == 0:
        time.sleep(20)
        os._exit(0)


def clone_with_a_structure(_: Targets) -> None:
    if _syscall(435, 435, struct.pack("8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64) == 0:
        time.sleep(20)
        os._exit(0)


def spawn(_: Targets) -> None:
    os.posix_spawn("/bin/sleep", ["sleep", "20"], {})


def start_a_program(_: Targets) -> None:
    subprocess.Popen(["/bin/sleep", "20"])


def start_a_shell(target: Targets) -> None:
    os.system(f"touch {target.folder}/{MARK}")


def become_a_program(target: Targets) -> None:
    os.execv("/bin/touch", ["touch", f"{target.folder}/{MARK}"])


def become_a_program_by_descriptor(target: Targets) -> None:
    program = os.open(shutil.which("touch") or "/bin/touch", os.O_RDONLY)
    os.execve(program, ["touch", f"{target.folder}/{MARK}"], {})


def kill_the_parent(target: Targets) -> None:
    os.kill(target.parent, signal.SIGURG)


def kill_a_stranger(target: Targets) -> None:
    os.kill(target.stranger, signal.SIGKILL)


def kill_the_group(target: Targets) -> None:
    os.killpg(target.group, signal.SIGURG)


def kill_all(_: Targets) -> None:
    os.kill(-1, signal.SIGURG)


def kill_by_thread(target: Targets) -> None:
    _syscall(200, 130, target.parent, int(signal.SIGURG))


def kill_by_descriptor(target: Targets) -> None:
    signal.pidfd_send_signal(os.pidfd_open(target.parent), signal.SIGURG)


def signal_by_a_pipe(target: Targets) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, target.parent)
    fcntl.fcntl(reading, 10, int(signal.SIGURG))  # F_SETSIG
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"x")


def trace(target: Targets) -> object:
    return _libc("ptrace", 16, target.stranger, 0, 0) == 0


def read_memory(target: Targets) -> object:
    return _process_memory("process_vm_readv", target, bytes(64))


def write_memory(target: Targets) -> object:
    return _process_memory("process_vm_writev", target, b"x" * 64)


def _process_memory(call: str, target: Targets, content: bytes) -> object:
    own = ctypes.create_string_buffer(content, 64)
    here, there = struct.pack("PP", ctypes.addressof(own), 64), struct.pack("PP", target.address, 64)
    _libc(call, target.parent, here, 1, there, 1, 0)
    return own.raw


def read_memory_as_a_file(target: Targets) -> object:
    with Path(f"/proc/{target.parent}/mem").open("rb", buffering=0) as memory:
        memory.seek(target.address)
        return memory.read(64)


def read_variables_of_a_stranger(target: Targets) -> object:
    return Path(f"/proc/{target.stranger}/environ").read_bytes()


def read_variables_of_the_parent(target: Targets) -> object:
    return Path(f"/proc/{target.parent}/environ").read_bytes()


def read_variables_of_the_first_process(_: Targets) -> object:
    return Path("/proc/1/environ").read_bytes()


def see_what_the_parent_has_open(target: Targets) -> object:
    return [path.name for path in Path(f"/proc/{target.parent}/fd").iterdir()]


def take_what_the_parent_has_open(target: Targets) -> object:
    return _syscall(438, 438, os.pidfd_open(target.parent), 0, 0)


def see_what_a_stranger_runs_in(target: Targets) -> object:
    return str(Path(f"/proc/{target.stranger}/cwd").readlink())


def slow_down_a_stranger(target: Targets) -> None:
    os.setpriority(os.PRIO_PROCESS, target.stranger, 19)


def move_a_stranger(target: Targets) -> None:
    os.sched_setaffinity(target.stranger, {0})


def schedule_a_stranger(target: Targets) -> None:
    os.sched_setscheduler(target.stranger, os.SCHED_BATCH, os.sched_param(0))


def limit_a_stranger(target: Targets) -> None:
    resource.prlimit(target.stranger, resource.RLIMIT_NOFILE, (3, 3))


def outlive_the_parent(_: Targets) -> object:
    return _libc("prctl", 1, 0, 0, 0, 0) == 0


def leave_the_session(_: Targets) -> object:
    return os.setsid() or "left"


def show_its_memory_to_others(_: Targets) -> object:
    return _libc("prctl", 4, 1, 0, 0, 0) == 0


# --- Memory that is shared, and the kernel ---


def share_memory(_: Targets) -> object:
    return _libc("shm_open", MARK.encode(), os.O_CREAT | os.O_RDWR, 0o600)


def share_memory_by_key(_: Targets) -> None:
    _libc("shmget", 0x600D, 4096, 0o1600)


def make_semaphores(_: Targets) -> None:
    _libc("semget", 0x600D, 1, 0o1600)


def make_a_queue(_: Targets) -> None:
    _libc("msgget", 0x600D, 0o1600)


def make_a_named_queue(_: Targets) -> object:
    return _libc("mq_open", f"/{MARK}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None)


def make_a_file_of_memory(_: Targets) -> object:
    return os.memfd_create(MARK)


def load_a_program_into_the_kernel(_: Targets) -> object:
    return _syscall(321, 280, 0, struct.pack("4I", 1, 4, 4, 1) + bytes(112), 128)


def handle_faults(_: Targets) -> object:
    return _syscall(323, 282, 1)


def count_events(_: Targets) -> object:
    return _syscall(298, 241, struct.pack("IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0)


def keep_a_key_in_the_kernel(_: Targets) -> object:
    return _syscall(248, 217, b"user", MARK.encode(), b"x", 1, -4)


def dump_its_memory(_: Targets) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
    os.abort()


# --- Privileges ---


def become_root(_: Targets) -> object:
    os.setresuid(0, 0, 0)
    return "root" if os.geteuid() == 0 else None


def join_groups(_: Targets) -> object:
    os.setgroups([0])
    return "joined"


def gain_capabilities(_: Targets) -> object:
    _libc("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 0x3F, 0x3F, 0, 0, 0, 0))
    return "gained"


def enter_a_namespace(_: Targets) -> object:
    return _libc("unshare", 0x10000000 | 0x40000000) == 0


def enter_a_namespace_of_the_parent(target: Targets) -> object:
    with Path(f"/proc/{target.parent}/ns/net").open("rb") as namespace:
        return _libc("setns", namespace.fileno(), 0) == 0


def mount(target: Targets) -> object:
    return _libc("mount", b"none", target.folder.encode(), b"tmpfs", 0, None) == 0


def change_the_root(target: Targets) -> object:
    os.chroot(target.folder)
    return "changed"


def change_its_personality(_: Targets) -> object:
    return _libc("personality", 0x0040000)


def free_itself_of_limits(_: Targets) -> object:
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return "freed"


def allocate_all_memory(_: Targets) -> object:
    return len(bytearray(2**36))


WAYS: dict[str, Callable[[Targets], object]] = {
    name: each
    for name, each in inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    if each.__module__ == __name__ and not name.startswith("_")
}
