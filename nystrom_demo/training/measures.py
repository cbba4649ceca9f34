"""What is measured of each head: one function a measure, a bench in, figures for each number of landmarks out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from nystrom_demo.config import AttentionSettings
from nystrom_demo.tasks.label_sequence import likeliest_labels
from nystrom_demo.training import readers, scores
from nystrom_demo.training.batches import Vocabulary, collate, mask_words, pad
from nystrom_demo.training.examples import (
    IGNORED,
    Example,
    Window,
    choice_examples,
    text_examples,
    windows,
    word_examples,
)
from nystrom_demo.training.passages import take_answers_away
from nystrom_demo.training.plan import EXACT_LANDMARKS, cut_batches

EVERYDAY = Path(__file__).with_name("everyday")
Figures = dict[str, dict[str, float]]  # the measure's name, then the landmarks ("exact" too): percentage or count
EVALUATION_TOKENS = 4096  # of a batch


@dataclass(frozen=True)
class Bench:
    """Models and tokenizers by task, the data folder, and the numbers of landmarks to measure at.

    limit: examples of a measure at most, the first ones of its file; None for all.
    """

    models: dict[str, PreTrainedModel]
    tokenizers: dict[str, PreTrainedTokenizerFast]
    data: Path
    landmarks: tuple[int, ...]
    limit: int | None = None

    def first(self, rows: Sequence) -> Sequence:
        return rows[: self.limit]


def sentiment(bench: Bench) -> Figures:
    rows = bench.first(readers.read_labelled(bench.data / "sst2/validation.tsv.gz"))
    return _accuracy(
        bench, "sequence-classification", text_examples(rows, bench.tokenizers["sequence-classification"], 512)
    )


def long_reviews(bench: Bench) -> Figures:
    rows = readers.read_labelled(bench.data / "movie_reviews/validation.tsv.gz")
    classes = [[row for row in rows if row.label == each] for each in (0, 1)]
    turns = [row for pair in zip_longest(*classes) for row in pair if row]
    rows = bench.first(turns)  # the file has one class first: a limit would see only that
    return _accuracy(
        bench, "sequence-classification", text_examples(rows, bench.tokenizers["sequence-classification"], 1024)
    )


def entities(bench: Bench) -> Figures:
    return _entities(bench, max_length=512, pack=False)


def packed_entities(bench: Bench) -> Figures:
    return _entities(bench, max_length=128, pack=True)


def answers(bench: Bench) -> Figures:
    """SQuAD v1.1's exact match and F1, in windows of 384 tokens that share 128."""
    rows = _questions(bench)
    truths = [row["answers"]["text"] for row in rows]
    figures: Figures = {}
    for m, spans in _best_spans(bench, rows).items():
        for name, value in scores.answer_scores([span.text for span in spans], truths).items():
            figures.setdefault(name, {})[m] = value
    return figures


def missing_answers(bench: Bench) -> Figures:
    """Every second question asked of a passage without its answer: how often the model is right whether there is one.

    It says that there is none by scoring its first token above every stretch of the passage.
    """
    rows = take_answers_away(_questions(bench), 0.5)
    truth = [int(not row["answers"]["text"]) for row in rows]
    found = _best_spans(bench, rows)
    guesses = {m: [span.none > span.score for span in spans] for m, spans in found.items()}
    return {"told apart": {m: scores.accuracy(guess, truth) for m, guess in guesses.items()}}


def choices(bench: Bench) -> Figures:
    rows = bench.first(readers.read_questions(bench.data / "comve_explanation/validation.jsonl.gz"))
    return _accuracy(bench, "multiple-choice", choice_examples(rows, bench.tokenizers["multiple-choice"], 512))


def masked_words(bench: Bench) -> Figures:
    """Wikipedia paragraphs of up to 512 tokens, 15 % of the words shown as [MASK], each guessed from the others."""
    rows = bench.first(readers.read_paragraphs(bench.data / "mlm_wiki/validation.txt.gz"))
    tokenizer = bench.tokenizers["masked-lm"]
    examples = text_examples([readers.Labelled(row, 0) for row in rows], tokenizer, 512)
    vocabulary = Vocabulary.of(tokenizer)
    figures: Figures = {"top 1": {}, "top 5": {}}
    for m in bench.landmarks:
        ranks = np.concatenate([_mask_ranks(bench, part, m, vocabulary) for part in _parts(examples)])
        for name, k in (("top 1", 1), ("top 5", 5)):
            figures[name][label(m)] = 100 * float((ranks < k).mean())
    return figures


def everyday_sentences(bench: Bench) -> Figures:
    """How many of the thirty everyday sentences have an accepted word among the five likeliest."""
    rows = json.loads((EVERYDAY / "masked_words.json").read_text(encoding="utf-8"))
    tokenizer, model = bench.tokenizers["masked-lm"], bench.models["masked-lm"]
    right = dict.fromkeys(map(label, bench.landmarks), 0)
    for row in rows:
        inputs = tokenizer(row["text"], return_tensors="pt").to(model.device)
        place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        for m in bench.landmarks:
            with torch.inference_mode():
                logits = model(**inputs, attention_settings=AttentionSettings("nystrom", m)).logits[0, place]
            words = tokenizer.convert_ids_to_tokens(logits.topk(5).indices.tolist())
            right[label(m)] += any(word in row["accepted"] for word in words)
    return {"of 30": right}


def everyday_questions(bench: Bench) -> Figures:
    """How many of the thirty everyday questions get the right choice."""
    rows = json.loads((EVERYDAY / "choices.json").read_text(encoding="utf-8"))
    figures = _accuracy(bench, "multiple-choice", choice_examples(rows, bench.tokenizers["multiple-choice"], 512))[
        "accuracy"
    ]
    return {"of 30": {m: round(value * len(rows) / 100) for m, value in figures.items()}}


MEASURES: dict[str, tuple[str, Callable[[Bench], Figures]]] = {
    "SST-2 validation": ("sequence-classification", sentiment),
    "whole reviews, up to 1,024 tokens (movie_reviews validation)": ("sequence-classification", long_reviews),
    "UNER-EWT validation, sentences": ("token-classification", entities),
    "UNER-EWT validation, packed to 128 tokens": ("token-classification", packed_entities),
    "SQuAD v1.1 validation, half": ("question-answering", answers),
    "SQuAD v1.1 validation, half, every second question of another passage": ("question-answering", missing_answers),
    "ComVE explanation validation": ("multiple-choice", choices),
    "thirty everyday questions": ("multiple-choice", everyday_questions),
    "Wikipedia validation, 15 % masked": ("masked-lm", masked_words),
    "thirty everyday sentences": ("masked-lm", everyday_sentences),
}


def label(num_landmarks: int) -> str:
    return "exact" if num_landmarks == EXACT_LANDMARKS else str(num_landmarks)


def predict(bench: Bench, task: str, examples: Sequence[Example], num_landmarks: int) -> list[np.ndarray]:
    """Each example's logits without padding: (classes,), (seq, labels), (2, seq) for answers, (choices,)."""
    model = bench.models[task]
    settings = AttentionSettings("nystrom", num_landmarks)
    vocabulary = Vocabulary.of(bench.tokenizers[task])
    found: list[np.ndarray] = [np.empty(0)] * len(examples)
    for members in _by_length(examples):
        part = [examples[i] for i in members]
        batch = collate(task, part, num_landmarks, vocabulary=vocabulary, rng=np.random.default_rng(0))
        names = ("input_ids", "attention_mask", "token_type_ids")
        inputs = {name: batch["inputs"][name].to(model.device) for name in names}
        with torch.inference_mode():
            output = model(**inputs, attention_settings=settings)
        for row, i in enumerate(members):
            found[i] = _row_logits(task, output, row, examples[i].length)
    return found


def _row_logits(task: str, output, row: int, length: int) -> np.ndarray:
    if task == "question-answering":
        return torch.stack([output.start_logits[row, :length], output.end_logits[row, :length]]).numpy(force=True)
    logits = output.logits[row]
    return (logits[:length] if task == "token-classification" else logits).numpy(force=True)


def _accuracy(bench: Bench, task: str, examples: Sequence[Example]) -> Figures:
    truth = [int(example.target) for example in examples]
    guesses = {m: [int(logits.argmax()) for logits in predict(bench, task, examples, m)] for m in bench.landmarks}
    return {"accuracy": {label(m): scores.accuracy(guess, truth) for m, guess in guesses.items()}}


def _entities(bench: Bench, max_length: int, pack: bool) -> Figures:
    rows = bench.first(readers.read_tagged(bench.data / "ner_uner_ewt/validation.conll.gz"))
    id2label = bench.models["token-classification"].config.id2label
    labels = [id2label[i] for i in range(len(id2label))]
    examples = word_examples(rows, bench.tokenizers["token-classification"], labels, max_length, pack)
    figures = {}
    for m in bench.landmarks:
        pairs = []
        for example, logits in zip(examples, predict(bench, "token-classification", examples, m), strict=True):
            counts = example.target != IGNORED
            guesses = likeliest_labels(torch.from_numpy(logits[counts]).softmax(-1), labels)
            pairs.append(([labels[i] for i in guesses], [labels[i] for i in example.target[counts]]))
        figures[label(m)] = scores.entity_f1(pairs)
    return {"F1": figures}


class _Span(NamedTuple):
    """The best stretch of a passage over its windows, and the lowest score of "no answer" in any of them."""

    score: float
    text: str
    none: float


def _questions(bench: Bench) -> Sequence[dict]:
    return bench.first(readers.read_questions(bench.data / "squad_v1.1_partial/validation.jsonl.gz"))


def _best_spans(bench: Bench, rows: Sequence[dict]) -> dict[str, list[_Span]]:
    """Each row's span at each number of landmarks."""
    tokenizer = bench.tokenizers["question-answering"]
    cut = [windows(row["question"], row["context"], tokenizer, 384, 128) for row in rows]
    flat = [window for windows_of_row in cut for window in windows_of_row]
    examples = [
        Example((np.asarray(window.ids, np.int32),), (window.second,), np.zeros(2, np.int32)) for window in flat
    ]
    found = {}
    for m in bench.landmarks:
        logits = iter(predict(bench, "question-answering", examples, m))
        found[label(m)] = [
            _best_span(row["context"], [(window, next(logits)) for window in windows_of_row])
            for row, windows_of_row in zip(rows, cut, strict=True)
        ]
    return found


def _best_span(context: str, read: Sequence[tuple[Window, np.ndarray]]) -> _Span:
    spans = []
    for window, logits in read:
        first, last, score = scores.best_span(*logits[:, window.second : window.second + len(window.offsets)])
        spans.append((score, context[window.offsets[first][0] : window.offsets[last][1]]))
    return _Span(*max(spans), none=min(float(logits[:, 0].sum()) for _, logits in read))


def _mask_ranks(bench: Bench, part: Sequence[Example], m: int, vocabulary: Vocabulary) -> np.ndarray:
    """For each hidden word of a batch, how many words the model finds likelier than the true one."""
    model = bench.models["masked-lm"]
    ids, mask, _ = pad([example.sequences[0] for example in part], [example.length for example in part])
    shown, labels = mask_words(ids, vocabulary, np.random.default_rng(ids[0]), as_mask=1.0, as_random=0.0)
    hidden = labels != IGNORED
    shown, mask, true = (
        torch.from_numpy(array.astype(np.int64)).to(model.device) for array in (shown, mask, labels[hidden])
    )
    with torch.inference_mode():
        hidden_states = model.nystromformer(
            input_ids=shown,
            attention_mask=mask,
            attention_settings=AttentionSettings("nystrom", m),
            return_dict=True,
        ).last_hidden_state
        logits = model.cls(hidden_states[torch.from_numpy(hidden)])  # (hidden words, vocab_size)
        return (logits > logits.gather(1, true[:, None])).sum(1).numpy(force=True)


def _by_length(examples: Sequence[Example]) -> list[np.ndarray]:
    shapes = np.array([(len(example.sequences), example.length) for example in examples])
    return cut_batches(np.arange(len(examples)), shapes, EVALUATION_TOKENS)


def _parts(examples: Sequence[Example]) -> list[list[Example]]:
    return [[examples[i] for i in members] for members in _by_length(examples)]
