"""Data files in, plain records out. All files are gzip-compressed UTF-8.

| file          | one record                                                                                         |
| ------------- | -------------------------------------------------------------------------------------------------- |
| `*.tsv.gz`    | a line `text TAB label` (0 negative, 1 positive), after a header line                              |
| `*.conll.gz`  | lines `token TAB BIO-tag`, up to a blank line                                                      |
| `*.jsonl.gz`  | answers: id, title, context, question, answers {text [], answer_start []} (offsets in characters)  |
| `*.jsonl.gz`  | choices: id, context, question, choices [], label (0-based)                                        |
| `*.txt.gz`    | a line, one paragraph                                                                              |
"""

import gzip
import json
from pathlib import Path
from typing import NamedTuple


class Labelled(NamedTuple):
    text: str
    label: int


class Tagged(NamedTuple):
    tokens: list[str]
    tags: list[str]


def read_labelled(path: Path) -> list[Labelled]:
    rows = (line.rsplit("\t", 1) for line in _lines(path)[1:] if line)
    return [Labelled(text, int(label)) for text, label in rows]


def read_tagged(path: Path) -> list[Tagged]:
    sentences, tokens, tags = [], [], []
    for line in [*_lines(path), ""]:
        if line:
            token, tag = line.split("\t")
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            sentences.append(Tagged(tokens, tags))
            tokens, tags = [], []
    return sentences


def rename_kinds(sentences: list[Tagged], kinds: dict[str, str]) -> list[Tagged]:
    """The sentences with B-x and I-x as B-y and I-y for each x: y of `kinds`; other tags stay as they are."""
    names = {f"{place}-{old}": f"{place}-{new}" for old, new in kinds.items() for place in "BI"}
    return [Tagged(tokens, [names.get(tag, tag) for tag in tags]) for tokens, tags in sentences]


def change_case(sentences: list[Tagged], case: str) -> list[Tagged]:
    """The sentences with all their words in "lower" or "upper" case; as they are for ""."""
    changes = {"": str, "lower": str.lower, "upper": str.upper}
    return [Tagged([changes[case](token) for token in tokens], tags) for tokens, tags in sentences]


def without_handles(sentences: list[Tagged]) -> list[Tagged]:
    """The sentences with O for @names and hashtags, also where the sign stands as a token of its own."""
    return [Tagged(tokens, _plain_handles(tokens, tags)) for tokens, tags in sentences]


def _plain_handles(tokens: list[str], tags: list[str]) -> list[str]:
    plain = []
    for i, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        handle = token[0] in "@#" or (i > 0 and tokens[i - 1] in ("@", "#"))
        # The rest of a name that begins with one goes with it.
        rest = tag.startswith("I-") and i > 0 and plain[-1] == "O" and tags[i - 1] != "O"
        plain.append("O" if handle or rest else tag)
    return plain


def read_questions(path: Path) -> list[dict]:
    """Questions with answers or with choices, as the file's own dictionaries."""
    return [json.loads(line) for line in _lines(path) if line]


def read_paragraphs(path: Path) -> list[str]:
    """Paragraphs of a text file, the texts of a labelled one, or a tagged one's sentences, tokens a blank apart."""
    if path.name.endswith(".tsv.gz"):
        return [row.text for row in read_labelled(path)]
    if path.name.endswith(".conll.gz"):
        return [" ".join(sentence.tokens) for sentence in read_tagged(path)]
    return [line for line in _lines(path) if line]


def read_statements(path: Path) -> list[str]:
    """Each question followed by its right answer, as plain text; a question on a passage gives its passage, once."""
    questions = read_questions(path)
    if "choices" not in questions[0]:
        return list(dict.fromkeys(question["context"] for question in questions))
    parts = ((q["context"], q["question"], q["choices"][q["label"]]) for q in questions)
    return [" ".join(part for part in row if part) for row in parts]


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().split("\n")
