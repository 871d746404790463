"""Runs a program to which the kernel refuses some system calls, as a container's filter does.

usage: forbid.py ERRNO NUMBER[,NUMBER…] PROGRAM [ARGUMENT…]

The numbers are those of io_uring, which are the same on every architecture.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # of the classic packet filter
REFUSE, ALLOW = 0x0005_0000, 0x7FFF_0000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def forbid(numbers, refusal):
    """Installs the filter, which children inherit."""
    steps = [(LOAD, 0, 0, 0)]  # the number of the call
    for number in numbers:
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | refusal)]
    steps.append((RETURN, 0, 0, ALLOW))
    held = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = Program(len(steps), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    forbid([int(word) for word in sys.argv[2].split(",")], getattr(errno, sys.argv[1]))
    os.execv(sys.argv[3], sys.argv[3:])
