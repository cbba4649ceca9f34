"""A bundled checkpoint as a folder of its own."""

import shutil
from pathlib import Path

from nystrom_demo.checkpoints.loading import bundled_folder, load_checkpoint


def export_checkpoint(task: str, folder: str | Path) -> Path:
    """Write the bundled checkpoint for `task` to a folder that holds all of its weights, and return it.

    The folder can be copied, and is loaded by `from_pretrained` and `pipeline` of transformers. ValueError for a task
    that there is not; FileExistsError for a folder that has something in it.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"The folder {folder.name} is not empty.")
    load_checkpoint(task, task, device="cpu").model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(bundled_folder(task) / name, folder / name)
    return folder
