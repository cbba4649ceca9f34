"""What is measured of each head: one function a measure, an evaluation in, figures for each number of landmarks out.

Every figure is of what `tasks` answers, the decoder of the app: its windows, whole words and threshold for no answer.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.tasks import answer_batch, choose_batch, classify_batch, fill_mask_batch, tag_batch
from nystrom_demo.training import readers, scores
from nystrom_demo.training.passages import take_answers_away
from nystrom_demo.training.plan import EXACT_LANDMARKS

EVERYDAY = Path(__file__).with_name("everyday")
TEXTS = 128  # read in one go, so that what their windows give is not all held at once
MASKED = 0.15  # of a text's tokens are hidden to measure masked words
Figures = dict[str, dict[str, float]]  # the measure's name, then the landmarks ("exact" too): percentage or count
LANDMARKS = AttentionSettings()  # the package's own, of which the number is varied
Batch = Callable[..., list]  # a head's function for several texts

Row = TypeVar("Row")


@dataclass(frozen=True)
class Evaluation:
    """Checkpoints by task, the data folder, and the numbers of landmarks to measure at.

    limit: examples of a measure at most, the first ones of its file; None for all. attention: what attends where m is
    not exact, of which the number of landmarks is varied.
    """

    checkpoints: dict[str, Checkpoint]
    data: Path
    landmarks: tuple[int, ...]
    limit: int | None = None
    attention: AttentionSettings = LANDMARKS

    def first(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows[: self.limit]

    def ask(self, task: str, batch: Batch, asked: Sequence, **options) -> Iterator[tuple[str, list]]:
        """(label of m, the head's answers to all that is asked) for each number of landmarks."""
        for m in self.landmarks:
            settings = EXACT if m == EXACT_LANDMARKS else self.attention._replace(num_landmarks=m)
            parts = (asked[i : i + TEXTS] for i in range(0, len(asked), TEXTS))
            found = [result for part in parts for result in batch(self.checkpoints[task], part, settings, **options)]
            yield label(m), found


def label(num_landmarks: int) -> str:
    return "exact" if num_landmarks == EXACT_LANDMARKS else str(num_landmarks)


def sentiment(evaluation: Evaluation) -> Figures:
    return _sentiment(evaluation, evaluation.first(readers.read_labelled(evaluation.data / "sst2/validation.tsv.gz")))


def long_reviews(evaluation: Evaluation) -> Figures:
    rows = readers.read_labelled(evaluation.data / "movie_reviews/validation.tsv.gz")
    classes = [[row for row in rows if row.label == each] for each in (0, 1)]
    turns = [row for pair in zip_longest(*classes) for row in pair if row]
    return _sentiment(evaluation, evaluation.first(turns))  # the file has one class first: a limit would see only that


def _sentiment(evaluation: Evaluation, rows: Sequence[readers.Labelled]) -> Figures:
    """Which of the two classes of reviews is likelier, whatever the head gives to others; and how sure it is of it."""
    texts, truth = [row.text for row in rows], [row.label for row in rows]
    figures: Figures = {"accuracy": {}, "calibration error": {}}
    for m, found in evaluation.ask("sequence-classification", classify_batch, texts):
        pairs = np.array([list(result.probabilities.values())[:2] for result in found])
        pairs /= pairs.sum(1, keepdims=True)
        right = pairs.argmax(1) == truth
        figures["accuracy"][m] = 100 * float(right.mean())
        figures["calibration error"][m] = scores.calibration_error(pairs.max(1), right)
    return figures


def entities(evaluation: Evaluation) -> Figures:
    return _entities(evaluation, _tagged(evaluation))


def packed_entities(evaluation: Evaluation) -> Figures:
    return _entities(evaluation, list(_packed(_tagged(evaluation), evaluation.checkpoints["token-classification"])))


def small_letter_entities(evaluation: Evaluation) -> Figures:
    return _entities(evaluation, readers.change_case(_tagged(evaluation), "lower"))


def capital_letter_entities(evaluation: Evaluation) -> Figures:
    return _entities(evaluation, readers.change_case(_tagged(evaluation), "upper"))


def _tagged(evaluation: Evaluation) -> list[readers.Tagged]:
    return list(evaluation.first(readers.read_tagged(evaluation.data / "ner_uner_ewt/validation.conll.gz")))


def _packed(rows: Iterable[readers.Tagged], checkpoint: Checkpoint, room: int = 126) -> Iterator[readers.Tagged]:
    """Neighbouring sentences joined to up to `room` tokens; one longer than that stays alone."""
    tokens, tags, size = [], [], 0
    for row in rows:
        more = len(checkpoint.tokenizer(" ".join(row.tokens), add_special_tokens=False)["input_ids"])
        if tokens and size + more > room:
            yield readers.Tagged(tokens, tags)
            tokens, tags, size = [], [], 0
        tokens, tags, size = tokens + row.tokens, tags + row.tags, size + more
    if tokens:
        yield readers.Tagged(tokens, tags)


def _entities(evaluation: Evaluation, rows: Sequence[readers.Tagged]) -> Figures:
    """F1 of whole entities, kind and both ends right, among the kinds that the head knows."""
    kinds = {name[2:] for name in evaluation.checkpoints["token-classification"].model.config.id2label.values()}
    truths = [{span for span in scores.entity_spans(row.tokens, row.tags) if span[0] in kinds} for row in rows]
    figures = {}
    for m, found in evaluation.ask("token-classification", tag_batch, [" ".join(row.tokens) for row in rows]):
        guesses = [{(entity.entity, entity.start, entity.end) for entity in tagging.entities} for tagging in found]
        figures[m] = scores.span_f1(guesses, truths)
    return {"F1": figures}


def answers(evaluation: Evaluation) -> Figures:
    """SQuAD v1.1's exact match and F1 of the likeliest stretch, and how far its probability is from how often it is."""
    rows = _questions(evaluation)
    truths = [row["answers"]["text"] for row in rows]
    figures: Figures = {}
    for m, found in _answers(evaluation, rows):
        best = [result.answers[0] if result.answers else None for result in found]
        said = [answer.answer if answer else "" for answer in best]
        right = np.array([scores.is_exact(text, true) for text, true in zip(said, truths, strict=True)])
        sure = np.array([answer.score if answer else 0.0 for answer in best])
        measured = scores.answer_scores(said, truths) | {"calibration error": scores.calibration_error(sure, right)}
        for name, value in measured.items():
            figures.setdefault(name, {})[m] = value
    return figures


def missing_answers(evaluation: Evaluation) -> Figures:
    """Every second question asked of a passage without its answer.

    Told apart: how often the head is right whether there is an answer. Wrong answers: how often it gives one where
    there is none.
    """
    rows = take_answers_away(_questions(evaluation), 0.5)
    none = np.array([not row["answers"]["text"] for row in rows])
    figures: Figures = {"told apart": {}, "wrong answers": {}}
    for m, found in _answers(evaluation, rows):
        silent = np.array([result.no_answer for result in found])
        figures["told apart"][m] = 100 * float((silent == none).mean())
        figures["wrong answers"][m] = 100 * float((~silent & none).sum() / max(none.sum(), 1))
    return figures


def _questions(evaluation: Evaluation) -> Sequence[dict]:
    return evaluation.first(readers.read_questions(evaluation.data / "squad_v1.1_partial/validation.jsonl.gz"))


def _answers(evaluation: Evaluation, rows: Sequence[dict]) -> Iterator[tuple[str, list]]:
    asked = [(row["question"], row["context"]) for row in rows]
    return evaluation.ask("question-answering", answer_batch, asked, top_k=1)


def choices(evaluation: Evaluation) -> Figures:
    return _choices(
        evaluation,
        readers.read_questions(evaluation.data / "comve_explanation/validation.jsonl.gz")[: evaluation.limit],
    )


def everyday_questions(evaluation: Evaluation) -> Figures:
    """How many of the thirty everyday questions get the right choice."""
    rows = json.loads((EVERYDAY / "choices.json").read_text(encoding="utf-8"))
    right = _choices(evaluation, rows)["accuracy"]
    return {"of 30": {m: round(value * len(rows) / 100) for m, value in right.items()}}


def _choices(evaluation: Evaluation, rows: Sequence[dict]) -> Figures:
    asked = [(row["question"], row["choices"], row["context"]) for row in rows]
    truth = np.array([row["label"] for row in rows])
    figures: Figures = {"accuracy": {}, "calibration error": {}}
    for m, found in evaluation.ask("multiple-choice", choose_batch, asked):
        right = np.array([choice.index for choice in found]) == truth
        figures["accuracy"][m] = 100 * float(right.mean())
        sure = np.array([max(choice.scores) for choice in found])
        figures["calibration error"][m] = scores.calibration_error(sure, right)
    return figures


def masked_words(evaluation: Evaluation) -> Figures:
    """Wikipedia paragraphs, 15 % of the tokens shown as [MASK], each guessed from the others."""
    checkpoint = evaluation.checkpoints["masked-lm"]
    rows = evaluation.first(readers.read_paragraphs(evaluation.data / "mlm_wiki/validation.txt.gz"))
    hidden = [hide_words(checkpoint, row, np.random.default_rng(number)) for number, row in enumerate(rows)]
    hidden = [each for each in hidden if each.true]
    true = [token for each in hidden for token in each.true]
    figures: Figures = {"top 1": {}, "top 5": {}, "calibration error": {}}
    for m, found in evaluation.ask("masked-lm", fill_mask_batch, [each.text for each in hidden]):
        guesses = [mask.candidates for result in found for mask in result.masks]
        ids = np.array([[candidate.token_id for candidate in candidates] for candidates in guesses])
        right = ids == np.array(true)[:, None]
        figures["top 1"][m] = 100 * float(right[:, 0].mean())
        figures["top 5"][m] = 100 * float(right.any(1).mean())
        sure = np.array([candidates[0].score for candidates in guesses])
        figures["calibration error"][m] = scores.calibration_error(sure, right[:, 0])
    return figures


class Hidden(NamedTuple):
    """A text with [MASK] for some of its tokens, and those tokens' ids."""

    text: str
    true: list[int]


def hide_words(checkpoint: Checkpoint, text: str, rng: np.random.Generator, part: float = MASKED) -> Hidden:
    """The text with about this part of its words of one token hidden: pieces of others would be read otherwise."""
    tokenizer = checkpoint.tokenizer
    read = tokenizer.whole_text.encode(text, add_special_tokens=False)
    words = np.array([-1 if word is None else word for word in read.word_ids])
    alone = [i for i, word in enumerate(words) if word >= 0 and (words == word).sum() == 1]
    chosen = [i for i in alone if rng.random() < part]
    for i in reversed(chosen):
        start, end = read.offsets[i]
        text = f"{text[:start]}{tokenizer.mask_token}{text[end:]}"
    return Hidden(text, [read.ids[i] for i in chosen])


def everyday_sentences(evaluation: Evaluation) -> Figures:
    """How many of the thirty everyday sentences have an accepted word among the five likeliest."""
    rows = json.loads((EVERYDAY / "masked_words.json").read_text(encoding="utf-8"))
    figures = {}
    for m, found in evaluation.ask("masked-lm", fill_mask_batch, [row["text"] for row in rows]):
        words = [{candidate.token for candidate in result.masks[0].candidates} for result in found]
        figures[m] = sum(bool(said & set(row["accepted"])) for said, row in zip(words, rows, strict=True))
    return {"of 30": figures}


MEASURES: dict[str, tuple[str, Callable[[Evaluation], Figures]]] = {
    "SST-2 validation": ("sequence-classification", sentiment),
    "whole reviews (movie_reviews validation)": ("sequence-classification", long_reviews),
    "UNER-EWT validation, sentences": ("token-classification", entities),
    "UNER-EWT validation, packed to 128 tokens": ("token-classification", packed_entities),
    "UNER-EWT validation, sentences in small letters": ("token-classification", small_letter_entities),
    "UNER-EWT validation, sentences in capitals": ("token-classification", capital_letter_entities),
    "SQuAD v1.1 validation, half": ("question-answering", answers),
    "SQuAD v1.1 validation, half, every second question of another passage": ("question-answering", missing_answers),
    "ComVE explanation validation": ("multiple-choice", choices),
    "thirty everyday questions": ("multiple-choice", everyday_questions),
    "Wikipedia validation, 15 % masked": ("masked-lm", masked_words),
    "thirty everyday sentences": ("masked-lm", everyday_sentences),
}
