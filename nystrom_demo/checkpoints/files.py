"""Files of a checkpoint that nobody vouches for: read only if they are plain, inside their folder, and small."""

import json
import stat
from pathlib import Path
from typing import Any

from nystrom_demo.errors import UserError


class CheckpointError(UserError):
    """Why a checkpoint is refused, in one sentence without paths."""


def vet_file(folder: Path, name: str, within: Path, max_bytes: int) -> Path | None:
    """Path of the file `name` in `folder`, or None if there is none.

    CheckpointError for a name that leads elsewhere, for a link that leaves `within`, for anything but a plain file (a
    pipe would be read for ever), or for one that is too large.
    """
    plain = isinstance(name, str) and name not in ("", "..") and name == Path(name).name
    if not plain or "\\" in name or "\0" in name:
        raise CheckpointError(f"A checkpoint's files lie in its own folder, but one is named {show(name)}.")
    path = folder / name
    try:
        target = path.resolve(strict=True)
        kind = target.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise CheckpointError(f"{name} is a link to nothing.") from None
        return None
    except (OSError, RuntimeError) as error:  # a circle of links, a name too long
        raise CheckpointError(f"{show(name)} cannot be opened.") from error
    if not target.is_relative_to(within.resolve()):
        raise CheckpointError(f"{name} is a link that leaves the checkpoint's folder.")
    if not stat.S_ISREG(kind.st_mode):
        raise CheckpointError(f"{name} is not a plain file.")
    if kind.st_size > max_bytes:
        raise CheckpointError(f"{name} may have at most {max_bytes:,} bytes, got {kind.st_size:,}.")
    return path


def read_object(path: Path, *, max_items: int) -> dict[str, Any]:
    """The JSON object in a file; CheckpointError for any other content or more than about `max_items` values."""
    return parse_object(path.read_bytes(), path.name, max_items=max_items)


def parse_object(data: bytes, name: str, *, max_items: int) -> dict[str, Any]:
    """`read_object` of bytes. Values are counted by their commas before parsing, which takes far more memory."""
    if data.count(b",") > max_items:
        raise CheckpointError(f"{name} may have at most {max_items:,} values, got {data.count(b','):,}.")
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not a JSON file.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{name} must hold a JSON object, got {type(content).__name__}.")
    return content


def show(value: Any) -> str:
    """A value as it may stand in a message: one line of at most 80 characters."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "an integer of more than 30 digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of the pairs. ValueError for one key twice: one reader takes its first value, another its last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has one key twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
