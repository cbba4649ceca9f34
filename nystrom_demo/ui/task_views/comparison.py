"""A head's exact and landmark answers side by side."""

from typing import Any, NamedTuple

import pandas as pd

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.figures.style import as_csv
from nystrom_demo.formatting import counted
from nystrom_demo.tasks.reading import Reader
from nystrom_demo.ui.sidebar import BenchValues
from nystrom_demo.ui.task_views import answers, choices, entities, labels, masked
from nystrom_demo.ui.task_views.asked import Asked, hidden_words
from nystrom_demo.ui.task_views.markup import columns


class Pair(NamedTuple):
    """What both answers come to, each as a column's markup, and each as a table of the same rows."""

    verdict: str
    columns: list[str]
    tables: list[pd.DataFrame]


def pair(checkpoint: Checkpoint, values: BenchValues, asked: Asked, reader: Reader, exact: Any, landmark: Any) -> str:
    """The verdict over both columns, as markup that carries its numbers as CSV."""
    shown = _compare(checkpoint, values, asked, exact, landmark)
    both = pd.concat(dict(zip(("exact", "landmarks"), shown.tables, strict=True)), names=["attention"])
    return columns(shown.verdict, *shown.columns, landmark_title(values, reader), as_csv(both.reset_index(level=0)))


def landmark_title(values: BenchValues, reader: Reader) -> str:
    """What the landmark column is headed; where m is not below the tokens of any window, that it is exact."""
    longest = max(map(len, reader.windows))
    if not values.num_landmarks or values.num_landmarks >= longest:
        return f"m = n = {longest:,}: exact as well"
    return counted(values.num_landmarks, "landmark", "landmarks")


def _compare(checkpoint: Checkpoint, values: BenchValues, asked: Asked, exact: Any, landmark: Any) -> Pair:
    both = (exact, landmark)
    if values.task == "masked-lm":
        hidden = hidden_words(values.text, asked.masks.spans, checkpoint.tokenizer.mask_token)
        sides = [masked.column(side, hidden) for side in both]
        return Pair(masked.verdict(*both), sides, [masked.table(side, hidden) for side in both])
    if values.task == "sequence-classification":
        return Pair(labels.verdict(*both), [*map(labels.column, both)], [*map(labels.table, both)])
    if values.task == "token-classification":
        kinds = entities.entity_kinds(list(checkpoint.model.config.id2label.values()))
        sides = [entities.column(*side, values.text, kinds) for side in (both, both[::-1])]
        return Pair(entities.verdict(*both), sides, [*map(entities.table, both)])
    if values.task == "question-answering":
        sides = [answers.column(side, values.text) for side in both]
        return Pair(answers.verdict(*both), sides, [*map(answers.table, both)])
    options = choices.split_options(asked.options)
    sides = [choices.column(side, options) for side in both]
    return Pair(choices.verdict(*both), sides, [choices.table(side, options) for side in both])
