"""ZeroGPU: a GPU lent for one call. Where the package `spaces` is not installed nothing here changes anything."""

import contextlib
import functools
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from nystrom_demo.serving.log import log

# Before any call of CUDA: on ZeroGPU it stands in for the driver until a GPU is lent.
with contextlib.suppress(ImportError):
    import spaces  # noqa: F401

LONGEST_SECONDS, START_SECONDS, CALL_SECONDS, SWEEP_SECONDS = 120, 5, 4, 60
CHARS = 10_000
CPU = "cpu"  # as the page and `Library` name it


def is_lent(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is ZeroGPU, where CUDA computes only in a call that has the GPU; told as `spaces` is told it."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def on_gpu(fn: Callable) -> Callable:
    """`fn` run in a process that has ZeroGPU's GPU, for `gpu_seconds` of its arguments; elsewhere `fn` itself.

    So is one that takes a `gr.EventData`, which cannot go to another process: where one clicked asks for no GPU. Nor
    does a request whose device is the CPU, so that a visitor's minutes of GPU last. The seconds asked for are logged.
    """
    spaces = sys.modules.get("spaces")
    if spaces is None or any(inspect.isclass(kind) and issubclass(kind, gr.EventData) for kind in _annotations(fn)):
        return fn
    sweep = inspect.isgeneratorfunction(fn)

    def duration(*args: Any, **kwargs: Any) -> int:
        seconds = gpu_seconds([*args, *kwargs.values()], sweep=sweep)
        log("gpu", of=getattr(fn, "__name__", "handler"), seconds=seconds)
        return seconds

    lent = spaces.GPU(duration=duration)(fn)

    @functools.wraps(fn, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        return (fn if CPU in (*args, *kwargs.values()) else lent)(*args, **kwargs)

    @functools.wraps(fn, updated=())
    def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from call(*args, **kwargs)

    return steps if sweep else call


def _annotations(fn: Callable) -> list[Any]:
    return list(getattr(fn, "__annotations__", {}).values())


def gpu_seconds(values: list[Any], *, sweep: bool) -> int:
    """The whole seconds to ask for, from a request's size: exact attention grows with the square of its texts, and a
    sweep has a budget of its own. ZeroGPU charges what was used and ends what takes longer."""
    chars = sum(len(value) for value in values if isinstance(value, str))
    seconds = (SWEEP_SECONDS if sweep else CALL_SECONDS) * (1 + (chars / CHARS) ** 2)
    return min(START_SECONDS + math.ceil(seconds), LONGEST_SECONDS)
