"""One check for each kind of input. Each returns the value in its right type, or refuses it in one sentence.

The sentence names the field, the limit and what came, of which it shows at most 200 characters. The same checks serve
the tabs and the named endpoints, so that nothing depends on what a browser was kind enough to send.
"""

import reprlib
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nystrom_demo.errors import UserError

SHOWN_CHARS = 200
MAX_FLOAT = sys.float_info.max
COMBINING_RUN = 30  # Unicode's stream-safe limit (UAX 15): no word needs more, and sorting them is O(n²)
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder what a reader sees
# Control characters that part words, as the page ends in text from a PDF: tokenizers drop them and join the words.
AS_BLANKS = dict.fromkeys(map(ord, "\v\f\x1c\x1d\x1e\x1f\x85"), " ")

Item = TypeVar("Item")


def shown(value: Any) -> str:
    """`value` as a sentence may show it: printable, and at most 200 characters whatever came."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = SHOWN_CHARS
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**60:
        return f"a whole number of {value.bit_length()} bits"  # printing it digit by digit costs O(n²)
    text = short.repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """`value` as a whole number from `low` to `high`. A float counts where it is whole (JSON has but one kind)."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not low <= value <= high:
        raise UserError(f"{name} must be a whole number from {low} to {high}, got {shown(value)}.")
    return int(value)


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a finite number from `low` to `high`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not max(low, -MAX_FLOAT) <= value <= min(high, MAX_FLOAT):
        raise UserError(f"{name} must be a number from {low:g} to {high:g}, got {shown(value)}.")
    return float(value)


def check_switch(name: str, value: Any) -> bool:
    """`value`, which must be true or false itself."""
    if not isinstance(value, bool):
        raise UserError(f"{name} must be true or false, got {shown(value)}.")
    return value


def check_choice(name: str, value: Any, choices: Sequence[Item]) -> Item:
    """The one of `choices` that equals `value` and is of its type."""
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    listed = ", ".join(map(str, choices[:12])) + (", …" if len(choices) > 12 else "")
    raise UserError(f"{name} must be one of {listed}, got {shown(value)}.")


def check_list(
    name: str, value: Any, low: int, high: int, check: Callable[[str, Any], Item], *, noun: str = "entries"
) -> list[Item]:
    """`value` as a list of `low` to `high` items, each passed through `check(name of the item, item)`."""
    if not isinstance(value, list | tuple) or not low <= len(value) <= high:
        came = f"{len(value)}" if isinstance(value, list | tuple) else shown(value)
        raise UserError(f"{name} must be a list of {low} to {high} {noun}, got {came}.")
    return [check(f"{name}[{i}]", item) for i, item in enumerate(value)]


def check_text(name: str, value: Any, max_chars: int, *, empty: bool = False) -> str:
    """`value` as a text of at most `max_chars` characters that every step after this one can take.

    Each control character that parts words, such as a form feed, comes back as a blank. Refused: what is no text,
    longer than the limit as it is or in its decomposed form (which tokenizers make), empty unless `empty`; lone
    surrogates (no UTF-8 for them), other control characters, bidirectional embeddings and overrides (which make a
    reader see other text than the model), and more than 30 combining marks in a row.
    """
    if not isinstance(value, str):
        raise UserError(f"{name} must be a text, got {shown(value)}.")
    if len(value) > max_chars:
        raise UserError(f"{name} must have at most {max_chars:,} characters, got {len(value):,}.")
    if not empty and not value.strip():
        raise UserError(f"{name} must not be empty, got {shown(value)}.")
    if value.isascii() and value.isprintable():
        return value
    value = value.translate(AS_BLANKS)
    _check_characters(name, value)
    grown = len(unicodedata.normalize("NFKD", value))
    if grown > max_chars:
        raise UserError(
            f"{name} must have at most {max_chars:,} characters after Unicode decomposition, got {grown:,}."
        )
    return value


def _check_characters(name: str, text: str) -> None:
    marks = 0
    for place, character in enumerate(text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > COMBINING_RUN:
            raise UserError(
                f"{name} must have at most {COMBINING_RUN} combining marks in a row, got more before character {place}."
            )
        if character.isprintable() or character in "\t\n\r":
            continue
        kind = unicodedata.category(character)
        if kind in ("Cs", "Cc") or character in BIDI_CONTROLS:
            what = {"Cs": "lone surrogates", "Cc": "control characters"}.get(kind, "bidirectional controls")
            raise UserError(f"{name} must have no {what}, got U+{ord(character):04X} at character {place}.")


def check_tokens(name: str, count: int, max_tokens: int) -> int:
    """`count`, the number of word pieces a text came to, unless it is over the limit."""
    if count > max_tokens:
        raise UserError(f"{name} must come to at most {max_tokens:,} tokens, got {count:,}.")
    return count
