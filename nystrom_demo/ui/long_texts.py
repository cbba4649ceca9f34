"""The Error tab's section on long texts: exact against landmark attention at up to 16,384 tokens, block by block."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
import torch

from nystrom_demo.analysis.lengths import LengthPoint, error_against_length, random_inputs, repeated_inputs
from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.figures.lengths import error_against_length as draw
from nystrom_demo.figures.words import duration, percent
from nystrom_demo.serving.validation import check_choice
from nystrom_demo.ui.bench import Bench, BenchValues, count_tokens, takes_bench
from nystrom_demo.ui.figure_slot import figure_slot, filled, note

LENGTHS = (512, 1_024, 2_048, 4_096, 8_192, 16_384)
SOURCES = (("the text, repeated", "text"), ("random q, k, v", "random"))
INTRODUCTION = (
    "Long enough texts have maps that no memory holds: 16,384 tokens make 268 million weights a head. Here the exact "
    "map is made a few rows at a time, compared and forgotten, so that the error itself can be seen at that length."
)


def build(bench: Bench, checkpoints: dict[str, Checkpoint]) -> None:
    """The section's components and events; it computes only when asked."""
    gr.HTML(f'<h2 class="section">Long texts</h2><p class="prose-line">{INTRODUCTION}</p>')
    with gr.Row(elem_id="long-controls", elem_classes="controls"):
        source = gr.Radio(
            list(SOURCES),
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
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    inputs = [*bench.inputs, bench.layer, bench.head, source]
    running = start.click(
        takes_bench(functools.partial(measure, checkpoints)), inputs, [*slot, table, start, stop], **quiet
    )
    stop.click(stopped, None, [start, stop], cancels=[running], queue=False, **quiet)


def stopped() -> tuple[Any, Any]:
    """The buttons as before the measurement."""
    return gr.update(interactive=True), gr.update(visible=False)


def measure(
    checkpoints: dict[str, Checkpoint], values: BenchValues, layer: int, head: int, source: str
) -> Iterator[tuple[Any, ...]]:
    """(figure, note, table, start, stop) after each point."""
    busy = gr.update(interactive=False), gr.update(visible=True)
    checkpoint = values.checkpoint(checkpoints)
    source = check_choice("source", source, [name for _, name in SOURCES])
    yield gr.skip(), note("Reading …"), "", *busy
    ratio = tokens_per_landmark(checkpoint, values)
    if source == "random":
        config = checkpoint.model.config
        layer_inputs, head = random_inputs(max(LENGTHS), config.hidden_size // config.num_attention_heads), 0
    else:
        layer_inputs = text_inputs(checkpoint, values.text, int(layer))
    points: list[LengthPoint] = []
    for point in error_against_length(layer_inputs, int(head), LENGTHS, values.settings(), tokens_per_landmark=ratio):
        points.append(point)
        done = "" if point.num_tokens < max(LENGTHS) else describe_source(source, checkpoint, int(layer), int(head))
        yield *filled(draw(points), done), table_of(points), *busy
    yield gr.skip(), gr.skip(), gr.skip(), *stopped()


def tokens_per_landmark(checkpoint: Checkpoint, values: BenchValues) -> float:
    """How many of the text's tokens each landmark stands for on the bench."""
    return max(1.0, count_tokens(checkpoint, values.text) / max(1, values.num_landmarks))


def text_inputs(checkpoint: Checkpoint, text: str, layer: int):
    """q, k, v of the text repeated to the longest length, in windows that the position table has room for."""
    ids = checkpoint.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if not ids:
        raise ValueError("text is empty: type one on the bench, or measure random q, k, v.")
    input_ids = torch.tensor([ids], device=checkpoint.device)
    window = min(1_024, checkpoint.max_tokens)
    return repeated_inputs(checkpoint.model, input_ids, layer, max(LENGTHS), window=window)


def describe_source(source: str, checkpoint: Checkpoint, layer: int, head: int) -> str:
    """Where the numbers come from."""
    if source == "random":
        return "q, k and v are random numbers of the standard normal distribution, no text."
    window = min(1_024, checkpoint.max_tokens)
    return (
        f"q, k and v are those of layer {layer + 1}, head {head + 1} on the text, repeated and read in windows of "
        f"{window:,} tokens."
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
        "<th>tokens n</th><th>landmarks m</th><th>error of the map</th><th>of the output</th><th>to compare</th>"
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
