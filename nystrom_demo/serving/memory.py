"""How much memory and time a request may take on this machine: from the settings, the container, the RAM or the GPU."""

from pathlib import Path

import psutil
import torch

from nystrom_demo.limits.budget import Limits
from nystrom_demo.limits.work import Speed, measure_speed
from nystrom_demo.serving.gpu import is_lent
from nystrom_demo.serving.settings import Settings

GB = 2**30
SHARE_OF_FREE = 0.8  # what is left over is for the event loop, the pages' state and the estimate's error
CGROUP = Path("/sys/fs/cgroup")


def request_limits(settings: Settings, device: torch.device) -> Limits:
    """What one request may ask for on this machine, whose speed is measured for it."""
    return Limits(
        text_chars=settings.text_chars,
        text_tokens=settings.text_tokens,
        request_bytes=request_bytes(settings, device),
        request_seconds=settings.request_seconds or None,
        deadline_seconds=settings.deadline_seconds or None,
        speed=_speed(device) if settings.request_seconds else None,
    )


def _speed(device: torch.device) -> Speed:
    """ZeroGPU computes in other processes than this one, and what it is slower at, the CPU's work, is what counts."""
    return measure_speed("cpu" if is_lent() else device)


def memory_budget(settings: Settings, device: torch.device) -> int:
    """Bytes that all requests may take together: `settings.memory_gb`, else a share of what `device` has free now."""
    if settings.memory_gb:
        return int(settings.memory_gb * GB)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * SHARE_OF_FREE)
    free = [psutil.virtual_memory().available, _cgroup_room(), _address_room()]
    return int(min(value for value in free if value is not None) * SHARE_OF_FREE)


def request_bytes(settings: Settings, device: torch.device) -> int:
    """Bytes that one request may take, so that all workers at once stay within the budget.

    Where visitors may name checkpoints, those that are kept have a share as large as one request's.
    """
    shares = settings.workers + bool(settings.hub or settings.checkpoint_root)
    return memory_budget(settings, device) // shares


def _address_room() -> int | None:
    """Bytes below the process's limit on its addresses (`ulimit -v`), None without one."""
    process = psutil.Process()
    if not hasattr(process, "rlimit"):  # only where the system has such limits
        return None
    limit = process.rlimit(psutil.RLIMIT_AS)[0]
    return None if limit == psutil.RLIM_INFINITY else max(limit - process.memory_info().vms, 0)


def _cgroup_room(root: Path = CGROUP) -> int | None:
    """Bytes below this container's limit (version 2 or 1 of the interface), of which psutil does not know; None
    without one."""
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        if (root / limit_file).is_file():
            limit = (root / limit_file).read_text("utf-8").strip()
            # Version 1 writes "no limit" as a number near 2⁶³.
            if limit == "max" or int(limit) > 2**60:
                return None
            return max(int(limit) - int((root / used_file).read_text("utf-8")), 0)
    return None
