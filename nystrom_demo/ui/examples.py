"""Texts to begin with, from example_texts/: examples.toml names them, <name>.txt holds each text."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

EXAMPLES_FOLDER = Path(__file__).parent / "example_texts"


@dataclass(frozen=True)
class Example:
    """A text, and what the heads that need more than a text are asked about it."""

    name: str
    label: str
    tasks: tuple[str, ...]  # the heads that begin with this text
    text: str
    masked: tuple[str, ...]  # words that are masked at first
    question: str
    choices_question: str
    choices: tuple[str, ...]


def load_examples(folder: Path = EXAMPLES_FOLDER) -> dict[str, Example]:
    """The examples by name, in the order of examples.toml."""
    table = tomllib.loads((folder / "examples.toml").read_text(encoding="utf-8"))
    return {
        name: Example(
            name=name,
            label=entry["label"],
            tasks=tuple(entry["tasks"]),
            text=(folder / f"{name}.txt").read_text(encoding="utf-8").strip(),
            masked=tuple(entry["masked"]),
            question=entry["question"],
            choices_question=entry["choices_question"],
            choices=tuple(entry["choices"]),
        )
        for name, entry in table.items()
    }


def example_for(task: str, examples: dict[str, Example]) -> Example:
    """The example that a head begins with."""
    return next(example for example in examples.values() if task in example.tasks)


def example_of(text: str, examples: dict[str, Example]) -> Example | None:
    """The example whose unedited text this is, or None."""
    return next((example for example in examples.values() if example.text == text.strip()), None)


def are_examples(*asked: str | tuple[str, ...] | list[str]) -> bool:
    """Whether all texts, and all of each list of texts, are the examples' own: they tell nothing of who asks."""
    texts = [text for each in asked for text in ([each] if isinstance(each, str) else each)]
    return all(text.strip() in _own_texts() for text in texts)


@functools.cache
def _own_texts() -> frozenset[str]:
    examples = load_examples().values()
    return frozenset(
        text.strip() for one in examples for text in (one.text, one.question, one.choices_question, *one.choices)
    )
