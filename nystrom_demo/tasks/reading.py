"""What the five heads share: windows through the model under given attention settings, alone, in batches, over m."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings, check_settings
from nystrom_demo.errors import UserError
from nystrom_demo.pauses import pause
from nystrom_demo.tasks.windows import Window

BATCH_TOKENS = 4096  # tokens of one forward pass, padding included

Result = TypeVar("Result")
Output = TypeVar("Output")


class Reader(Protocol, Generic[Result, Output]):
    """One question to one head: its windows before the model, its result after.

    windows: what goes through the model. num_tokens: tokens of the whole input, special ones included.
    forward: the outputs of some of the windows, given the model's padded inputs for them.
    result: the outputs of all windows, read. probability: how likely the outputs make another result's answer.
    """

    task: str
    windows: list[Window]
    num_tokens: int

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[Output]: ...

    def result(self, outputs: Sequence[Output]) -> Result: ...

    def probability(self, outputs: Sequence[Output], answer: Result) -> float: ...

    def in_words(self, answer: Result) -> str: ...


@dataclass(frozen=True)
class SweepPoint:
    """What a head says with `num_landmarks` landmarks (0 for exact attention), in words.

    probability: that of the exact answer under these landmarks. agrees: true where both give the same answer.
    """

    num_landmarks: int
    answer: str
    probability: float
    agrees: bool


def check_task(checkpoint: Checkpoint, task: str, function: str) -> None:
    if checkpoint.task != task:
        raise UserError(f"{function} needs a checkpoint for {task}, got one for {checkpoint.task}.")


def read(checkpoint: Checkpoint, readers: Sequence[Reader], settings: AttentionSettings) -> list:
    """Each reader's result, their windows batched together."""
    return [
        reader.result(outputs) for reader, outputs in zip(readers, _outputs(checkpoint, readers, settings), strict=True)
    ]


def sweep(
    checkpoint: Checkpoint, reader: Reader, landmarks: Sequence[int], settings: AttentionSettings
) -> Iterator[SweepPoint]:
    """The exact answer first, then a point for each m in `landmarks`, one at a time."""
    chosen = [settings._replace(implementation="nystrom", num_landmarks=m) for m in landmarks]
    for m, said in zip([0, *landmarks], _answers(checkpoint, reader, chosen), strict=True):
        yield SweepPoint(m, *said)


@dataclass(frozen=True)
class MethodPoint:
    """What a head says when all its layers attend by `method`, in words; exact attention's is called "exact".

    probability: that of the exact answer under this method. agrees: true where both give the same answer.
    """

    method: str
    answer: str
    probability: float
    agrees: bool


def compare_methods(
    checkpoint: Checkpoint, reader: Reader, methods: Sequence[str], settings: AttentionSettings
) -> Iterator[MethodPoint]:
    """The exact answer first, then a point for each method at the settings' budget, one at a time."""
    chosen = [check_settings(settings._replace(implementation=method)) for method in methods]
    for method, said in zip(["exact", *methods], _answers(checkpoint, reader, chosen), strict=True):
        yield MethodPoint(method, *said)


def _answers(
    checkpoint: Checkpoint, reader: Reader, settings: Sequence[AttentionSettings]
) -> Iterator[tuple[str, float, bool]]:
    """(answer in words, probability of the exact answer, whether it is that), exact attention's first."""
    (outputs,) = _outputs(checkpoint, [reader], EXACT)
    exact = reader.result(outputs)
    said = reader.in_words(exact)
    yield said, reader.probability(outputs, exact), True
    for chosen in settings:
        (outputs,) = _outputs(checkpoint, [reader], chosen)
        answer = reader.in_words(reader.result(outputs))
        yield answer, reader.probability(outputs, exact), answer == said


def default_landmarks(num_tokens: int) -> tuple[int, ...]:
    """1, 2, 4, … below the number of tokens, from where on attention is exact."""
    return tuple(2**power for power in range(max(num_tokens - 1, 1).bit_length()))


@torch.inference_mode()
def _outputs(checkpoint: Checkpoint, readers: Sequence[Reader], settings: AttentionSettings) -> list[list]:
    """Outputs by reader and window. Windows of like length share a forward pass, so that little of it is padding."""
    jobs = [(reader, window) for reader in readers for window in reader.windows]
    order = sorted(range(len(jobs)), key=lambda job: len(jobs[job][1]))
    outputs: dict[int, object] = {}
    for batch in _batches(order, [len(window) for _, window in jobs]):
        windows = [jobs[job][1] for job in batch]
        inputs = _inputs(checkpoint, windows) | {"attention_settings": settings}
        forward = jobs[batch[0]][0].forward
        outputs |= zip(batch, forward(checkpoint.model, inputs, windows), strict=True)
        pause()
    results = iter(outputs[job] for job in range(len(jobs)))
    return [[next(results) for _ in reader.windows] for reader in readers]


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    for job in order:  # by length, so the newest is the longest
        if batch and (len(batch) + 1) * lengths[job] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _inputs(checkpoint: Checkpoint, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
    """Padded (batch, seq) tensors on the model's device."""
    seq = max(map(len, windows))
    shape = (len(windows), seq)
    input_ids = torch.full(shape, checkpoint.tokenizer.pad_token_id or 0)
    token_type_ids, attention_mask = torch.zeros(2, *shape, dtype=torch.long)
    for row, window in enumerate(windows):
        input_ids[row, : len(window)] = torch.tensor(window.ids)
        token_type_ids[row, : len(window)] = torch.tensor(window.type_ids)
        attention_mask[row, : len(window)] = 1
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if getattr(checkpoint.model.config, "type_vocab_size", 1) > 1:
        inputs["token_type_ids"] = token_type_ids
    return {name: tensor.to(checkpoint.device) for name, tensor in inputs.items()}
