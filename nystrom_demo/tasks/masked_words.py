"""Masked words: a text with gaps in, candidates for each gap out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.tasks.reading import check_task, read
from nystrom_demo.tasks.windows import Window, character_spans, encode, make_limits, make_windows


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
        limits = make_limits(checkpoint, max_tokens, overlap)
        backend = self.tokenizer.whole_text
        self.body = encode(backend, text, "text")
        self.positions = [place for place, token in enumerate(self.body.ids) if token == self.mask_id]
        if not self.positions:
            raise ValueError(f"text holds no mask: write {self.tokenizer.mask_token} where a word is to be guessed.")
        framed = backend.post_process(self.body)
        windows = make_windows(framed, len(self.body), limits, "text")
        self.num_windows = len(windows)
        self.num_tokens = len(framed)
        self.windows = [window for window in windows if _own_masks(window, self.mask_id)]

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[torch.Tensor]:
        """For each window, log-probabilities (its own masks, vocab_size)."""
        places = [_own_masks(window, self.mask_id) for window in windows]
        return [scores.float().log_softmax(-1).cpu() for scores in _scores_at(model, inputs, places)]

    def result(self, outputs: Sequence[torch.Tensor]) -> MaskedWords:
        scores, tokens = torch.cat(list(outputs))[:, : self.num_words].exp().topk(self.top_k)  # (masks, top_k)
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
        return torch.cat(list(outputs)).exp().gather(1, best[:, None]).mean().item()

    def in_words(self, answer: MaskedWords) -> str:
        return ", ".join(mask.candidates[0].token for mask in answer.masks)

    def _word(self, token: int) -> str:
        """A token as text; a piece that goes on a word keeps its sign, as in ##ing."""
        piece = self.tokenizer.convert_ids_to_tokens(token)
        return piece if piece.startswith("##") else self.tokenizer.decode([token]).strip() or piece


def _own_masks(window: Window, mask_id: int) -> list[int]:
    return [place for place in window.own if window.ids[place] == mask_id]


def _scores_at(model: PreTrainedModel, inputs: dict, places: Sequence[list[int]]) -> list[torch.Tensor]:
    """(places, vocab_size) for each row of the inputs.

    A row of scores has the vocabulary's size, so where the head stands apart from the encoder, as `cls`, it is given
    the masked places alone.
    """
    if not hasattr(model, "cls"):
        logits = model(**inputs).logits
        return [row[place] for row, place in zip(logits, places, strict=True)]
    hidden_states = model.base_model(**inputs).last_hidden_state  # (batch, seq, hidden_size)
    picked = torch.cat([row[place] for row, place in zip(hidden_states, places, strict=True)])
    return list(model.cls(picked).split([len(place) for place in places]))


def _check_top_k(top_k: int, vocab_size: int) -> int:
    if not isinstance(top_k, int) or not 1 <= top_k <= vocab_size:
        raise ValueError(f"top_k must be an integer from 1 to {vocab_size} (the vocabulary), got {top_k!r}.")
    return top_k
