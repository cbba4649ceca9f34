"""Time: what exact and landmark attention cost as the text grows: counted at once, measured here when asked.

Measured points are drawn one by one as they come.
"""

import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import gradio as gr
import torch

from nystrom_demo.benchmark import METHODS, Measurement, count_costs, law_of, time_attention
from nystrom_demo.benchmark.sweep import DEFAULT_METHODS
from nystrom_demo.checkpoints import Library
from nystrom_demo.figures.growth import counted_costs, timing
from nystrom_demo.figures.summaries import EXACT_METHOD, LANDMARK_METHOD, meeting
from nystrom_demo.formatting import counted, duration, memory
from nystrom_demo.limits.admission import admit_timed_model, timed_call_bytes
from nystrom_demo.limits.validation import check_choice, check_integer, check_list, check_number
from nystrom_demo.snippets.times import for_counts, for_times
from nystrom_demo.ui.events import AT_ONCE, LAST, ONCE
from nystrom_demo.ui.export import emptied, figure_slot, filled, note
from nystrom_demo.ui.sidebar import Bench, BenchValues, Refresh, takes_bench

LENGTHS = tuple(2**power for power in range(8, 18))
FAR = 1_000_000
MAX_LANDMARKS = 1_024
SECONDS_BETWEEN_DRAWINGS = 0.7
SCOPES = (("attention alone", "attention"), ("a whole model", "model"))
PASSES = (("forward", "forward"), ("forward and backward", "backward"))
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
COUNTED_LENGTHS = tuple(2**power for power in range(4, 21))
BY_LAW = "In italics, with ≈: not measured but read from the fitted law."


class Workbench(NamedTuple):
    """What the visitor asks to have measured, as a handler gets it."""

    methods: list[str]
    longest: int
    scope: str
    passes: str
    heads: int
    head_dim: int
    batch: int
    layers: int
    dtype: str
    repeats: int
    budget: float

    def checked(self) -> "Workbench":
        """The same with every value in its range. ValueError, in one sentence, for one that is not."""
        return Workbench(
            check_list("methods", self.methods, 1, len(METHODS), lambda name, x: check_choice(name, x, list(METHODS))),
            check_choice("longest text", self.longest, LENGTHS),
            check_choice("what is measured", self.scope, [name for _, name in SCOPES]),
            check_choice("passes", self.passes, [name for _, name in PASSES]),
            check_integer("heads", self.heads, 1, 32),
            check_integer("head dimension", self.head_dim, 8, 256),
            check_integer("batch", self.batch, 1, 32),
            check_integer("layers", self.layers, 1, 24),
            check_choice("number format", self.dtype, list(DTYPES)),
            check_integer("repeats", self.repeats, 1, 20),
            check_number("seconds a point", self.budget, 0.1, 20),
        )


def build(bench: Bench, checkpoints: Library) -> Refresh:
    """The tab's components and its own events; it measures only when asked."""
    lead = gr.HTML(elem_id="time-lead")
    methods = gr.CheckboxGroup(
        list(DEFAULT_METHODS), value=list(DEFAULT_METHODS), label="Ways to attend", elem_id="time-methods"
    )
    inputs = [methods, *_build_fields()]
    head_dim = inputs[Workbench._fields.index("head_dim")]
    with gr.Row(elem_classes="controls"):
        start = gr.Button("Measure", elem_id="time-start", scale=0, min_width=140)
        stop = gr.Button("Stop", elem_id="time-stop", scale=0, min_width=90, visible=False)
    progress = gr.HTML(elem_id="time-progress")
    words = gr.HTML(elem_id="time-words")
    with gr.Row(elem_classes="figures"):
        clock = figure_slot("Time of one call against n", "time-clock", "dotted: by the fitted law")
        gauge = figure_slot("Peak memory of one call against n", "time-memory", "dotted: by the fitted law")
    table = gr.HTML(elem_id="time-table")
    with gr.Row(elem_classes="figures"):
        work = figure_slot("Multiply-adds of one head against n", "time-multiply-adds", "counted, not measured")
        store = figure_slot("Weights one head stores against n", "time-weights", "counted, not measured")

    running = start.click(
        takes_bench(measure),
        [*bench.inputs, *inputs],
        [progress, words, *clock, *gauge, table, start, stop],
        **ONCE,
    )
    stop.click(stopped, None, [progress, start, stop], cancels=[running], **ONCE, **AT_ONCE)
    priced = [*bench.inputs, head_dim]
    typed = [head_dim.blur, head_dim.submit]  # not each key: 128 begins with 1, which is no head dimension
    gr.on(typed, takes_bench(introduce), priced, [lead, *work, *store], **LAST)
    return Refresh(takes_bench(introduce), priced, [lead, *work, *store], busy=lead)


def _build_fields() -> list[gr.components.Component]:
    """The fields of `Workbench` after its methods."""
    with gr.Row(elem_classes="fields"):
        longest = gr.Dropdown(
            [(f"{n:,} tokens", n) for n in LENGTHS[2:]], value=16_384, label="Longest text", elem_id="time-longest"
        )
        scope = gr.Dropdown(list(SCOPES), value="attention", label="Measure", elem_id="time-scope")
        passes = gr.Dropdown(list(PASSES), value="forward", label="Pass", elem_id="time-passes")
        dtype = gr.Dropdown(list(DTYPES), value="float32", label="Number format", elem_id="time-dtype")
    with gr.Row(elem_classes="fields"):
        heads = gr.Number(12, label="Heads", precision=0, minimum=1, maximum=32, elem_id="time-heads")
        head_dim = gr.Number(64, label="Head dimension", precision=0, minimum=8, maximum=256, elem_id="time-head-dim")
        batch = gr.Number(1, label="Batch", precision=0, minimum=1, maximum=32, elem_id="time-batch")
        layers = gr.Number(4, label="Layers of the model", precision=0, minimum=1, maximum=24, elem_id="time-layers")
        repeats = gr.Number(5, label="Repeats", precision=0, minimum=1, maximum=20, elem_id="time-repeats")
        budget = gr.Number(2, label="Seconds a point", minimum=0.1, maximum=20, elem_id="time-budget")
    return [longest, scope, passes, heads, head_dim, batch, layers, dtype, repeats, budget]


def introduce(values: BenchValues, head_dim: int) -> tuple[Any, ...]:
    """What a measurement would be about, and the slots of what is known without one: multiply-adds and weights."""
    m, head_dim = landmarks_to_time(values), check_integer("head dimension", head_dim, 8, 256)
    lead = (
        f'<p class="prose-line">The same attention at growing n, on {escape(device_name(values.device))}: exact, and '
        f"over {counted(m, 'landmark', 'landmarks')}, as set on the bench. A way that would exceed the seconds a point "
        "stops there, and its law goes on dotted.</p>"
    )
    costs = count_costs(COUNTED_LENGTHS, m, head_dim=head_dim, pinv_iterations=values.pinv_iterations)

    def slot(quantity: str) -> tuple[Any, ...]:
        code = for_counts(COUNTED_LENGTHS, m, head_dim, values.pinv_iterations, quantity)
        return filled(counted_costs(costs, quantity), code)

    return lead, *slot("multiply_adds"), *slot("weights")


def landmarks_to_time(values: BenchValues) -> int:
    return max(1, min(int(values.num_landmarks), MAX_LANDMARKS))


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads" if device == "cpu" else device


def stopped() -> tuple[Any, Any, Any]:
    """No progress, and the buttons as before the measurement."""
    return "", gr.update(interactive=True), gr.update(visible=False)


def measure(values: BenchValues, *asked: Any) -> Iterator[tuple[Any, ...]]:
    """(progress, words, the slots of time and of memory, table, start, stop) as points come in."""
    work = Workbench(*asked).checked()
    busy, about = (gr.update(interactive=False), gr.update(visible=True)), note(what_is_measured(values, work))
    lengths, options = sweep_of(values, work)
    measurements = time_attention(lengths, **options)
    total = len(lengths) * len(options["methods"])
    yield progress_of(0, total), "", *emptied(), *emptied(), "", *busy
    points: list[Measurement] = []
    drawn = 0.0
    for point in measurements:
        points.append(point)
        if time.monotonic() - drawn > SECONDS_BETWEEN_DRAWINGS:
            drawn = time.monotonic()
            *slots, table = drawing(points, lengths, options, work.longest)
            yield progress_of(len(points), total), *slots, table + about, *busy
    ended, *buttons = stopped()
    *slots, table = drawing(points, lengths, options, FAR)
    yield ended, *slots, table + about, *buttons


def what_is_measured(values: BenchValues, work: Workbench) -> str:
    """Of what the figures and the table are, which stay while bench and fields change."""
    what = counted(work.layers, "layer", "layers") + " of a model" if work.scope == "model" else "One attention"
    landmarks = counted(landmarks_to_time(values), "landmark", "landmarks")
    return (
        f"{what} with {counted(work.heads, 'head', 'heads')} of {work.head_dim}, over {landmarks} where there are any; "
        f"batch {work.batch}, {work.dtype}, {next(said for said, name in PASSES if name == work.passes)}, "
        f"on {device_name(values.device)}."
    )


def progress_of(done: int, total: int) -> str:
    """How many of the points have come."""
    return (
        f'<p class="note"><progress max="{total}" value="{done}" aria-label="Points measured"></progress> '
        f"{done} of {total} points</p>"
    )


def sweep_of(values: BenchValues, work: Workbench) -> tuple[list[int], dict[str, Any]]:
    """The lengths to measure and the keyword arguments of `time_attention`, once the model has been admitted."""
    if work.scope == "model":
        hidden, itemsize = work.heads * work.head_dim, DTYPES[work.dtype].itemsize
        backward = work.passes == "backward"
        admit_timed_model(hidden, work.layers, work.longest, backward=backward, itemsize=itemsize)
    options = {
        "num_landmarks": landmarks_to_time(values),
        "methods": [name for name in METHODS if name in work.methods],
        "heads": work.heads,
        "head_dim": work.head_dim,
        "batch": work.batch,
        "num_layers": work.layers if work.scope == "model" else 0,
        "dtype": DTYPES[work.dtype],
        "device": values.device,
        "backward": work.passes == "backward",
        "repeats": work.repeats,
        "budget_seconds": work.budget,
        "budget_bytes": timed_call_bytes(),
    }
    return [n for n in LENGTHS if n <= work.longest], options


def drawing(
    points: Sequence[Measurement], lengths: Sequence[int], options: dict[str, Any], until: int
) -> tuple[Any, ...]:
    """Words, both figures with their notes and code, and the table."""

    def slot(quantity: str) -> tuple[Any, ...]:
        return filled(timing(points, quantity, until=until), for_times(lengths, options, quantity, until))

    known = any(point.peak_bytes for point in points)
    return in_words(points, until), *slot("median"), *(slot("peak_bytes") if known else emptied()), table_of(points)


def in_words(points: Sequence[Measurement], until: int) -> str:
    """Where landmarks overtake exact attention and, once all is measured, what a million tokens would cost."""
    laws = [law_of(points, name) for name in (EXACT_METHOD, LANDMARK_METHOD)]
    if None in laws:
        return note(meeting(points))
    far = ""
    if until == FAR:  # of the first few points alone a law says nothing about a million
        costs = [f"{duration(law.at(FAR))} %s (∝ n<sup>{law.exponent:.2f}</sup>)" for law in laws]
        measured = max(point.n for point in points if point.seconds and not point.extrapolated)
        far = (
            f" By their laws, of up to {measured:,} tokens, {FAR:,} tokens would take {costs[0] % 'exactly'} and "
            f"{costs[1] % 'over landmarks'}."
        )
    return f'<p class="verdict">{escape(meeting(points))}{far}</p>'


def table_of(points: Sequence[Measurement]) -> str:
    """A row a length, a column a way: median time and peak memory. By law in italics; what did not run says why."""
    methods = list(dict.fromkeys(point.method for point in points))
    cells = {(point.method, point.n): point for point in points}
    head = "".join(f"<th>{escape(method)}</th>" for method in methods)
    rows = "".join(
        f"<tr><td>{n:,}</td>{''.join(_cell(cells.get((method, n))) for method in methods)}</tr>"
        for n in sorted({point.n for point in points})
    )
    return (
        '<div class="table" tabindex="0" role="region" aria-label="Measurements"><table>'
        f"<thead><tr><th>tokens n</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>{_reasons(points)}"
    )


def _cell(point: Measurement | None) -> str:
    if point is None or not point.seconds:
        return "<td>–</td>"
    said = duration(point.median) + (f", {memory(point.peak_bytes)}" if point.peak_bytes else "")
    return f"<td><i>≈ {said}</i></td>" if point.extrapolated else f"<td>{said}</td>"


def _reasons(points: Sequence[Measurement]) -> str:
    """Why a way was not measured, its first reason each."""
    first = {point.method: point.note for point in reversed(points) if point.note}
    said = [BY_LAW] if any(point.extrapolated for point in points) else []
    said += [f"{method}: {first[method]}" for method in reversed(first)]
    return "".join(map(note, said))
