"""Masked words: a board of tokens to click, and what each attention would put in the gaps."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.tasks import MaskedWords
from nystrom_demo.ui.examples import Example
from nystrom_demo.ui.task_views.markup import Comparison, bars

Span = tuple[int, int]

# One tab stop for the whole board; arrow keys move in it, a click or Enter masks.
BOARD_JS = """
const tokens = () => [...element.querySelectorAll('button[data-token]')];
const mask = (button) => {
  element.dataset.at = button.dataset.token;
  window.pageState.set({masks: window.pageState.hiddenWords(element, button.dataset.token)});
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-token]');
  if (button) mask(button);
});
element.addEventListener('keydown', (event) => {
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  const here = event.target.closest('button[data-token]');
  if (!step || !here) return;
  event.preventDefault();
  const all = tokens();
  const next = all[Math.min(Math.max(all.indexOf(here) + step, 0), all.length - 1)];
  here.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
watch('value', () => {
  if (element.dataset.at === undefined || document.activeElement !== document.body) return;
  const button = tokens().find((each) => each.dataset.token === element.dataset.at);
  if (!button) return;
  tokens().forEach((each) => { each.tabIndex = -1; });
  button.tabIndex = 0;
  button.focus({preventScroll: true});
});
"""


def token_spans(checkpoint: Checkpoint, text: str) -> list[Span]:
    """Characters (start, end) of each token of a text, without special ones and without empty ones."""
    offsets = checkpoint.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).offsets
    return [span for span in offsets if span[1] > span[0]]


def first_masks(example: Example | None, spans: list[Span], text: str) -> list[Span]:
    """The tokens that are masked at first: an example's own words, nothing in a visitor's text."""
    wanted = example.masked if example else ()
    masks = []
    for word in wanted:
        found = next((span for span in spans if text[slice(*span)] == word and span not in masks), None)
        masks += [found] if found else []
    return masks


def masked_text(text: str, masks: Sequence[Span], mask_token: str) -> str:
    """The text with each masked stretch replaced by the mask token."""
    for start, end in sorted(masks, reverse=True):
        text = text[:start] + mask_token + text[end:]
    return text


def board(text: str, spans: list[Span], masks: Sequence[Span]) -> str:
    """The text as running words, each token a button; masked ones are numbered gaps over their word."""
    order = {mask: place for place, mask in enumerate(sorted(masks), 1)}
    pieces, at = [], 0
    for index, (start, end) in enumerate(spans):
        number = order.get((start, end))
        pressed = f' aria-pressed="true" data-number="{number}"' if number else ' aria-pressed="false"'
        stop = 0 if index == 0 else -1
        begins_word = index == 0 or start > at  # pieces that touch stay on one line
        pieces.append(f"{'</span>' if index and begins_word else ''}{escape(text[at:start])}")
        pieces.append('<span class="word">' if begins_word else "")
        span = f'data-token="{index}" data-span="{start}-{end}"'
        pieces.append(f'<button type="button" {span} tabindex="{stop}"{pressed}>')
        pieces.append(f"{escape(text[start:end])}</button>")
        at = end
    pieces.append(f"{'</span>' if spans else ''}{escape(text[at:])}")
    return (
        '<p class="hint" id="mask-hint">Click a word to hide it from the model, again to show it.</p>'
        f'<div class="board" dir="auto" role="group" aria-labelledby="mask-hint">{"".join(pieces)}</div>'
    )


def compare(exact: MaskedWords, landmark: MaskedWords, hidden: list[str]) -> Comparison:
    both = exact, landmark
    return Comparison(verdict(*both), [column(each, hidden) for each in both], [table(each, hidden) for each in both])


def verdict(exact: MaskedWords, landmark: MaskedWords) -> str:
    pairs = list(zip(exact.masks, landmark.masks, strict=True))
    same = sum(here.candidates[0].token_id == there.candidates[0].token_id for here, there in pairs)
    if len(pairs) == 1:
        return "Both put the same word first." if same else "They put different words first."
    return f"Both put the same word first in {same} of {len(pairs)} gaps."


def column(result: MaskedWords, hidden: list[str]) -> str:
    """The candidates of each gap; the word that was hidden there is named, and strong among them."""
    parts = []
    for place, (mask, word) in enumerate(zip(result.masks, hidden, strict=True), 1):
        rows = [(candidate.token, candidate.score) for candidate in mask.candidates]
        match = next((row for row, (token, _) in enumerate(rows) if token == word.lower()), None)
        title = f"Gap {place}" + (f": <em dir='auto'>{escape(word)}</em> was here" if word else "")
        parts.append(f"<h4>{title}</h4>{bars(rows, first_is_answer=False, marked=match)}")
    return "".join(parts)


def table(result: MaskedWords, hidden: list[str]) -> pd.DataFrame:
    rows = [
        (place, word, candidate.token, candidate.score)
        for place, (mask, word) in enumerate(zip(result.masks, hidden, strict=True), 1)
        for candidate in mask.candidates
    ]
    return pd.DataFrame(rows, columns=["gap", "was", "word", "probability"])
