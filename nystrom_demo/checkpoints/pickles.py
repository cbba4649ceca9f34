"""Weights in torch's own format, pytorch_model.bin, brought into safetensors, to be vetted as all others are.

The format is a pickle. torch reads it with `weights_only=True`, which builds tensors and plain containers and calls
nothing else; still it is read only where whoever runs the package says so.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from nystrom_demo.checkpoints.files import CheckpointError, vet_file
from nystrom_demo.checkpoints.hub import PICKLE
from nystrom_demo.checkpoints.tokenizer_files import guarded
from nystrom_demo.checkpoints.vetting import INDEX, MAX_WEIGHT_BYTES, WEIGHTS

_OTHERS = ("config.json", "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@contextmanager
def as_safetensors(folder: Path, within: Path) -> Iterator[tuple[Path, Path]]:
    """(folder, folder within which its links lead), or a passing copy whose pytorch_model.bin has become safetensors.

    A folder that has safetensors, or no pytorch_model.bin, is itself. CheckpointError says why a file is refused.
    """
    if any((folder / name).exists() for name in (WEIGHTS, INDEX)):
        yield folder, within
        return
    pickle = vet_file(folder, PICKLE, within, MAX_WEIGHT_BYTES)
    if pickle is None:
        yield folder, within
        return
    with tempfile.TemporaryDirectory() as made:
        save_file(read_pickle(pickle), Path(made) / WEIGHTS)
        for name in _OTHERS:
            if (path := vet_file(folder, name, within, MAX_WEIGHT_BYTES)) is not None:
                shutil.copyfile(path, Path(made) / name)
        yield Path(made), Path(made)


def read_pickle(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that `torch.save` wrote (torch 1.6 or later), by name. CheckpointError for any other."""
    other = "weights in any other format are not read unless they are tensors alone"
    told = f"The checkpoint has no {WEIGHTS}; {other}, which {path.name} is not"
    state = guarded(lambda: torch.load(path, map_location="cpu", weights_only=True, mmap=True), told)
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        raise CheckpointError(f"{told}.")
    if not all(isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided for tensor in state.values()):
        raise CheckpointError(f"{told}.")
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if size > 2 * MAX_WEIGHT_BYTES:  # tensors may share memory, or repeat a number along an axis
        raise CheckpointError(f"{path.name} may hold tensors of {2 * MAX_WEIGHT_BYTES:,} bytes, got {size:,}.")
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
