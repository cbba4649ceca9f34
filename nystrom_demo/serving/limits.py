"""What the request under way may ask for, known to whatever works on it."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from nystrom_demo.serving.settings import Settings


@dataclass(frozen=True)
class Limits:
    """The longest text in characters and in tokens, and the bytes a request may take, None for no limit."""

    text_chars: int = Settings.text_chars
    text_tokens: int = Settings.text_tokens
    request_bytes: int | None = None


_OUTSIDE_A_SERVER = Limits()
_current: ContextVar[Limits] = ContextVar("limits", default=_OUTSIDE_A_SERVER)


def current_limits() -> Limits:
    """The limits of the request that the caller works on."""
    return _current.get()


@contextlib.contextmanager
def under_limits(limits: Limits) -> Iterator[None]:
    """Within, `current_limits()` gives `limits`."""
    token = _current.set(limits)
    try:
        yield
    finally:
        _current.reset(token)
