"""Predictions and truth in, figures out. All figures are percentages."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

LONGEST_ANSWER = 30  # tokens, as in the SQuAD baselines


def accuracy(predicted: Sequence[int], truth: Sequence[int]) -> float:
    return 100 * float(np.mean(np.asarray(predicted) == np.asarray(truth)))


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """(type, first word, last word) of each entity in a row of BIO tags. An I without its B begins an entity."""
    found, start = set(), None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and tag != "I-" + tags[start][2:]:
            found.add((tags[start][2:], start, i - 1))
            start = None
        if start is None and tag != "O":
            start = i
    return found


def entity_f1(rows: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """F1 of whole entities, type and both ends right (CoNLL-2003's measure), over rows of (predicted, true) tags."""
    right = guessed = true = 0
    for predicted_tags, true_tags in rows:
        predicted, truth = entities(predicted_tags), entities(true_tags)
        right += len(predicted & truth)
        guessed += len(predicted)
        true += len(truth)
    return 200 * right / max(guessed + true, 1)


def best_span(start: np.ndarray, end: np.ndarray) -> tuple[int, int, float]:
    """The first and last token (of at most 30) with the largest start + end score, and that score."""
    sums = start[:, None] + end[None, :]  # (tokens, tokens)
    allowed = np.triu(np.ones_like(sums, dtype=bool)) & ~np.triu(np.ones_like(sums, dtype=bool), LONGEST_ANSWER)
    sums = np.where(allowed, sums, -np.inf)
    first, last = np.unravel_index(sums.argmax(), sums.shape)
    return int(first), int(last), float(sums[first, last])


def plain_answer(text: str) -> str:
    """An answer as SQuAD compares it: lower case, without punctuation, articles, or spare blanks."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def answer_scores(predicted: Iterable[str], truths: Iterable[Sequence[str]]) -> dict[str, float]:
    """Exact match and word F1, each against the best of a question's true answers (SQuAD v1.1's measures)."""
    pairs = list(zip(predicted, truths, strict=True))
    exact = [max(plain_answer(guess) == plain_answer(truth) for truth in answers) for guess, answers in pairs]
    f1 = [max(_word_f1(guess, truth) for truth in answers) for guess, answers in pairs]
    return {"exact match": 100 * float(np.mean(exact)), "F1": 100 * float(np.mean(f1))}


def _word_f1(guess: str, truth: str) -> float:
    guessed, true = plain_answer(guess).split(), plain_answer(truth).split()
    common = sum((Counter(guessed) & Counter(true)).values())
    return 2 * common / (len(guessed) + len(true)) if common else float(guessed == true)
