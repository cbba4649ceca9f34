"""Tasks: what each head answers under exact attention and under landmarks, side by side.

The answer comes first; latency and the curve over m follow it.
"""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
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
from nystrom_demo.limits.parallel import SIDE_BY_SIDE
from nystrom_demo.snippets.tasks import for_answer_curve, for_answers
from nystrom_demo.tasks import TASKS, SweepPoint, prepare, sweep_landmarks
from nystrom_demo.tasks.latency import Latency, compare_latency
from nystrom_demo.tasks.reading import BATCH_TOKENS, Reader, read
from nystrom_demo.ui.examples import Example, are_examples, example_for, load_examples
from nystrom_demo.ui.export import answer_menu, code_section, emptied, figure_slot, filled
from nystrom_demo.ui.readout import TextSize, count_tokens
from nystrom_demo.ui.state import FIRST_TASK, PageState
from nystrom_demo.ui.task_views import answers, masked
from nystrom_demo.ui.task_views.comparison import compare_answers
from nystrom_demo.ui.task_views.inputs import TaskInputs, hidden_spans, task_inputs
from nystrom_demo.ui.task_views.markup import message
from nystrom_demo.ui.task_views.registry import TASK_VIEWS
from nystrom_demo.ui.view import Values, View, slotted

MEASURING = '<p class="cost"><small>Timing both, then asking with other m …</small></p>'
SECONDS_BETWEEN_DRAWINGS = 1.0
SHORT_TOKENS = 1_024  # of all windows; up to here two passes at once were faster than in turn on two cores


class Parts(NamedTuple):
    """The tab's components, and what each shows; curve: a figure's slot."""

    board: Any
    answer: Any
    code: Any
    cost: Any
    curve: Any


class Ask(NamedTuple):
    """A head with what it is asked, tokenised: all that an answer depends on. inputs: those of the head's function."""

    checkpoint: Checkpoint
    state: PageState
    task_inputs: TaskInputs
    inputs: tuple[Any, ...]
    reader: Reader


def build(checkpoints: Library, store: gr.HTML) -> View:
    """The tab's components."""
    examples = load_examples()
    head = gr.Radio(
        [(task.label, task.id) for task in TASKS.values()],
        value=FIRST_TASK,
        label="Head",
        show_label=False,
        elem_id="tasks-head",
        elem_classes="segmented",
    )
    board = gr.HTML(elem_id="tasks-board", js_on_load=masked.BOARD_JS)
    inputs = _build_inputs(example_for(FIRST_TASK, examples))
    with gr.Column(elem_classes="answer-slot"):
        answer = gr.HTML(elem_id="tasks-answer", js_on_load=answers.SCROLL_JS)
        answer_menu("tasks-answer-menu")
        code = code_section("tasks-answer-code")
    cost = gr.HTML(elem_id="tasks-cost")
    curve = figure_slot(
        "The exact answer's probability as m grows", "tasks-curve", "hollow where landmarks answer otherwise"
    )
    parts = Parts(board, answer, code, cost, curve)

    def fill(state: PageState, changed: frozenset[str]) -> Iterator[Values]:
        return (wired_parts(parts, piece) for piece in show(checkpoints, examples, state))

    def refuse(state: PageState, sentence: str) -> Values:
        return wired_parts(parts, said(state, sentence))

    outputs = [*parts[:4], *curve]
    return View(fill, refuse, outputs, {"tasks_head": head, **inputs}, answer, needs_text=False)


def wired_parts(parts: Parts, piece: dict[str, Any]) -> Values:
    """Named results under their components, the curve's under those of its slot."""
    values: Values = {}
    for name, result in piece.items():
        values |= slotted(parts.curve, result) if name == "curve" else {getattr(parts, name): result}
    return values


def _build_inputs(example: Example) -> dict[str, gr.components.Component]:
    """The inputs by name. The style sheet shows those of the head that has them: see `said`."""
    own = {"max_lines": 6, "elem_classes": "own-direction"}
    with gr.Column(elem_id="tasks-question-group", elem_classes="ask"):
        question = gr.Textbox(
            example.question,
            label="Question about the text",
            placeholder="Type a question; it is answered as you pause.",
            elem_id="tasks-question",
            **own,
        )
    with gr.Column(elem_id="tasks-choices-group", elem_classes="ask"):
        choices_question = gr.Textbox(
            example.choices_question,
            label="Question",
            placeholder="Type a question, or the beginning of a statement.",
            elem_id="tasks-choices-question",
            **own,
        )
        options = gr.Textbox(
            "\n".join(example.choices),
            label="Options, one a line, two to six",
            placeholder="Type two options or more, one a line.",
            lines=4,
            elem_id="tasks-options",
            **own,
        )
        with_passage = gr.Checkbox(True, label="Read the text first", elem_id="tasks-with-passage")
    return {
        "question": question,
        "choices_question": choices_question,
        "options": options,
        "with_passage": with_passage,
    }


def show(checkpoints: Library, examples: Mapping[str, Example], state: PageState) -> Iterator[dict[str, Any]]:
    """`Parts` by name: the answers side by side, then what both cost, then the curve over m, point by point."""
    checkpoint = state.checkpoint(checkpoints)
    view, board, masks = TASK_VIEWS[state.task], "", []
    if "board" in view.shows:
        masks = hidden_spans(checkpoint, examples, state)
        board = masked.board(state.text, masked.token_spans(checkpoint, state.text), masks)
    inputs = task_inputs(state, masks)
    missing = view.missing(checkpoint, inputs)
    if missing:
        yield said(state, missing, board)
        return
    ask = make_ask(checkpoint, state, inputs)
    exact, landmark = read_both(ask)
    answer = compare_answers(checkpoint, ask.state.num_landmarks, inputs, ask.reader, exact, landmark)
    code = for_answers(checkpoint, ask.inputs, ask.state.settings())
    yield said(state, "", board) | {"answer": answer, "code": code, "cost": MEASURING}
    yield from measure(ask, view.nothing(exact))


def said(state: PageState, sentence: str, board: str = "") -> dict[str, Any]:
    """A sentence in the answer's place, with the inputs that the head has: whatever stood there was of other inputs."""
    # Not by gradio's `visible`: what one of several answers in quick succession makes visible may stay away (6.31).
    shows = f'<i data-shows="{" ".join(TASK_VIEWS[state.task].shows)}"></i>'
    return {"board": shows + board, "answer": message(sentence), "code": "", "cost": "", "curve": emptied()}


def make_ask(checkpoint: Checkpoint, state: PageState, inputs: TaskInputs) -> Ask:
    """What is asked; m is the longest window's where the chosen m is the whole text."""
    head_inputs = TASK_VIEWS[state.task].head_inputs(checkpoint, inputs)
    reader = prepare(checkpoint, *head_inputs)
    return Ask(checkpoint, with_whole_windows(checkpoint, state, reader), inputs, head_inputs, reader)


def with_whole_windows(checkpoint: Checkpoint, state: PageState, reader: Reader) -> PageState:
    """The state, with m as the longest window where m is the whole text: that is called exact there, and a question or
    options make the model's input longer than the text alone."""
    size = TextSize(count_tokens(checkpoint, state.text), checkpoint.max_tokens)
    longest = max(map(len, reader.windows))
    return replace(state, num_landmarks=longest) if size.seen <= state.num_landmarks < longest else state


def read_both(ask: Ask) -> tuple[Any, Any]:
    """The head's results under exact attention and under the chosen one, those of a short text on a CPU at once."""
    settings = ask.state.settings()
    short = ask.checkpoint.device.type == "cpu" and sum(map(len, ask.reader.windows)) <= SHORT_TOKENS
    at_once = 2 if short and settings != EXACT else 1
    admit_both(ask, at_once=at_once)
    exact, landmark = (functools.partial(read_once, ask, chosen) for chosen in (EXACT, settings))
    return SIDE_BY_SIDE.both(exact, landmark) if at_once == 2 else (exact(), landmark())


def admit_both(ask: Ask, *, at_once: int = 1) -> None:
    """Admit the answers under exact attention and under the chosen one, so many of them at once."""
    for chosen in (EXACT, ask.state.settings()):
        both = chosen != EXACT
        admit_answer(ask.checkpoint.model.config, ask.reader, chosen, BATCH_TOKENS, at_once=at_once, with_exact=both)


def read_once(ask: Ask, settings: AttentionSettings) -> Any:
    """The head's result, computed unless it was asked for before."""
    asked = about(ask.checkpoint.model, "answer", ask.inputs, settings, shared=are_examples(*ask.inputs))
    return ANSWERS.get_or_compute(asked, lambda: read(ask.checkpoint, [ask.reader], settings)[0])


def measure(ask: Ask, nothing: str | None = None) -> Iterator[dict[str, Any]]:
    """The latency of both, then the curve, point by point unless it is known. nothing: why there is no curve."""
    latency = compare_latency(ask.checkpoint, ask.reader, ask.state.settings())
    yield {"cost": describe_latency(latency, ask.checkpoint, ask.reader)}
    if nothing:
        yield {"curve": emptied(nothing)}
        return
    points, drawn = [], time.monotonic()
    for point in sweep(ask):
        points.append(point)
        if len(points) > 2 and time.monotonic() - drawn > SECONDS_BETWEEN_DRAWINGS:
            drawn = time.monotonic()
            yield {"curve": draw_curve(points, ask)}
    yield {"curve": draw_curve(points, ask)}


def sweep(ask: Ask) -> Iterator[SweepPoint]:
    """The points of the curve, which m itself does not change."""
    settings = swept_settings(ask.state)
    shared = are_examples(*ask.inputs)
    asked = about(ask.checkpoint.model, "curve", ask.inputs, settings.pinv_options(), shared=shared)
    return ANSWERS.replay(asked, lambda: sweep_landmarks(ask.checkpoint, *ask.inputs, settings=settings))


def swept_settings(state: PageState) -> AttentionSettings:
    """The chosen settings of the pseudo-inverse, for a sweep over m."""
    return state.settings()._replace(implementation="nystrom")


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


def draw_curve(points: Sequence[SweepPoint], ask: Ask) -> tuple[Any, ...]:
    """The curve's slot."""
    num_tokens = max(map(len, ask.reader.windows))
    place = {"num_tokens": num_tokens, "chosen": min(ask.state.num_landmarks, num_tokens)}
    figure = answer_curve(pd.DataFrame(points), **place)
    return filled(figure, for_answer_curve(ask.checkpoint, ask.inputs, swept_settings(ask.state), **place))
