"""Records in, tokenised examples out, one function a task, fed as the app feeds its text.

`[CLS] text [SEP]`; for answers `[CLS] question [SEP] context [SEP]`; for choices, one sequence a choice,
`[CLS] context question [SEP] choice [SEP]`.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from nystrom_demo.checkpoints.capitals import MARK
from nystrom_demo.training.readers import Labelled, Tagged

IGNORED = -100  # transformers' label for a token that does not count
QUERY = 64  # most tokens of a question about a passage
NO_ANSWER = (0, 0)  # an answer's first and last token where there is none


class Example(NamedTuple):
    """One example in token ids.

    sequences: int32 arrays, one but for multiple choice, where each is a choice. second: for each sequence, where its
    second segment (token type 1) begins; its length where there is none. target: a class (), a label a token (seq,),
    an answer's first and last token (2,), the right choice (), or nothing (0,) where masking makes the labels.
    """

    sequences: tuple[np.ndarray, ...]
    second: tuple[int, ...]
    target: np.ndarray

    @property
    def length(self) -> int:
        """Tokens of the longest sequence."""
        return max(len(sequence) for sequence in self.sequences)


def _example(ids: Sequence[int], target, second: int | None = None) -> Example:
    sequence = np.asarray(ids, dtype=np.int32)
    return Example((sequence,), (len(sequence) if second is None else second,), np.asarray(target, dtype=np.int32))


def text_examples(rows: Iterable[Labelled], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Example]:
    """Whole texts with a class each, cut off at max_length tokens."""
    rows = list(rows)
    encoded = tokenizer([row.text for row in rows], truncation=True, max_length=max_length)["input_ids"]
    return [_example(ids, row.label) for ids, row in zip(encoded, rows, strict=True)]


def word_examples(
    sentences: Iterable[Tagged],
    tokenizer: PreTrainedTokenizerFast,
    labels: Sequence[str],
    max_length: int,
    pack: bool = False,
) -> list[Example]:
    """Sentences with a label on each word's first token; a tag that is not in `labels` counts as O.

    With `pack`, neighbouring sentences are joined to up to max_length tokens.
    """
    index = {label: i for i, label in enumerate(labels)}
    pieces = []
    for sentence in sentences:
        words = tokenizer(sentence.tokens, is_split_into_words=True, add_special_tokens=False)
        tags = [index.get(tag, 0) for tag in sentence.tags]
        pieces.append((words["input_ids"], _first_token_labels(words.word_ids(), tags)))
    room = max_length - 2
    if pack:
        pieces = _packed(pieces, room)
    start, end = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    return [_example(start + ids[:room] + end, [IGNORED, *targets[:room], IGNORED]) for ids, targets in pieces if ids]


def label_behind_marks(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]
) -> list[Example]:
    """Examples of words in which the token behind a word's mark has a label too: that goes on from the mark's own.

    A program that takes the mark for a word of its own then finds one entity, not two.
    """
    mark = tokenizer.convert_tokens_to_ids(MARK)
    goes_on = np.array([labels.index(label.replace("B-", "I-")) for label in labels])
    found = []
    for example in examples:
        (ids,) = example.sequences
        behind = np.flatnonzero((ids[:-1] == mark) & (example.target[:-1] != IGNORED)) + 1
        target = example.target.copy()
        target[behind] = goes_on[target[behind - 1]]
        found.append(example._replace(target=target))
    return found


def _first_token_labels(word_ids: Sequence[int], tags: Sequence[int]) -> list[int]:
    previous = [None, *word_ids[:-1]]
    return [tags[word] if word != before else IGNORED for word, before in zip(word_ids, previous, strict=True)]


def _packed(pieces: Iterable[tuple[list[int], list[int]]], room: int) -> list[tuple[list[int], list[int]]]:
    packs: list[tuple[list[int], list[int]]] = [([], [])]
    for ids, targets in pieces:
        if len(packs[-1][0]) + len(ids) > room:
            packs.append(([], []))
        packs[-1] = (packs[-1][0] + ids, packs[-1][1] + targets)
    return packs


def answer_examples(
    questions: Iterable[dict], tokenizer: PreTrainedTokenizerFast, max_length: int, stride: int = 128
) -> list[Example]:
    """The windows of each passage, with the first and last token of the first answer.

    A window without the whole answer points at its first token, [CLS], which says that there is none.
    """
    return [
        _example(window.ids, _span(window, question["answers"]), window.second)
        for question in questions
        for window in windows(question["question"], question["context"], tokenizer, max_length, stride)
    ]


class Window(NamedTuple):
    """A question with a stretch of its passage: token ids, where the passage begins, the characters of each token."""

    ids: list[int]
    second: int
    offsets: list[tuple[int, int]]


def windows(
    question: str, context: str, tokenizer: PreTrainedTokenizerFast, max_length: int, stride: int
) -> list[Window]:
    """Cut a passage into windows of at most max_length tokens, each behind the question.

    Neighbours share `stride` tokens, or half a window where that is less. A question is cut at 64 tokens.
    """
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    head = [cls, *tokenizer(question, add_special_tokens=False)["input_ids"][:QUERY], sep]
    passage = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = passage["input_ids"], passage["offset_mapping"]
    room = max_length - len(head) - 1
    stride = min(stride, room // 2)
    starts = range(0, max(1, len(ids) - stride), room - stride)
    return [Window([*head, *ids[i : i + room], sep], len(head), offsets[i : i + room]) for i in starts]


def _span(window: Window, answers: dict) -> tuple[int, int]:
    if not answers["text"]:
        return NO_ANSWER
    first = answers["answer_start"][0]
    last = first + len(answers["text"][0])
    inside = [i for i, (start, end) in enumerate(window.offsets) if start < last and end > first]
    if not inside or window.offsets[inside[0]][0] > first or window.offsets[inside[-1]][1] < last:
        return NO_ANSWER
    return window.second + inside[0], window.second + inside[-1]


def choice_examples(
    questions: Iterable[dict], tokenizer: PreTrainedTokenizerFast, max_length: int, question: str = ""
) -> list[Example]:
    """One sequence a choice. A `question` replaces each two-choice row's own, and turns its label round."""
    rows = list(questions)
    prompts = [" ".join(part for part in (row["context"], question or row["question"]) if part) for row in rows]
    pairs = [(prompt, choice) for prompt, row in zip(prompts, rows, strict=True) for choice in row["choices"]]
    first, second = zip(*pairs, strict=True)
    encoded = tokenizer(list(first), list(second), truncation="longest_first", max_length=max_length)
    sequences = [np.asarray(ids, dtype=np.int32) for ids in encoded["input_ids"]]
    seconds = [types.index(1) for types in encoded["token_type_ids"]]
    edges = np.cumsum([0] + [len(row["choices"]) for row in rows])
    labels = [1 - row["label"] if question else row["label"] for row in rows]
    return [
        Example(tuple(sequences[i:j]), tuple(seconds[i:j]), np.asarray(label, dtype=np.int32))
        for (i, j), label in zip(pairwise(edges), labels, strict=True)
    ]


def piece_examples(
    paragraphs: Iterable[str], tokenizer: PreTrainedTokenizerFast, lengths: dict[int, float], seed: int
) -> list[Example]:
    """Pieces of running text of whole sentences, without labels: masking makes them anew each time.

    Every sentence is in one piece. Each piece's largest length in tokens is drawn from `lengths`, so that a source's
    tokens fall into its lengths by their weights; a longer sentence is cut.
    """
    sentences = [sentence for paragraph in paragraphs for sentence in re.split(r"(?<=[.!?][\s”\"'])\s*", paragraph)]
    encoded = tokenizer([s for s in sentences if s.strip()], add_special_tokens=False, verbose=False)["input_ids"]
    sizes = np.array(sorted(lengths))
    weights = np.array([lengths[size] for size in sizes]) / sizes  # long pieces hold more tokens, so draw them less
    rng = np.random.default_rng(seed)
    room = 0
    pieces: list[list[int]] = []
    for ids in encoded:
        if not pieces or len(pieces[-1]) + len(ids) > room:
            room = int(rng.choice(sizes, p=weights / weights.sum())) - 2
            pieces.append([])
        pieces[-1] += ids[: room - len(pieces[-1])]
    start, end = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    return [_example(start + piece + end, ()) for piece in pieces if piece]
