"""Where long work may be interrupted: between two passes of a model, two heads, two blocks of rows.

What runs the work says what a pause does: a server ends there what has had its time, and lets others in. Elsewhere a
pause does nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_pause: ContextVar[Callable[[], None] | None] = ContextVar("pause", default=None)


def pause() -> None:
    """Let whoever runs this work interrupt it; may raise to end it."""
    interrupt = _pause.get()
    if interrupt is not None:
        interrupt()


@contextlib.contextmanager
def interrupted_by(interrupt: Callable[[], None]) -> Iterator[None]:
    """Within, `pause()` calls `interrupt`."""
    token = _pause.set(interrupt)
    try:
        yield
    finally:
        _pause.reset(token)
