"""The Error tab's section on long texts: exact against landmark attention at up to 16,384 tokens, block by block."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gradio as gr
import torch

from nystrom_demo.analysis import LayerInputs
from nystrom_demo.analysis.lengths import LengthPoint, error_against_length, random_inputs, repeated_inputs
from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.config import AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.figures.lengths import error_against_length as draw
from nystrom_demo.formatting import duration, percent
from nystrom_demo.limits.admission import admit_lengths
from nystrom_demo.limits.validation import check_integer
from nystrom_demo.snippets import HeadView, errors
from nystrom_demo.ui.events import AT_ONCE, ONCE
from nystrom_demo.ui.export import emptied, figure_slot, filled
from nystrom_demo.ui.readout import count_tokens
from nystrom_demo.ui.request import shown_state
from nystrom_demo.ui.sidebar import head_within, heads_of
from nystrom_demo.ui.state import LONG_TEXTS, PageState
from nystrom_demo.ui.view import Values, wired

LENGTHS = (512, 1_024, 2_048, 4_096, 8_192, 16_384)
MAX_LANDMARKS = 1_024  # a pseudo-inverse takes m³ operations, and past this more than the comparison itself
WINDOW_TOKENS = 1_024
SOURCE_LABELS = ("the text, repeated", "random q, k, v")
INTRODUCTION = (
    "Long enough texts have maps that no memory holds: 16,384 tokens make 268 million weights a head. Here the exact "
    "map is made a few rows at a time, compared and forgotten, so that the error itself can be seen at that length."
)


class LongText(NamedTuple):
    """What is measured: a head of a checkpoint on the text, repeated,, or on random numbers of its shape."""

    view: HeadView
    source: str
    ratio: float  # tokens for each landmark, where m grows with n

    @property
    def settings(self) -> AttentionSettings:
        return self.view.settings

    @property
    def window(self) -> int | None:
        """Tokens that the model reads at once; None where it reads none."""
        return None if self.source == "random" else min(WINDOW_TOKENS, self.view.checkpoint.max_tokens)

    @property
    def most_landmarks(self) -> int:
        """The largest m of any point where a pseudo-inverse is taken."""
        grown = (m for n in LENGTHS if (m := max(1, round(n / self.ratio))) < n)
        return max((m for m in (self.settings.num_landmarks, *grown) if m <= MAX_LANDMARKS), default=1)


class Parts(NamedTuple):
    """What a measurement fills."""

    plot: Any
    note: Any
    code: Any
    table: Any
    start: Any
    stop: Any


def build(checkpoints: Library, store: gr.HTML) -> gr.Radio:
    """The section's components and events, and its choice of source; it computes only when asked."""
    gr.HTML(f'<h2 class="section">Long texts</h2><p class="prose-line">{INTRODUCTION}</p>')
    with gr.Row(elem_id="long-controls", elem_classes="controls"):
        source = gr.Radio(
            list(zip(SOURCE_LABELS, LONG_TEXTS, strict=True)),
            value="text",
            label="Measure",
            elem_id="long-source",
            elem_classes="segmented",
            scale=0,
            min_width=290,
        )
        start = gr.Button("Measure up to 16,384 tokens", elem_id="long-start", scale=0, min_width=240)
        stop = gr.Button("Stop", elem_id="long-stop", scale=0, min_width=80, visible=False)
    slot = figure_slot("Error against the length of the text", "long-figure")
    table = gr.HTML(elem_id="long-table")
    parts = Parts(*slot, table, start, stop)

    def run(request: str) -> Iterator[Values]:
        for piece in measure(checkpoints, shown_state(checkpoints, request)):
            yield wired(parts, **piece)

    running = start.click(run, store, parts, js="() => pageState.current()", **ONCE)
    stop.click(lambda: wired(parts, **stopped()), None, [start, stop], cancels=[running], **ONCE, **AT_ONCE)
    return source


def stopped() -> dict[str, Any]:
    """The buttons as before the measurement."""
    return {"start": gr.update(interactive=True), "stop": gr.update(visible=False)}


def measure(checkpoints: Library, state: PageState) -> Iterator[dict[str, Any]]:
    """What `Parts` show after each point."""
    asked = long_text(state.checkpoint(checkpoints), state)
    admit_lengths(asked.view.checkpoint.model.config, max(LENGTHS), asked.most_landmarks, asked.window)
    busy = {"start": gr.update(interactive=False), "stop": gr.update(visible=True)}
    yield {**_figure(emptied("Reading …")), "table": "", **busy}
    points: list[LengthPoint] = []
    for point in sweep(asked):
        points.append(point)
        shown = _figure(filled(draw(points), code_for(asked), describe_source(asked))) | {"table": table_of(points)}
        yield {**shown, **busy}
    yield {**shown, **stopped()}


def _figure(values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("plot", "note", "code"), values, strict=True))


def long_text(checkpoint: Checkpoint, state: PageState) -> LongText:
    """What the visitor asks to have measured. ValueError, in one sentence, for what cannot be."""
    num_tokens = count_tokens(checkpoint, state.text)
    num_landmarks = state.num_landmarks or num_tokens
    if num_landmarks < num_tokens:
        check_integer("landmarks on long texts", num_landmarks, 1, MAX_LANDMARKS)
    settings = AttentionSettings("nystrom", num_landmarks, state.pinv_iterations, state.inv_coeff_init_option)
    layer, head = head_within(heads_of(checkpoint), state.layer, state.head)
    return LongText(
        HeadView(checkpoint, state.text, layer, head, settings), state.long_text, max(1.0, num_tokens / num_landmarks)
    )


def sweep(asked: LongText) -> Iterator[LengthPoint]:
    """The points, one at a time; what is read is read at the first."""
    inputs, head = head_inputs(asked)
    yield from error_against_length(
        inputs, head, LENGTHS, asked.settings, tokens_per_landmark=asked.ratio, most_landmarks=MAX_LANDMARKS
    )


def head_inputs(asked: LongText) -> tuple[LayerInputs, int]:
    """q, k and v at the longest length, and the place of the head in them."""
    view, longest = asked.view, max(LENGTHS)
    config = view.checkpoint.model.config
    if asked.window is None:
        return random_inputs(longest, config.hidden_size // config.num_attention_heads), 0
    ids = view.checkpoint.tokenizer(view.text, add_special_tokens=False, verbose=False)["input_ids"]
    if not ids:
        raise UserError("There is no text to repeat. Type one, or measure random q, k, v.")
    input_ids = torch.tensor([ids], device=view.checkpoint.device)
    return repeated_inputs(view.checkpoint.model, input_ids, view.layer, longest, window=asked.window), view.head


def code_for(asked: LongText) -> str:
    """The script that measures the same."""
    return errors.for_lengths(asked.view, LENGTHS, asked.ratio, MAX_LANDMARKS, window=asked.window)


def describe_source(asked: LongText) -> str:
    """Where the numbers come from, and where m ends."""
    longest = max(LENGTHS)
    grown = round(longest / asked.ratio)
    ends = f" m grows no further than {MAX_LANDMARKS:,}." if MAX_LANDMARKS < grown < longest else ""
    if asked.window is None:
        return f"q, k and v are random numbers of the standard normal distribution, no text.{ends}"
    return (
        f"q, k and v are those of layer {asked.view.layer + 1}, head {asked.view.head + 1} on the text, repeated and "
        f"read in windows of {asked.window:,} tokens.{ends}"
    )


def table_of(points: Sequence[LengthPoint]) -> str:
    """The points as a table."""
    rows = "".join(
        f"<tr><td>{point.num_tokens:,}</td><td>{point.num_landmarks:,}</td><td>{percent(point.frobenius)}</td>"
        f"<td>{percent(point.output)}</td><td>{duration(point.seconds)}</td></tr>"
        for point in points
    )
    return (
        '<div class="table" tabindex="0" role="region" aria-label="Errors by length"><table><thead><tr>'
        "<th>tokens n</th><th>landmarks m</th><th>error of the map</th><th>of the output</th><th>time</th>"
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
