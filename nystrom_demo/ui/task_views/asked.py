"""What each head is asked: the bench's text, the masks in it, questions and options; and what is still missing."""

import re
from typing import Any, NamedTuple

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.limits.budget import current_limits
from nystrom_demo.limits.validation import check_integer, check_switch, check_text
from nystrom_demo.ui.examples import Example, example_of
from nystrom_demo.ui.sidebar import BenchValues
from nystrom_demo.ui.task_views import choices, masked


class Masks(NamedTuple):
    """The masked stretches of a text, and the text that they belong to."""

    text: str
    spans: list[masked.Span]


class Asked(NamedTuple):
    """What a head is asked beside the bench's text."""

    masks: Masks
    question: str
    choices_question: str
    options: str
    with_passage: bool

    def checked(self) -> "Asked":
        """The same with every text fit to be read. ValueError, in one sentence, for one that is not."""
        longest = current_limits().text_chars
        return Asked(
            Masks(*self.masks),
            check_text("question", self.question, longest, empty=True),
            check_text("question", self.choices_question, longest, empty=True),
            check_text("options", self.options, longest, empty=True),
            check_switch("read the text first", self.with_passage),
        )


def toggle_mask(checkpoint: Checkpoint, text: str, masks: Masks, index: int) -> Masks:
    """The masks after a click on the board's token `index`."""
    spans = masked.token_spans(checkpoint, text)
    known = masks[1] if masks[0] == text else []
    return Masks(text, masked.toggle(known, spans, check_integer("token", index, 0, len(spans) - 1)))


def current_masks(checkpoint: Checkpoint, examples: dict[str, Example], values: BenchValues, masks: Masks) -> Masks:
    """The masks where they belong to this text; an example's own at its first sight."""
    if masks[0] == values.text or values.task != "masked-lm":
        return Masks(*masks)
    spans = masked.token_spans(checkpoint, values.text)
    return Masks(values.text, masked.first_masks(example_of(values.text, examples), spans, values.text))


def hidden_words(text: str, masks: list[masked.Span], mask_token: str) -> list[str]:
    """The word behind each gap in order, empty for a mask that the visitor typed."""
    typed = [match.span() for match in re.finditer(re.escape(mask_token), text)]
    gaps = sorted({*map(tuple, masks), *typed})
    return ["" if gap in typed else text[slice(*gap)] for gap in gaps]


def what_is_missing(checkpoint: Checkpoint, values: BenchValues, asked: Asked) -> str | None:
    """What a head still needs before it can answer, as a sentence to act on, or None."""
    task, count = values.task, len(choices.split_options(asked.options))
    if task != "multiple-choice" and not values.text.strip():
        return "Type a text on the bench, or pick an example there."
    if task == "masked-lm" and not (asked.masks.spans or checkpoint.tokenizer.mask_token in values.text):
        return "Click a word above to hide it: the head guesses it from all the others."
    if task == "question-answering" and not asked.question.strip():
        return "Ask a question about the text: the head points at the words that answer it."
    if task == "multiple-choice" and not asked.choices_question.strip():
        return "Ask a question: the head chooses among your options."
    if task == "multiple-choice" and not 2 <= count <= 6:
        return f"Give two to six options, one a line; there {'is 1' if count == 1 else f'are {count}'} now."
    return None


def head_inputs(checkpoint: Checkpoint, values: BenchValues, asked: Asked) -> tuple[Any, ...]:
    """What the chosen head's function takes beside checkpoint and settings."""
    if values.task == "masked-lm":
        return (masked.masked_text(values.text, asked.masks.spans, checkpoint.tokenizer.mask_token),)
    if values.task == "question-answering":
        return asked.question, values.text
    if values.task == "multiple-choice":
        passage = values.text if asked.with_passage else ""
        return asked.choices_question, choices.split_options(asked.options), passage
    return (values.text,)
