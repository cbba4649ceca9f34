"""What a tokenizer that nobody vouches for makes of the texts that are hardest for it: ids in range, in good time."""

import json
import time
from collections.abc import Iterator
from typing import Any

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedConfig

from nystrom_demo.checkpoints.files import CheckpointError, show
from nystrom_demo.checkpoints.tokenizer_files import MAX_WORD, SharedTokenizer, guarded

SIZES = (500, 2_000, 8_000)  # characters; each four times as many, so that what grows with their square is soon seen
SECONDS_A_CHARACTER, SECONDS_AT_ALL = 3e-5, 0.05
TOKENS_A_CHARACTER = 24  # U+FDFA alone is eighteen letters in its compatible form
MAX_PIECE = 500  # characters of one token
# A letter, a capital, the longest compatible form, a ligature, a digit, a dot, ideographs, an emoji, a mark, blanks.
_UNITS = ("a", "Z", "\ufdfa", "\ufb03", "7", ".", "\u6771", "\U0001f600", "e\u0301", "\u200b", " \n", "a ", "\u0e33")


def check_worst_texts(tokenizer: SharedTokenizer, config: PreTrainedConfig) -> None:
    """Return if the hardest texts are read well.

    CheckpointError for a tokenizer that a text of a few thousand characters keeps busy, makes fail, or gives ids that
    the model has no rows for, alone or beside another text.
    """
    backend = tokenizer.whole_text
    _check_pieces(backend)
    for unit in _units(backend):
        for size in SIZES:
            text = (unit * (size // len(unit) + 1))[:size]
            encoding = _in_good_time(backend, text)
            for framed in (backend.post_process(encoding), backend.post_process(encoding, encoding)):
                _check_ids(framed, config)


def _units(backend: Tokenizer) -> Iterator[str]:
    """What texts are repetitions of."""
    yield from _UNITS
    pieces = sorted(piece.strip("#\u2581\u0120") for piece in backend.get_vocab(with_added_tokens=False))
    longest = max(pieces, key=len, default="")
    letters = [piece for piece in pieces if len(piece) == 1 and piece.isalpha()]
    for letter in dict.fromkeys((*letters[:1], *letters[-1:])):
        yield from (letter * (length - 1) + " " for length in (100, MAX_WORD))
    added = sorted((token.content for token in backend.get_added_tokens_decoder().values()), key=len)
    replaced = [] if backend.normalizer is None else _replaced(json.loads(backend.normalizer.__getstate__()))
    yield from dict.fromkeys(unit for unit in (longest, longest[:-1], longest[:1], *added[-2:], *replaced) if unit)


def _replaced(part: Any) -> list[str]:
    """The texts that a normalizer puts others in place of."""
    if isinstance(part, dict):
        return [part["String"]] if isinstance(part.get("String"), str) else _replaced(list(part.values()))
    return [text for each in part for text in _replaced(each)] if isinstance(part, list) else []


def _in_good_time(backend: Tokenizer, text: str) -> Encoding:
    start = time.thread_time()  # this thread's own, however busy the machine is
    encoding = guarded(
        lambda: backend.encode(text, add_special_tokens=False), f"The tokenizer fails on the text {show(text[:20])}"
    )
    seconds = time.thread_time() - start
    if seconds > SECONDS_AT_ALL + SECONDS_A_CHARACTER * len(text):
        raise CheckpointError(f"The tokenizer takes {seconds:.1f} s for a text of {len(text):,} characters.")
    if len(encoding) > TOKENS_A_CHARACTER * len(text):
        raise CheckpointError(f"The tokenizer makes {len(encoding):,} tokens of a text of {len(text):,} characters.")
    return encoding


def _check_ids(framed: Encoding, config: PreTrainedConfig) -> None:
    if max(framed.ids) >= config.vocab_size:
        raise CheckpointError(
            f"The tokenizer gives the id {max(framed.ids)}, but the model knows {config.vocab_size} words."
        )
    kinds = getattr(config, "type_vocab_size", 1)
    if kinds > 1 and max(framed.type_ids) >= kinds:  # a model of one kind, or none, is not told of any
        raise CheckpointError(
            f"The tokenizer gives a text the type {max(framed.type_ids)}, but the model knows {kinds} types."
        )


def _check_pieces(backend: Tokenizer) -> None:
    """No token is longer than a page can show, and each can be decoded."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    longest = max(map(len, vocabulary), default=0)
    if longest > MAX_PIECE:
        raise CheckpointError(f"A token may have at most {MAX_PIECE} characters, got {longest:,}.")
    ids = [[number] for number in vocabulary.values()]
    guarded(lambda: backend.decode_batch(ids, skip_special_tokens=False), "The tokenizer cannot decode its tokens")
