"""The bench: what all tabs share. Text, task, landmarks, the pseudo-inverse's settings, device, checkpoint.

Handlers get the bench as plain values in the order of `BenchValues`; `takes_bench` packs them. What a change of the
bench leads to is in `changes`.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo.attention import PINV_ITERATIONS
from nystrom_demo.checkpoints import BUNDLED, Checkpoint, Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.limits.budget import current_limits
from nystrom_demo.limits.validation import check_choice, check_integer, check_switch, check_text
from nystrom_demo.ui.events import AT_ONCE, LAST
from nystrom_demo.ui.examples import Example, example_for, example_of, load_examples
from nystrom_demo.ui.readout import TASK_LABELS, TextSize, checkpoint_line, count_tokens, describe

FIRST_TASK = "sequence-classification"
DEFAULT_LANDMARKS = 16
QUICK_LANDMARKS = (4, 16, 64)
MAX_PINV_ITERATIONS = 20
MAX_SOURCE_CHARS = 200  # of a checkpoint's name; a Hub id has at most 193

# Typing is over when no key came for 0.4 s; until then the settled text stays what it was.
WAIT_FOR_PAUSE = """async (typed, settled) => {
  const turn = (window.benchTyping = (window.benchTyping ?? 0) + 1);
  await new Promise((resolve) => setTimeout(resolve, 400));
  return turn === window.benchTyping ? typed : settled;
}"""


@dataclass(frozen=True)
class BenchValues:
    """The bench's state as a handler gets it. `num_landmarks` 0 means exact attention.

    source: where the checkpoint comes from, "bundled", a folder of the server's, or a Hub id.
    """

    text: str
    task: str
    num_landmarks: int
    pinv_iterations: int
    inv_coeff_init_option: bool
    device: str
    source: str = BUNDLED

    def settings(self) -> AttentionSettings:
        """The chosen landmark attention, or exact attention at 0 landmarks."""
        if not self.num_landmarks:
            return EXACT
        return AttentionSettings("nystrom", self.num_landmarks, self.pinv_iterations, self.inv_coeff_init_option)

    def checkpoint(self, library: Library) -> Checkpoint:
        """The chosen checkpoint under the chosen head on the chosen device; a CheckpointError says why there is none.

        Loads it where nobody asked for it lately, so only what runs behind the gate may call this.
        """
        return library.load(self.source, self.task, self.device)

    def checked(self) -> "BenchValues":
        """The same with every value of its type and in its range. ValueError, in one sentence, for one that is not."""
        limits = current_limits()
        return BenchValues(
            check_text("text", self.text, limits.text_chars, empty=True),
            check_choice("task", self.task, list(TASK_LABELS)),
            check_integer("landmarks", self.num_landmarks, 0, limits.text_tokens),
            check_integer("pseudo-inverse steps", self.pinv_iterations, 0, MAX_PINV_ITERATIONS),
            check_switch("first estimate", self.inv_coeff_init_option),
            self.device,
            check_text("checkpoint", self.source, MAX_SOURCE_CHARS),
        )


class Bench(NamedTuple):
    """The bench's components; the first fields are `BenchValues`', in its order."""

    text: gr.Textbox
    task: gr.Dropdown
    num_landmarks: gr.Slider
    pinv_iterations: gr.Slider
    inv_coeff_init_option: gr.Radio
    device: gr.Dropdown
    source: gr.Dropdown
    settled: gr.Textbox  # the text once typing has paused
    example: gr.Radio
    readout: gr.HTML
    notice: gr.HTML  # what has to be said about the checkpoint; rendered above the tabs
    size: gr.State  # TextSize; the m of a link until its text was counted
    served: gr.State  # (source, task) of the checkpoint that last answered
    layer: gr.Number  # the head that the Attention and Error tabs look at, from 0; hidden
    head: gr.Number
    tour_step: gr.Number  # of the Learn tab, from 0; hidden
    quick: tuple[gr.Button, ...]

    @property
    def inputs(self) -> list[gr.components.Component]:
        """The components that make a `BenchValues`, in its order."""
        return list(self[: len(fields(BenchValues))])


class Refresh(NamedTuple):
    """How a tab is brought up to date: fn(*bench values, *own inputs) -> outputs.

    inputs begins with `bench.inputs`. The app calls fn when the tab opens and when the bench changes while it is open.
    then: an event chained after it, for what may come later than the first answer: (fn, inputs, outputs).
    busy: the output that shows that fn is at work; all of them unless told.
    """

    fn: Callable
    inputs: Sequence[gr.components.Component]
    outputs: Sequence[gr.components.Component]
    then: tuple[Callable, Sequence[gr.components.Component], Sequence[gr.components.Component]] | None = None
    busy: gr.components.Component | None = None


def takes_bench(fn: Callable) -> Callable:
    """fn(values: BenchValues, *own) as a function of the bench's plain values, which it checks, and its own inputs."""
    count = len(fields(BenchValues))
    inner = fn.func if isinstance(fn, functools.partial) else fn
    if inspect.isgeneratorfunction(inner):

        def call(*args: Any):
            yield from fn(BenchValues(*args[:count]).checked(), *args[count:])
    else:

        def call(*args: Any):
            return fn(BenchValues(*args[:count]).checked(), *args[count:])

    call.__name__, call.__doc__ = inner.__name__, inner.__doc__
    return call


def build_bench(library: Library) -> Bench:
    """The bench, inside the current layout, with the events that stay within it: typing, examples, quick landmarks."""
    examples = load_examples()
    first, checkpoint = example_for(FIRST_TASK, examples), library[FIRST_TASK]
    size = TextSize(count_tokens(checkpoint, first.text), checkpoint.max_tokens)
    readout = gr.HTML(describe(size, DEFAULT_LANDMARKS), elem_id="bench-readout")
    slider = gr.Slider(
        1, size.seen, DEFAULT_LANDMARKS, step=1, label="Landmarks m", elem_id="bench-landmarks", buttons=[]
    )
    with gr.Row(elem_id="bench-quick"):
        quick = tuple(
            gr.Button("exact" if m is None else str(m), size="sm", elem_id=f"bench-m-{m or 'exact'}", min_width=40)
            for m in (*QUICK_LANDMARKS, None)
        )
    with gr.Accordion("Text", open=True, elem_id="bench-text-section"):
        example = gr.Radio(
            [(each.label, name) for name, each in examples.items()],
            value=first.name,
            label="Example",
            elem_id="bench-example",
        )
        text = gr.Textbox(first.text, label="Text", lines=7, max_lines=9, elem_id="bench-text")
        settled = gr.Textbox(first.text, visible="hidden", label="Settled text", elem_id="bench-settled")
    with gr.Accordion("Checkpoint and pseudo-inverse", open=True, elem_id="bench-model-section"):
        source = _build_source(library)
        task, iterations, estimate, device = _build_model_section(library)
    layer, head = (
        gr.Number(0, precision=0, visible="hidden", label=name, elem_id=f"attention-{name}")
        for name in ("layer", "head")
    )
    notice = gr.HTML("", visible=False, render=False, elem_id="bench-notice")
    bench = Bench(
        *(text, task, slider, iterations, estimate, device, source),
        *(settled, example, readout, notice, gr.State(size), gr.State((BUNDLED, FIRST_TASK)), layer, head),
        gr.Number(0, precision=0, visible="hidden", label="Step of the tour", elem_id="learn-step"),
        quick,
    )
    _wire(bench, examples)
    return bench


def _build_source(library: Library) -> gr.Dropdown:
    """The choice of checkpoint; shown only where there is one."""
    hub = "A Hub id such as owner/name may be typed here; only safetensors are read, and no code."
    return gr.Dropdown(
        source_choices(library),
        value=BUNDLED,
        label="Checkpoint",
        info=hub if library.hub else None,
        allow_custom_value=library.hub,  # gradio then checks nothing; the library does
        visible=library.hub or bool(library.folders()),
        elem_id="bench-source",
    )


def source_choices(library: Library) -> list[str]:
    """What the choice of checkpoint lists now."""
    return [BUNDLED, *library.folders()]


def _build_model_section(library: Library) -> tuple[gr.Dropdown, gr.Slider, gr.Radio, gr.Dropdown]:
    task = gr.Dropdown(
        [(label, task) for task, label in TASK_LABELS.items()],
        value=FIRST_TASK,
        label="Task",
        info=checkpoint_line(library[FIRST_TASK]),
        elem_id="bench-task",
    )
    iterations = gr.Slider(
        0,
        MAX_PINV_ITERATIONS,
        PINV_ITERATIONS,
        step=1,
        label="Pseudo-inverse steps",
        elem_id="bench-pinv-iterations",
        buttons=[],
    )
    estimate = gr.Radio(
        [("over all heads", False), ("each matrix", True)],
        value=False,
        label="First estimate scaled by the norms of",
        elem_id="bench-first-estimate",
    )
    devices = library.devices
    device = gr.Dropdown(devices, value=devices[0], label="Device", visible=len(devices) > 1, elem_id="bench-device")
    return task, iterations, estimate, device


def _wire(bench: Bench, examples: dict[str, Example]) -> None:
    # change, not input, which a gr.Textbox leaves out for pasting and for the delete key
    bench.text.change(
        None,
        [bench.text, bench.settled],
        bench.settled,
        js=WAIT_FOR_PAUSE,
        trigger_mode="multiple",
        api_visibility="private",
    )
    bench.example.input(
        functools.partial(load_example, examples), bench.example, [bench.text, bench.settled], **LAST, **AT_ONCE
    )
    for button, m in zip(bench.quick, (*QUICK_LANDMARKS, None), strict=True):
        button.click(functools.partial(quick_landmarks, m), bench.size, bench.num_landmarks, **LAST, **AT_ONCE)


def load_example(examples: dict[str, Example], name: str) -> tuple[str, str]:
    """The text of the example picked, for the text box and for the settled text."""
    example = examples[check_choice("example", name, list(examples))]
    return example.text, example.text


def suit_head(examples: dict[str, Example], task: str, text: str) -> tuple[str, str]:
    """The head's own example where the text is an unedited example, the visitor's text otherwise."""
    text = example_for(task, examples).text if example_of(text, examples) else text
    return text, text


def quick_landmarks(m: int | None, size: TextSize | int) -> Any:
    """m, or the number of tokens where m is None (exact) or larger than it."""
    if isinstance(size, int):
        return gr.skip()
    return size.seen if m is None else min(m, size.seen)


def heads_of(checkpoint: Checkpoint) -> tuple[int, int]:
    """(layers, heads a layer)"""
    config = checkpoint.model.config
    return config.num_hidden_layers, config.num_attention_heads


def head_within(shape: tuple[int, int], layer: int, head: int) -> tuple[int, int]:
    """Layer and head, both from 0, brought within (layers, heads), for a choice that was made on a larger model."""
    chosen = zip(("layer", "head"), (layer, head), shape, strict=True)
    return tuple(min(check_integer(name, place, 0, 10_000), size - 1) for name, place, size in chosen)
