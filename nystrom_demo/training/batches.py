"""Examples in, one batch of tensors out."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from nystrom_demo.training.examples import IGNORED, Example

MASKED = 0.15  # of words are to be guessed, unless a recipe says otherwise
AS_MASK, AS_RANDOM = 0.8, 0.1  # of those are shown as [MASK], as a random word; the rest as they are (BERT's split)


class Vocabulary(NamedTuple):
    """What masking needs of a tokenizer: the id of [MASK], the ids that are no words, how many ids there are."""

    mask: int
    special: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "Vocabulary":
        return cls(tokenizer.mask_token_id, tuple(tokenizer.all_special_ids), len(tokenizer))


class Batch(TypedDict):
    """What `MultiTask.forward` takes: the task, m, and the head's arguments (input_ids, attention_mask, labels, …)."""

    task: str
    num_landmarks: int
    inputs: dict[str, torch.Tensor]


def collate(
    task: str,
    examples: Sequence[Example],
    num_landmarks: int,
    *,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    hidden: float = 0.0,
) -> Batch:
    """A batch of one task's examples, padded to the longest.

    A part `hidden` of the words, which `rng` chooses, is to be guessed in the masked-word task; other tasks see [MASK]
    in their place.
    """
    ids, mask, types = pad([s for e in examples for s in e.sequences], [s for e in examples for s in e.second])
    if task == "masked-lm":
        ids, labels = mask_words(ids, vocabulary, rng, hidden)
        targets = {"labels": labels}
    else:
        if hidden:
            ids = np.where(choose_words(ids, vocabulary, rng, hidden), vocabulary.mask, ids)
        targets = _targets(task, examples)
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if task == "multiple-choice":
        arrays = {name: array.reshape(len(examples), -1, array.shape[-1]) for name, array in arrays.items()}
    inputs = {name: torch.from_numpy(array.astype(np.int64)) for name, array in (arrays | targets).items()}
    return Batch(task=task, num_landmarks=num_landmarks, inputs=inputs)


def _targets(task: str, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """A head's arguments that say what is right, of a task whose examples know it."""
    targets = [example.target for example in examples]
    if task == "question-answering":
        spans = np.stack(targets)
        return {"start_positions": spans[:, 0], "end_positions": spans[:, 1]}
    return {"labels": _padded(targets, IGNORED) if task == "token-classification" else np.stack(targets)}


def pad(sequences: Sequence[np.ndarray], second: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token ids, 1 at real tokens, and token types, each (sequences, longest). Padding is id 0, as BERT's is."""
    ids = _padded(sequences, 0)
    lengths = np.array([len(sequence) for sequence in sequences])[:, None]
    place = np.arange(ids.shape[1])
    mask = (place < lengths).astype(np.int32)
    types = ((place >= np.array(second)[:, None]) & (place < lengths)).astype(np.int32)
    return ids, mask, types


def mask_words(
    ids: np.ndarray,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    masked: float = MASKED,
    as_mask: float = AS_MASK,
    as_random: float = AS_RANDOM,
) -> tuple[np.ndarray, np.ndarray]:
    """ids (batch, seq) with a part `masked` of the words hidden, and the labels: the true ids there, -100 elsewhere."""
    chosen = choose_words(ids, vocabulary, rng, masked)
    if not chosen.any():  # a loss over nothing is not a number
        chosen[0, 0] = True
    fate = rng.random(ids.shape)
    shown = np.where(chosen & (fate < as_mask), vocabulary.mask, ids)
    replaced = chosen & (fate >= as_mask) & (fate < as_mask + as_random)
    shown = np.where(replaced, rng.integers(0, vocabulary.size, ids.shape), shown)
    return shown, np.where(chosen, ids, IGNORED)


def choose_words(ids: np.ndarray, vocabulary: Vocabulary, rng: np.random.Generator, part: float) -> np.ndarray:
    """True at about this part of the words of ids (batch, seq), each as likely as the others."""
    return (rng.random(ids.shape) < part) & ~np.isin(ids, vocabulary.special)


def _padded(rows: Sequence[np.ndarray], fill: int) -> np.ndarray:
    table = np.full((len(rows), max(len(row) for row in rows)), fill, dtype=np.int32)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table
