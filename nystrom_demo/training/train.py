"""Training of an encoder and its heads on transformers' Trainer, from one plan of batches.

The work folder holds `start/` (the converted base), `tokens/` (tokenised sources) and one folder a run, whose
`checkpoint-N/` are the Trainer's: weights, optimiser, schedule, random states.
"""

import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Sampler, SequentialSampler
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from nystrom_demo.model import NystromformerModel
from nystrom_demo.training.batches import Batch, Vocabulary
from nystrom_demo.training.data import load_pools, word_counts
from nystrom_demo.training.evaluate import load_models, plain_tokenizer
from nystrom_demo.training.multitask import MultiTask, start_masked_words
from nystrom_demo.training.plan import EXACT_LANDMARKS, BatchPlan
from nystrom_demo.training.recipe import Optimiser, Recipe


@dataclass(frozen=True)
class Run:
    """How long a run lasts and where it goes. Steps are updates; with several processes each takes a batch a step.

    max_steps: where it ends, counted from the very first step. decay_steps: how many steps before that the learning
    rate falls to zero; 0 keeps it level, to go on later. minutes: stop and save earlier after so long.
    begin: what to begin with, a training checkpoint or a box; None for the converted base. Heads of the recipe that a
    training checkpoint lacks begin anew.
    resume: a checkpoint folder to go on from, its optimiser and place in the plan included.
    bf16: multiply in bfloat16, where float32 takes twice as long.
    """

    out: Path
    max_steps: int
    decay_steps: int = 0
    save_steps: int = 300
    log_steps: int = 50
    minutes: float | None = None
    begin: Path | None = None
    resume: Path | None = None
    bf16: bool = False
    progress: bool = True
    cpu: bool = False


def train(recipe: Recipe, data: Path, work: Path, run: Run) -> Path:
    """Train from `run.begin`, or go on from `run.resume`, and return the last checkpoint's folder.

    ValueError where `run.out` holds another run's checkpoints.
    """
    _check_out(run)
    torch.manual_seed(recipe.seed)
    begin = run.begin or run.resume  # what is resumed has the right heads, and its weights replace these
    if begin is None:
        encoder = NystromformerModel.from_pretrained(work / "start")
        model = MultiTask(encoder, recipe.labels, recipe.landmarks.distil, recipe.tasks)
        tokenizer = AutoTokenizer.from_pretrained(work / "start")
    else:
        model, tokenizer = begin_with(begin, recipe, new_heads=True)
    pools = load_pools(recipe, data, tokenizer, work)
    if begin is None and "masked-lm" in recipe.tasks:
        start_masked_words(model.heads["masked-lm"], word_counts(pools, len(tokenizer)))
    set_dropout(model, recipe.dropout)
    freeze(model.encoder, recipe.optimiser.frozen)
    arguments = training_arguments(recipe, run)
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(run.bf16)  # of MATH below: bfloat16 stays bfloat16
    plan = BatchPlan(pools, recipe, Vocabulary.of(tokenizer), run.max_steps * arguments.world_size)
    trainer = PlanTrainer(
        model=model,
        args=arguments,
        train_dataset=plan,
        data_collator=_only_item,
        processing_class=tokenizer,
        optimizers=(make_optimiser(model, recipe.optimiser), None),
        callbacks=[TimeLimit(run.minutes)] if run.minutes else [],
    )
    trainer.train(resume_from_checkpoint=str(run.resume) if run.resume else None)
    return run.out / f"checkpoint-{trainer.state.global_step}"


def _check_out(run: Run) -> None:
    """ValueError where the run would be written among another one's checkpoints, which Trainer would delete in time."""
    newest = get_last_checkpoint(str(run.out)) if run.out.is_dir() else None
    if newest is not None and (run.resume is None or run.resume.resolve() != Path(newest).resolve()):
        raise ValueError(
            f"{run.out} holds another run's checkpoints: resume its last, {Path(newest).name}, or name another --out."
        )


def begin_with(folder: Path, recipe: Recipe, new_heads: bool = False) -> tuple[MultiTask, PreTrainedTokenizerFast]:
    """The encoder and heads of a training checkpoint or box, to train further; of a box the first head's encoder.

    `new_heads` is as for `load_multitask`.
    """
    models, _ = load_models(folder, recipe, new_heads)
    encoder = models[recipe.tasks[0]].nystromformer
    model = MultiTask(encoder, recipe.labels, recipe.landmarks.distil, recipe.tasks)
    for task, head in model.heads.items():
        own = head.state_dict()
        held = {name: weight for name, weight in models[task].state_dict().items() if name in own}
        head.load_state_dict({name: with_new_labels(weight, own[name]) for name, weight in held.items()})
    return model, plain_tokenizer(folder)


def with_new_labels(weight: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """A head's weight with rows of zeros for the labels that it gains, up to as many as `own` has."""
    gained = own.new_zeros(len(own) - len(weight), *weight.shape[1:]) if weight.shape != own.shape else own[:0]
    return torch.cat([weight, gained])


def set_dropout(model: nn.Module, part: float) -> None:
    """Let every dropout of the model hide this part of its input while it trains."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = part


def freeze(encoder: NystromformerModel, modules: Sequence[str]) -> None:
    """Keep the weights of these modules of the encoder as they are."""
    for name in modules:
        encoder.get_submodule(name).requires_grad_(False)


def save_weights(model: MultiTask, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights, each shared one once, with the encoder's configuration and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    save_model(model, str(folder / "model.safetensors"))
    model.encoder.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def last_checkpoint(folder: Path) -> Path:
    """The folder itself if it is a checkpoint, else the last one in it. ValueError if there is none."""
    if (folder / "trainer_state.json").exists():
        return folder
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        raise ValueError(f"No checkpoint to go on from in {folder}.")
    return Path(found)


def steps_of(checkpoint: Path) -> int:
    """How many steps a checkpoint has behind it."""
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]


def training_arguments(recipe: Recipe, run: Run) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(run.out),
        max_steps=run.max_steps,
        per_device_train_batch_size=1,  # an item of the plan is a whole batch
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": run.decay_steps, "decay_type": "1-sqrt"},
        warmup_steps=recipe.optimiser.warmup_steps,
        max_grad_norm=recipe.optimiser.clip,
        save_steps=run.save_steps,
        save_total_limit=2,
        logging_steps=run.log_steps,
        logging_nan_inf_filter=False,  # it would look at each step's loss, for which a GPU has to wait
        disable_tqdm=not run.progress,
        use_cpu=run.cpu,
        bf16=run.bf16,
        ddp_find_unused_parameters=True,  # a batch trains one head of five
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        report_to=[],
        seed=recipe.seed,
    )


def make_optimiser(model: MultiTask, settings: Optimiser) -> torch.optim.AdamW:
    """AdamW with the recipe's rate for each kind of parameter, and no weight decay on vectors."""
    rates = {
        "encoder": settings.encoder_rate,
        "head": settings.head_rate,
        "convolution": settings.convolution_rate,
    }
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        kind = "convolution" if ".conv." in name else "encoder" if name.startswith("encoder.") else "head"
        groups.setdefault((kind, parameter.dim() > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[kind], "weight_decay": settings.weight_decay if decays else 0.0}
            for (kind, decays), parameters in groups.items()
        ],
        betas=(0.9, 0.98),
        fused=True,
    )


class PlanTrainer(Trainer):
    """A Trainer that takes the plan's batches in their order, and logs each task's own loss and the speed."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._losses: dict[str, list[torch.Tensor]] = {}
        self._tokens = 0
        self._since = time.monotonic()

    def _get_train_sampler(self, train_dataset: BatchPlan | None = None) -> Sampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(self, model: nn.Module, inputs: Batch, return_outputs: bool = False, **kwargs):
        with attention_kernels(inputs["inputs"]["input_ids"]):
            output = model(**inputs)
        name = inputs["task"] + ("" if inputs["num_landmarks"] == EXACT_LANDMARKS else "/m")
        self._losses.setdefault(name, []).append(output["loss"].detach())
        self._tokens = self._tokens + inputs["inputs"]["attention_mask"].sum()  # read at a log: a look stalls a GPU
        return (output["loss"], output) if return_outputs else output["loss"]

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        """Adds `tokens_per_second` (real ones, of this process) and each task's mean loss; `/m` is under landmarks."""
        if "loss" in logs:
            now = time.monotonic()
            logs["tokens_per_second"] = round(int(self._tokens) / (now - self._since))
            logs |= {task: round(torch.stack(ls).mean().item(), 4) for task, ls in sorted(self._losses.items())}
            self._losses, self._tokens, self._since = {}, 0, now
        super().log(logs, *args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        save_weights(self.model, self.processing_class, folder)
        torch.save(self.args, folder / "training_args.bin")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_model(self.model, str(Path(resume_from_checkpoint) / "model.safetensors"))


def attention_kernels(input_ids: torch.Tensor) -> AbstractContextManager:
    """The choice of kernels for one batch's attention.

    On a CPU the backward pass of torch's fused kernel is slow: up to 512 tokens a plain product and softmax take three
    quarters of its time or less; at 1,024 they take longer. On a GPU cuDNN's kernel makes a plan for each new shape,
    and the shapes of batches hardly repeat.
    """
    if input_ids.device.type == "cpu" and input_ids.shape[-1] <= 512:
        return sdpa_kernel(SDPBackend.MATH)
    if input_ids.device.type == "cuda":
        return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    return nullcontext()


class TimeLimit(TrainerCallback):
    """Stops a run, with a checkpoint, after so many minutes of training."""

    def __init__(self, minutes: float):
        self.end = time.monotonic() + 60 * minutes

    def on_step_end(self, args, state, control, **kwargs):
        if time.monotonic() > self.end:
            control.should_save = control.should_training_stop = True
        return control


def _only_item(items: list[Batch]) -> Batch:
    return items[0]
