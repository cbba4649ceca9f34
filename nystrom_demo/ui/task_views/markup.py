"""Markup that the heads share: escaped text, bars, marked stretches, the two columns."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import pandas as pd

from nystrom_demo.formatting import as_probability

EXCERPT_CHARS = 1_400


class Stretch(NamedTuple):
    """Characters start to end of a text, to be marked: a class for the style sheet, a tag shown on hover and focus."""

    start: int
    end: int
    kind: str
    tag: str = ""
    colour: str = ""


class Comparison(NamedTuple):
    """What both answers come to, each as a column's markup, and each as a table of the same rows."""

    verdict: str
    columns: list[str]
    tables: list[pd.DataFrame]


def bars(rows: Iterable[tuple[str, float]], *, first_is_answer: bool = True, marked: int | None = None) -> str:
    """A list of names with their probabilities as bars; the answer's row is strong."""
    chosen = 0 if first_is_answer and marked is None else marked
    items = []
    for place, (name, probability) in enumerate(rows):
        strong = ' class="chosen"' if place == chosen else ""
        items.append(
            f'<li{strong}><span class="name" dir="auto">{escape(name)}</span>'
            f'<span class="bar"><i style="width:{100 * probability:.2f}%"></i></span>'
            f'<span class="number">{escape(as_probability(probability))}</span></li>'
        )
    return f'<ol class="bars">{"".join(items)}</ol>'


def marked_text(text: str, stretches: Sequence[Stretch], *, around: int | None = None) -> str:
    """A text with stretches marked (none may overlap); around: a long text is cut to the words about this character."""
    low, high = excerpt(text, around)
    pieces, at = ["… " if low else ""], low
    for stretch in sorted(stretches):
        if stretch.start < at or stretch.end > high:
            continue
        pieces.append(escape(text[at : stretch.start]))
        pieces.append(_mark(text[stretch.start : stretch.end], stretch))
        at = stretch.end
    pieces += [escape(text[at:high]), " …" if high < len(text) else ""]
    return f'<div class="reading" dir="auto">{"".join(pieces)}</div>'


def excerpt(text: str, around: int | None) -> tuple[int, int]:
    """The characters of a text to show: all, or EXCERPT_CHARS about one of them, cut at white space."""
    if around is None or len(text) <= EXCERPT_CHARS:
        return 0, len(text)
    low = max(0, around - EXCERPT_CHARS // 2)
    high = min(len(text), low + EXCERPT_CHARS)
    if low:
        low = max(text.find(" ", low) + 1, low)
    if high < len(text):
        high = max(text.rfind(" ", low, high), low)
    return low, high


def _mark(words: str, stretch: Stretch) -> str:
    style = f' style="--mark:{stretch.colour}"' if stretch.colour else ""
    if not stretch.tag:
        return f'<mark class="{stretch.kind}"{style}>{escape(words)}</mark>'
    tag = escape(stretch.tag)
    return (
        f'<mark class="{stretch.kind}"{style} tabindex="0" data-tag="{tag}">{escape(words)}'
        f'<span class="unseen"> ({tag})</span></mark>'
    )


def columns(verdict: str, exact: str, landmark: str, landmark_title: str, csv: str) -> str:
    """The verdict over the two answers side by side; all is escaped here but the columns, which are markup."""
    return (
        f'<div class="answer" data-csv="{escape(csv)}"><p class="verdict">{escape(verdict)}</p><div class="comparison">'
        f'<section class="exact"><h3>Exact attention</h3>{exact}</section>'
        f'<section class="landmark"><h3>{escape(landmark_title)}</h3>{landmark}</section></div></div>'
    )


def message(sentence: str) -> str:
    """One sentence in the place of an answer."""
    return f'<p class="teach">{escape(sentence)}</p>'
