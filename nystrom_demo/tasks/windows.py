"""Text as the model's inputs: token ids with special tokens, and windows with overlap where a text is too long.

A tokenizer's truncation is a setting of the one object that all callers share, so none is used: texts are encoded
and framed whole, by the tokenizer's own template of special tokens, and sliced here.
"""

import math
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import Encoding, Tokenizer

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.errors import UserError


@dataclass(frozen=True)
class Window:
    """One input of the model, and the part of the text that is its to speak for.

    ids, type_ids, offsets, words: one entry a token, special tokens included; offsets are (start, end) characters,
    words the number of the token's word in its text or None.
    first: where the text's part begins in the window. start, stop: that part, in tokens of the whole text.
    own_start, own_stop: the tokens of the text for which this window is the one with the most context on both sides.
    """

    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    words: list[int | None]
    first: int
    start: int
    stop: int
    own_start: int
    own_stop: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def own(self) -> range:
        """Places in the window of the tokens that are its own."""
        return range(self.own_start - self.start + self.first, self.own_stop - self.start + self.first)


@dataclass(frozen=True)
class Limits:
    """The longest input, special tokens included, and how many tokens two neighbouring windows share."""

    max_tokens: int
    overlap: int


def make_limits(checkpoint: Checkpoint, max_tokens: int | None, overlap: int | None) -> Limits:
    """The limits asked for; by default the model's position table, and windows that share a quarter of their length.

    ValueError outside 8 to the position table's length, or for an overlap of more than half of max_tokens.
    """
    longest = checkpoint.max_tokens
    max_tokens = longest if max_tokens is None else max_tokens
    if not isinstance(max_tokens, int) or not 8 <= max_tokens <= longest:
        raise UserError(f"max_tokens must be an integer from 8 to {longest} (the position table), got {max_tokens!r}.")
    overlap = max_tokens // 4 if overlap is None else overlap
    if not isinstance(overlap, int) or not 0 <= overlap <= max_tokens // 2:
        raise UserError(
            f"overlap must be an integer from 0 to {max_tokens // 2} (half of max_tokens), got {overlap!r}."
        )
    return Limits(max_tokens, overlap)


def encode(tokenizer: Tokenizer, text: str, field: str, *, may_be_empty: bool = False) -> Encoding:
    """All tokens of `text`, without special ones. ValueError, naming `field`, where there is nothing to read."""
    if not isinstance(text, str):
        raise UserError(f"{field} must be text, got {type(text).__name__}.")
    surrogate = next((i for i, character in enumerate(text) if 0xD800 <= ord(character) <= 0xDFFF), None)
    if surrogate is not None:
        raise UserError(f"{field} holds half of a surrogate pair at character {surrogate}, which is no character.")
    encoding = tokenizer.encode(text, add_special_tokens=False)
    if not may_be_empty and (len(encoding) == 0 or not text.strip()):
        what = "is empty" if not text.strip() else f"holds {len(text)} characters but none that the tokenizer reads"
        raise UserError(f"{field} {what}.")
    return encoding


def make_windows(
    framed: Encoding, length: int, limits: Limits, field: str, *, sequence: int = 0, spare: int = 0
) -> list[Window]:
    """Windows over a text of `length` tokens, each among the special tokens and fellow texts that it has in `framed`.

    framed: the whole input, as it would be without a limit. sequence: 0 where the text is the first thing in it behind
    leading special tokens, 1 where it is the last ahead of closing ones. spare: tokens that each window leaves free.
    Neighbouring windows share the overlap, but no more than three quarters of the text's part of a window.
    ValueError where the fellow texts, called `field`, leave the text less than a quarter of the input, or less than
    half of it where the overlap is a quarter or more.
    """
    fixed = len(framed) - length + spare
    room = limits.max_tokens - fixed
    quarter = limits.max_tokens // 4
    if room < length and room < max(quarter, 2 * min(limits.overlap, quarter)):
        raise UserError(
            f"{field} must leave room for the text beside it in an input of {limits.max_tokens} tokens, but takes "
            f"{fixed} with special tokens."
        )
    spans = _spans(length, room, min(limits.overlap, room * 3 // 4))
    borders = [0, *((a.stop + b.start) // 2 for a, b in pairwise(spans)), length]
    first = _first(framed.special_tokens_mask, length, sequence)
    columns = (framed.ids, framed.type_ids, framed.offsets, framed.word_ids)
    windows = []
    for span, own in zip(spans, pairwise(borders), strict=True):
        parts = (_keep(column, first, length, span) for column in columns)
        windows.append(Window(*parts, first, span.start, span.stop, *own))
    return windows


def _first(special_tokens_mask: list[int], length: int, sequence: int) -> int:
    """Where the text begins. An encoding's own `sequence_ids` would tell, but lack the first of two texts."""
    if sequence == 0:
        return special_tokens_mask.index(0)
    return len(special_tokens_mask) - special_tokens_mask[::-1].index(0) - length


def _keep(column: list, first: int, length: int, span: range) -> list:
    """A column of the whole input without the entries of its text, `length` from `first` on, that are not in `span`."""
    return column[:first] + column[first + span.start : first + span.stop] + column[first + length :]


def _spans(length: int, room: int, overlap: int) -> list[range]:
    """Ranges of at most `room` tokens that cover `length`, of one size, spread evenly, sharing at least `overlap`."""
    if length <= room:
        return [range(length)]
    count = math.ceil((length - overlap) / (room - overlap))
    starts = [round(i * (length - room) / (count - 1)) for i in range(count)]
    return [range(start, start + room) for start in starts]


def character_spans(text: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each token's characters without white space at either side, and with the marks of its last letter that no token
    has.

    Tokenizers that strip accents drop a combining mark with its offsets, and some count a word's leading space. A vowel
    sign that is a token, as in Devanagari, is that token's alone.
    """
    starts = sorted({start for start, end in offsets if start < end})
    stops = (*starts, len(text))
    return [_character_span(text, start, end, stops[bisect_left(starts, end)]) for start, end in offsets]


def _character_span(text: str, start: int, end: int, stop: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end < stop and is_mark(text[end]):
        end += 1
    return start, end


def is_mark(character: str) -> bool:
    """Whether a character only modifies the one before it: an accent, a vowel sign, a virama."""
    return unicodedata.category(character).startswith("M")
