"""How much memory a request may take on this machine: from the settings, the container, the RAM or the GPU."""

import os
from pathlib import Path

import torch

from nystrom_demo.serving.settings import Settings

GB = 2**30
SHARE_OF_FREE = 0.8  # what is left over is for the event loop, the pages' state and the estimate's error
CGROUP = Path("/sys/fs/cgroup")


def memory_budget(settings: Settings, device: torch.device) -> int:
    """Bytes that all requests may take together: `settings.memory_gb`, else a share of what `device` has free now."""
    if settings.memory_gb:
        return int(settings.memory_gb * GB)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * SHARE_OF_FREE)
    free = [value for value in (_available_ram(), _cgroup_room()) if value is not None]
    return int(min(free, default=4 * GB) * SHARE_OF_FREE)


def request_bytes(settings: Settings, device: torch.device) -> int:
    """Bytes that one request may take, so that all workers at once stay within the budget.

    Where visitors may name checkpoints, those that are kept have a share as large as one request's.
    """
    shares = settings.workers + bool(settings.hub or settings.checkpoint_root)
    return memory_budget(settings, device) // shares


def _available_ram() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _cgroup_room(root: Path = CGROUP) -> int | None:
    """Bytes below this container's limit (version 2 or 1 of the interface), None without one."""
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        if (root / limit_file).is_file():
            limit = (root / limit_file).read_text().strip()
            # Version 1 writes "no limit" as a number near 2⁶³.
            if limit == "max" or int(limit) > 2**60:
                return None
            return max(int(limit) - int((root / used_file).read_text()), 0)
    return None
