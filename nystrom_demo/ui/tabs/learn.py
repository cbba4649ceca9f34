"""Learn: the guided tour, each step computed from the visitor's text."""

import functools
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo import snippets
from nystrom_demo.checkpoints import Library
from nystrom_demo.errors import UserError
from nystrom_demo.lessons import PICTURES, Case, Controls, Lesson, load_lessons, load_references
from nystrom_demo.lessons.pictures.answers import readers
from nystrom_demo.limits.admission import admit, admit_answer, timed_call_bytes
from nystrom_demo.limits.estimates import layers_bytes, maps_bytes
from nystrom_demo.limits.validation import check_integer, check_number, check_switch
from nystrom_demo.tasks.reading import BATCH_TOKENS
from nystrom_demo.ui.events import AT_ONCE, EACH, LAST
from nystrom_demo.ui.export import code_section, show_when_unfolded
from nystrom_demo.ui.learn import picture_payload, picture_view, text_payload, text_view
from nystrom_demo.ui.refresh import fingerprint
from nystrom_demo.ui.sidebar import Bench, BenchValues, Refresh, head_within, heads_of, takes_bench

# Which controls a step has beside the bench; the others stay hidden.
OWN_CONTROLS = {
    "pseudo_inverse": ("layer", "head", "step"),
    "padding": ("layer", "head", "average_padding", "padding"),
    "cost": (),
    "answers": (),
    "limits": ("sharpness",),
}
HEAD_CONTROLS = ("layer", "head")


class TourControls(NamedTuple):
    """The tour's own components. layer and head count from 1 here, and set the bench's, which count from 0."""

    layer: gr.Slider
    head: gr.Slider
    step: gr.Slider
    average_padding: gr.Checkbox
    padding: gr.Slider
    sharpness: gr.Slider


def build(bench: Bench, checkpoints: Library) -> Refresh:
    """The tour: its text on the left, its picture on the right."""
    with gr.Row(elem_id="learn", equal_height=False):
        with gr.Column(scale=4, min_width=320):
            text = text_view("learn-text")
        with gr.Column(scale=6, min_width=320):
            with gr.Row(elem_id="learn-controls"):
                controls = _build_controls(checkpoints)
            picture = picture_view("learn-picture")
            code = code_section("learn-code")
            with gr.Accordion("Sources, and what other methods trade", open=False, elem_id="learn-sources") as sources:
                show_when_unfolded(sources, gr.Markdown(load_references(), visible=False))
    inputs = [*bench.inputs, bench.tour_step, bench.layer, bench.head, *controls[2:]]
    outputs = [text, picture, code, *controls]
    fn = takes_bench(functools.partial(show_step, checkpoints))
    # So that the page opens on a whole step. On the CPU, since ZeroGPU has its GPU for visitors' requests only.
    values = {component: component.value for component in inputs} | {bench.device: checkpoints.devices[-1]}
    first = fn(*values.values())
    text.value, picture.value, code.value = first[:3]
    for view in (text, picture):
        view.go(go, None, bench.tour_step, **EACH, **AT_ONCE)
    chosen = gr.on(
        [controls.layer.input, controls.head.input],
        None,
        [controls.layer, controls.head],
        [bench.layer, bench.head],
        js="(layer, head) => [layer - 1, head - 1]",
        **LAST,
    )
    # One event alone draws, whatever changed, so that the answer to an older question never comes last: what the bench
    # and the sliders change goes through `news`, which says for what.
    news = gr.Textbox("", visible="hidden", label="What the tour is to show", elem_id="learn-news")
    tell = Refresh(name_values, [*bench.inputs, bench.layer, bench.head], [news])
    chosen.then(*tell[:3], **LAST, **AT_ONCE)
    changes = [component.change for component in (news, bench.tour_step, *controls[2:])]
    gr.on(changes, fn, inputs, outputs, **LAST)
    return tell


def _build_controls(checkpoints: Library) -> TourControls:
    config = next(iter(checkpoints.values())).model.config
    start = Controls()
    slider = functools.partial(gr.Slider, step=1, min_width=180, buttons=[])
    return TourControls(
        slider(1, max(config.num_hidden_layers, 2), start.layer + 1, label="Layer", elem_id="learn-layer"),
        slider(1, max(config.num_attention_heads, 2), start.head + 1, label="Head", elem_id="learn-head"),
        slider(0, 12, start.step, label="Steps taken", visible=False, elem_id="learn-pinv-step"),
        gr.Checkbox(
            start.average_padding,
            label="Landmarks average padding",
            visible=False,
            min_width=180,
            elem_id="learn-average-padding",
        ),
        slider(
            0,
            100,
            start.padding,
            label="Padding, % of the text",
            visible=False,
            elem_id="learn-padding",
        ),
        slider(0, 15, start.sharpness, label="Sharpness β", visible=False, elem_id="learn-sharpness"),
    )


def name_values(*shown: Any) -> str:
    """A name for the bench's values with layer and head, which changes when they do."""
    return fingerprint(shown)


def go(event: gr.EventData) -> int:
    """The step that was asked for, within the tour."""
    return nearest_step(getattr(event, "step", None))


def nearest_step(index: Any) -> int:
    """A step of the tour, whatever was asked for."""
    last = len(load_lessons()) - 1
    return min(max(int(index), 0), last) if isinstance(index, int | float) and index == index else 0


def show_step(checkpoints: Library, values: BenchValues, index: int, *controls: Any) -> tuple[Any, ...]:
    """(text, picture, code, the controls) of one step on the bench's text. `controls` are `Controls`' values."""
    index = nearest_step(index)
    lesson = load_lessons()[index]
    shown = OWN_CONTROLS.get(lesson.name, HEAD_CONTROLS)
    visible = [gr.update(visible=name in shown) for name in TourControls._fields]
    try:
        case = make_case(checkpoints, values, *controls)
        config = case.checkpoint.model.config
        sizes = zip(HEAD_CONTROLS, (config.num_hidden_layers, config.num_attention_heads), strict=True)
        visible[:2] = (
            gr.update(visible=name in shown, value=getattr(case.controls, name) + 1, maximum=max(size, 2))
            for name, size in sizes
        )
        admit_step(lesson, case)
        scene = PICTURES[lesson.name](case)
    except UserError as error:
        return text_payload(index, None), picture_payload(index, None, str(error)), "", *visible
    return text_payload(index, scene), picture_payload(index, scene), snippets.for_lesson(lesson, case), *visible


def make_case(checkpoints: Library, values: BenchValues, *controls: Any) -> Case:
    """What the picture is computed from; layer and head are brought within the model's."""
    checkpoint = values.checkpoint(checkpoints)
    layer, head, step, average_padding, padding, sharpness = controls
    return Case(
        checkpoint,
        values.text,
        values.settings(),
        Controls(
            *head_within(heads_of(checkpoint), layer, head),
            step=check_integer("step", step, 0, 12),
            average_padding=check_switch("average_padding", average_padding),
            padding=check_integer("padding", padding, 0, 100),
            sharpness=check_number("sharpness", sharpness, 0, 15),
        ),
        checkpoints.boxes[values.device],
        timed_call_bytes(),
    )


def admit_step(lesson: Lesson, case: Case) -> None:
    """UserError where the step's picture, its text's layer and the maps of all heads, is beyond a request's memory."""
    config = case.checkpoint.model.config
    longest = 2 * case.n if lesson.name == "padding" else case.n  # the text, padded to twice its length
    needed = layers_bytes(config, longest) + config.num_attention_heads * maps_bytes(longest, case.m)
    admit(needed, f"The picture of {longest:,} tokens")
    if lesson.name == "answers":
        for _, reader in readers(case):
            admit_answer(case.checkpoints[reader.task].model.config, reader, case.landmark_settings, BATCH_TOKENS)
