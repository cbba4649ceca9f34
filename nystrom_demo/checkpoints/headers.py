"""The header of a safetensors file, checked against the format: which tensors it holds, without reading them.

The format: 8 bytes, the header's length n (little-endian), n bytes of JSON, then the tensors' bytes without gaps
(https://github.com/huggingface/safetensors#format).
"""

import math
from pathlib import Path
from typing import NamedTuple

from nystrom_demo.checkpoints.files import CheckpointError, parse_object, show

MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_HEADER_ITEMS = 100_000
MAX_NAME = 200
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
FLOATS = ("F64", "F32", "F16", "BF16")


class TensorHeader(NamedTuple):
    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Name, dtype and shape of every tensor in the file. CheckpointError where it breaks the format."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= size - 8:
            raise CheckpointError(f"{path.name} is not a whole safetensors file.")
        if length > MAX_HEADER_BYTES:
            raise CheckpointError(f"{path.name} may have a header of {MAX_HEADER_BYTES:,} bytes, got {length:,}.")
        header = parse_object(file.read(length), f"The header of {path.name}", max_items=MAX_HEADER_ITEMS)
    header.pop("__metadata__", None)
    for name in header:
        if not name.isprintable() or not 1 <= len(name) <= MAX_NAME:
            raise CheckpointError(f"A tensor's name must be 1 to {MAX_NAME} printable characters, got {show(name)}.")
    if not header:
        raise CheckpointError(f"{path.name} holds no tensors.")
    spans = sorted(_span(name, entry, path.name) for name, entry in header.items())
    reached = 0
    for begin, end in spans:
        if begin != reached:
            raise CheckpointError(f"{path.name} has tensors that overlap or leave gaps.")
        reached = end
    if reached != size - 8 - length:
        raise CheckpointError(
            f"{path.name} has {size - 8 - length:,} bytes of tensors where its header has {reached:,}."
        )
    return {name: TensorHeader(entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}


def _span(name: str, entry, file: str) -> tuple[int, int]:
    """The bytes of one tensor."""
    try:
        size, shape, (begin, end) = _SIZES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        integers = [*shape, begin, end]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} describes {show(name)} in a way that safetensors does not know.") from error
    if not all(type(number) is int and number >= 0 for number in integers) or end - begin != size * math.prod(shape):
        raise CheckpointError(f"{file} gives {show(name)} a shape and a place that do not fit each other.")
    return begin, end
