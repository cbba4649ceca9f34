"""A checkpoint in memory: model, tokenizer, device and dtype."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from nystrom_demo.checkpoints.bundled import bundled_box, check_sums, weight_files
from nystrom_demo.checkpoints.configs import make_config
from nystrom_demo.checkpoints.files import CheckpointError, read_object, show
from nystrom_demo.checkpoints.hub import fetch, is_hub_id
from nystrom_demo.checkpoints.pickles import as_safetensors
from nystrom_demo.checkpoints.tokenizer_files import SharedTokenizer, guarded, load_tokenizer, longest_text
from nystrom_demo.checkpoints.vetting import check_forward, check_numbers, vet_folder
from nystrom_demo.checkpoints.worst_texts import check_worst_texts
from nystrom_demo.config import NystromformerConfig
from nystrom_demo.errors import UserError
from nystrom_demo.interop import register_attention
from nystrom_demo.shared_weights import explain_lack

AUTO_CLASSES = {
    "masked-lm": AutoModelForMaskedLM,
    "sequence-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "question-answering": AutoModelForQuestionAnswering,
    "multiple-choice": AutoModelForMultipleChoice,
}
TASKS = tuple(AUTO_CLASSES)


@dataclass(frozen=True)
class Checkpoint:
    """A model in evaluation mode with its tokenizer.

    source: the folder (one of a server's as "./name") or Hub id it came from, or "bundled". new_head: true where the
    files hold no weights for the task's head, so that its answers are random until it is trained.
    """

    task: str
    name: str
    model: PreTrainedModel
    tokenizer: SharedTokenizer
    source: str
    new_head: bool

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def max_tokens(self) -> int:
        """The longest input the position table takes, special tokens included."""
        return longest_text(self.model.config)

    @property
    def num_parameters(self) -> int:
        return self.model.num_parameters()


def bundled_folder(task: str) -> Path:
    """Folder of the bundled checkpoint for `task`."""
    return bundled_box() / check_task(task)


def check_task(task: str) -> str:
    if task not in TASKS:
        raise UserError(f"task must be one of {', '.join(TASKS)}, got {show(task)}.")
    return task


def load_bundled(
    device: str | torch.device | None = None, *, dtype: torch.dtype | None = None, box: str | Path | None = None
) -> dict[str, Checkpoint]:
    """The five bundled checkpoints by task; what they read from the same file is one in memory until it is changed.

    Each head has a model and a configuration of its own: its landmarks, training or resized embeddings change no other.
    Their weights lie over the same memory and are copied when they are written to (copy-on-write).

    Each file is checked against the box's SHA-256 manifest. device: by default a GPU where there is one. dtype: by
    default half precision on a GPU, single on a CPU. box: another folder of the same layout.
    """
    box = bundled_box() if box is None else Path(box)
    shared = _Shared(check_sums(box, TASKS), {}, {})
    return {task: _load_boxed(box / task, task, device, dtype, shared) for task in TASKS}


def load_checkpoint(
    source: str | Path,
    task: str,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    root: str | Path | None = None,
    hub: bool = True,
    revision: str | None = None,
    pickles: bool = True,
) -> Checkpoint:
    """The checkpoint of `source` for `task`: a bundled name (one of TASKS) or its folder, another folder, or a Hub id.

    root: folders are looked for in this folder and may not lie outside it. hub: whether Hub ids are allowed. pickles:
    whether weights that are only there as pytorch_model.bin are read, by torch with `weights_only=True`. All but the
    bundled ones are vetted before anything is built; CheckpointError, a ValueError, says in one sentence why one is
    refused. Encoders other than Nyströmformer get landmark attention by `register_attention`.
    """
    check_task(task)
    folder = None if source in TASKS else find_folder(source, root)
    boxed = source if folder is None else _bundled_name(folder)
    if boxed in TASKS:
        shared = _Shared(check_sums(bundled_box(), [boxed]), {}, {})
        return _load_boxed(bundled_folder(boxed), task, device, dtype, shared)
    if folder is not None:
        if lack := explain_lack(folder):
            raise CheckpointError(lack)
        return _load_from(folder, folder, task, str(source), device, dtype, pickles)
    if not isinstance(source, str) or not is_hub_id(source):
        raise CheckpointError(f"A checkpoint is a folder or a Hub id such as owner/name, got {show(str(source))}.")
    if not hub:
        raise CheckpointError(f"{show(source)} is no folder here, and checkpoints from the Hub are not allowed here.")
    folder, within = fetch(source, revision, pickles=pickles)
    return _load_from(folder, within, task, source, device, dtype, pickles)


def _load_from(
    folder: Path,
    within: Path,
    task: str,
    source: str,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    pickles: bool,
) -> Checkpoint:
    with as_safetensors(folder, within) if pickles else nullcontext((folder, within)) as (folder, within):
        return load_vetted(folder, within, task, source, device=device, dtype=dtype)


def find_folder(source: str | Path, root: str | Path | None) -> Path | None:
    """The folder that `source` names, or None. CheckpointError if it lies outside `root`."""
    if "\0" in str(source):
        raise CheckpointError(f"A checkpoint's name has no NUL character, got {show(str(source))}.")
    if root is None:
        return Path(source) if Path(source).is_dir() else None
    root = Path(root).resolve()
    folder = (root / source).resolve()
    if not folder.is_relative_to(root) or folder == root:
        raise CheckpointError(f"{show(str(source))} is not in the folder of checkpoints.")
    return folder if folder.is_dir() else None


def _bundled_name(folder: Path) -> str:
    """The name of the bundled checkpoint that lies in this folder, or ""."""
    folder = folder.resolve()
    return folder.name if folder.parent == bundled_box().resolve() else ""


class _Shared(NamedTuple):
    """What the box's checkpoints have in common in memory.

    Weights by file and name, on the device and in the dtype asked for; tokenizers by their files' sums.
    """

    sums: dict[str, str]
    weights: dict[tuple[Path, str], torch.Tensor]
    tokenizers: dict[tuple[str | None, ...], SharedTokenizer]


def _load_boxed(
    folder: Path, task: str, device: str | torch.device | None, dtype: torch.dtype | None, shared: _Shared
) -> Checkpoint:
    """A checkpoint of the box, whose sums are right. What others have too is taken from, or put into, `shared`."""
    config = make_config(read_object(folder / "config.json", max_items=50_000))
    files = weight_files(folder)
    if files and isinstance(config, NystromformerConfig):  # others may have buffers, which no file holds
        model = _assemble(folder.name, task, config, files, shared, _device(device), _dtype(device, dtype)).eval()
        missing = frozenset()
    else:
        model, missing = _build(folder, task, config)
        model = _place(model, device, dtype)
    key = tuple(shared.sums.get(f"{folder.name}/{name}") for name in ("tokenizer.json", "tokenizer_config.json"))
    if key not in shared.tokenizers:
        shared.tokenizers[key] = load_tokenizer(folder, folder, config)
    return Checkpoint(task, folder.name, model, shared.tokenizers[key], "bundled", bool(missing))


def _assemble(
    name: str,
    task: str,
    config: PreTrainedConfig,
    files: dict[str, Path],
    shared: _Shared,
    device: torch.device,
    dtype: torch.dtype,
) -> PreTrainedModel:
    """The model of a checkpoint's weights in `files`, each read once for all of the box's heads that share its file."""
    register_attention()
    with torch.device("meta"):
        model = AUTO_CLASSES[task].from_config(config, attn_implementation="nystrom", dtype=torch.float32)
    for file in set(files.values()):
        names = [weight for weight, where in files.items() if where == file]
        _read_weights(file, names, shared.weights, device, dtype)
    # A lazy clone is a tensor of its own whose memory is copied at the first write, to it or to the original.
    state = {weight: torch.nn.Parameter(shared.weights[file, weight]._lazy_clone()) for weight, file in files.items()}
    report = model.load_state_dict(state, strict=False, assign=True)
    lacking = set(report.missing_keys) - model.all_tied_weights_keys.keys()
    if lacking or report.unexpected_keys:
        raise CheckpointError(f"The bundled checkpoint {name} does not hold the weights that {task} needs.")
    model.tie_weights()
    return model


def _read_weights(
    file: Path,
    names: list[str],
    weights: dict[tuple[Path, str], torch.Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Put those of the file's weights into `weights` that are not there yet."""
    with safe_open(file, framework="pt") as stored:
        for name in names:
            if (file, name) not in weights:
                weights[file, name] = stored.get_tensor(name).float().to(device, dtype)


def load_vetted(
    folder: Path,
    within: Path,
    task: str,
    source: str,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    admit: Callable[[int], object] | None = None,
) -> Checkpoint:
    """The checkpoint of a folder whose links stay `within`, named `source`. CheckpointError says why one is refused.

    admit: called with the bytes that the weights will take, before anything is built; may raise.
    """
    vetted = vet_folder(folder, AUTO_CLASSES[task], within=within)
    if admit is not None:
        admit(vetted.num_parameters * torch.float32.itemsize)  # the precision in which every model is built
    tokenizer = load_tokenizer(folder, within, vetted.config)
    check_worst_texts(tokenizer, vetted.config)
    if task == "masked-lm" and tokenizer.mask_token is None:
        raise CheckpointError("tokenizer_config.json must name a mask_token for masked-lm.")
    model, missing = guarded(lambda: _build(folder, task, vetted.config), "The checkpoint could not be loaded")
    if missing != vetted.missing:
        raise CheckpointError("The checkpoint's weights have names that its model does not know.")
    check_numbers(model)
    check_forward(model, tokenizer, choices=task == "multiple-choice")
    return Checkpoint(task, Path(source).name, _place(model, device, dtype), tokenizer, source, bool(missing))


def _build(folder: Path, task: str, config: PreTrainedConfig) -> tuple[PreTrainedModel, frozenset[str]]:
    """The model on the CPU in single precision, and the weights that were not in the files.

    Single precision first, since loading in another one sets torch's default dtype for all threads meanwhile.
    """
    register_attention()  # every call sets the same entries again
    model, report = AUTO_CLASSES[task].from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        attn_implementation="nystrom",
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    return model, frozenset(report["missing_keys"]) - model.all_tied_weights_keys.keys()


def _place(model: PreTrainedModel, device: str | torch.device | None, dtype: torch.dtype | None) -> PreTrainedModel:
    return model.to(device=_device(device), dtype=_dtype(device, dtype)).eval()


def _device(device: str | torch.device | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _dtype(device: str | torch.device | None, dtype: torch.dtype | None) -> torch.dtype:
    return dtype or (torch.float16 if _device(device).type == "cuda" else torch.float32)
