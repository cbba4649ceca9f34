"""Find, vet and load checkpoints: the bundled box, a folder, or a repository of the Hugging Face Hub."""

from nystrom_demo.checkpoints.loading import (
    TASKS,
    Checkpoint,
    bundled_box,
    bundled_folder,
    load_bundled,
    load_checkpoint,
)

__all__ = ["TASKS", "Checkpoint", "bundled_box", "bundled_folder", "load_bundled", "load_checkpoint"]
