"""Refuses to a command what Docker's default seccomp profile refuses to a process without capabilities.

python container_filter.py COMMAND…   (x86-64; of the profile, what it refuses and a sandbox might use)
"""

import ctypes
import os
import struct
import sys

EPERM, ENOSYS = 1, 38
# unshare, setns, mount, umount2, pivot_root, bpf, perf_event_open, userfaultfd, keyctl, add_key, request_key, kcmp,
# open_by_handle_at, fanotify_init, quotactl, syslog, io_uring_*, open_tree, move_mount, fs*, pidfd_getfd,
# process_madvise, mount_setattr, lookup_dcookie, swapon, reboot, chroot, acct, settimeofday, sethostname
REFUSED = (
    272, 308, 165, 166, 155, 321, 298, 323, 250, 248, 249, 312, 304, 300, 179, 103, 425, 426, 427, 428, 429, 430, 431,
    432, 433, 438, 440, 442, 212, 167, 169, 161, 163, 164, 170,
)  # fmt: skip
CLONE, CLONE3 = 56, 435
NAMESPACE_FLAGS = 0x7E020000
LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NO_NEW_PRIVILEGES, SET_FILTER, FILTER_MODE = 38, 22, 2


def program() -> bytes:
    refused = [(IF_EQUAL, 0, 1, number) for number in REFUSED]
    lines = [(LOAD, 0, 0, NUMBER)]
    for test in refused:
        lines += [test, (RETURN, 0, 0, ERROR | EPERM)]
    lines += [(IF_EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERROR | ENOSYS)]
    lines += [(IF_EQUAL, 0, 3, CLONE), (LOAD, 0, 0, FIRST_ARGUMENT), (IF_ANY_BIT, 0, 1, NAMESPACE_FLAGS)]
    lines += [(RETURN, 0, 0, ERROR | EPERM), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def install() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    code = program()
    text = ctypes.create_string_buffer(code)
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text)))
    assert libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    assert libc.prctl(SET_FILTER, FILTER_MODE, head, 0, 0) == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
