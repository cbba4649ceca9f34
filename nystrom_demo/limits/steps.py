"""Work that goes in steps, so that the worker is free for others between any two."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args


def in_steps(fn: Callable[..., Iterator[Any]]) -> Callable[..., Any]:
    """A function that gives the last value of the generator function `fn`. A server runs it step by step."""

    @functools.wraps(fn)
    def whole(*args: Any, **kwargs: Any) -> Any:
        *_, last = fn(*args, **kwargs)
        return last

    whole.__annotations__ = fn.__annotations__ | {"return": get_args(fn.__annotations__["return"])[0]}
    whole.steps = fn  # type: ignore[attr-defined]
    return whole


def steps_of(fn: Callable) -> Callable[..., Iterator[Any]] | None:
    """The generator function behind a function made by `in_steps`, a method's too; None behind any other."""
    steps = getattr(fn, "steps", None)
    return functools.partial(steps, fn.__self__) if steps is not None and inspect.ismethod(fn) else steps
