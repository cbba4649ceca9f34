"""The kinds of value that the page's state holds: how each is checked, and how a link writes and reads it."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nystrom_demo.errors import UserError
from nystrom_demo.limits.budget import current_limits
from nystrom_demo.limits.validation import (
    check_choice,
    check_integer,
    check_list,
    check_number,
    check_switch,
    check_text,
)

MAX_HIDDEN_WORDS = 512


class Kind(NamedTuple):
    """check: (name, value) → the value in its right type; a refusal, in one sentence, of what it may not be.

    write, read: a value as a link has it, and back, before it is checked. What no value is written like is read as the
    text itself, which the check then refuses.
    """

    check: Callable[[str, Any], Any]
    write: Callable[[Any], str] = str
    read: Callable[[str], Any] = str


def whole(low: int, high: int) -> Kind:
    return Kind(lambda name, value: check_integer(name, value, low, high), read=number)


def index(count: int) -> Kind:
    """A place among so many, from 0 here and from 1 in a link, as the page counts."""

    def read(text: str) -> Any:
        place = number(text)
        return place - 1 if isinstance(place, int) else place

    def check(name: str, value: Any) -> int:
        # The sentence counts from 1, as the visitor does.
        counted = value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else value
        return check_integer(name, counted, 1, count) - 1

    return Kind(check, lambda place: str(place + 1), read)


def real(low: float, high: float) -> Kind:
    def read(text: str) -> Any:
        return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else text

    return Kind(lambda name, value: check_number(name, value, low, high), "{:.9g}".format, read)


def switch(on: str = "yes", off: str = "no") -> Kind:
    def read(text: str) -> Any:
        return text == on if text in (on, off) else text

    return Kind(check_switch, lambda value: on if value else off, read)


def one_of(choices: Sequence[Any], read: Callable[[str], Any] = str) -> Kind:
    return Kind(lambda name, value: check_choice(name, value, choices), read=read)


def some_of(choices: Sequence[str]) -> Kind:
    """None or more of some names, none with a comma, in the order of `choices`."""

    def check(name: str, value: Any) -> tuple[str, ...]:
        named = list(value) if isinstance(value, tuple) else value
        chosen = check_list(name, named, 0, len(choices), lambda each, x: check_choice(each, x, choices))
        return tuple(choice for choice in choices if choice in chosen)

    return Kind(check, ",".join, lambda text: text.split(",") if text else [])


def text() -> Kind:
    """A text that a visitor wrote; it may be empty."""
    return Kind(lambda name, value: check_text(name, value, current_limits().text_chars, empty=True))


def name(max_chars: int) -> Kind:
    return Kind(lambda called, value: check_text(called, value, max_chars))


def landmarks() -> Kind:
    """A number of landmarks; 0 here, "exact" in a link, is exact attention."""

    def read(text: str) -> Any:
        return 0 if text == "exact" else (number(text) or text)  # a link's 0 is no number of landmarks

    def check(name: str, value: Any) -> int:
        return 0 if value == 0 and not isinstance(value, bool) else check_integer(name, value, 1, _most_tokens())

    return Kind(check, lambda m: str(m) if m else "exact", read)


def spans() -> Kind:
    """Stretches (start, end) of characters, in order and apart."""

    def check(name: str, value: Any) -> tuple[tuple[int, int], ...]:
        found: list[tuple[int, int]] = []
        longest = current_limits().text_chars
        if not isinstance(value, list | tuple) or len(value) > MAX_HIDDEN_WORDS:
            raise UserError(f"{name} must be at most {MAX_HIDDEN_WORDS} stretches of the text.")
        for each in value:
            if not isinstance(each, list | tuple) or len(each) != 2:
                raise UserError(f"{name} must be stretches from one character to another, such as 4-11.")
            start = check_integer(f"the start of {name}", each[0], found[-1][1] if found else 0, longest)
            found.append((start, check_integer(f"the end of {name}", each[1], start + 1, longest)))
        return tuple(found)

    def read(text: str) -> Any:
        pairs = [re.fullmatch(r"(\d{1,9})-(\d{1,9})", part) for part in text.split(",") if part]
        return [(int(pair[1]), int(pair[2])) for pair in pairs if pair] if all(pairs) else text

    return Kind(check, lambda value: ",".join(f"{start}-{end}" for start, end in value), read)


def cell() -> Kind:
    """Row and column of a cell of the maps, from 0."""

    def check(name: str, value: Any) -> tuple[int, int]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise UserError(f"{name} must be two whole numbers with a comma between, such as 3,9.")
        return check_integer(name, value[0], 0, 999_999), check_integer(name, value[1], 0, 999_999)

    def read(text: str) -> Any:
        return [int(part) for part in text.split(",")] if re.fullmatch(r"\d{1,6},\d{1,6}", text) else text

    return Kind(check, lambda value: f"{value[0]},{value[1]}", read)


def optional(kind: Kind) -> Kind:
    """The same, or None, which no link has."""
    return kind._replace(check=lambda name, value: None if value is None else kind.check(name, value))


def number(text: str) -> Any:
    """The whole number that a text is, or the text."""
    return int(text) if re.fullmatch(r"\d{1,9}", text) else text


def _most_tokens() -> int:
    return current_limits().text_tokens
