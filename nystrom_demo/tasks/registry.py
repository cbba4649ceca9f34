"""The five tasks: what each is called, which class of transformers reads its checkpoints, what reads its texts.

How a task is shown is the page's: `ui.task_views` has a view for each id of this table.
"""

from typing import NamedTuple

from nystrom_demo.checkpoints.loading import AUTO_CLASSES
from nystrom_demo.tasks.answers import AnswerReader
from nystrom_demo.tasks.choices import ChoiceReader
from nystrom_demo.tasks.entities import TagReader
from nystrom_demo.tasks.labels import LabelReader
from nystrom_demo.tasks.masked_words import MaskReader


class Task(NamedTuple):
    """A task: its id in checkpoints and links, its name on the page, its Auto class, its `tasks.reading.Reader`."""

    id: str
    label: str
    auto_class: type
    reader: type


_LABELS = {
    MaskReader: "Masked words",
    LabelReader: "Sentiment",
    TagReader: "Entities",
    AnswerReader: "Answers",
    ChoiceReader: "Choices",
}
TASKS = {reader.task: Task(reader.task, label, AUTO_CLASSES[reader.task], reader) for reader, label in _LABELS.items()}
