"""Ways out through files and the network."""

import ctypes
import fcntl
import mmap
import os
import socket
from pathlib import Path

from tests.registry.sandbox.targets import MARK, Targets, libc, syscall

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
    watcher = libc("inotify_init1", 0)
    return libc("inotify_add_watch", watcher, target.folder.encode(), 0xFFF)


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
    return syscall(425, 425, 4, ctypes.create_string_buffer(120))


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
