"""A text's tokens as they are shown: label, piece of the text, word, special or not."""

from typing import NamedTuple

from transformers import BatchEncoding, PreTrainedTokenizerBase

from nystrom_demo.errors import UserError


class ShownToken(NamedTuple):
    """label: the tokenizer's own token. text: its piece of the text with what stands before it, or the label.

    word: the index of the word that it is a piece of, None for a special token.
    """

    label: str
    text: str
    word: int | None
    special: bool


def shown_tokens(tokenizer: PreTrainedTokenizerBase, text: str, encoding: BatchEncoding) -> list[ShownToken]:
    """The tokens of `encoding`, one text encoded by a fast tokenizer with its offsets.

    Joined, their texts give the whole text back, special tokens aside. ValueError for a tokenizer without offsets.
    """
    if not tokenizer.is_fast:
        raise UserError(f"The viewer needs a fast tokenizer, which knows offsets, got {type(tokenizer).__name__}.")
    labels = tokenizer.convert_ids_to_tokens(encoding["input_ids"])
    places = list(zip(encoding["offset_mapping"], encoding.word_ids(), strict=True))
    tokens, end = [], 0
    for label, place, following in zip(labels, places, [*places[1:], ((0, 0), None)], strict=True):
        (start, stop), word = place
        if word is None:
            tokens.append(ShownToken(label, f"{label} ", None, True))
            continue
        if following[1] is not None and following[0][0] == start:
            # A mark of the next token's capital, or one of several tokens of one character: the last shows the text.
            word, stop = following[1], start
        tokens.append(ShownToken(label, text[end:stop] if stop > end else "", word, False))
        end = max(end, stop)
    return tokens
