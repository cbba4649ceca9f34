"""A tokenizer from tokenizer.json, vetted: only parts that are known to be quick and to leave a text its size."""

import base64
import copy
import math
import threading
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer
from transformers import PreTrainedConfig, PreTrainedTokenizerFast

from nystrom_demo.checkpoints import capitals
from nystrom_demo.checkpoints.files import CheckpointError, read_object, show, vet_file

MAX_TOKENIZER_BYTES = 8 * 1024 * 1024
MAX_TOKENIZER_ITEMS = 600_000
MAX_ADDED_TOKENS = 10_000
MAX_INSERTED = 32  # characters that one part of a tokenizer may put in place of others
MAX_GROWTH = 64  # how many times as long all its parts together may make a text
MAX_WORD = 200  # characters that WordPiece takes for one word
MAX_SPECIAL_TOKENS = 16  # around one text or two
_ROLES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
_MODELS = ("WordPiece", "BPE", "Unigram", "WordLevel")
_PARTS = {
    "normalizer": (
        *("Sequence", "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "Strip", "StripAccents"),
        *("Replace", "Prepend", "Precompiled"),
    ),
    "pre_tokenizer": (
        *("Sequence", "BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit", "Punctuation", "Metaspace"),
        "Digits",
    ),
    "post_processor": ("Sequence", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"),
    "decoder": (
        *("Sequence", "WordPiece", "ByteLevel", "Metaspace", "BPEDecoder", "Replace", "ByteFallback", "Fuse", "Strip"),
    ),
}
_PATTERNS = (" {2,}",)  # the one regular expression that converted SentencePiece models bring
_SAMPLE = "The quick brown fox, born in 1889, jumps over 13 lazy dogs; isn't it naïve? \u6771\u4eac \U0001f600"

_ENCODING = threading.Lock()
Value = TypeVar("Value")


class SharedTokenizer(PreTrainedTokenizerFast):
    """A tokenizer that several threads may call, each with truncation and padding of its own.

    In the library both are settings of the one object: one caller's would cut another's text.

    whole_text: a copy of the inner tokenizer with neither, for whoever encodes texts whole and makes windows. It has
    the tokens that are added later too.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._copy_backend()

    def _add_tokens(self, *arguments, **options) -> int:
        added = super()._add_tokens(*arguments, **options)
        self._copy_backend()
        return added

    def _copy_backend(self) -> None:
        self.whole_text: Tokenizer = copy.deepcopy(self.backend_tokenizer)
        self.whole_text.no_truncation()
        self.whole_text.no_padding()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "SharedTokenizer":
        """One that reads as `tokenizer` does."""
        names = tokenizer.model_input_names
        return cls(
            tokenizer_object=tokenizer.backend_tokenizer, model_input_names=names, **tokenizer.special_tokens_map
        )

    def _encode_plus(self, *arguments, **options):
        with _ENCODING:
            try:
                return super()._encode_plus(*arguments, **options)
            finally:
                self.backend_tokenizer.no_truncation()
                self.backend_tokenizer.no_padding()


def load_tokenizer(folder: Path, within: Path, config: PreTrainedConfig) -> SharedTokenizer:
    """The tokenizer in a folder's tokenizer.json, with the special tokens that tokenizer_config.json names.

    Built from the library's own class whatever class the files name. CheckpointError for parts outside the known ones,
    ids beyond the model's vocabulary, or files that the tokenizers library refuses or panics on.
    """
    path = vet_file(folder, "tokenizer.json", within, MAX_TOKENIZER_BYTES)
    if path is None:
        raise CheckpointError("The checkpoint has no tokenizer.json, the only form of tokenizer that is read.")
    _check_parts(read_object(path, max_items=MAX_TOKENIZER_ITEMS))
    backend = guarded(lambda: Tokenizer.from_file(str(path)), "tokenizer.json is refused by the tokenizers library")
    roles = _special_tokens(folder, within)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    if getattr(config, "type_vocab_size", 1) < 2:
        inputs.remove("token_type_ids")
    tokenizer = guarded(
        lambda: SharedTokenizer(
            tokenizer_object=backend, model_input_names=inputs, model_max_length=longest_text(config), **roles
        ),
        "tokenizer_config.json does not fit tokenizer.json",
    )
    _check_behaviour(tokenizer.whole_text, config.vocab_size)
    missing = [role for role in ("pad_token", "cls_token", "sep_token") if getattr(tokenizer, role) is None]
    if missing:
        raise CheckpointError(f"tokenizer_config.json must name a {missing[0]}.")
    return tokenizer


def longest_text(config: PreTrainedConfig) -> int:
    """The longest input, in tokens, that a model's position table takes, special tokens included."""
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):  # positions count from behind the padding token's
        return config.max_position_embeddings - config.pad_token_id - 1
    return config.max_position_embeddings


def guarded(call: Callable[[], Value], refusal: str) -> Value:
    """What `call` returns; CheckpointError for whatever it raises, a panic of the tokenizers library included.

    Such a panic is a BaseException, and `except Exception` lets it through.
    """
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit, CheckpointError):
        raise
    except BaseException as error:
        raise CheckpointError(f"{refusal}.") from error


def _check_parts(table: dict[str, Any]) -> None:
    model = table.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind not in _MODELS:
        raise CheckpointError(f"tokenizer.json must have a model of type {', '.join(_MODELS)}, got {show(kind)}.")
    longest = model.get("max_input_chars_per_word", 100)
    if type(longest) is not int or not 1 <= longest <= MAX_WORD:  # a word's time grows with the cube of its length
        raise CheckpointError(f"max_input_chars_per_word must be an integer from 1 to {MAX_WORD}, got {show(longest)}.")
    if model.get("dropout"):
        raise CheckpointError("tokenizer.json asks for dropout, under which a text has no fixed tokens.")
    for part, allowed in _PARTS.items():
        unknown, growth = _unknown_rules(table.get(part))
        components = list(_components(unknown, part))
        for component in components:
            _check_component(component, part, allowed)
        growth *= math.prod(map(_growth, components))
        if growth > MAX_GROWTH:
            raise CheckpointError(f"The {part} may make a text {MAX_GROWTH} times as long, got {growth:,.0f} times.")
    added = table.get("added_tokens", [])
    if not isinstance(added, list) or len(added) > MAX_ADDED_TOKENS:
        raise CheckpointError(f"added_tokens must be a list of at most {MAX_ADDED_TOKENS:,} tokens.")
    for token in added:
        content = token.get("content") if isinstance(token, dict) else None
        if not isinstance(content, str) or not 1 <= len(content) <= 100:
            raise CheckpointError(f"An added token must be text of 1 to 100 characters, got {show(content)}.")


def _unknown_rules(part: Any) -> tuple[Any, float]:
    """A part without the rules in front of it that mark capitals, and by how much those lengthen a text."""
    rules = part.get("normalizers") if isinstance(part, dict) else None
    first = len(capitals.RULES)
    if not isinstance(rules, list) or rules[:first] != capitals.RULES:
        return part, 1.0
    return part | {"normalizers": rules[first:]}, capitals.GROWTH


def _components(part: Any, name: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """A part and, where it is a sequence, all it is made of."""
    if part is None:
        return
    if not isinstance(part, dict) or depth > 4:
        raise CheckpointError(f"The {name} of tokenizer.json is not one that the tokenizers library writes.")
    yield part
    inner = [part[key] for key in ("normalizers", "pretokenizers", "processors", "decoders") if key in part]
    for items in inner:
        if not isinstance(items, list) or len(items) > 16:
            raise CheckpointError(f"The {name} of tokenizer.json must be a sequence of at most 16 parts.")
        for item in items:
            yield from _components(item, name, depth + 1)


def _check_component(component: dict[str, Any], part: str, allowed: tuple[str, ...]) -> None:
    kind = component.get("type")
    if kind not in allowed:
        raise CheckpointError(f"The {part} of tokenizer.json must be one of {', '.join(allowed)}, got {show(kind)}.")
    for key in ("content", "prepend"):
        value = component.get(key, "")
        if not isinstance(value, str) or len(value) > MAX_INSERTED:
            raise CheckpointError(f"A {kind} may put in at most {MAX_INSERTED} characters, got {show(value)}.")
    pattern = component.get("pattern")
    if isinstance(pattern, dict) and "Regex" in pattern and pattern["Regex"] not in _PATTERNS:
        raise CheckpointError(f"A {kind} may not bring a regular expression of its own, got {show(pattern['Regex'])}.")
    if pattern is not None and (pattern == {"String": ""} or not isinstance(pattern, dict)):
        raise CheckpointError(f"A {kind} needs something to replace, got {show(pattern)}.")


def _growth(component: dict[str, Any]) -> float:
    """At most how many times as long a normalizer or decoder makes a text."""
    if component["type"] == "Precompiled":
        return max(1, _longest_replacement(component.get("precompiled_charsmap")))
    pattern = (component.get("pattern") or {}).get("String", " ")
    put_in, put_before = (_compatible_length(component.get(key, "")) for key in ("content", "prepend"))
    return max(1.0, put_in / len(pattern), 1.0 + put_before)


def _compatible_length(text: str) -> int:
    """Characters of a text once a later part has written it out: U+FDFA alone stands for eighteen."""
    return max(len(text), len(unicodedata.normalize("NFKD", text)))


def _longest_replacement(charsmap: Any) -> int:
    """Characters of the longest text that SentencePiece's character map puts in place of another.

    The map, in base64: 4 bytes, the size of a search tree (little-endian), the tree, then the texts it leads to, each
    up to a NUL (https://github.com/google/sentencepiece, normalizer.cc).
    """
    try:
        data = base64.b64decode(charsmap, validate=True)
    except (TypeError, ValueError) as error:
        raise CheckpointError("The character map of a Precompiled normalizer is not base64.") from error
    texts = data[4 + int.from_bytes(data[:4], "little") :].split(b"\0")
    return max(_compatible_length(text.decode(errors="replace")) for text in texts)


def _special_tokens(folder: Path, within: Path) -> dict[str, str]:
    """Which token plays which role, by tokenizer_config.json and, where that is silent, special_tokens_map.json."""
    roles: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = vet_file(folder, name, within, 1024 * 1024)
        table = {} if path is None else read_object(path, max_items=50_000)
        if table.get("auto_map"):
            raise CheckpointError(f"{name} asks for code of its own (auto_map), which is not taken.")
        for role in _ROLES:
            token = table.get(role)
            token = token.get("content") if isinstance(token, dict) else token
            if token is not None:
                roles[role] = token
    for role, token in roles.items():
        if not isinstance(token, str) or not 1 <= len(token) <= 100:
            raise CheckpointError(f"{role} must be text of 1 to 100 characters, got {show(token)}.")
    return roles


def _check_behaviour(backend: Tokenizer, vocab_size: int) -> None:
    """Ids within the model's table, few special tokens, and no more tokens than a byte-level tokenizer would make."""
    largest = max(backend.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= vocab_size:
        raise CheckpointError(f"The tokenizer has ids up to {largest}, but the model knows {vocab_size} words.")
    sample = guarded(lambda: backend.encode(_SAMPLE, add_special_tokens=False), "The tokenizer fails on a plain text")
    if not 1 <= len(sample) <= 2 * len(_SAMPLE.encode()):
        raise CheckpointError(f"The tokenizer makes {len(sample)} tokens of a text of {len(_SAMPLE)} characters.")
    pair = guarded(lambda: backend.post_process(sample, sample), "The tokenizer fails on two plain texts")
    alone = guarded(lambda: backend.post_process(sample), "The tokenizer fails to frame a plain text")
    for framed, texts, what in ((pair, 2, "two texts"), (alone, 1, "one text")):
        specials = len(framed) - texts * len(sample)
        if not 1 <= specials <= MAX_SPECIAL_TOKENS:
            raise CheckpointError(
                f"The tokenizer must put 1 to {MAX_SPECIAL_TOKENS} special tokens to {what}, got {specials}."
            )
        if max(framed.ids) >= vocab_size:
            raise CheckpointError(f"The tokenizer's special tokens have ids beyond the model's {vocab_size} words.")
