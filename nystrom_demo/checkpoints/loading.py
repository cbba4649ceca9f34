"""A checkpoint in memory: model, tokenizer, device and dtype."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

AUTO_CLASSES = {
    "masked-lm": AutoModelForMaskedLM,
    "sequence-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "question-answering": AutoModelForQuestionAnswering,
    "multiple-choice": AutoModelForMultipleChoice,
}
TASKS = tuple(AUTO_CLASSES)
BOX_VARIABLE = "NYSTROM_DEMO_CHECKPOINTS"
_BOX = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"


@dataclass(frozen=True)
class Checkpoint:
    """A model in evaluation mode with its tokenizer.

    source: the folder or Hub id it came from. new_head: true where the files hold no weights for the task's head, so
    that its answers are random until it is trained.
    """

    task: str
    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: str
    new_head: bool

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def max_tokens(self) -> int:
        """The longest input the position table takes, special tokens included."""
        return self.model.config.max_position_embeddings

    @property
    def num_parameters(self) -> int:
        return self.model.num_parameters()


def bundled_box() -> Path:
    """Folder of the bundled checkpoints: assets/checkpoints, or what NYSTROM_DEMO_CHECKPOINTS names."""
    return Path(os.environ.get(BOX_VARIABLE) or _BOX)


def bundled_folder(task: str) -> Path:
    """Folder of the bundled checkpoint for `task`."""
    return bundled_box() / check_task(task)


def check_task(task: str) -> str:
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}.")
    return task


def load_bundled(
    device: str | torch.device | None = None, *, dtype: torch.dtype | None = None, box: str | Path | None = None
) -> dict[str, Checkpoint]:
    """The five bundled checkpoints by task; heads whose files name the same trunk file share one trunk in memory."""
    box = bundled_box() if box is None else Path(box)
    checkpoints = {task: load_checkpoint(box / task, task, device=device, dtype=dtype) for task in TASKS}
    trunks: dict[tuple, torch.nn.Module] = {}
    for task, checkpoint in checkpoints.items():
        key = _trunk_files(box / task, checkpoint.model.base_model_prefix)
        if key is not None:
            checkpoint.model.nystromformer = trunks.setdefault(key, checkpoint.model.base_model)
            checkpoint.model.tie_weights()
    return checkpoints


def load_checkpoint(
    source: str | Path,
    task: str,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Checkpoint:
    """The checkpoint in a folder, ready to answer."""
    auto_class = AUTO_CLASSES[check_task(task)]
    folder = Path(source)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or (torch.float16 if device.type == "cuda" else torch.float32)
    model, report = auto_class.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return Checkpoint(task, folder.name, model.to(device).eval(), tokenizer, str(source), bool(report["missing_keys"]))


def _trunk_files(folder: Path, prefix: str) -> tuple | None:
    """The files that hold the weights under `prefix`, or None without an index of files."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None
    weight_map = json.loads(index.read_text())["weight_map"]
    files = {name for weight, name in weight_map.items() if weight.startswith(prefix + ".")}
    return tuple(sorted((folder / name).resolve() for name in files))
