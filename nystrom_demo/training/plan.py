"""The order of training, fixed by the recipe: batch i is the same on every machine and after every restart."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from nystrom_demo.training.batches import Batch, Vocabulary, collate
from nystrom_demo.training.examples import Example
from nystrom_demo.training.recipe import Recipe

EXACT_LANDMARKS = 1 << 20  # landmarks that no text reaches, so that attention is exact
BUCKET = 64  # batches whose examples are sorted by length together


class Pool(NamedTuple):
    """The examples of one source: their task, weight in each stage's tokens, and tokens of a batch with padding.

    hidden: part of the words that a batch hides, to be guessed where that is the task.
    """

    task: str
    shares: tuple[float, ...]
    tokens: int
    hidden: float
    examples: list[Example]


class Planned(NamedTuple):
    """One batch to come: which pool, which of its examples, how many landmarks."""

    pool: int
    members: np.ndarray
    num_landmarks: int


class BatchPlan(Dataset):
    """A map-style data set whose item i is the whole batch of step i, as tensors.

    Pools take turns so that each one's part of a stage's tokens stays as near to its share as whole batches allow. The
    plan has no end; `length` says how many batches of it are asked for. What is planned for a step does not depend on
    it.
    """

    def __init__(self, pools: Sequence[Pool], recipe: Recipe, vocabulary: Vocabulary, length: int):
        self.pools = pools
        self.landmarks = recipe.landmarks
        self.vocabulary = vocabulary
        self.seed = seed = recipe.seed
        self.length = length
        self._planned: list[Planned] = []
        self._streams = [_batches_of(pool, (seed, number)) for number, pool in enumerate(pools)]
        shares = np.array([pool.shares for pool in pools], dtype=float)  # (pools, stages)
        self._shares = shares / shares.sum(0)
        self._stages = np.array(recipe.stages)
        self._given = np.zeros(shares.shape, dtype=int)  # tokens of each pool in each stage

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, step: int) -> Batch:
        planned = self.planned(step)
        pool = self.pools[planned.pool]
        examples = [pool.examples[i] for i in planned.members]
        rng = np.random.default_rng((self.seed, step))
        return collate(
            pool.task, examples, planned.num_landmarks, vocabulary=self.vocabulary, rng=rng, hidden=pool.hidden
        )

    def planned(self, step: int) -> Planned:
        """What step does, planning up to it where needed."""
        while len(self._planned) <= step:
            self._planned.append(self._next())
        return self._planned[step]

    def _next(self) -> Planned:
        stage = int(np.searchsorted(self._stages, self._given.sum(), side="right")) - 1
        given = self._given[:, stage]
        owed = self._shares[:, stage] * (given.sum() + 1) - given  # tokens
        number = int(owed.argmax())
        members = next(self._streams[number])
        examples = [self.pools[number].examples[i] for i in members]
        self._given[number, stage] += sum(len(sequence) for example in examples for sequence in example.sequences)
        longest = max(example.length for example in examples)
        return Planned(number, members, self._draw_landmarks(len(self._planned), longest))

    def _draw_landmarks(self, step: int, longest: int) -> int:
        """m for a batch of at most `longest` tokens a text: exact, or a number below that."""
        rng = np.random.default_rng((self.seed, step, 1))
        choices = [m for m in self.landmarks.weights if m < longest]
        if step < self.landmarks.exact_steps or rng.random() < self.landmarks.exact_share or not choices:
            return EXACT_LANDMARKS
        weights = np.array([self.landmarks.weights[m] for m in choices])
        return int(rng.choice(choices, p=weights / weights.sum()))


def _batches_of(pool: Pool, seed: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A pool's batches without end, epoch after epoch, each an array of example numbers."""
    shapes = np.array([(len(example.sequences), example.length) for example in pool.examples])  # (examples, 2)
    epoch = 0
    while True:
        rng = np.random.default_rng((*seed, epoch))
        batches = cut_batches(rng.permutation(len(shapes)), shapes, pool.tokens)
        for i in rng.permutation(len(batches)):
            yield batches[i]
        epoch += 1


def cut_batches(order: np.ndarray, shapes: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Cut examples into batches of at most `tokens`, padding included (one example may be larger by itself).

    order: example numbers, shuffled. shapes: (examples, 2), sequences and tokens of the longest. Stretches of about 64
    batches are sorted by length, so that a batch holds little padding; its examples have as many sequences each.
    """
    stretch = max(1, int(BUCKET * tokens / shapes.prod(1).mean()))
    batches = []
    for start in range(0, len(order), stretch):
        part = order[start : start + stretch]
        part = part[np.lexsort((shapes[part, 1], shapes[part, 0]))]
        batch: list[int] = []
        for i in part:
            fits = (len(batch) + 1) * shapes[i].prod() <= tokens
            if batch and (not fits or shapes[i, 0] != shapes[batch[0], 0]):
                batches.append(np.array(batch))
                batch = []
            batch.append(i)
        batches.append(np.array(batch))
    return batches
