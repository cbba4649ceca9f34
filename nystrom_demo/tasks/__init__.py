"""Text in, typed predictions out: one function a head, under any attention and any number of landmarks."""

from collections.abc import Iterator, Sequence

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import AttentionSettings
from nystrom_demo.tasks.answers import Answer, Answers, answer, answer_batch
from nystrom_demo.tasks.choices import Choice, choose, choose_batch
from nystrom_demo.tasks.entities import Entity, TaggedWord, Tagging, tag, tag_batch
from nystrom_demo.tasks.labels import Classification, classify, classify_batch
from nystrom_demo.tasks.masked_words import Candidate, MaskedWords, MaskFill, Token, fill_mask, fill_mask_batch
from nystrom_demo.tasks.reading import MethodPoint, SweepPoint, compare_methods, default_landmarks, sweep
from nystrom_demo.tasks.registry import TASKS, Task

__all__ = [
    "TASKS",
    "Answer",
    "Answers",
    "Candidate",
    "Choice",
    "Classification",
    "Entity",
    "MaskFill",
    "MaskedWords",
    "MethodPoint",
    "SweepPoint",
    "TaggedWord",
    "Tagging",
    "Task",
    "Token",
    "answer",
    "answer_batch",
    "choose",
    "choose_batch",
    "classify",
    "classify_batch",
    "compare_approximations",
    "default_landmarks",
    "fill_mask",
    "fill_mask_batch",
    "prepare",
    "sweep_landmarks",
    "tag",
    "tag_batch",
]


def prepare(checkpoint: Checkpoint, *inputs, **options):
    """The checked and tokenised inputs of a head's function, before any forward pass: num_tokens and windows."""
    return TASKS[checkpoint.task].reader(checkpoint, *inputs, **options)


def sweep_landmarks(
    checkpoint: Checkpoint,
    *inputs,
    landmarks: Sequence[int] | None = None,
    settings: AttentionSettings | None = None,
    **options,
) -> Iterator[SweepPoint]:
    """What a head answers as m grows, and how likely the exact answer is at each m; one point at a time.

    inputs, options: those of the head's function, as in `sweep_landmarks(checkpoint, question, context)`. The first
    point is exact attention's, under m = 0. landmarks: by default 1, 2, 4, … below the number of tokens. settings: the
    other landmark settings, by default the package's.
    """
    reader = prepare(checkpoint, *inputs, **options)
    if landmarks is None:
        landmarks = default_landmarks(max(map(len, reader.windows)))
    return sweep(checkpoint, reader, landmarks, settings or AttentionSettings())


def compare_approximations(
    checkpoint: Checkpoint,
    *inputs,
    methods: Sequence[str],
    num_landmarks: int = 64,
    seed: int = 0,
    **options,
) -> Iterator[MethodPoint]:
    """What a head answers when all its layers attend by each of `methods`, and how likely the exact answer then is.

    inputs, options: those of the head's function. The first point is exact attention's, called "exact". methods: names
    of `nystrom_demo.approximations`; num_landmarks is their budget. ValueError for a name that there is not.
    """
    settings = AttentionSettings(num_landmarks=num_landmarks, seed=seed)
    return compare_methods(checkpoint, prepare(checkpoint, *inputs, **options), methods, settings)
