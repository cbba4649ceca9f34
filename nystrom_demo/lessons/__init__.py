"""The guided tour: its steps' prose, formulas and predictions from Markdown, and the live pictures beside them.

One file a step, in the order of the derivation. A file holds a title and prose, then the sections Formula, Symbols, Do,
Predict and Because; `read_lesson` says what each looks like. `references.md` names the sources.
"""

from nystrom_demo.lessons.reader import (
    MAX_WORDS,
    Lesson,
    Prediction,
    Symbol,
    load_lessons,
    load_references,
    read_lesson,
)

__all__ = ["MAX_WORDS", "Lesson", "Prediction", "Symbol", "load_lessons", "load_references", "read_lesson"]
