"""Figures of every head at several numbers of landmarks, from a training checkpoint or from a box of checkpoints."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_model
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.checkpoints.tokenizer_files import SharedTokenizer
from nystrom_demo.config import AttentionSettings, NystromformerConfig, check_settings
from nystrom_demo.model import NystromformerModel
from nystrom_demo.training.data import task_tokenizers
from nystrom_demo.training.measures import MEASURES, Evaluation, label
from nystrom_demo.training.multitask import HEADS, MultiTask
from nystrom_demo.training.plan import EXACT_LANDMARKS
from nystrom_demo.training.recipe import Recipe

LANDMARKS = (4, 8, 16, 32, 64, 128, EXACT_LANDMARKS)


@dataclass(frozen=True)
class Row:
    """One measure of one head. values: by number of landmarks, as text, and "exact"; limit: None for all examples."""

    task: str
    data: str
    measure: str
    limit: int | None
    values: dict[str, float]


def evaluate(
    folder: Path,
    data: Path,
    recipe: Recipe,
    landmarks: Sequence[int] = LANDMARKS,
    limit: int | None = None,
    only: Sequence[str] = (),
    device: str = "cpu",
    settings: AttentionSettings | None = None,
) -> list[Row]:
    """Measure the models in `folder`, printing each row as it is known. `only` names tasks; none for all there are.

    settings: the attention whose number of landmarks is varied, by default the package's.
    """
    checkpoints = load_checkpoints(folder, recipe, device)
    if unknown := sorted(set(only) - set(checkpoints)):
        raise ValueError(f"{folder} has no head for {', '.join(unknown)}, only {', '.join(checkpoints)}.")
    attention = check_settings(settings or AttentionSettings())
    evaluation = Evaluation(checkpoints, data, tuple(landmarks), limit, attention)
    rows: list[Row] = []
    print(header(landmarks))
    for name, (task, measure) in MEASURES.items():
        if task not in (only or checkpoints):
            continue
        for figure, values in measure(evaluation).items():
            rows.append(Row(task, name, figure, limit, values))
            print(line(rows[-1]), flush=True)
    return rows


def load_checkpoints(folder: Path, recipe: Recipe, device: str = "cpu") -> dict[str, Checkpoint]:
    """What a training checkpoint or a box holds, by task, as the app has it. ValueError if it is neither."""
    models, tokenizers = load_models(folder, recipe)
    for model in models.values():
        model.to(device)
        model.base_model.to(device)  # which a head does not own where several share it
    return {
        task: Checkpoint(task, folder.name, model, SharedTokenizer.of(tokenizers[task]), str(folder), False)
        for task, model in models.items()
    }


def load_models(
    folder: Path, recipe: Recipe, new_heads: bool = False
) -> tuple[dict[str, PreTrainedModel], dict[str, PreTrainedTokenizerFast]]:
    """The models and the tokenizers, each by task, of a training checkpoint or a box. ValueError if it is neither.

    `new_heads` is as for `load_multitask`.
    """
    if (folder / "model.safetensors").exists():
        model = load_multitask(folder, recipe, new_heads)
        return dict(model.heads.items()), task_tokenizers(recipe, plain_tokenizer(folder))
    if (folder / "masked-lm" / "config.json").exists():
        models = {task: head.from_pretrained(folder / task).eval() for task, head in HEADS.items()}
        return models, {task: AutoTokenizer.from_pretrained(folder / task) for task in HEADS}
    raise ValueError(f"{folder} holds neither a training checkpoint nor a box of checkpoints.")


def plain_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a training checkpoint or a box that marks no capitals."""
    box = folder / "masked-lm"
    return AutoTokenizer.from_pretrained(box if box.is_dir() else folder)


def load_multitask(checkpoint: Path, recipe: Recipe, new_heads: bool = False) -> MultiTask:
    """The encoder and the recipe's heads of a training checkpoint, in evaluation mode.

    ValueError if it lacks one of them, unless `new_heads` lets such a head begin anew; it may hold others.
    """
    encoder = NystromformerModel(NystromformerConfig.from_pretrained(checkpoint))
    model = MultiTask(encoder, recipe.labels, tasks=recipe.tasks)
    path = checkpoint / "model.safetensors"
    missing, _ = load_model(model, str(path), strict=False)
    if missing and not (new_heads and _of_whole_heads(missing, path)):
        raise ValueError(f"{checkpoint} lacks weights of {', '.join(recipe.tasks)}, {min(missing)} among them.")
    return model.eval()


def _of_whole_heads(missing: Collection[str], path: Path) -> bool:
    """Whether all missing weights are of heads of which the file holds nothing."""
    with safe_open(path, "pt") as file:
        held = file.keys()
    return not {_head_of(name) for name in missing} & {_head_of(name) for name in held}


def _head_of(name: str) -> str:
    """`heads.TASK` of a head's weight, `encoder` of the encoder's."""
    module, rest = name.split(".", 1)
    return module if module == "encoder" else f"{module}.{rest.split('.', 1)[0]}"


def write_rows(rows: Sequence[Row], path: Path) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def header(landmarks: Sequence[int]) -> str:
    return _columns("", [label(m) for m in landmarks])


def line(row: Row) -> str:
    return _columns(f"{row.data}, {row.measure}", [f"{value:.1f}" for value in row.values.values()])


def _columns(first: str, rest: Sequence[str]) -> str:
    return f"{first:<75}" + "".join(f"{text:>7}" for text in rest)
