"""Find, vet and load checkpoints: the bundled box, a folder, or a repository of the Hugging Face Hub."""

from nystrom_demo.checkpoints.bundled import bundled_box
from nystrom_demo.checkpoints.files import CheckpointError
from nystrom_demo.checkpoints.library import BUNDLED, Library
from nystrom_demo.checkpoints.loading import TASKS, Checkpoint, bundled_folder, load_bundled, load_checkpoint
from nystrom_demo.checkpoints.standalone import export_checkpoint

__all__ = [
    "BUNDLED",
    "TASKS",
    "Checkpoint",
    "CheckpointError",
    "Library",
    "bundled_box",
    "bundled_folder",
    "export_checkpoint",
    "load_bundled",
    "load_checkpoint",
]
