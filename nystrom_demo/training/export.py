"""Training checkpoints in, the box of five checkpoints out.

```
encoders/           weights of the encoders: tables.safetensors, what all have in common, and one file a recipe
masked-lm/ …        config.json, tokenizer, head.safetensors, and model.safetensors.index.json, which names the head's
                    own weights and, for its encoder's, ../encoders/tables.safetensors and that of its recipe
SHA256SUMS.json     path in the box: SHA-256, of every other file
```
Weights are stored in half precision; the configurations say float32, so that plain `from_pretrained` computes in it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from nystrom_demo.training.evaluate import load_models
from nystrom_demo.training.recipe import find_recipe, read_recipe

MANIFEST = "SHA256SUMS.json"
ENCODERS = "encoders"
TABLES = "tables"
HEAD = "head.safetensors"
PREFIX = "nystromformer."  # of the encoder's weights in a model with a head

Weights = dict[str, torch.Tensor]


def export(checkpoints: Mapping[str, Path], box: Path) -> None:
    """Write a box. checkpoints: by recipe, a name or a file, the training checkpoint or box that it made.

    A head comes from the last recipe that trains it. Files of an older box with the same names are replaced.
    ValueError for two recipes of one file name.
    """
    names: set[str] = set()
    heads: dict[str, tuple[str, PreTrainedModel, PreTrainedTokenizerFast]] = {}  # by task; first its recipe's name
    for recipe, folder in checkpoints.items():
        path = find_recipe(recipe)
        if path.stem == TABLES or path.stem in names:
            raise ValueError(f"An encoder's file has its recipe's name, and {path.stem} is taken.")
        names.add(path.stem)
        read = read_recipe(path)
        models, tokenizers = load_models(folder, read)
        heads |= {task: (path.stem, models[task], tokenizers[task]) for task in read.tasks}
    encoders = {encoder: _encoder(model) for encoder, model, _ in heads.values()}
    files = _store(encoders, box / ENCODERS)
    for task, (encoder, model, tokenizer) in heads.items():
        save_head(model, encoders[encoder], files[encoder], box / task)
        tokenizer.save_pretrained(box / task)
    write_manifest(box)


def _store(encoders: Mapping[str, Weights], folder: Path) -> dict[str, dict[str, str]]:
    """Write the encoders' weights, what all have in common once; for each encoder the file of each weight."""
    first, *others = encoders.values()
    common = {
        name: weight for name, weight in first.items() if all(torch.equal(weight, other[name]) for other in others)
    }
    parts = {encoder: {n: w for n, w in weights.items() if n not in common} for encoder, weights in encoders.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, weights in (parts | {TABLES: common}).items():
        if weights:
            save_file(weights, folder / f"{name}.safetensors", metadata={"format": "pt"})
    return {
        encoder: {name: f"../{ENCODERS}/{TABLES if name in common else encoder}.safetensors" for name in weights}
        for encoder, weights in encoders.items()
    }


def save_head(model: PreTrainedModel, encoder: Weights, files: Mapping[str, str], folder: Path) -> None:
    """One head's configuration, its own weights, and the index that leads to the encoder's."""
    tied = set(model.all_tied_weights_keys)
    own = {name: weight for name, weight in _halves(model).items() if name not in tied and name not in encoder}
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    save_file(own, folder / HEAD, metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": sum(weight.nbytes for weight in (own | encoder).values())},
        "weight_map": dict(sorted((dict.fromkeys(own, HEAD) | files).items())),
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_manifest(box: Path) -> None:
    """SHA256SUMS.json: the SHA-256 of every other file in the box, by its path there."""
    files = sorted(path for path in box.rglob("*") if path.is_file() and path.name != MANIFEST)
    sums = {path.relative_to(box).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (box / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def _encoder(model: PreTrainedModel) -> Weights:
    return {PREFIX + name: weight for name, weight in _halves(model.base_model).items()}


def _halves(module: torch.nn.Module) -> Weights:
    return {name: tensor.half().contiguous() for name, tensor in module.state_dict().items()}
