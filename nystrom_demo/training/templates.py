"""Sentences and questions made of templates of our own, for what the data sets lack; `templates/` holds them.

`sentiment.toml` has frames with slots and a class; `practical.toml` has tables of what is asked of and what is right.
"""

import re
import tomllib
from itertools import product
from math import prod
from pathlib import Path

import numpy as np

from nystrom_demo.training.readers import Labelled

TEMPLATES = Path(__file__).with_name("templates")
SLOT = re.compile(r"\{(\w+)\}")
VOWEL = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")


def read_sentences(path: Path) -> list[Labelled]:
    """Each frame with its slots filled, in `most` drawn ways where there are more."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    slots = table["slots"] | table["slots_other_languages"]
    rng = np.random.default_rng(0)
    return [
        Labelled(text, group["label"])
        for group in table["texts"]
        for frame in group["frames"]
        for text in _fill(frame, slots, table["most"], rng)
    ]


def read_choices(path: Path) -> list[dict]:
    """Questions in the form of `read_questions`: each row of a table under each way to ask, with two to five choices.

    Wrong choices are the row's own and right ones of other rows. The right one's place is drawn.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["tables"]
    rng = np.random.default_rng(0)
    return [
        _question(asked, row, sorted({other[1] for other in table["rows"]}), rng)
        for table in tables
        for row in table["rows"]
        for asked in table["questions"]
    ]


def _fill(frame: str, slots: dict[str, list[str]], most: int, rng: np.random.Generator) -> list[str]:
    entries = [slots[name] for name in SLOT.findall(frame)]
    if prod(map(len, entries)) <= most:
        filled = list(product(*entries))
    else:
        filled = [tuple(rng.choice(words) for words in entries) for _ in range(most)]
    return list(dict.fromkeys(_sentence(frame, words) for words in filled))


def _sentence(frame: str, words: tuple[str, ...]) -> str:
    rest = iter(words)
    text = VOWEL.sub(r"\1n ", SLOT.sub(lambda _: next(rest), frame))
    return text[0].upper() + text[1:] if text.endswith((".", "!", "?")) and frame[0] == "{" else text


def _question(asked: str, row: list[str], others: list[str], rng: np.random.Generator) -> dict:
    subject, right, *wrong = row
    count = int(rng.integers(1, 5))
    pool = [other for other in others if other not in (right, subject)]
    drawn = [*wrong, *rng.choice(pool, 4, replace=False).tolist()]
    choices = rng.permutation(drawn)[:count].tolist()
    label = int(rng.integers(len(choices) + 1))
    choices.insert(label, right)
    text = asked.replace("{x}", subject)
    return {"context": "", "question": text[0].upper() + text[1:], "choices": choices, "label": label}
