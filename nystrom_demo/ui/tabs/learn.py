"""Learn: the guided tour, each step computed from the visitor's text."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo import snippets
from nystrom_demo.checkpoints import Library
from nystrom_demo.lessons import PICTURES, Case, Controls, Lesson, load_lessons, load_references
from nystrom_demo.lessons.pictures.answers import readers
from nystrom_demo.limits.admission import admit, admit_answer, timed_call_bytes
from nystrom_demo.limits.estimates import layers_bytes, maps_bytes
from nystrom_demo.tasks.reading import BATCH_TOKENS
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.export import code_section, show_when_unfolded
from nystrom_demo.ui.learn import picture_payload, picture_view, text_payload, text_view
from nystrom_demo.ui.sidebar import head_within, heads_of
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.view import Values, View, wired

# Which controls a step has beside the sidebar; the others stay hidden.
OWN_CONTROLS = {
    "pseudo_inverse": ("learn_layer", "learn_head", "pinv_step"),
    "padding": ("learn_layer", "learn_head", "average_padding", "padding"),
    "cost": (),
    "answers": (),
    "limits": ("sharpness",),
}
HEAD_CONTROLS = ("learn_layer", "learn_head")


class TourControls(NamedTuple):
    """The tour's own inputs. layer and head count from 1 here, and from 0 in the page's state."""

    learn_layer: gr.Slider
    learn_head: gr.Slider
    pinv_step: gr.Slider
    average_padding: gr.Checkbox
    padding: gr.Slider
    sharpness: gr.Slider


class Parts(NamedTuple):
    """The tab's components, and what each shows."""

    text: Any
    picture: Any
    code: Any


def build(checkpoints: Library, store: gr.HTML) -> View:
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
    parts = Parts(text, picture, code)
    _open(parts, checkpoints)

    def fill(state: PageState, changed: frozenset[str]) -> Iterator[Values]:
        yield wired(parts, **show_step(checkpoints, state)._asdict()) | wired(controls, **visible_controls(state))

    def refuse(state: PageState, sentence: str) -> Values:
        shown = Parts(text_payload(state.step, None), picture_payload(state.step, None, sentence), "")
        return wired(parts, **shown._asdict()) | wired(controls, **visible_controls(state))

    return View(fill, refuse, [*parts, *controls], controls._asdict(), picture)


def _open(parts: Parts, checkpoints: Library) -> None:
    """The first step, so that the page opens on a whole one. On the CPU, since ZeroGPU has its GPU for visitors'
    requests only."""
    first = replace(PageState().resolved(load_examples()), device=checkpoints.devices[-1])
    for component, value in zip(parts, show_step(checkpoints, first), strict=True):
        component.value = value


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


def visible_controls(state: PageState) -> dict[str, Any]:
    """Which of the tour's inputs the step has."""
    shown = OWN_CONTROLS.get(load_lessons()[state.step].name, HEAD_CONTROLS)
    return {name: gr.update(visible=name in shown) for name in TourControls._fields}


def show_step(checkpoints: Library, state: PageState) -> Parts:
    """One step on the page's text. ValueError, in one sentence, where there is no picture of it."""
    lesson, case = load_lessons()[state.step], make_case(checkpoints, state)
    admit_step(lesson, case)
    scene = PICTURES[lesson.name](case)
    return Parts(text_payload(state.step, scene), picture_payload(state.step, scene), snippets.for_lesson(lesson, case))


def make_case(checkpoints: Library, state: PageState) -> Case:
    """What the picture is computed from; layer and head are brought within the model's."""
    checkpoint = state.checkpoint(checkpoints)
    layer, head = head_within(heads_of(checkpoint), state.layer, state.head)
    controls = Controls(layer, head, state.pinv_step, state.average_padding, state.padding, state.sharpness)
    return Case(
        checkpoint,
        state.text,
        state.settings(),
        controls,
        checkpoints.boxes[state.device],
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
