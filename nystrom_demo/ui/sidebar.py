"""The sidebar: what all tabs share. Text, landmarks and, folded, task, checkpoint and the pseudo-inverse's settings."""

from typing import NamedTuple

import gradio as gr
from gradio.components import Component

from nystrom_demo.attention import PINV_ITERATIONS
from nystrom_demo.checkpoints import BUNDLED, Checkpoint, Library
from nystrom_demo.limits.validation import check_integer
from nystrom_demo.tasks import TASKS
from nystrom_demo.ui.examples import example_for, load_examples
from nystrom_demo.ui.permalink import Permalink, build_permalink
from nystrom_demo.ui.readout import TextSize, checkpoint_line, count_tokens, describe
from nystrom_demo.ui.state import DEFAULT_LANDMARKS, FIRST_TASK, MAX_PINV_ITERATIONS

QUICK_LANDMARKS = (4, 16, 64, 0)


class Sidebar(NamedTuple):
    """The sidebar's components; the first ones are inputs, by the names of `inputs`."""

    text: gr.Textbox
    example: gr.Radio
    num_landmarks: gr.Slider
    quick: gr.Radio
    task: gr.Dropdown
    source: gr.Dropdown
    device: gr.Dropdown
    pinv_iterations: gr.Slider
    inv_coeff_init_option: gr.Radio
    readout: gr.HTML
    notice: gr.HTML  # what has to be said about the checkpoint; rendered above the tabs
    permalink: Permalink

    @property
    def inputs(self) -> dict[str, Component]:
        """What the visitor sets here, by name: fields of the state, and the quick choice of m."""
        return dict(zip(self._fields[:9], self[:9], strict=True))


def build_sidebar(library: Library) -> Sidebar:
    """The sidebar, inside the current layout."""
    examples = load_examples()
    first, checkpoint = example_for(FIRST_TASK, examples), library[FIRST_TASK]
    size = TextSize(count_tokens(checkpoint, first.text), checkpoint.max_tokens)
    with gr.Accordion("Text", open=True, elem_id="sidebar-text-section"):
        example = gr.Radio(
            [(each.label, name) for name, each in examples.items()],
            value=first.name,
            label="Example",
            elem_id="sidebar-example",
            elem_classes="segmented",
        )
        text = gr.Textbox(
            first.text,
            label="Text",
            placeholder="Type or paste a text of your own.",
            lines=7,
            max_lines=9,
            elem_id="sidebar-text",
            elem_classes="own-direction",
        )
    readout = gr.HTML(describe(size, DEFAULT_LANDMARKS), elem_id="sidebar-readout")
    quick = gr.Radio(
        [("exact" if not m else str(m), m) for m in QUICK_LANDMARKS],
        value=DEFAULT_LANDMARKS,
        label="Landmarks m",
        elem_id="sidebar-quick",
        elem_classes="segmented",
    )
    slider = gr.Slider(
        1,
        size.seen,
        min(DEFAULT_LANDMARKS, size.seen),
        step=1,
        label="Any other m",
        elem_id="sidebar-landmarks",
        buttons=[],
    )
    permalink = build_permalink()
    with gr.Accordion("Task, checkpoint, pseudo-inverse", open=False, elem_id="sidebar-model-section"):
        model = _build_model_section(library)
    notice = gr.HTML("", visible=False, render=False, elem_id="sidebar-notice")
    return Sidebar(text, example, slider, quick, *model, readout, notice, permalink)


def _build_model_section(library: Library) -> tuple[Component, ...]:
    """Task, checkpoint, device, and the pseudo-inverse's settings, each shown only where there is a choice."""
    task = gr.Dropdown(
        [(task.label, task.id) for task in TASKS.values()],
        value=FIRST_TASK,
        label="Task",
        info=checkpoint_line(library[FIRST_TASK]),
        elem_id="sidebar-task",
    )
    hub = "A Hub id such as owner/name may be typed here; only safetensors are read, and no code."
    source = gr.Dropdown(
        source_choices(library),
        value=BUNDLED,
        label="Checkpoint",
        info=hub if library.hub else None,
        allow_custom_value=library.hub,  # gradio then checks nothing; the library does
        visible=library.hub or bool(library.folders()),
        elem_id="sidebar-source",
    )
    devices = library.devices
    device = gr.Dropdown(devices, value=devices[0], label="Device", visible=len(devices) > 1, elem_id="sidebar-device")
    iterations = gr.Slider(
        0,
        MAX_PINV_ITERATIONS,
        PINV_ITERATIONS,
        step=1,
        label="Pseudo-inverse steps",
        elem_id="sidebar-pinv-iterations",
        buttons=[],
    )
    estimate = gr.Radio(
        [("over all heads", False), ("each matrix", True)],
        value=False,
        label="First estimate scaled by the norms of",
        elem_id="sidebar-first-estimate",
    )
    return task, source, device, iterations, estimate


def source_choices(library: Library) -> list[str]:
    """What the choice of checkpoint lists now."""
    return [BUNDLED, *library.folders()]


def heads_of(checkpoint: Checkpoint) -> tuple[int, int]:
    """(layers, heads a layer)"""
    config = checkpoint.model.config
    return config.num_hidden_layers, config.num_attention_heads


def head_within(shape: tuple[int, int], layer: int, head: int) -> tuple[int, int]:
    """Layer and head, both from 0, brought within (layers, heads), for a choice that was made on a larger model."""
    chosen = zip(("layer", "head"), (layer, head), shape, strict=True)
    return tuple(min(check_integer(name, place, 0, 10_000), size - 1) for name, place, size in chosen)
