"""Ways out through other processes, the kernel's objects, and more privileges."""

import ctypes
import fcntl
import os
import resource
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

from tests.registry.sandbox.targets import MARK, Targets, libc, syscall

# --- Other processes ---


def fork(_: Targets) -> None:
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)


def clone(_: Targets) -> None:
    if syscall(56, 220, signal.SIGCHLD, 0, 0, 0, 0) == 0:
        time.sleep(20)
        os._exit(0)


def clone_with_a_structure(_: Targets) -> None:
    if syscall(435, 435, struct.pack("8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64) == 0:
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
    syscall(200, 130, target.parent, int(signal.SIGURG))


def kill_by_descriptor(target: Targets) -> None:
    signal.pidfd_send_signal(os.pidfd_open(target.parent), signal.SIGURG)


def signal_by_a_pipe(target: Targets) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, target.parent)
    fcntl.fcntl(reading, 10, int(signal.SIGURG))  # F_SETSIG
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"x")


def trace(target: Targets) -> object:
    return libc("ptrace", 16, target.stranger, 0, 0) == 0


def read_memory(target: Targets) -> object:
    return _process_memory("process_vm_readv", target, bytes(64))


def write_memory(target: Targets) -> object:
    return _process_memory("process_vm_writev", target, b"x" * 64)


def _process_memory(call: str, target: Targets, content: bytes) -> object:
    own = ctypes.create_string_buffer(content, 64)
    here, there = struct.pack("PP", ctypes.addressof(own), 64), struct.pack("PP", target.address, 64)
    libc(call, target.parent, here, 1, there, 1, 0)
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
    return syscall(438, 438, os.pidfd_open(target.parent), 0, 0)


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
    return libc("prctl", 1, 0, 0, 0, 0) == 0


def leave_the_session(_: Targets) -> object:
    os.setsid()
    return "left"


def show_its_memory_to_others(_: Targets) -> object:
    return libc("prctl", 4, 1, 0, 0, 0) == 0


# --- Memory that is shared, and the kernel ---


def share_memory(_: Targets) -> object:
    return libc("shm_open", MARK.encode(), os.O_CREAT | os.O_RDWR, 0o600)


def share_memory_by_key(_: Targets) -> None:
    libc("shmget", 0x600D, 4096, 0o1600)


def make_semaphores(_: Targets) -> None:
    libc("semget", 0x600D, 1, 0o1600)


def make_a_queue(_: Targets) -> None:
    libc("msgget", 0x600D, 0o1600)


def make_a_named_queue(_: Targets) -> object:
    return libc("mq_open", f"/{MARK}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None)


def make_a_file_of_memory(_: Targets) -> object:
    return os.memfd_create(MARK)


def load_a_program_into_the_kernel(_: Targets) -> object:
    return syscall(321, 280, 0, struct.pack("4I", 1, 4, 4, 1) + bytes(112), 128)


def handle_faults(_: Targets) -> object:
    return syscall(323, 282, 1)


def count_events(_: Targets) -> object:
    return syscall(298, 241, struct.pack("IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0)


def keep_a_key_in_the_kernel(_: Targets) -> object:
    return syscall(248, 217, b"user", MARK.encode(), b"x", 1, -4)


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
    libc("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 0x3F, 0x3F, 0, 0, 0, 0))
    return "gained"


def enter_a_namespace(_: Targets) -> object:
    return libc("unshare", 0x10000000 | 0x40000000) == 0


def enter_a_namespace_of_the_parent(target: Targets) -> object:
    with Path(f"/proc/{target.parent}/ns/net").open("rb") as namespace:
        return libc("setns", namespace.fileno(), 0) == 0


def mount(target: Targets) -> object:
    return libc("mount", b"none", target.folder.encode(), b"tmpfs", 0, None) == 0


def change_the_root(target: Targets) -> object:
    os.chroot(target.folder)
    return "changed"


def change_its_personality(_: Targets) -> object:
    return libc("personality", 0x0040000)


def free_itself_of_limits(_: Targets) -> object:
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return "freed"


def allocate_all_memory(_: Targets) -> object:
    return len(bytearray(2**36))
