"""What the request under way may ask for, known to whatever works on it."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

TEXT_CHARS, TEXT_TOKENS = 50_000, 16_384


@dataclass(frozen=True)
class Limits:
    """The longest text in characters and in tokens, and the bytes a request may take, None for no limit."""

    text_chars: int = TEXT_CHARS
    text_tokens: int = TEXT_TOKENS
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
