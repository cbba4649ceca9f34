"""A head's exact and landmark answers side by side."""

from typing import Any

import pandas as pd

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.figures.style import as_csv
from nystrom_demo.formatting import counted
from nystrom_demo.tasks.reading import Reader
from nystrom_demo.ui.task_views.inputs import TaskInputs
from nystrom_demo.ui.task_views.markup import columns
from nystrom_demo.ui.task_views.registry import TASK_VIEWS


def compare_answers(
    checkpoint: Checkpoint, num_landmarks: int, inputs: TaskInputs, reader: Reader, exact: Any, landmark: Any
) -> str:
    """The verdict over both columns, as markup that carries its numbers as CSV."""
    shown = TASK_VIEWS[checkpoint.task].compare(checkpoint, inputs, exact, landmark)
    both = pd.concat(dict(zip(("exact", "landmarks"), shown.tables, strict=True)), names=["attention"])
    title = landmark_title(num_landmarks, reader)
    return columns(shown.verdict, *shown.columns, title, as_csv(both.reset_index(level=0)))


def landmark_title(num_landmarks: int, reader: Reader) -> str:
    """What the landmark column is headed; where m is not below the tokens of any window, that it is exact."""
    longest = max(map(len, reader.windows))
    if not num_landmarks or num_landmarks >= longest:
        return f"m = n = {longest:,}: exact as well"
    return counted(num_landmarks, "landmark", "landmarks")
