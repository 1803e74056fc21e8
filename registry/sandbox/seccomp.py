"""The system calls that a sandboxed process may not make, and the seccomp filter that refuses them. Pure.

The filter is a program of classic BPF (linux/filter.h, linux/seccomp.h) for x86-64 and aarch64. What is not refused
here is allowed, but only up to the newest call that this table was checked against: later ones fail with ENOSYS.
"""

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

_Instruction = tuple[int, int, int, int]
# The number of a system call, and the instructions that decide about it.
_Block = tuple[int, list[_Instruction]]

_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_SET_MODE_FILTER, _ALL_THREADS, _GET_SECCOMP = 1, 1, 21

_NEWEST = 450  # the same numbers on both architectures since 424
_CLONE_THREAD = 0x10000
_WRITES = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC; O_TMPFILE needs one of the first two
# PR_SET_PDEATHSIG would let it outlive its parent; PR_SET_DUMPABLE, PR_SET_MM and PR_SET_PTRACER change which processes
# may read it; PR_SCHED_CORE shares a core with other processes.
_PRCTL_REFUSED = (1, 4, 35, 62, 0x59616D61)
# They copy a descriptor and read its flags, or set close-on-exec. Others change what is shared with processes outside:
# F_SETFL the report's O_APPEND, locks and leases what a file's other readers wait for; F_SETOWN sends them signals.
_FCNTL_ALLOWED = (0, 1, 2, 3, 1030)
# They ask for the terminal and for the bytes to read, or set close-on-exec. FIONBIO is not among them: a log that is
# shared with the service would stop to wait for its reader.
_IOCTL_ALLOWED = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5450, 0x5451)

# Name, number on x86-64, number on aarch64 (- where there is none), by the error that the caller sees.
_REFUSED = {
    errno.EPERM: """
        socket 41 198           socketpair 53 199       connect 42 203          bind 49 200
        listen 50 201           accept 43 202           accept4 288 242         sendto 44 206
        sendmsg 46 211          sendmmsg 307 269        recvfrom 45 207         recvmsg 47 212
        recvmmsg 299 243        setsockopt 54 208

        fork 57 -               vfork 58 -              execve 59 221           execveat 322 281
        ptrace 101 117          process_vm_readv 310 270                        process_vm_writev 311 271
        kcmp 312 272            pidfd_open 434 434      pidfd_getfd 438 438     pidfd_send_signal 424 424
        process_madvise 440 440                         process_mrelease 448 448
        tkill 200 130           rt_sigqueueinfo 129 138 rt_tgsigqueueinfo 297 240
        setpgid 109 154         setsid 112 157          setpriority 141 140     ioprio_set 251 30
        sched_setaffinity 203 122                       sched_setscheduler 144 119
        sched_setparam 142 118  sched_setattr 314 274   migrate_pages 256 238   move_pages 279 239
        setrlimit 160 164

        memfd_create 319 279    memfd_secret 447 447    shmget 29 194           shmat 30 196
        shmctl 31 195           semget 64 190           semop 65 193            semctl 66 191
        semtimedop 220 192      msgget 68 186           msgsnd 69 189           msgrcv 70 188
        msgctl 71 187           mq_open 240 180         mq_unlink 241 181       mq_notify 244 184
        mq_getsetattr 245 185   mq_timedsend 242 182

        io_setup 206 0          io_submit 209 2         io_uring_setup 425 425  io_uring_enter 426 426
        io_uring_register 427 427                       bpf 321 280             perf_event_open 298 241
        userfaultfd 323 282     keyctl 250 219          add_key 248 217         request_key 249 218
        init_module 175 105     finit_module 313 273    delete_module 176 106   kexec_load 246 104
        kexec_file_load 320 294 reboot 169 142          swapon 167 224          swapoff 168 225
        syslog 103 116          acct 163 89             quotactl 179 60         quotactl_fd 443 443
        sync 162 81             syncfs 306 267
        settimeofday 164 170    clock_settime 227 112   clock_adjtime 305 266   adjtimex 159 171
        sethostname 170 161     setdomainname 171 162   iopl 172 -              ioperm 173 -
        modify_ldt 154 -        vhangup 153 58          personality 135 92      lookup_dcookie 212 18
        name_to_handle_at 303 264                       open_by_handle_at 304 265
        fanotify_init 300 262   fanotify_mark 301 263   nfsservctl 180 42
        inotify_init 253 -      inotify_init1 294 26    inotify_add_watch 254 27
        flock 73 32

        mount 165 40            umount2 166 39          pivot_root 155 41       chroot 161 51
        unshare 272 97          setns 308 268           move_mount 429 429      open_tree 428 428
        fsopen 430 430          fsconfig 431 431        fsmount 432 432         fspick 433 433
        mount_setattr 442 442   capset 126 91           setuid 105 146          setgid 106 144
        setreuid 113 145        setregid 114 143        setresuid 117 147       setresgid 119 149
        setgroups 116 159
    """,
    errno.EROFS: """
        creat 85 -              mkdir 83 -              mkdirat 258 34          mknod 133 -
        mknodat 259 33          link 86 -               linkat 265 37           symlink 88 -
        symlinkat 266 36        rename 82 -             renameat 264 38         renameat2 316 276
        unlink 87 -             unlinkat 263 35         rmdir 84 -              truncate 76 45
        ftruncate 77 46
        fallocate 285 47        chmod 90 -              fchmod 91 52            fchmodat 268 53
        chown 92 -              fchown 93 55            lchown 94 -             fchownat 260 54
        utime 132 -             utimes 235 -            futimesat 261 -         utimensat 280 88
        setxattr 188 5          lsetxattr 189 6         fsetxattr 190 7         removexattr 197 14
        lremovexattr 198 15     fremovexattr 199 16
    """,
    # A filter cannot read their arguments, which are behind a pointer; the C library falls back to the older calls.
    errno.ENOSYS: "clone3 435 435  openat2 437 437",
}


@dataclass(frozen=True)
class Architecture:
    """`audit` is AUDIT_ARCH_… of linux/audit.h; `column` the place of its numbers in the tables above."""

    audit: int
    column: int
    seccomp: int


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 1, 317), "aarch64": Architecture(0xC00000B7, 2, 277)}


def architecture() -> Architecture | None:
    """The architecture of this process, if there is a filter for it."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return None
    return ARCHITECTURES.get(platform.machine())


def is_possible() -> bool:
    """Whether the kernel has such filters, for this process's architecture. Asks without setting one."""
    return architecture() is not None and ctypes.CDLL(None).prctl(_GET_SECCOMP, 0, 0, 0, 0) >= 0


def refuse_system_calls(pid: int, *, may_have_threads: bool) -> bool:
    """Refuse the calls to all threads of this process irrevocably; `pid` is its own. Needs no_new_privs.

    False where that is not possible.
    """
    kind = architecture()
    if kind is None:
        return False
    program = filter_for(kind, pid, may_have_threads=may_have_threads)
    instructions = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = map(ctypes.c_long, (kind.seccomp, _SET_MODE_FILTER, _ALL_THREADS))
    return int(libc.syscall(*numbers, ctypes.create_string_buffer(head))) == 0


def prepare_filters() -> None:
    """Compute the long part of the filters, for this process and those that are forked from it."""
    if kind := architecture():
        for may_have_threads in (True, False):
            _fixed_part(kind.column, may_have_threads=may_have_threads)


def filter_for(kind: Architecture, pid: int, *, may_have_threads: bool) -> bytes:
    """The program: 8 bytes for each instruction."""
    head: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, kind.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        # Also x32's, which begin at 2**30.
        (_IF_ABOVE, 0, 1, _NEWEST),
        _error(errno.ENOSYS),
    ]
    own = _packed(_decided(kind.column, _about_itself(pid)))
    return _bytes(head) + own + _fixed_part(kind.column, may_have_threads=may_have_threads)


@cache
def _fixed_part(column: int, *, may_have_threads: bool) -> bytes:
    refused = [(number, [_error(code)]) for code, table in _REFUSED.items() for number in _numbers(table, column)]
    blocks = [*refused, *_decided(column, _about_arguments(may_have_threads))]
    return _packed(blocks) + _bytes([(_RETURN, 0, 0, _ALLOW)])


def _about_itself(pid: int) -> dict[str, list[_Instruction]]:
    allow, no = (_RETURN, 0, 0, _ALLOW), _error(errno.EPERM)
    return {
        "kill 62 129  tgkill 234 131": _one_of(0, [pid], allow, no),
        # Only to read limits, and only its own: the third argument is the new limit.
        "prlimit64 302 261": [
            _argument(0), (_IF_EQUAL, 1, 0, 0), (_IF_EQUAL, 0, 4, pid),
            _argument(2), (_IF_EQUAL, 0, 2, 0), _argument(2, high=True), (_IF_EQUAL, 1, 0, 0),
            no, allow,
        ],
    }  # fmt: skip


def _about_arguments(may_have_threads: bool) -> dict[str, list[_Instruction]]:
    allow, no = (_RETURN, 0, 0, _ALLOW), _error(errno.EPERM)
    thread = allow if may_have_threads else _error(errno.EAGAIN)
    return {
        "clone 56 220": [_argument(0), (_IF_ANY_BIT, 0, 1, _CLONE_THREAD), thread, no],
        "prctl 157 167": _one_of(0, _PRCTL_REFUSED, no, allow),
        "fcntl 72 25": _one_of(1, _FCNTL_ALLOWED, allow, no),
        "ioctl 16 29": _one_of(1, _IOCTL_ALLOWED, allow, _error(errno.ENOTTY)),
        "open 2 -": _unless_writing(1),
        "openat 257 56": _unless_writing(2),
    }


def _decided(column: int, tables: dict[str, list[_Instruction]]) -> list[_Block]:
    return [(number, block) for table, block in tables.items() for number in _numbers(table, column)]


def _packed(blocks: Iterable[_Block]) -> bytes:
    """Each block is taken only by calls of its number, and ends by returning."""
    return b"".join(_bytes([(_IF_EQUAL, 0, len(block), number), *block]) for number, block in blocks)


def _bytes(steps: Iterable[_Instruction]) -> bytes:
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _numbers(table: str, column: int) -> list[int]:
    return [int(number) for number in table.split()[column::3] if number != "-"]


def _error(code: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERROR | code)


def _argument(index: int, *, high: bool = False) -> _Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * high)


def _one_of(index: int, values: Collection[int], then: _Instruction, otherwise: _Instruction) -> list[_Instruction]:
    count = len(values)
    tests = [(_IF_EQUAL, count - position, 0, value) for position, value in enumerate(values)]
    return [_argument(index), *tests, otherwise, then]


def _unless_writing(index: int) -> list[_Instruction]:
    return [_argument(index), (_IF_ANY_BIT, 0, 1, _WRITES), _error(errno.EROFS), (_RETURN, 0, 0, _ALLOW)]
