"""The bundled box: five checkpoint folders, the files of their encoders beside them, and the SHA-256 of every file."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from nystrom_demo.checkpoints.files import CheckpointError

BOX_VARIABLE = "NYSTROM_DEMO_CHECKPOINTS"
MANIFEST = "SHA256SUMS.json"
_BOX = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
_READ = ("config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json")


def bundled_box() -> Path:
    """Folder of the bundled checkpoints: assets/checkpoints, or what NYSTROM_DEMO_CHECKPOINTS names."""
    return Path(os.environ.get(BOX_VARIABLE) or _BOX)


def weight_files(folder: Path) -> dict[str, Path]:
    """The file of each weight, by the checkpoint's index; empty where it has none."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return {}
    weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    files = {name: (folder / name).resolve() for name in set(weight_map.values())}
    return {weight: files[name] for weight, name in weight_map.items()}


def check_sums(box: Path, tasks: Iterable[str]) -> dict[str, str]:
    """The box's SHA256SUMS.json as path in the box: SHA-256.

    CheckpointError if a file that is read for `tasks` differs from it or is not in it.
    """
    box = box.resolve()
    if not (box / MANIFEST).is_file():
        raise CheckpointError(_where_to_get(box))
    sums = json.loads((box / MANIFEST).read_text(encoding="utf-8"))
    done: set[Path] = set()
    for folder in (box / task for task in tasks):
        _check_files([path for name in _READ if (path := folder / name).is_file()], box, sums)
        shards = set(weight_files(folder).values()) - done
        _check_files(shards, box, sums)
        done |= shards
    return sums


def _where_to_get(box: Path) -> str:
    """What to do where there is no box, which an installed package does not bring."""
    if box != _BOX:
        return f"The bundled checkpoints have no {MANIFEST} in {box.name}; {BOX_VARIABLE} says where they are."
    return (
        "There are no bundled checkpoints here, since an installed package brings none: clone the project's repository "
        f"(git clone --depth 1) and let {BOX_VARIABLE} name its folder assets/checkpoints."
    )


def _check_files(paths: Iterable[Path], box: Path, sums: dict[str, str]) -> None:
    for path in paths:
        name = path.relative_to(box).as_posix() if path.is_relative_to(box) else path.name
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if sums.get(name) != found:
            raise CheckpointError(f"The bundled file {name} is not the one that {MANIFEST} describes.")
