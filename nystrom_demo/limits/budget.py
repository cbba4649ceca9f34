"""What the request under way may ask for, known to whatever works on it."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from nystrom_demo.limits.work import Speed

TEXT_CHARS, TEXT_TOKENS = 50_000, 16_384
MASKS, MASKED_WORDS = 1_000, 10_000  # of one text, and the candidates for all of them: masks times top_k
TIMED_NUMBERS = 2**28  # of one input of a timed call, over all lengths of a sweep


@dataclass(frozen=True)
class Limits:
    """The longest text in characters and in tokens, and what a request may take, None for no limit.

    request_bytes: of memory. request_seconds: of a worker in one step, told beforehand by `speed`, this machine's.
    deadline_seconds: of a worker in all, over the steps of one that goes in steps.
    """

    text_chars: int = TEXT_CHARS
    text_tokens: int = TEXT_TOKENS
    request_bytes: int | None = None
    request_seconds: float | None = None
    deadline_seconds: float | None = None
    speed: Speed | None = None


_OUTSIDE_A_SERVER = Limits()
_current: ContextVar[Limits] = ContextVar("limits", default=_OUTSIDE_A_SERVER)
_visitor: ContextVar[str] = ContextVar("visitor", default="")


def current_limits() -> Limits:
    """The limits of the request that the caller works on."""
    return _current.get()


def current_visitor() -> str:
    """Whose request the caller works on: one name for the requests of one page, another for each other page."""
    return _visitor.get()


@contextlib.contextmanager
def under_limits(limits: Limits, visitor: str = "") -> Iterator[None]:
    """Within, `current_limits()` gives `limits` and `current_visitor()` gives `visitor`."""
    tokens = _current.set(limits), _visitor.set(visitor)
    try:
        yield
    finally:
        _current.reset(tokens[0])
        _visitor.reset(tokens[1])
