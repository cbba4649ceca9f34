"""A head's exact and landmark answers side by side."""

from typing import Any

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.tasks.reading import Reader
from nystrom_demo.ui.bench import BenchValues
from nystrom_demo.ui.heads import answers, choices, entities, labels, masked
from nystrom_demo.ui.heads.asked import Asked, hidden_words
from nystrom_demo.ui.heads.markup import columns


def pair(checkpoint: Checkpoint, values: BenchValues, asked: Asked, reader: Reader, exact: Any, landmark: Any) -> str:
    """The verdict over both columns, as markup."""
    verdict, *sides = _compare(checkpoint, values, asked, exact, landmark)
    return columns(verdict, *sides, landmark_title(values, reader))


def landmark_title(values: BenchValues, reader: Reader) -> str:
    """What the landmark column is headed; where m is not below the tokens of any window, that it is exact."""
    longest = max(map(len, reader.windows))
    if not values.num_landmarks or values.num_landmarks >= longest:
        return f"m = n = {longest:,}: exact as well"
    return f"{values.num_landmarks:,} landmark{'s' if values.num_landmarks > 1 else ''}"


def _compare(
    checkpoint: Checkpoint, values: BenchValues, asked: Asked, exact: Any, landmark: Any
) -> tuple[str, str, str]:
    """Verdict, exact column, landmark column."""
    if values.task == "masked-lm":
        hidden = hidden_words(values.text, asked.masks.spans, checkpoint.tokenizer.mask_token)
        return masked.verdict(exact, landmark), masked.column(exact, hidden), masked.column(landmark, hidden)
    if values.task == "sequence-classification":
        return labels.verdict(exact, landmark), labels.column(exact), labels.column(landmark)
    if values.task == "token-classification":
        kinds = entities.entity_kinds(list(checkpoint.model.config.id2label.values()))
        sides = ((exact, landmark), (landmark, exact))
        return entities.verdict(exact, landmark), *(entities.column(*side, values.text, kinds) for side in sides)
    if values.task == "question-answering":
        sides = (answers.column(side, values.text) for side in (exact, landmark))
        return answers.verdict(exact, landmark), *sides
    options = choices.split_options(asked.options)
    return choices.verdict(exact, landmark), choices.column(exact, options), choices.column(landmark, options)
