"""The guided tour: its steps' prose, formulas and predictions from Markdown, and the live pictures beside them.

One file a step, in the order of the derivation. A file holds a title and prose, then the sections Formula, Symbols, Do,
Predict, Because and Code; `read_lesson` says what each looks like. `references.md` names the sources.
"""

from nystrom_demo.lessons.case import Case, Controls
from nystrom_demo.lessons.pictures import PICTURES
from nystrom_demo.lessons.pictures.lookup import lookup_pattern
from nystrom_demo.lessons.reader import (
    MAX_WORDS,
    Lesson,
    Prediction,
    Symbol,
    load_lessons,
    load_references,
    read_lesson,
)

__all__ = [
    "MAX_WORDS",
    "PICTURES",
    "Case",
    "Controls",
    "Lesson",
    "Prediction",
    "Symbol",
    "load_lessons",
    "load_references",
    "lookup_pattern",
    "read_lesson",
]
