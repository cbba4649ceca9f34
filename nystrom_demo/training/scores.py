"""Predictions and truth in, figures out. All figures are percentages."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

Span = tuple[str, int, int]  # an entity's kind, and its first and last character + 1


def entity_spans(tokens: Sequence[str], tags: Sequence[str]) -> set[Span]:
    """The entities that a row of BIO tags spells, in characters of the tokens with a blank between any two.

    An I without its B begins an entity.
    """
    found, start, place = set(), 0, 0
    kind = ""  # of the entity under way
    for token, tag in zip([*tokens, ""], [*tags, "O"], strict=True):
        if kind and tag != f"I-{kind}":
            found.add((kind, start, place - 1))
            kind = ""
        if not kind and tag != "O":
            kind, start = tag[2:], place
        place += len(token) + 1
    return found


def span_f1(guesses: Iterable[set[Span]], truths: Iterable[set[Span]]) -> float:
    """F1 of whole entities, kind and both ends right (CoNLL-2003's measure), over texts."""
    right = guessed = true = 0
    for guess, truth in zip(guesses, truths, strict=True):
        right += len(guess & truth)
        guessed += len(guess)
        true += len(truth)
    return 200 * right / max(guessed + true, 1)


def calibration_error(sure: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: the mean distance, over answers in bins of equal width, of how sure from how right.

    sure: probabilities given to the answers (answers,). right: whether they are right. Source: Guo et al., "On
    Calibration of Modern Neural Networks" (ICML 2017).
    """
    place = np.minimum((sure * bins).astype(int), bins - 1)
    counts, sure_sums, right_sums = (np.bincount(place, weights, bins) for weights in (None, sure, right))
    return 100 * float(np.abs(sure_sums - right_sums).sum() / counts.sum())


def plain_answer(text: str) -> str:
    """An answer as SQuAD compares it: lower case, without punctuation, articles, or spare blanks."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def is_exact(guess: str, truths: Sequence[str]) -> bool:
    """Whether an answer is one of the true ones as SQuAD compares them."""
    return any(plain_answer(guess) == plain_answer(truth) for truth in truths)


def answer_scores(predicted: Iterable[str], truths: Iterable[Sequence[str]]) -> dict[str, float]:
    """Exact match and word F1, each against the best of a question's true answers (SQuAD v1.1's measures)."""
    pairs = list(zip(predicted, truths, strict=True))
    exact = [is_exact(guess, answers) for guess, answers in pairs]
    f1 = [max(_word_f1(guess, truth) for truth in answers) for guess, answers in pairs]
    return {"exact match": 100 * float(np.mean(exact)), "F1": 100 * float(np.mean(f1))}


def _word_f1(guess: str, truth: str) -> float:
    guessed, true = plain_answer(guess).split(), plain_answer(truth).split()
    common = sum((Counter(guessed) & Counter(true)).values())
    return 2 * common / (len(guessed) + len(true)) if common else float(guessed == true)
