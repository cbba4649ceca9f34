"""What each head is asked: the text, the words hidden in it, question and options."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.errors import UserError
from nystrom_demo.ui.examples import Example, example_of
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.task_views import masked


class TaskInputs(NamedTuple):
    """All that the heads read, of which each takes its part. masks: the hidden stretches of the text."""

    text: str
    masks: Sequence[masked.Span]
    question: str
    choices_question: str
    options: Sequence[str]
    with_passage: bool


def task_inputs(state: PageState, masks: Sequence[masked.Span]) -> TaskInputs:
    """The inputs that a settled state has; masks: for the head that fills gaps."""
    return TaskInputs(
        state.text,
        masks,
        state.question,
        state.choices_question,
        split_options(state.options),
        state.with_passage,
    )


def hidden_spans(checkpoint: Checkpoint, examples: Mapping[str, Example], state: PageState) -> list[masked.Span]:
    """The hidden tokens of the text: those that the visitor chose, or an example's own."""
    tokens = masked.token_spans(checkpoint, state.text)
    if state.masks is None:
        return masked.first_masks(example_of(state.text, dict(examples)), tokens, state.text)
    if not set(state.masks) <= set(tokens):
        raise UserError("The hidden words must be tokens of this text as this model reads it; click them anew.")
    return list(state.masks)


def hidden_words(text: str, masks: Sequence[masked.Span], mask_token: str) -> list[str]:
    """The word behind each gap in order, empty for a mask that the visitor typed."""
    typed = [match.span() for match in re.finditer(re.escape(mask_token), text)]
    gaps = sorted({*map(tuple, masks), *typed})
    return ["" if gap in typed else text[slice(*gap)] for gap in gaps]


def split_options(lines: str) -> list[str]:
    """The options of a box with one a line; empty lines are none."""
    return [line.strip() for line in lines.splitlines() if line.strip()]
