"""How the process's threads share the C library's memory."""

import ctypes
import platform

M_ARENA_MAX = -8  # malloc.h of glibc
ARENAS = 2


def share_arenas() -> bool:
    """Let all threads allocate from two arenas where the C library is glibc, and tell whether it is.

    By itself glibc has up to eight arenas a core, and each keeps the most that its threads ever took, so a server whose
    requests run in many threads grows long after its work has not. Call it before there are threads that compute:
    what has its arena keeps it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    return ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS) == 1
