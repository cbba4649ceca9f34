"""Masked words: a text with gaps in, candidates for each gap out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.tasks.reading import check_task, read
from nystrom_demo.tasks.windows import Window, character_spans, encode, make_limits, make_windows

CHUNK = 128  # masks that the head scores at once


@dataclass(frozen=True)
class Token:
    """One token of the text and its characters, text[start:end]."""

    token: str
    start: int
    end: int


@dataclass(frozen=True)
class Candidate:
    """A vocabulary word for a gap and its probability there."""

    token: str
    score: float
    token_id: int


@dataclass(frozen=True)
class MaskFill:
    """One gap: its place among the text's tokens, its characters, and its candidates, the likeliest first."""

    position: int
    start: int
    end: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class MaskedWords:
    """Every gap of a text in order, and all its tokens (without special ones), any of which may be masked next."""

    masks: tuple[MaskFill, ...]
    tokens: tuple[Token, ...]
    num_tokens: int
    num_windows: int


def fill_mask(
    checkpoint: Checkpoint,
    text: str,
    settings: AttentionSettings = EXACT,
    *,
    top_k: int = 5,
    max_tokens: int | None = None,
    overlap: int | None = None,
) -> MaskedWords:
    """The `top_k` likeliest words for each mask token ([MASK] for the bundled checkpoint) in `text`.

    Each mask is filled on its own, with the others left masked. A text longer than max_tokens (by default the position
    table) is read in overlapping windows, each mask in the one that gives it the most context. ValueError when the text
    has no mask.
    """
    return fill_mask_batch(checkpoint, [text], settings, top_k=top_k, max_tokens=max_tokens, overlap=overlap)[0]


def fill_mask_batch(
    checkpoint: Checkpoint, texts: Sequence[str], settings: AttentionSettings = EXACT, **options
) -> list[MaskedWords]:
    """`fill_mask` of each text, in shared forward passes."""
    return read(checkpoint, [MaskReader(checkpoint, text, **options) for text in texts], settings)


class MaskReader:
    """`tasks.reading.Reader` of masked words. Windows that hold no mask of their own are not run."""

    task = "masked-lm"

    def __init__(
        self,
        checkpoint: Checkpoint,
        text: str,
        *,
        top_k: int = 5,
        max_tokens: int | None = None,
        overlap: int | None = None,
    ):
        check_task(checkpoint, self.task, "fill_mask")
        self.tokenizer = checkpoint.tokenizer
        self.text = text
        self.num_words = len(self.tokenizer)  # a model's vocabulary may be padded past it
        self.top_k = _check_top_k(top_k, self.num_words)
        self.mask_id = self.tokenizer.mask_token_id
        self._words: dict[int, str] = {}  # tokens as text, since many masks have many candidates in common
        limits = make_limits(checkpoint, max_tokens, overlap)
        backend = self.tokenizer.whole_text
        self.body = encode(backend, text, "text")
        self.positions = [place for place, token in enumerate(self.body.ids) if token == self.mask_id]
        if not self.positions:
            raise UserError(f"text holds no mask: write {self.tokenizer.mask_token} where a word is to be guessed.")
        framed = backend.post_process(self.body)
        windows = make_windows(framed, len(self.body), limits, "text")
        self.num_windows = len(windows)
        self.num_tokens = len(framed)
        self.windows = [window for window in windows if _own_masks(window, self.mask_id)]

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[torch.Tensor]:
        """For each window, log-probabilities (its own masks, vocab_size)."""
        places = [_own_masks(window, self.mask_id) for window in windows]
        return list(_log_probabilities(model, inputs, places).split([len(place) for place in places]))

    def result(self, outputs: Sequence[torch.Tensor]) -> MaskedWords:
        best = [scores[:, : self.num_words].topk(self.top_k) for scores in outputs]
        scores = torch.cat([values for values, _ in best]).exp()  # (masks, top_k)
        tokens = torch.cat([indices for _, indices in best])
        spans = character_spans(self.text, self.body.offsets)
        masks = []
        for position, row_scores, row_tokens in zip(self.positions, scores.tolist(), tokens.tolist(), strict=True):
            pairs = zip(row_tokens, row_scores, strict=True)
            candidates = tuple(Candidate(self._word(token), score, token) for token, score in pairs)
            masks.append(MaskFill(position, *spans[position], candidates))
        tokens = tuple(Token(self._word(token), *span) for token, span in zip(self.body.ids, spans, strict=True))
        return MaskedWords(tuple(masks), tokens, self.num_tokens, self.num_windows)

    def probability(self, outputs: Sequence[torch.Tensor], answer: MaskedWords) -> float:
        """The mean over masks of the probability of the answer's first candidate."""
        best = torch.tensor([mask.candidates[0].token_id for mask in answer.masks])
        parts = best.split([len(scores) for scores in outputs])
        found = [scores.gather(1, part[:, None]) for scores, part in zip(outputs, parts, strict=True)]
        return torch.cat(found).exp().mean().item()

    def in_words(self, answer: MaskedWords) -> str:
        return ", ".join(mask.candidates[0].token for mask in answer.masks)

    def _word(self, token: int) -> str:
        """A token as text; a piece that goes on a word keeps its sign, as in ##ing."""
        if token not in self._words:
            piece = self.tokenizer.convert_ids_to_tokens(token) or f"[{token}]"  # an id that the vocabulary skips
            self._words[token] = piece if piece.startswith("##") else self.tokenizer.decode([token]).strip() or piece
        return self._words[token]


def _own_masks(window: Window, mask_id: int) -> list[int]:
    return [place for place in window.own if window.ids[place] == mask_id]


def _log_probabilities(model: PreTrainedModel, inputs: dict, places: Sequence[list[int]]) -> torch.Tensor:
    """(all places, vocab_size) on the CPU, those of one row of the inputs after those of another.

    A row of scores has the vocabulary's size, so where the head stands apart from the encoder, as `cls`, it is given
    the masked places alone, a few at a time.
    """
    if hasattr(model, "cls"):
        head, states = model.cls, model.base_model(**inputs).last_hidden_state  # (batch, seq, hidden_size)
    else:
        head, states = torch.nn.Identity(), model(**inputs).logits
    picked = torch.cat([row[place] for row, place in zip(states, places, strict=True)])
    scores = torch.empty(len(picked), model.config.vocab_size)
    for chunk, rows in zip(scores.split(CHUNK), picked.split(CHUNK), strict=True):
        chunk.copy_(head(rows).float().log_softmax(-1))
    return scores


def _check_top_k(top_k: int, vocab_size: int) -> int:
    if not isinstance(top_k, int) or not 1 <= top_k <= vocab_size:
        raise UserError(f"top_k must be an integer from 1 to {vocab_size} (the vocabulary), got {top_k!r}.")
    return top_k
