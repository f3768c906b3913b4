"""Which system calls a scanning process may make: an allow-list that the kernel keeps.

Seccomp filters: https://docs.kernel.org/userspace-api/seccomp_filter.html. Numbers of x86-64
calls: arch/x86/entry/syscalls/syscall_64.tbl of the kernel. A call that is not listed fails with
EPERM; files are opened for reading only.
"""

import ctypes
import os
import struct
import sys

_SET_NO_NEW_PRIVILEGES = 38
_SET_SECCOMP = 22
_FILTER_MODE = 2

_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_X32_BIT = 0x40000000

# Reading, memory, time, and the socket it was born with. None starts a process or thread, makes
# a socket, changes a file, or signals anybody.
_ALLOWED = (
    *(0, 1, 3, 4, 5, 6, 7, 8),  # read, write, close, stat, fstat, lstat, poll, lseek
    *(9, 10, 11, 12, 25, 28),  # mmap, mprotect, munmap, brk, mremap, madvise
    *(13, 14, 15, 131),  # rt_sigaction, rt_sigprocmask, rt_sigreturn, sigaltstack
    *(16, 17, 19, 20, 21, 32, 72, 79, 89),  # ioctl, pread64, readv, writev, access, dup, fcntl,
    # getcwd, readlink
    *(39, 186, 102, 104, 107, 108),  # getpid, gettid, getuid, getgid, geteuid, getegid
    *(44, 45, 46, 47, 48),  # sendto, recvfrom, sendmsg, recvmsg, shutdown
    *(96, 228, 229, 230, 35),  # gettimeofday, clock_gettime, clock_getres, (clock_)nanosleep
    *(97, 98, 302, 204),  # getrlimit, getrusage, prlimit64, sched_getaffinity
    *(202, 218, 219, 273, 324, 334),  # futex, set_tid_address, restart_syscall, set_robust_list,
    # membarrier, rseq
    *(217, 262, 295, 318, 332),  # getdents64, newfstatat, preadv, getrandom, statx
    *(60, 231),  # exit, exit_group
)
_OPEN, _OPENAT = 2, 257
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4  # struct seccomp_data


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def allow_only_reading() -> bool:
    """Give up all other system calls for good; False where this machine has no such filter."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    code = b"".join(_filter())
    program = _Program(len(code) // 8, code)
    if library.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return not library.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0)


def _filter() -> list[bytes]:
    """The filter as BPF, eight bytes an instruction."""
    instructions = [
        _step(_LOAD, _MACHINE_AT),
        _step(_JUMP_EQUAL, _X86_64, then=1),
        _step(_RETURN, _EPERM),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_ABOVE, _X32_BIT, otherwise=1),
        _step(_RETURN, _EPERM),
    ]
    for number, flags in ((_OPEN, 1), (_OPENAT, 2)):
        instructions += [
            _step(_JUMP_EQUAL, number, otherwise=4),
            _step(_LOAD, 16 + 8 * flags),  # the lower half of that argument
            _step(_JUMP_ANY_BIT, _WRITING, otherwise=1),
            _step(_RETURN, _EPERM),
            _step(_RETURN, _ALLOW),
        ]
    for number in _ALLOWED:
        instructions += [_step(_JUMP_EQUAL, number, otherwise=1), _step(_RETURN, _ALLOW)]
    return [*instructions, _step(_RETURN, _EPERM)]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """Struct sock_filter; jumps count instructions that are passed over."""
    return struct.pack("<HBBI", code, then, otherwise, value)
