"""Waiting for what another thread, process or page brings about, however busy the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 60.0  # seconds; only a test that fails waits so long
PAUSE = 0.02


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return once the condition holds; an AssertionError where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"It did not come true within {seconds:.0f} s."
        time.sleep(PAUSE)


def in_time(look: Callable[[], T], wanted: T, seconds: float = PATIENCE) -> T:
    """What `look` gives once that is `wanted`, else what it gives at last, for an assertion that shows it."""
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(PAUSE)
    return seen
