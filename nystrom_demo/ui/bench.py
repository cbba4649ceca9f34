"""The bench: what all tabs share. Text, checkpoint, landmarks, the pseudo-inverse's settings, device.

Handlers get the bench as plain values in the order of `BenchValues`; `takes_bench` packs them.
"""

import functools
import html
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo.attention import PINV_ITERATIONS
from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.serving.limits import current_limits
from nystrom_demo.serving.validation import check_choice, check_integer, check_switch, check_text
from nystrom_demo.ui.examples import Example, example_for, example_of, load_examples

TASK_LABELS = {
    "masked-lm": "Masked words",
    "sequence-classification": "Sentiment",
    "token-classification": "Entities",
    "question-answering": "Answers",
    "multiple-choice": "Choices",
}
FIRST_TASK = "sequence-classification"
DEFAULT_LANDMARKS = 16
QUICK_LANDMARKS = (4, 16, 64)
MAX_PINV_ITERATIONS = 20

# Typing is over when no key came for 0.4 s; until then the settled text stays what it was.
WAIT_FOR_PAUSE = """async (typed, settled) => {
  const turn = (window.benchTyping = (window.benchTyping ?? 0) + 1);
  await new Promise((resolve) => setTimeout(resolve, 400));
  return turn === window.benchTyping ? typed : settled;
}"""


@dataclass(frozen=True)
class BenchValues:
    """The bench's state as a handler gets it. `num_landmarks` 0 means exact attention."""

    text: str
    task: str
    num_landmarks: int
    pinv_iterations: int
    inv_coeff_init_option: bool
    device: str

    def settings(self) -> AttentionSettings:
        """The chosen landmark attention, or exact attention at 0 landmarks."""
        if not self.num_landmarks:
            return EXACT
        return AttentionSettings("nystrom", self.num_landmarks, self.pinv_iterations, self.inv_coeff_init_option)

    def checkpoint(self, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
        """The chosen head's checkpoint on the chosen device. ValueError where there is none."""
        devices = {checkpoint.device.type for checkpoint in checkpoints.values()}
        check_choice("device", self.device, sorted(devices))
        main = checkpoints[self.task]
        return main if main.device.type == self.device else checkpoints[f"{self.task}@{self.device}"]

    def checked(self) -> "BenchValues":
        """The same with every value of its type and in its range. ValueError, in one sentence, for one that is not."""
        limits = current_limits()
        return BenchValues(
            check_text("text", self.text, limits.text_chars, empty=True),
            check_choice("checkpoint", self.task, list(TASK_LABELS)),
            check_integer("landmarks", self.num_landmarks, 0, limits.text_tokens),
            check_integer("pseudo-inverse steps", self.pinv_iterations, 0, MAX_PINV_ITERATIONS),
            check_switch("first estimate", self.inv_coeff_init_option),
            self.device,
        )


class Bench(NamedTuple):
    """The bench's components; the first fields are `BenchValues`', in its order."""

    text: gr.Textbox
    task: gr.Dropdown
    num_landmarks: gr.Slider
    pinv_iterations: gr.Slider
    inv_coeff_init_option: gr.Radio
    device: gr.Dropdown
    settled: gr.Textbox  # the text once typing has paused
    example: gr.Radio
    readout: gr.HTML
    num_tokens: gr.State
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


def build_bench(checkpoints: dict[str, Checkpoint]) -> Bench:
    """The bench, inside the current layout, its own events wired: examples, token count, quick landmarks."""
    examples = load_examples()
    first = example_for(FIRST_TASK, examples)
    num_tokens = count_tokens(checkpoints[FIRST_TASK], first.text)
    readout = gr.HTML(
        describe(num_tokens, DEFAULT_LANDMARKS, checkpoints[FIRST_TASK].max_tokens), elem_id="bench-readout"
    )
    slider = gr.Slider(
        1, num_tokens, DEFAULT_LANDMARKS, step=1, label="Landmarks m", elem_id="bench-landmarks", buttons=[]
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
        task, iterations, estimate, device = _build_model_section(checkpoints)
    layer, head = (
        gr.Number(0, precision=0, visible="hidden", label=name, elem_id=f"attention-{name}")
        for name in ("layer", "head")
    )
    tour_step = gr.Number(0, precision=0, visible="hidden", label="Step of the tour", elem_id="learn-step")
    shared = (text, task, slider, iterations, estimate, device)
    bench = Bench(*shared, settled, example, readout, gr.State(num_tokens), layer, head, tour_step, quick)
    _wire(bench, checkpoints, examples)
    return bench


def _build_model_section(checkpoints: dict[str, Checkpoint]) -> tuple[gr.Dropdown, gr.Slider, gr.Radio, gr.Dropdown]:
    task = gr.Dropdown(
        [(label, task) for task, label in TASK_LABELS.items()],
        value=FIRST_TASK,
        label="Checkpoint",
        info=_checkpoint_line(checkpoints[FIRST_TASK]),
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
    devices = list(dict.fromkeys(checkpoint.device.type for checkpoint in checkpoints.values()))
    device = gr.Dropdown(devices, value=devices[0], label="Device", visible=len(devices) > 1, elem_id="bench-device")
    return task, iterations, estimate, device


def _wire(bench: Bench, checkpoints: dict[str, Checkpoint], examples: dict[str, Example]) -> None:
    private = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
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
        functools.partial(load_example, examples), bench.example, [bench.text, bench.settled], **private
    )
    bench.task.input(
        functools.partial(suit_head, examples),
        [bench.task, bench.text],
        [bench.text, bench.settled],
        **private,
    )
    measured = gr.on(
        [bench.settled.change, bench.task.change],
        functools.partial(measure, checkpoints, examples),
        [bench.text, bench.task, bench.num_landmarks, bench.num_tokens],
        [bench.num_tokens, bench.num_landmarks, bench.example, bench.task],
        **private,
    )
    measured.then(
        functools.partial(end_range, checkpoints), [bench.task, bench.num_tokens], bench.num_landmarks, **private
    )
    for button, m in zip(bench.quick, (*QUICK_LANDMARKS, None), strict=True):
        button.click(functools.partial(quick_landmarks, m), bench.num_tokens, bench.num_landmarks, **private)


def load_example(examples: dict[str, Example], name: str) -> tuple[str, str]:
    """The text of the example picked, for the text box and for the settled text."""
    return examples[name].text, examples[name].text


def suit_head(examples: dict[str, Example], task: str, text: str) -> tuple[str, str]:
    """The head's own example where the text is an unedited example, the visitor's text otherwise."""
    text = example_for(task, examples).text if example_of(text, examples) else text
    return text, text


def measure(
    checkpoints: dict[str, Checkpoint],
    examples: dict[str, Example],
    text: str,
    task: str,
    num_landmarks: int,
    old_num_tokens: int,
) -> tuple[Any, ...]:
    """Token count, slider, example and checkpoint line for a new text; m at its end (exact) stays there."""
    checkpoint = checkpoints[check_choice("checkpoint", task, list(TASK_LABELS))]
    text = check_text("text", text, current_limits().text_chars, empty=True)
    counted = count_tokens(checkpoint, text)
    num_tokens = min(counted, checkpoint.max_tokens)
    m = num_tokens if num_landmarks >= old_num_tokens else min(num_landmarks, num_tokens)
    example = example_of(text, examples)
    return (
        counted,
        # The page sends the old m until this reaches it, so the range ends no lower yet: see `end_range`.
        gr.update(maximum=max(num_tokens, num_landmarks), value=m),
        example.name if example else None,
        gr.update(info=_checkpoint_line(checkpoint)),
    )


def end_range(checkpoints: dict[str, Checkpoint], task: str, num_tokens: int) -> Any:
    """The slider's end at the text's length, once the page holds an m within it."""
    checkpoint = checkpoints[check_choice("checkpoint", task, list(TASK_LABELS))]
    return gr.update(maximum=min(num_tokens, checkpoint.max_tokens))


def quick_landmarks(m: int | None, num_tokens: int) -> int:
    """m, or the number of tokens where m is None (exact) or larger than it."""
    return num_tokens if m is None else min(m, num_tokens)


def count_tokens(checkpoint: Checkpoint, text: str) -> int:
    """Tokens of a text, the two special ones included."""
    return len(checkpoint.tokenizer(text, verbose=False)["input_ids"])


def describe(num_tokens: int, num_landmarks: int, max_tokens: int) -> str:
    """What m means for this text, as markup of our own numbers."""
    seen = min(num_tokens, max_tokens)
    windows = f" in windows of {max_tokens:,}" if num_tokens > max_tokens else ""
    facts = f"<b>{num_tokens:,}</b> tokens{windows}"
    if not num_landmarks or num_landmarks >= seen:
        return f"<p>{facts}, attended <b>exactly</b></p>"
    return f"<p>{facts}, <b>{num_landmarks:,}</b> landmarks: one for <b>{seen / num_landmarks:.3g}</b> tokens</p>"


def _checkpoint_line(checkpoint: Checkpoint) -> str:
    line = f"{html.escape(checkpoint.name)}, {checkpoint.num_parameters / 1e6:.3g} million parameters"
    return line + ", its head is new and untrained" if checkpoint.new_head else line
