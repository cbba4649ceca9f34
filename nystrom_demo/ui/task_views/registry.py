"""How each task is shown: the one place where a task's id meets its view."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.ui.task_views import answers, choices, entities, labels, masked
from nystrom_demo.ui.task_views.inputs import TaskInputs, hidden_words
from nystrom_demo.ui.task_views.markup import Comparison
from nystrom_demo.ui.view import NO_TEXT


class TaskView(NamedTuple):
    """A task on the page.

    missing: what its head still needs before it can answer, as a sentence to act on, or None. head_inputs: what the
    head's function takes beside checkpoint and settings. compare: both results as markup and as numbers. shows: which
    of the tab's own inputs it has: "board", "question", "choices". nothing: why no answer can be followed as m grows,
    or None.
    """

    missing: Callable[[Checkpoint, TaskInputs], str | None]
    head_inputs: Callable[[Checkpoint, TaskInputs], tuple[Any, ...]]
    compare: Callable[[Checkpoint, TaskInputs, Any, Any], Comparison]
    shows: Sequence[str] = ()
    nothing: Callable[[Any], str | None] = lambda exact: None


def _no_text(checkpoint: Checkpoint, inputs: TaskInputs) -> str | None:
    return None if inputs.text.strip() else NO_TEXT


def _no_gap(checkpoint: Checkpoint, inputs: TaskInputs) -> str | None:
    if inputs.text.strip() and not (inputs.masks or checkpoint.tokenizer.mask_token in inputs.text):
        return "Click a word above to hide it: the head guesses it from all the others."
    return _no_text(checkpoint, inputs)


def _no_question(checkpoint: Checkpoint, inputs: TaskInputs) -> str | None:
    if inputs.text.strip() and not inputs.question.strip():
        return "Ask a question about the text: the head points at the words that answer it."
    return _no_text(checkpoint, inputs)


def _no_choice(checkpoint: Checkpoint, inputs: TaskInputs) -> str | None:
    count = len(inputs.options)
    if inputs.with_passage and not inputs.text.strip():
        return NO_TEXT
    if not inputs.choices_question.strip():
        return "Ask a question: the head chooses among your options."
    if not 2 <= count <= 6:
        return f"Give two to six options, one a line; there {'is 1' if count == 1 else f'are {count}'} now."
    return None


def _the_text(checkpoint: Checkpoint, inputs: TaskInputs) -> tuple[Any, ...]:
    return (inputs.text,)


def _text_with_gaps(checkpoint: Checkpoint, inputs: TaskInputs) -> tuple[Any, ...]:
    return (masked.masked_text(inputs.text, inputs.masks, checkpoint.tokenizer.mask_token),)


def _question_and_text(checkpoint: Checkpoint, inputs: TaskInputs) -> tuple[Any, ...]:
    return inputs.question, inputs.text


def _question_and_options(checkpoint: Checkpoint, inputs: TaskInputs) -> tuple[Any, ...]:
    return inputs.choices_question, list(inputs.options), inputs.text if inputs.with_passage else ""


def _compare_masked(checkpoint: Checkpoint, inputs: TaskInputs, exact: Any, landmark: Any) -> Comparison:
    hidden = hidden_words(inputs.text, inputs.masks, checkpoint.tokenizer.mask_token)
    return masked.compare(exact, landmark, hidden)


def _compare_entities(checkpoint: Checkpoint, inputs: TaskInputs, exact: Any, landmark: Any) -> Comparison:
    kinds = entities.entity_kinds(list(checkpoint.model.config.id2label.values()))
    return entities.compare(exact, landmark, inputs.text, kinds)


TASK_VIEWS: dict[str, TaskView] = {
    "masked-lm": TaskView(_no_gap, _text_with_gaps, _compare_masked, ("board",)),
    "sequence-classification": TaskView(_no_text, _the_text, lambda checkpoint, inputs, *both: labels.compare(*both)),
    "token-classification": TaskView(_no_text, _the_text, _compare_entities, nothing=entities.nothing),
    "question-answering": TaskView(
        _no_question,
        _question_and_text,
        lambda checkpoint, inputs, *both: answers.compare(*both, inputs.text),
        ("question",),
    ),
    "multiple-choice": TaskView(
        _no_choice,
        _question_and_options,
        lambda checkpoint, inputs, *both: choices.compare(*both, inputs.options),
        ("choices",),
    ),
}
