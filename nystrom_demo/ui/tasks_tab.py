"""Tasks: what each head answers under exact attention and under landmarks, side by side.

The answer comes first; latency and the curve over m follow it in a second event.
"""

import functools
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd
import torch

from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.config import EXACT
from nystrom_demo.figures.answers import answer_curve
from nystrom_demo.serving.admission import admit_answer
from nystrom_demo.serving.limits import current_limits
from nystrom_demo.serving.validation import check_integer, check_switch, check_text
from nystrom_demo.tasks import SweepPoint, prepare, sweep_landmarks
from nystrom_demo.tasks.latency import Latency, compare_latency
from nystrom_demo.tasks.reading import BATCH_TOKENS, Reader, read
from nystrom_demo.ui.bench import TASK_LABELS, Bench, BenchValues, Refresh, suit_head, takes_bench
from nystrom_demo.ui.examples import Example, example_of, load_examples
from nystrom_demo.ui.heads import answers, choices, entities, labels, masked
from nystrom_demo.ui.heads.markup import columns, message

MEASURING = '<p class="cost"><small>Timing both, then asking with other m …</small></p>'
SECONDS_BETWEEN_DRAWINGS = 1.0
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class Masks(NamedTuple):
    """The masked stretches of a text, and the text that they belong to."""

    text: str
    spans: list[masked.Span]


class Sweep(NamedTuple):
    """A curve over m that was computed, and for what."""

    key: str
    points: list[SweepPoint]


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


class Inputs(NamedTuple):
    """The components of `Asked`, in its order."""

    masks: gr.State
    question: gr.Textbox
    choices_question: gr.Textbox
    options: gr.Textbox
    with_passage: gr.Checkbox


def build(bench: Bench, checkpoints: Library) -> Refresh:
    """The tab's components and its own events."""
    examples = load_examples()
    head = gr.Radio(
        [(label, task) for task, label in TASK_LABELS.items()],
        value=bench.task.value,
        label="Head",
        show_label=False,
        elem_id="tasks-head",
        elem_classes="segmented",
    )
    board = gr.HTML(elem_id="tasks-board", js_on_load=masked.BOARD_JS, visible=False)
    inputs, groups = _build_inputs(example_of(bench.text.value, examples))
    answer = gr.HTML(elem_id="tasks-answer")
    cost = gr.HTML(elem_id="tasks-cost")
    curve = gr.Plot(elem_id="tasks-curve", show_label=False, visible=False)
    known = gr.State(Sweep("", []))

    refresh = Refresh(
        takes_bench(functools.partial(show, checkpoints, examples)),
        [*bench.inputs, known, *inputs],
        [inputs.masks, board, answer, cost, curve],
        (
            takes_bench(functools.partial(measure, checkpoints)),
            [*bench.inputs, known, *inputs],
            [cost, curve, known],
        ),
        answer,
    )
    head.input(
        functools.partial(pick_head, examples), [head, bench.text], [bench.task, bench.text, bench.settled], **QUIET
    )
    bench.task.change(show_inputs, bench.task, [head, board, *groups], **QUIET)
    bench.settled.change(
        functools.partial(suit_questions, examples),
        bench.settled,
        [inputs.question, inputs.choices_question, inputs.options],
        **QUIET,
    )
    _wire_own(refresh, inputs, board, checkpoints, bench)
    return refresh


def _build_inputs(example: Example) -> tuple[Inputs, list[gr.Column]]:
    masks = gr.State(Masks("", []))
    with gr.Column(visible=False, elem_id="tasks-question-group", elem_classes="ask") as asking:
        question = gr.Textbox(
            example.question, label="Question about the text", elem_id="tasks-question", submit_btn=True
        )
    with gr.Column(visible=False, elem_id="tasks-choices-group", elem_classes="ask") as choosing:
        choices_question = gr.Textbox(example.choices_question, label="Question", elem_id="tasks-choices-question")
        options = gr.Textbox(
            "\n".join(example.choices),
            label="Options, one a line, two to six",
            lines=4,
            max_lines=6,
            elem_id="tasks-options",
        )
        with_passage = gr.Checkbox(True, label="Read the text first", elem_id="tasks-with-passage")
        return Inputs(masks, question, choices_question, options, with_passage), [asking, choosing]


def _wire_own(refresh: Refresh, inputs: Inputs, board: gr.HTML, checkpoints: Library, bench: Bench) -> None:
    """The events of the tab's own inputs: each asks again."""

    def clicked(
        text: str, task: str, source: str, device: str, masks: Masks, event: gr.EventData
    ) -> Masks:  # gradio reads this signature
        return toggle_mask(checkpoints.load(source, task, device), text, masks, event.index)

    # Behind the gate, since a checkpoint may have to be loaded.
    chosen = [bench.text, bench.task, bench.source, bench.device, inputs.masks]
    toggled = board.mask(clicked, chosen, inputs.masks, show_progress="hidden", api_visibility="private")
    triggers = [
        inputs.question.submit,
        inputs.question.blur,
        inputs.choices_question.submit,
        inputs.choices_question.blur,
        inputs.options.blur,
        inputs.with_passage.input,
    ]
    shown = {"show_progress": "hidden", "api_visibility": "private"}
    for event in (toggled.then, functools.partial(gr.on, triggers)):
        asked = event(refresh.fn, refresh.inputs, refresh.outputs, **shown)
        asked.then(*refresh.then, **shown)


def pick_head(examples: dict[str, Example], task: str, text: str) -> tuple[str, str, str]:
    """The bench's checkpoint, and its text twice (text box, settled): the head's example where one was shown."""
    return task, *suit_head(examples, task, text)


def show_inputs(task: str) -> tuple[Any, ...]:
    """Which of the tab's inputs a head needs: the switch itself, the board, question, options."""
    return (
        task,
        gr.update(visible=task == "masked-lm"),
        gr.update(visible=task == "question-answering"),
        gr.update(visible=task == "multiple-choice"),
    )


def suit_questions(examples: dict[str, Example], text: str) -> tuple[Any, ...]:
    """An example's own questions; a visitor's text leaves them as they are."""
    example = example_of(text, examples)
    if example is None:
        return gr.skip(), gr.skip(), gr.skip()
    return example.question, example.choices_question, "\n".join(example.choices)


def toggle_mask(checkpoint: Checkpoint, text: str, masks: Masks, index: int) -> Masks:
    """The masks after a click on the board's token `index`."""
    spans = masked.token_spans(checkpoint, text)
    return Masks(
        text,
        masked.toggle(masks[1] if masks[0] == text else [], spans, check_integer("token", index, 0, len(spans) - 1)),
    )


def show(
    checkpoints: Library, examples: dict[str, Example], values: BenchValues, known: Sweep, *asked: Any
) -> tuple[Any, ...]:
    """The masks that hold for this text, the board, the answers side by side; cost and curve of other inputs go."""
    checkpoint, asked = values.checkpoint(checkpoints), Asked(*asked).checked()
    asked = asked._replace(masks=_current_masks(checkpoint, examples, values, asked.masks))
    board = ""
    if values.task == "masked-lm":
        board = masked.board(values.text, masked.token_spans(checkpoint, values.text), asked.masks.spans)
    missing = what_is_missing(checkpoint, values, asked)
    if missing:
        return asked.masks, board, message(missing), "", gr.update(visible=False)
    inputs = head_inputs(checkpoint, values, asked)
    reader = prepare(checkpoint, *inputs)
    for settings in (EXACT, values.settings()):
        admit_answer(checkpoint.model.config, reader, settings, BATCH_TOKENS)
    exact, landmark = (read(checkpoint, [reader], settings)[0] for settings in (EXACT, values.settings()))
    verdict, *sides = _compare(checkpoint, values, asked, exact, landmark)
    answer = columns(verdict, *sides, landmark_title(values, reader))
    later = (gr.skip(), gr.skip()) if known[0] == sweep_key(values, inputs) else (MEASURING, gr.update(visible=False))
    return asked.masks, board, answer, *later


def sweep_key(values: BenchValues, inputs: tuple[Any, ...]) -> str:
    """What a curve over m depends on."""
    return repr((values.source, values.task, values.device, values.settings().pinv_options(), inputs))


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


def _compare(
    checkpoint: Checkpoint, values: BenchValues, asked: Asked, exact: Any, landmark: Any
) -> tuple[str, str, str]:
    """Verdict, exact column, landmark column."""
    if values.task == "masked-lm":
        hidden = _hidden_words(values.text, asked.masks.spans, checkpoint.tokenizer.mask_token)
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


def landmark_title(values: BenchValues, reader: Reader) -> str:
    longest = max(map(len, reader.windows))
    if not values.num_landmarks or values.num_landmarks >= longest:
        return f"m = n = {longest:,}: exact as well"
    return f"{values.num_landmarks:,} landmark{'s' if values.num_landmarks > 1 else ''}"


def measure(checkpoints: Library, values: BenchValues, known: Sweep, *asked: Any) -> Iterator[tuple[Any, Any, Any]]:
    """First the latency of both, then the curve over m, point by point unless it is known already."""
    checkpoint, asked = values.checkpoint(checkpoints), Asked(*asked).checked()
    if what_is_missing(checkpoint, values, asked):
        yield "", gr.update(visible=False), Sweep("", [])
        return
    inputs = head_inputs(checkpoint, values, asked)
    reader = prepare(checkpoint, *inputs)
    yield describe_latency(compare_latency(checkpoint, reader, values.settings()), checkpoint), gr.skip(), gr.skip()
    key = sweep_key(values, inputs)
    num_tokens = max(map(len, reader.windows))
    points, drawn = (list(known[1]), time.monotonic()) if known[0] == key else ([], time.monotonic())
    if not points:
        for point in sweep_landmarks(
            checkpoint, *inputs, settings=values.settings()._replace(implementation="nystrom")
        ):
            points.append(point)
            if len(points) > 2 and time.monotonic() - drawn > SECONDS_BETWEEN_DRAWINGS:
                drawn = time.monotonic()
                yield gr.skip(), _curve(points, num_tokens, values), gr.skip()
    yield gr.skip(), _curve(points, num_tokens, values), Sweep(key, points)


def describe_latency(latency: Latency, checkpoint: Checkpoint) -> str:
    """Both medians in a sentence, with how they were taken."""
    exact, landmark = (1_000 * seconds for seconds in latency.medians)
    runs = len(latency.exact)
    where = (
        torch.cuda.get_device_name() if checkpoint.device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    )
    how = f"median of {runs} runs each, by turns, after a warm-up" if runs > 1 else "one run each, after a warm-up"
    return (
        f'<p class="cost">Forward pass: <b class="exact">{exact:.3g} ms</b> exact, '
        f'<b class="landmark">{landmark:.3g} ms</b> over landmarks. <small>{how.capitalize()}, on {where}.</small></p>'
        '<p class="caption">The exact answer\'s probability as m grows <small>hollow where landmarks answer otherwise'
        "</small></p>"
    )


def _curve(points: list[SweepPoint], num_tokens: int, values: BenchValues) -> Any:
    figure = answer_curve(pd.DataFrame(points), num_tokens=num_tokens, chosen=min(values.num_landmarks, num_tokens))
    return gr.update(value=figure, visible=True)


def _current_masks(checkpoint: Checkpoint, examples: dict[str, Example], values: BenchValues, masks: Masks) -> Masks:
    """The masks where they belong to this text; an example's own at its first sight."""
    if masks[0] == values.text or values.task != "masked-lm":
        return Masks(*masks)
    spans = masked.token_spans(checkpoint, values.text)
    return Masks(values.text, masked.first_masks(example_of(values.text, examples), spans, values.text))


def _hidden_words(text: str, masks: list[masked.Span], mask_token: str) -> list[str]:
    """The word behind each gap in order, empty for a mask that the visitor typed."""
    typed = [match.span() for match in re.finditer(re.escape(mask_token), text)]
    gaps = sorted({*map(tuple, masks), *typed})
    return ["" if gap in typed else text[slice(*gap)] for gap in gaps]
