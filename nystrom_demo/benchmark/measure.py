"""The clock and the memory gauge: wall seconds with the device idle at both readings, and the peak of allocated bytes.

Peak memory is what a call allocates through torch at its worst moment, over what was held before it: its results and
everything between, not its inputs and weights. On CUDA the caching allocator counts it. On a CPU it is the running sum
of the allocator's own events, as torch's profiler records them: workspaces inside an operator are seen, memory that
a library takes behind torch's back (MKL's packing buffers) is not.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from operator import itemgetter

import torch

_ONE_PROFILER = threading.Lock()  # torch has one profiler a process


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it; a CPU always has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def time_once(call: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of one call."""
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def time_in_turn(
    calls: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    repeats: int,
    warm_up: int = 1,
    budget_seconds: float = math.inf,
) -> dict[str, tuple[float, ...]]:
    """Seconds of each call, `repeats` times: A B C, A B C, …, so that a slow moment of the machine hits all alike.

    Fewer rounds, at least one, where another would go past budget_seconds.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    start = time.perf_counter()
    rounds = []
    while len(rounds) < repeats:
        if rounds and (time.perf_counter() - start) * (1 + 1 / len(rounds)) > budget_seconds:
            break
        rounds.append({name: time_once(call, device) for name, call in calls.items()})
    return {name: tuple(seconds[name] for seconds in rounds) for name in calls}


def peak_bytes(call: Callable[[], object], device: torch.device) -> int | None:
    """The most bytes that one call holds at once beside what was held before it; None where torch cannot tell."""
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if device.type == "cpu":
        return _peak_bytes_on_cpu(call)
    call()
    return None


def _peak_bytes_on_cpu(call: Callable[[], object]) -> int:
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler writes two lines a run to stderr below that
    with _ONE_PROFILER:
        # Only this thread's allocations (and its workers') are recorded, so neighbours in a server do not count.
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=False
        ) as profile:
            result = call()  # held until the profile ends, so that its release is not part of the record
        events = profile.profiler.kineto_results.events()
    del result
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=itemgetter(0)):
        held += change
        peak = max(peak, held)
    return peak
