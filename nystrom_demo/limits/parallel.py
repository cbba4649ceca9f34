"""Two forward passes over a short text at the same time, each on half of the cores.

A short text's pass is hundreds of operations of a few microseconds, and threads that share one wait for each other
between any two. Passes that share nothing wait once: on two cores an exact pass and one over landmarks, 128 tokens
each, take 103 ms in turn and 50 ms at the same time.
"""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import torch


class SideBySide:
    """Two threads with half of the torch threads each; before `split` there are none, and all is done in turn."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    def split(self, num_threads: int) -> None:
        """Divide `num_threads` torch threads, once; a single one is not divided. Call it before requests come."""
        if num_threads < 2 or self._threads is not None:
            return
        begun = threading.Barrier(3)

        def begin() -> None:
            torch.get_num_threads()  # a thread's first use of torch takes up the number set last, once
            torch.set_num_threads(num_threads // 2)
            begun.wait()

        self._threads = ThreadPoolExecutor(2, "half", initializer=begin)
        for _ in range(2):
            self._threads.submit(int)
        begun.wait()
        torch.set_num_threads(num_threads)  # what threads that begin later go by is what was set last

    def both(self, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
        """What both give, in the caller's context. Where both raise, the first one's error is raised."""
        if self._threads is None:
            return first(), second()
        jobs = [self._threads.submit(contextvars.copy_context().run, call) for call in (first, second)]
        wait(jobs)  # a request must not end while it still computes
        return jobs[0].result(), jobs[1].result()


SIDE_BY_SIDE = SideBySide()
