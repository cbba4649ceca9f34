"""Threads share the C library's memory."""

import platform
import re
import subprocess
import sys

import pytest

from nystrom_demo.serving import allocator

# Twenty threads allocate at the same time; then the C library counts its arenas.
COUNT = """
import ctypes, runpy, sys, threading
if sys.argv[2] == "shared":
    assert runpy.run_path(sys.argv[1])["share_arenas"]()
meeting = threading.Barrier(20)
def work():
    kept = [bytearray(1000) for _ in range(100)]
    meeting.wait()
threads = [threading.Thread(target=work) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def count_arenas(how: str) -> int:
    command = [sys.executable, "-c", COUNT, allocator.__file__, how]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return len(re.findall(r"^Arena \d+:", said, re.M))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_twenty_threads_share_two_arenas():
    assert count_arenas("shared") == allocator.ARENAS < count_arenas("apart")
