"""ZeroGPU: a GPU lent for one call. The same code runs where the package `spaces` is not installed."""

import importlib.util
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)

LONGEST_SECONDS = 120


def on_gpu(seconds: Callable[..., float]) -> Callable[[Function], Function]:
    """A decorator that asks ZeroGPU for its GPU for `seconds(*the call's arguments)`; elsewhere it changes nothing."""

    def decorate(fn: Function) -> Function:
        if importlib.util.find_spec("spaces") is None:
            return fn
        import spaces  # there on ZeroGPU only, where the host installs it

        return spaces.GPU(duration=lambda *args, **kwargs: gpu_seconds(seconds(*args, **kwargs)))(fn)

    return decorate


def gpu_seconds(estimate: float) -> int:
    """The whole seconds to ask for: twice the estimate and five more to start, at most two minutes."""
    return min(int(2 * estimate) + 5, LONGEST_SECONDS)
