"""A bundled checkpoint's folder holds its head; its encoder lies beside it, in a folder that the checkpoints share."""

import re
from pathlib import Path

INDEX = "model.safetensors.index.json"
_SHARED = re.compile(rb'"(\.\./encoders/[\w.-]+)"')  # as `training.export` names them
_MAX_INDEX_BYTES = 4 * 1024 * 1024


def explain_lack(folder: Path) -> str:
    """What a folder lacks that was copied without the encoders beside it, and what to do; "" where nothing is amiss."""
    index = folder / INDEX
    if not index.is_file() or index.stat().st_size > _MAX_INDEX_BYTES:
        return ""
    names = {name.decode() for name in _SHARED.findall(index.read_bytes())}
    lacking = sorted(name for name in names if not (folder / name).is_file())
    if not lacking:
        return ""
    return (
        f"A checkpoint's files lie in its own folder, but one is {lacking[0]}, which the bundled checkpoints share and "
        f"which was not copied with {folder.name}; nystrom_demo.checkpoints.export_checkpoint(task, folder) writes a "
        "folder that holds all of its own."
    )
