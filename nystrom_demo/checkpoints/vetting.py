"""A checkpoint folder that nobody vouches for: accepted, or refused in one sentence before anything is built.

Only safetensors and JSON are read, never code. The weights' names and shapes come from the files' headers and are
compared with those of the model that config.json describes, made on the meta device, where tensors have no storage.
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from nystrom_demo.checkpoints.configs import make_config
from nystrom_demo.checkpoints.files import CheckpointError, read_object, show, vet_file
from nystrom_demo.checkpoints.headers import FLOATS, TensorHeader, read_header
from nystrom_demo.checkpoints.tokenizer_files import SharedTokenizer, guarded
from nystrom_demo.config import EXACT, AttentionSettings

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_WEIGHT_BYTES = 4 * 1024**3
MAX_PARAMETERS = 400_000_000
MAX_SHARDS = 64
MAX_WEIGHT = torch.finfo(torch.float16).max
_SAMPLE = "The quick brown fox, born in 1889, jumps over 13 lazy dogs."
_SAMPLE_TOKENS = 12  # which every position table has
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}  # of layer norms in the first BERT checkpoints


@dataclass(frozen=True)
class Vetted:
    """What a folder's files describe. missing: the weights that a new head will have to bring."""

    config: PreTrainedConfig
    missing: frozenset[str]
    num_parameters: int


def vet_folder(folder: Path, auto_class, *, within: Path | None = None) -> Vetted:
    """The configuration of a checkpoint folder whose every weight fits the model of `auto_class`.

    within: where links in the folder may lead, by default the folder itself. CheckpointError says in one sentence why
    a folder is refused.
    """
    within = folder if within is None else within
    path = vet_file(folder, "config.json", within, 1024 * 1024)
    if path is None:
        raise CheckpointError("The checkpoint has no config.json.")
    config = make_config(read_object(path, max_items=50_000))
    if vet_file(folder, "adapter_config.json", within, 1024 * 1024) is not None:
        raise CheckpointError(
            "The checkpoint is an adapter to another model (adapter_config.json), which is not taken."
        )
    headers = _read_headers(folder, within)
    model = _empty_model(config, auto_class)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > MAX_PARAMETERS:
        raise CheckpointError(f"A model may have at most {MAX_PARAMETERS:,} parameters, got {parameters:,}.")
    return Vetted(config, _compare(model, headers), parameters)


def check_numbers(model: PreTrainedModel) -> None:
    """CheckpointError for weights that are not finite, or that half precision, as on a GPU, could not hold."""
    for parameter in model.parameters():
        largest = float(parameter.detach().abs().max()) if parameter.numel() else 0.0
        if not math.isfinite(largest):
            raise CheckpointError("The checkpoint has weights that are not finite numbers.")
        if largest > MAX_WEIGHT:
            raise CheckpointError(f"A weight may be at most {MAX_WEIGHT:,.0f}, got {largest:.3g}.")


@torch.inference_mode()
def check_forward(model: PreTrainedModel, tokenizer: SharedTokenizer, *, choices: bool) -> None:
    """CheckpointError where a plain text's answer is not all finite numbers, exactly or over landmarks.

    choices: whether the model's inputs are (batch, choices, seq).
    """
    ids = torch.tensor([tokenizer.whole_text.encode(_SAMPLE).ids[:_SAMPLE_TOKENS]])
    ids = ids[:, None] if choices else ids
    for settings in (EXACT, AttentionSettings(num_landmarks=2)):
        run = functools.partial(model, input_ids=ids, attention_settings=settings)
        outputs = guarded(run, "The model fails on a plain text")
        if not all(bool(tensor.isfinite().all()) for tensor in outputs.values() if torch.is_tensor(tensor)):
            raise CheckpointError("The model's answer to a plain text is not all finite numbers.")


def _read_headers(folder: Path, within: Path) -> dict[str, TensorHeader]:
    """Every tensor of the weights files, from model.safetensors or the files that an index names."""
    if vet_file(folder, WEIGHTS, within, MAX_WEIGHT_BYTES) is not None:
        return read_header(folder / WEIGHTS)
    index = vet_file(folder, INDEX, within, 4 * 1024 * 1024)
    if index is None:
        raise CheckpointError(f"The checkpoint has no {WEIGHTS}; weights in any other format are not read.")
    table = read_object(index, max_items=100_000)
    weight_map = table.get("weight_map")
    if not isinstance(weight_map, dict) or not isinstance(table.get("metadata"), dict):
        raise CheckpointError(f"{INDEX} must hold a weight_map and metadata.")
    names = list(dict.fromkeys(name if isinstance(name, str) else show(name) for name in weight_map.values()))
    if not 1 <= len(names) <= MAX_SHARDS:
        raise CheckpointError(f"{INDEX} must name 1 to {MAX_SHARDS} files, got {len(names)}.")
    headers: dict[str, TensorHeader] = {}
    for name in names:
        path = vet_file(folder, name, within, MAX_WEIGHT_BYTES)
        if path is None or path.suffix != ".safetensors":
            raise CheckpointError(f"{INDEX} names {show(name)}, which is no safetensors file of the checkpoint.")
        found = read_header(path)
        if headers.keys() & found.keys():
            raise CheckpointError(f"Two weights files hold {show(min(headers.keys() & found.keys()))}.")
        headers |= found
    if headers.keys() != weight_map.keys():
        raise CheckpointError(f"{INDEX} and the files it names do not hold the same weights.")
    return headers


def _empty_model(config: PreTrainedConfig, auto_class) -> PreTrainedModel:
    def build() -> PreTrainedModel:
        with torch.device("meta"):
            return auto_class.from_config(config)

    return guarded(build, f"config.json does not describe a {config.model_type} model that can be built")


def _compare(model: PreTrainedModel, headers: dict[str, TensorHeader]) -> frozenset[str]:
    """The head's weights that the headers lack. CheckpointError if the encoder lacks one, or a shape is another."""
    prefix = model.base_model_prefix + "."
    held = {_plain(name, prefix): entry for name, entry in headers.items()}
    tied = model.all_tied_weights_keys
    missing = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        entry = held.get(_plain(name, prefix))
        if entry is None:
            if name not in tied:
                missing.append(name)
        elif entry.shape != tuple(parameter.shape):
            raise CheckpointError(
                f"{name} must have the shape {tuple(parameter.shape)} that config.json says, got {entry.shape}."
            )
        elif entry.dtype not in FLOATS:
            raise CheckpointError(f"{name} must be of a floating-point type, got {entry.dtype}.")
    # BERT's pooler counts as part of the head: masked-word checkpoints have none.
    encoder = [name for name in missing if name.startswith(prefix) and not name.startswith(prefix + "pooler.")]
    if encoder:
        raise CheckpointError(f"The checkpoint lacks {len(encoder)} weights of the encoder, {encoder[0]} among them.")
    return frozenset(missing)


def _plain(name: str, prefix: str) -> str:
    """A weight's name without the encoder's prefix, which encoder-only files leave out, and with today's last part."""
    stem, _, last = name.removeprefix(prefix).rpartition(".")
    return f"{stem}.{_OLD_NAMES.get(last, last)}"
