"""A training checkpoint in, the box of five checkpoints out.

```
encoder/            the shared encoder, once: config.json, model.safetensors
masked-lm/ …        config.json, tokenizer, head.safetensors, and model.safetensors.index.json, which names the head's
                    own weights and, for the encoder's, ../encoder/model.safetensors
SHA256SUMS.json     path in the box: SHA-256, of every other file
```
Weights are stored in half precision; the configurations say float32, so that plain `from_pretrained` computes in it.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, PreTrainedModel

from nystrom_demo.training.evaluate import load_multitask
from nystrom_demo.training.recipe import Recipe

MANIFEST = "SHA256SUMS.json"
ENCODER = "../encoder/model.safetensors"
HEAD = "head.safetensors"
PREFIX = "nystromformer."  # of the encoder's weights in a model with a head


def export(checkpoint: Path, box: Path, recipe: Recipe) -> None:
    """Write the box of a training checkpoint. Files of an older box with the same names are replaced."""
    model = load_multitask(checkpoint, recipe)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    encoder = {PREFIX + name: tensor for name, tensor in _halves(model.encoder).items()}
    (box / "encoder").mkdir(parents=True, exist_ok=True)
    model.encoder.config.save_pretrained(box / "encoder")
    save_file(encoder, box / "encoder" / "model.safetensors", metadata={"format": "pt"})
    for task, head in model.heads.items():
        save_head(head, encoder, box / task)
        tokenizer.save_pretrained(box / task)
    write_manifest(box)


def save_head(head: PreTrainedModel, encoder: dict[str, torch.Tensor], folder: Path) -> None:
    """One head's configuration, its own weights, and the index that leads to the encoder's."""
    tied = set(head.all_tied_weights_keys)
    own = {name: tensor for name, tensor in _halves(head).items() if name not in tied}
    folder.mkdir(parents=True, exist_ok=True)
    head.config.architectures = [type(head).__name__]
    head.config.save_pretrained(folder)
    save_file(own, folder / HEAD, metadata={"format": "pt"})
    weights = own | encoder
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in weights.values())},
        "weight_map": {name: HEAD if name in own else ENCODER for name in sorted(weights)},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_manifest(box: Path) -> None:
    """SHA256SUMS.json: the SHA-256 of every other file in the box, by its path there."""
    files = sorted(path for path in box.rglob("*") if path.is_file() and path.name != MANIFEST)
    sums = {path.relative_to(box).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (box / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n")


def _halves(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.half().contiguous() for name, tensor in module.state_dict().items()}
