"""Nyström attention in the browser: choose the checkpoints, build the page, launch it."""

import torch

from nystrom_demo.checkpoints import Checkpoint, load_bundled
from nystrom_demo.ui.app import LAUNCH_SETTINGS, build_app


def load_checkpoints() -> dict[str, Checkpoint]:
    """The bundled checkpoints by task; beside a GPU's, the CPU's as "task@cpu"."""
    checkpoints = load_bundled()
    if torch.cuda.is_available():
        checkpoints |= {f"{task}@cpu": checkpoint for task, checkpoint in load_bundled("cpu").items()}
    return checkpoints


demo = build_app(load_checkpoints())
demo.queue(max_size=64, default_concurrency_limit=1, api_open=False)

if __name__ == "__main__":
    demo.launch(**LAUNCH_SETTINGS)
