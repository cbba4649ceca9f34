"""Tasks: what each head answers under exact attention and under landmarks, side by side.

The answer comes first; latency and the curve over m follow it in a second event.
"""

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd
import torch

from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.figures.answers import answer_curve
from nystrom_demo.formatting import counted, duration
from nystrom_demo.limits.admission import admit_answer
from nystrom_demo.limits.cache import ANSWERS, about
from nystrom_demo.limits.parallel import HALVES
from nystrom_demo.limits.validation import is_ours, sentence_of
from nystrom_demo.snippets.tasks import for_answer_curve, for_answers
from nystrom_demo.tasks import SweepPoint, prepare, sweep_landmarks
from nystrom_demo.tasks.latency import Latency, compare_latency
from nystrom_demo.tasks.reading import BATCH_TOKENS, Reader, read
from nystrom_demo.ui.events import AT_ONCE, EACH, LAST
from nystrom_demo.ui.examples import Example, example_of, load_examples
from nystrom_demo.ui.export import SKIPPED, answer_menu, code_section, emptied, figure_slot, filled
from nystrom_demo.ui.readout import TASK_LABELS, TextSize, count_tokens
from nystrom_demo.ui.sidebar import Bench, BenchValues, Refresh, suit_head, takes_bench
from nystrom_demo.ui.task_views import answers, masked
from nystrom_demo.ui.task_views.asked import Asked, Masks, current_masks, head_inputs, toggle_mask, what_is_missing
from nystrom_demo.ui.task_views.comparison import pair
from nystrom_demo.ui.task_views.markup import message

MEASURING = '<p class="cost"><small>Timing both, then asking with other m …</small></p>'
SECONDS_BETWEEN_DRAWINGS = 1.0
SHORT_TOKENS = 1_024  # of all windows; up to here two passes at once were faster than in turn on two cores


class Sweep(NamedTuple):
    """A curve over m that was computed, and for what."""

    key: str
    points: list[SweepPoint]


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
    with gr.Column(elem_classes="answer-slot"):
        answer = gr.HTML(elem_id="tasks-answer", js_on_load=answers.SCROLL_JS)
        answer_menu("tasks-answer-menu")
        code = code_section("tasks-answer-code")
    cost = gr.HTML(elem_id="tasks-cost")
    curve = figure_slot(
        "The exact answer's probability as m grows", "tasks-curve", "hollow where landmarks answer otherwise"
    )
    known = gr.State(Sweep("", []))

    own = [*bench.inputs, known, *inputs]
    refresh = Refresh(
        takes_bench(functools.partial(show_or_say, checkpoints, examples)),
        own,
        [inputs.masks, board, answer, code, cost, *curve],
        (takes_bench(functools.partial(measure_what_is_shown, checkpoints)), own, [cost, *curve, known]),
        answer,
    )
    picked = [bench.task, bench.text, bench.settled]
    head.input(functools.partial(pick_head, examples), [head, bench.text], picked, **LAST, **AT_ONCE)
    bench.task.change(show_inputs, bench.task, [head, board, *groups], **LAST, **AT_ONCE)
    bench.settled.change(
        functools.partial(suit_questions, examples),
        bench.settled,
        [inputs.question, inputs.choices_question, inputs.options],
        **LAST,
        **AT_ONCE,
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
        return toggle_mask(checkpoints.load(source, task, device), text, masks, getattr(event, "index", None))

    # Behind the gate, since a checkpoint may have to be loaded.
    chosen = [bench.text, bench.task, bench.source, bench.device, inputs.masks]
    toggled = board.mask(clicked, chosen, inputs.masks, **EACH)
    triggers = [
        inputs.question.submit,
        inputs.question.blur,
        inputs.choices_question.submit,
        inputs.choices_question.blur,
        inputs.options.blur,
        inputs.with_passage.input,
    ]
    for event in (toggled.then, functools.partial(gr.on, triggers)):
        asked = event(refresh.fn, refresh.inputs, refresh.outputs, **LAST)
        asked.then(*refresh.then, **LAST)


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


def show_or_say(
    checkpoints: Library, examples: dict[str, Example], values: BenchValues, known: Sweep, *asked: Any
) -> tuple[Any, ...]:
    """`show`, with a refusal's sentence in the answer's place: what stands there is of other inputs."""
    try:
        return show(checkpoints, examples, values, known, *asked)
    except ValueError as error:
        return gr.skip(), gr.skip(), message(sentence_of(error)), "", "", *emptied()


def show(
    checkpoints: Library, examples: dict[str, Example], values: BenchValues, known: Sweep, *asked: Any
) -> tuple[Any, ...]:
    """(masks, board, answers side by side, their code, cost, the curve's slot); cost and curve of other inputs go.

    Masks that suit the text are left alone, since a click may have changed them while the answer was computed.
    """
    checkpoint, asked = values.checkpoint(checkpoints), Asked(*asked).checked()
    current = current_masks(checkpoint, examples, values, asked.masks)
    masks = gr.skip() if current == asked.masks else current
    asked = asked._replace(masks=current)
    board = ""
    if values.task == "masked-lm":
        board = masked.board(values.text, masked.token_spans(checkpoint, values.text), asked.masks.spans)
    missing = what_is_missing(checkpoint, values, asked)
    if missing:
        return masks, board, message(missing), "", "", *emptied()
    inputs = head_inputs(checkpoint, values, asked)
    reader = prepare(checkpoint, *inputs)
    values = with_whole_windows(checkpoint, values, reader)
    exact, landmark = read_both(checkpoint, inputs, reader, values.settings())
    answer = pair(checkpoint, values, asked, reader, exact, landmark)
    same = known[0] == sweep_key(values, inputs)
    later = (gr.skip(), *SKIPPED) if same else (MEASURING, *emptied())
    return masks, board, answer, for_answers(checkpoint, inputs, values.settings()), *later


def with_whole_windows(checkpoint: Checkpoint, values: BenchValues, reader: Reader) -> BenchValues:
    """The values, with m as the longest window where the bench's m is its whole text: that is called exact there, and a
    question or options make the model's input longer than the text alone."""
    size = TextSize(count_tokens(checkpoint, values.text), checkpoint.max_tokens)
    longest = max(map(len, reader.windows))
    return replace(values, num_landmarks=longest) if size.seen <= values.num_landmarks < longest else values


def read_both(
    checkpoint: Checkpoint, inputs: tuple[Any, ...], reader: Reader, settings: AttentionSettings
) -> tuple[Any, Any]:
    """The head's results under exact attention and under `settings`, those of a short text on a CPU at once."""
    short = checkpoint.device.type == "cpu" and sum(map(len, reader.windows)) <= SHORT_TOKENS
    at_once = 2 if short and settings != EXACT else 1
    admit_both(checkpoint, reader, settings, at_once=at_once)
    exact, landmark = (functools.partial(read_once, checkpoint, inputs, reader, chosen) for chosen in (EXACT, settings))
    return HALVES.both(exact, landmark) if at_once == 2 else (exact(), landmark())


def admit_both(checkpoint: Checkpoint, reader: Reader, settings: AttentionSettings, *, at_once: int = 1) -> None:
    """Admit the answers under exact attention and under `settings`, so many of them at once."""
    for chosen in (EXACT, settings):
        admit_answer(checkpoint.model.config, reader, chosen, BATCH_TOKENS, at_once=at_once)


def read_once(checkpoint: Checkpoint, inputs: tuple[Any, ...], reader: Reader, settings: AttentionSettings) -> Any:
    """The head's result, computed unless it was asked for before. reader: of these inputs."""
    asked = about(checkpoint.model, "answer", inputs, settings)
    return ANSWERS.recall(asked, lambda: read(checkpoint, [reader], settings)[0])


def sweep_key(values: BenchValues, inputs: tuple[Any, ...]) -> str:
    """What a curve over m depends on."""
    return repr((values.source, values.task, values.device, values.settings().pinv_options(), inputs))


def measure_what_is_shown(
    checkpoints: Library, values: BenchValues, known: Sweep, *asked: Any
) -> Iterator[tuple[Any, ...]]:
    """`measure`, and nothing where there is no answer to measure."""
    steps = measure(checkpoints, values, known, *asked)
    try:
        first = next(steps)
    except ValueError as error:
        if not is_ours(error):
            raise
        # `show_or_say` has said why.
        yield "", *emptied(), Sweep("", [])
        return
    yield first
    yield from steps


def measure(checkpoints: Library, values: BenchValues, known: Sweep, *asked: Any) -> Iterator[tuple[Any, ...]]:
    """(cost, the curve's slot, sweep): the latency of both, then the curve, point by point unless it is known."""
    checkpoint, asked = values.checkpoint(checkpoints), Asked(*asked).checked()
    if what_is_missing(checkpoint, values, asked):
        yield "", *emptied(), Sweep("", [])
        return
    inputs = head_inputs(checkpoint, values, asked)
    reader = prepare(checkpoint, *inputs)
    values = with_whole_windows(checkpoint, values, reader)
    admit_both(checkpoint, reader, values.settings())  # a page asks for an answer first, but not every caller is one
    latency = compare_latency(checkpoint, reader, values.settings())
    yield describe_latency(latency, checkpoint, reader), *SKIPPED, gr.skip()
    key = sweep_key(values, inputs)
    if known[0] == key:
        yield gr.skip(), *draw_curve(known[1], checkpoint, values, inputs, reader), Sweep(*known)
        return
    points, drawn = [], time.monotonic()
    for point in sweep_landmarks(checkpoint, *inputs, settings=swept_settings(values)):
        points.append(point)
        if len(points) > 2 and time.monotonic() - drawn > SECONDS_BETWEEN_DRAWINGS:
            drawn = time.monotonic()
            yield gr.skip(), *draw_curve(points, checkpoint, values, inputs, reader), gr.skip()
    yield gr.skip(), *draw_curve(points, checkpoint, values, inputs, reader), Sweep(key, points)


def swept_settings(values: BenchValues) -> AttentionSettings:
    """The bench's settings of the pseudo-inverse, for a sweep over m."""
    return values.settings()._replace(implementation="nystrom")


def describe_latency(latency: Latency, checkpoint: Checkpoint, reader: Reader) -> str:
    """Both medians in a sentence, with how they were taken."""
    exact, landmark = map(duration, latency.medians)
    runs, windows = len(latency.exact), len(reader.windows)
    cuda = checkpoint.device.type == "cuda"
    where = torch.cuda.get_device_name() if cuda else counted(torch.get_num_threads(), "CPU thread", "CPU threads")
    how = f"Median of {runs} runs each, by turns, after a warm-up" if runs > 1 else "One run each, after a warm-up"
    read = f", {windows:,} windows of up to {max(map(len, reader.windows)):,} tokens" if windows > 1 else ""
    return (
        f'<p class="cost">Forward pass: <b class="exact">{exact}</b> exact, '
        f'<b class="landmark">{landmark}</b> over landmarks. <small>{how}, on {where}{read}.</small></p>'
    )


def draw_curve(
    points: Sequence[SweepPoint], checkpoint: Checkpoint, values: BenchValues, inputs: tuple[Any, ...], reader: Reader
) -> tuple[Any, ...]:
    """The curve's slot."""
    num_tokens = max(map(len, reader.windows))
    place = {"num_tokens": num_tokens, "chosen": min(values.num_landmarks, num_tokens)}
    figure = answer_curve(pd.DataFrame(points), **place)
    return filled(figure, for_answer_curve(checkpoint, inputs, swept_settings(values), **place))
