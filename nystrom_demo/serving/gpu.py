"""ZeroGPU: a GPU lent for one call. Where the package `spaces` is not installed nothing here changes anything."""

import contextlib
import inspect
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

# Before any call of CUDA: on ZeroGPU it stands in for the driver until a GPU is lent.
with contextlib.suppress(ImportError):
    import spaces  # noqa: F401

LONGEST_SECONDS, START_SECONDS, CALL_SECONDS, SWEEP_SECONDS = 120, 5, 4, 60
CHARS = 10_000


def is_lent(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is ZeroGPU, where CUDA computes only in a call that has the GPU; told as `spaces` is told it."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def on_gpu(fn: Callable) -> Callable:
    """`fn` run in a process that has ZeroGPU's GPU, for `gpu_seconds` of its arguments; elsewhere `fn` itself.

    So is one that takes a `gr.EventData`, which cannot go to another process: where one clicked asks for no GPU.
    """
    spaces = sys.modules.get("spaces")
    if spaces is None or any(inspect.isclass(kind) and issubclass(kind, gr.EventData) for kind in _annotations(fn)):
        return fn
    sweep = inspect.isgeneratorfunction(fn)
    return spaces.GPU(duration=lambda *args, **kwargs: gpu_seconds([*args, *kwargs.values()], sweep=sweep))(fn)


def _annotations(fn: Callable) -> list[Any]:
    return list(getattr(fn, "__annotations__", {}).values())


def gpu_seconds(values: list[Any], *, sweep: bool) -> int:
    """The whole seconds to ask for, from a request's size: exact attention grows with the square of its texts, and a
    sweep has a budget of its own. ZeroGPU charges what was used and ends what takes longer."""
    chars = sum(len(value) for value in values if isinstance(value, str))
    seconds = (SWEEP_SECONDS if sweep else CALL_SECONDS) * (1 + (chars / CHARS) ** 2)
    return min(START_SECONDS + math.ceil(seconds), LONGEST_SECONDS)
