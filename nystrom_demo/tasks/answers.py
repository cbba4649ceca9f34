"""Question answering: a question and a passage in, stretches of the passage with probabilities out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.tasks.reading import check_task, read
from nystrom_demo.tasks.windows import Window, character_spans, encode, make_limits, make_windows

MAX_ANSWER_TOKENS = 30
NO_ANSWER_BELOW = 0.05  # a best stretch less likely than this counts as no answer


@dataclass(frozen=True)
class Answer:
    """A stretch of the passage, context[start:end], and its probability."""

    answer: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Answers:
    """The likeliest stretches, no two overlapping, and whether none is likely enough.

    no_answer: true where the first one's probability is under the threshold, or under that of "no answer"
    (no_answer_score), which the model gives by pointing at its first token; and where there is no stretch, since every
    word of the passage has more tokens than an answer may.
    """

    answers: tuple[Answer, ...]
    no_answer: bool
    no_answer_score: float
    num_tokens: int
    num_windows: int


def answer(
    checkpoint: Checkpoint,
    question: str,
    context: str,
    settings: AttentionSettings = EXACT,
    *,
    top_k: int = 5,
    threshold: float = NO_ANSWER_BELOW,
    max_tokens: int | None = None,
    overlap: int | None = None,
) -> Answers:
    """The `top_k` likeliest stretches of `context` as the answer to `question`.

    A stretch is whole words, at most 30 tokens. Probabilities are over all such stretches and "no answer" together:
    softmax of first-token score + last-token score. A passage longer than max_tokens leaves room for (by default the
    position table) is read in overlapping windows, each behind the whole question; a stretch found in two counts once,
    with its better score.
    """
    options = {"top_k": top_k, "threshold": threshold, "max_tokens": max_tokens, "overlap": overlap}
    return answer_batch(checkpoint, [(question, context)], settings, **options)[0]


def answer_batch(
    checkpoint: Checkpoint, questions: Iterable[tuple[str, str]], settings: AttentionSettings = EXACT, **options
) -> list[Answers]:
    """`answer` of each (question, context), in shared forward passes."""
    return read(checkpoint, [AnswerReader(checkpoint, *pair, **options) for pair in questions], settings)


class _Scores(NamedTuple):
    """start, end (context tokens of the window,): scores of each as an answer's first, last. none: of no answer."""

    start: torch.Tensor
    end: torch.Tensor
    none: torch.Tensor


class AnswerReader:
    """`tasks.reading.Reader` of stretches of a passage."""

    task = "question-answering"

    def __init__(
        self,
        checkpoint: Checkpoint,
        question: str,
        context: str,
        *,
        top_k: int = 5,
        threshold: float = NO_ANSWER_BELOW,
        max_tokens: int | None = None,
        overlap: int | None = None,
    ):
        check_task(checkpoint, self.task, "answer")
        if not isinstance(top_k, int) or not 1 <= top_k <= 100:
            raise UserError(f"top_k must be an integer from 1 to 100, got {top_k!r}.")
        if not 0 <= threshold <= 1:
            raise UserError(f"threshold must be a probability from 0 to 1, got {threshold!r}.")
        self.context, self.top_k, self.threshold = context, top_k, threshold
        backend = checkpoint.tokenizer.whole_text
        asked = encode(backend, question, "question")
        self.body = encode(backend, context, "context")
        self.spans = character_spans(context, self.body.offsets)
        limits = make_limits(checkpoint, max_tokens, overlap)

        framed = backend.post_process(asked, self.body)
        self.windows = make_windows(framed, len(self.body), limits, "question", sequence=1)
        self.num_tokens = len(framed)
        self.begins, self.closes = _word_borders(self.body.word_ids, self.spans)

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[_Scores]:
        output = model(**inputs)
        starts, ends = output.start_logits.float().cpu(), output.end_logits.float().cpu()
        scores = []
        for start, end, window in zip(starts, ends, windows, strict=True):
            passage = slice(window.first, window.first + window.stop - window.start)
            scores.append(_Scores(start[passage], end[passage], start[0] + end[0]))
        return scores

    def result(self, outputs: Sequence[_Scores]) -> Answers:
        table, none = self._log_probabilities(outputs)
        best: list[tuple[int, int]] = []
        for place in table.flatten().argsort(descending=True, stable=True).tolist():
            length, first = divmod(place, len(self.body))
            if len(best) == self.top_k or table[length, first] == -torch.inf:
                break
            last = first + length
            if all(last < other_first or first > other_last for other_first, other_last in best):
                best.append((first, last))
        answers = tuple(self._answer(first, last, table[last - first, first].exp().item()) for first, last in best)
        unsure = not answers or answers[0].score < max(self.threshold, none)
        return Answers(answers, unsure, none, self.num_tokens, len(self.windows))

    def probability(self, outputs: Sequence[_Scores], answer: Answers) -> float:
        """The probability of the answer's first stretch, be it likely or not; where it has none, of no answer."""
        table, none = self._log_probabilities(outputs)
        if not answer.answers:
            return none
        wanted = answer.answers[0]
        first = next(i for i, (start, _) in enumerate(self.spans) if self.begins[i] and start == wanted.start)
        last = next(i for i, (_, end) in enumerate(self.spans) if self.closes[i] and end == wanted.end)
        return table[last - first, first].exp().item()

    def in_words(self, answer: Answers) -> str:
        return "no answer" if answer.no_answer else answer.answers[0].answer

    def _log_probabilities(self, outputs: Sequence[_Scores]) -> tuple[torch.Tensor, float]:
        """Log-probabilities (longest answer, context tokens), entry [d, i] for tokens i to i + d, −∞ for what is no
        stretch of whole words; and the probability of no answer.

        No answer must hold in every window, so its score is the lowest of theirs.
        """
        longest = min(MAX_ANSWER_TOKENS, len(self.body))
        table = torch.full((longest, len(self.body)), -torch.inf)
        for window, scores in zip(self.windows, outputs, strict=True):
            part = table[:, window.start : window.stop]
            torch.maximum(part, _span_scores(scores, longest), out=part)
        table[:, ~self.begins] = -torch.inf
        table[~_shifted(self.closes, longest, False)] = -torch.inf
        none = torch.stack([scores.none for scores in outputs]).min()
        scores = torch.cat([table.flatten(), none[None]]).log_softmax(0)
        return scores[:-1].view_as(table), scores[-1].exp().item()

    def _answer(self, first: int, last: int, score: float) -> Answer:
        start, end = self.spans[first][0], self.spans[last][1]
        return Answer(self.context[start:end], start, end, score)


def _word_borders(
    word_ids: Sequence[int | None], spans: Sequence[tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """True at the tokens (tokens,) that begin a word, and at those that close one. Tokens of blanks do neither."""
    read = torch.tensor([token for token, (start, end) in enumerate(spans) if start < end])
    words = torch.tensor([-1 if word_ids[token] is None else word_ids[token] for token in read])
    changes, edge = words[1:] != words[:-1], torch.tensor([True])
    begins, closes = torch.zeros(2, len(spans), dtype=torch.bool)
    begins[read], closes[read] = torch.cat([edge, changes]), torch.cat([changes, edge])
    return begins, closes


def _span_scores(scores: _Scores, longest: int) -> torch.Tensor:
    """(longest, tokens): first-token score at i plus last-token score at i + d, −∞ past the window's end."""
    return scores.start + _shifted(scores.end, longest, -torch.inf)


def _shifted(row: torch.Tensor, count: int, fill) -> torch.Tensor:
    """(count, tokens): entry [d, i] is row[i + d], or `fill` past its end."""
    return F.pad(row.float(), (0, count - 1), value=float(fill)).unfold(0, len(row), 1).to(row.dtype)
