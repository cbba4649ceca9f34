"""The steps of the tour, read from the Markdown files beside this module."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nystrom_demo.lessons.formula import Node, parse_formula, symbols

MAX_WORDS = 90  # of prose and task together: a step is one idea
SECTIONS = ("Formula", "Symbols", "Do", "Predict", "Because", "Code")
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Symbol:
    """A symbol, as the formula writes it, and what it means."""

    name: tuple[Node, ...]
    meaning: str


@dataclass(frozen=True)
class Prediction:
    """What is asked before the result is shown: the question, its options (name, text), and the words that follow.

    `because` has {places} for numbers of the picture.
    """

    question: str
    options: tuple[tuple[str, str], ...]
    because: str


@dataclass(frozen=True)
class Lesson:
    """One step of the tour. `formula` is a tree a line; `prose` and `task` are text with $symbols$.

    code: Python that prints the picture's readings, to stand below what `snippets.for_lesson` puts before it.
    """

    name: str
    title: str
    prose: str
    formula: tuple[tuple[Node, ...], ...]
    defines: tuple[Symbol, ...]
    task: str
    prediction: Prediction
    code: str

    def word_count(self) -> int:
        """Words of prose and task, a formula in between counted as one."""
        return len(re.sub(r"\$[^$]*\$", "x", f"{self.prose} {self.task}").split())

    def used_symbols(self) -> set[str]:
        """Every symbol in the formula, the prose, the task and the prediction."""
        words = " ".join((self.prose, self.task, self.prediction.question))
        inline = [parse_formula(math) for math in re.findall(r"\$([^$]*)\$", words)]
        return set().union(*(symbols(nodes) for nodes in (*self.formula, *inline)))

    def defined_symbols(self) -> set[str]:
        return set().union(*(symbols(symbol.name) for symbol in self.defines))


@lru_cache(maxsize=1)
def load_lessons() -> tuple[Lesson, ...]:
    """All steps in order. ValueError, naming the file, where one does not follow the form."""
    return tuple(read_lesson(path.read_text(encoding="utf-8"), path.stem) for path in sorted(FOLDER.glob("[0-9]*.md")))


def load_references() -> str:
    """What the tour draws on and what came after, as Markdown."""
    return (FOLDER / "references.md").read_text(encoding="utf-8")


def read_lesson(markdown: str, stem: str) -> Lesson:
    """The step that `markdown` holds; `stem` is its file's name, such as "03_landmarks".

    "# Title" and prose first. Then "## Formula", one formula a line (`formula.parse_formula`); "## Symbols", a list
    "- symbol: meaning", each symbol that is new; "## Do", one sentence; "## Predict", a question and a list
    "- option: text"; "## Because", what the reader is told afterwards; "## Code", a block of Python. ValueError where a
    section is missing.
    """
    opening, *rest = re.split(r"^## +", markdown, flags=re.MULTILINE)
    heading, _, prose = opening.strip().partition("\n")
    sections = {}
    for section in rest:
        name, _, body = section.partition("\n")
        sections[name.strip()] = body.strip()
    if tuple(sections) != SECTIONS or not heading.startswith("# "):
        raise ValueError(f"{stem}.md needs a title and the sections {', '.join(SECTIONS)}, got {', '.join(sections)}.")
    question, options = _question(sections["Predict"])
    return Lesson(
        name=stem.partition("_")[2],
        title=heading[2:].strip(),
        prose=prose.strip(),
        formula=tuple(parse_formula(line.strip()) for line in sections["Formula"].splitlines()),
        defines=tuple(Symbol(parse_formula(name), meaning) for name, meaning in _items(sections["Symbols"])),
        task=sections["Do"],
        prediction=Prediction(question, options, sections["Because"]),
        code=re.sub(r"^```\w*\n|```$", "", sections["Code"]).strip(),
    )


def _question(section: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    question = section.partition("\n- ")[0].strip()
    return question, _items(section)


def _items(section: str) -> tuple[tuple[str, str], ...]:
    """The lines "- name: text" of a section."""
    return tuple(re.findall(r"^- (.+?): (.+)$", section, flags=re.MULTILINE))
