"""Nyström attention in the browser: choose the checkpoints, build the page, launch it."""

import os

# Before torch is imported, since OpenMP reads it once. Its threads would spin between two operations; where other
# processes share the cores that starves the next one (one attention at n = 2,048 on two shared cores: 38 ms, now 15).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from nystrom_demo.checkpoints import Checkpoint, load_bundled
from nystrom_demo.serving.launching import choose_device, launch, set_threads
from nystrom_demo.serving.settings import Settings
from nystrom_demo.tasks import classify
from nystrom_demo.ui.app import LOOK, build_app


def load_checkpoints(device: torch.device) -> dict[str, Checkpoint]:
    """The bundled checkpoints by task; beside another device's, the CPU's as "task@cpu"."""
    checkpoints = load_bundled(device)
    if device.type != "cpu":
        checkpoints |= {f"{task}@cpu": checkpoint for task, checkpoint in load_bundled("cpu").items()}
    return checkpoints


def main() -> None:
    settings = Settings.from_env()
    set_threads(settings)
    checkpoints = load_checkpoints(choose_device(settings))
    demo = build_app(checkpoints)
    launch(demo, settings, ready_check=lambda: classify(checkpoints["sequence-classification"], "ready"), **LOOK)


if __name__ == "__main__":
    main()
