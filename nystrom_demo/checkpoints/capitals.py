"""A mark before each word that begins with a capital, for a tokenizer whose vocabulary knows small letters only.

Names begin with capitals, which BERT's uncased vocabulary drops. The mark is a token of that vocabulary, so that the
tables stay as they are: "Ada wrote" is read as `↑ ada wrote`. The mark and the word's first token both lie over the
capital in the text.
"""

import copy
import json
import string

from tokenizers import Regex, decoders, normalizers
from transformers import PreTrainedTokenizerFast

MARK = "↑"
# A rule a letter, since the library's replacements cannot refer to what they replace, and since it panics where one
# puts something in place of nothing.
_RULES = [
    normalizers.Replace(Regex(rf"(?<!\p{{L}}){letter}"), f"{MARK} {letter.lower()}")
    for letter in string.ascii_uppercase
]
RULES = [json.loads(rule.__getstate__()) for rule in _RULES]  # as tokenizer.json has them, in front of all others
GROWTH = 3.0  # characters in place of one capital


def mark_capitals(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A copy of a tokenizer that puts MARK before each word that begins with A to Z. ValueError if MARK is no token."""
    if MARK not in tokenizer.get_vocab():
        raise ValueError(f"To mark capitals, a tokenizer needs the token {MARK} in its vocabulary.")
    marking = copy.deepcopy(tokenizer)
    backend = marking.backend_tokenizer
    backend.normalizer = normalizers.Sequence([*_RULES, backend.normalizer])
    marks = [decoders.Replace(f" {MARK}", ""), decoders.Replace(MARK, "")]  # tokens joined to a text have none
    backend.decoder = decoders.Sequence([backend.decoder, *marks, decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return marking
