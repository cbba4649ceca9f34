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
from nystrom_demo.errors import UserError
from nystrom_demo.figures.growth import counted_costs, timing
from nystrom_demo.figures.summaries import EXACT_METHOD, LANDMARK_METHOD, meeting
from nystrom_demo.formatting import counted, duration, memory
from nystrom_demo.limits.admission import admit_timed_model, timed_call_bytes
from nystrom_demo.snippets.times import for_counts, for_times
from nystrom_demo.ui.events import AT_ONCE, ONCE
from nystrom_demo.ui.export import emptied, figure_slot, filled, note
from nystrom_demo.ui.request import shown_state
from nystrom_demo.ui.state import DTYPES as DTYPE_NAMES
from nystrom_demo.ui.state import LENGTHS, PASSES, SCOPES, PageState
from nystrom_demo.ui.view import Values, View, slotted, wired

FAR = 1_000_000
MAX_LANDMARKS = 1_024
SECONDS_BETWEEN_DRAWINGS = 0.7
SCOPE_LABELS = dict(zip(SCOPES, ("attention alone", "a whole model"), strict=True))
PASS_LABELS = dict(zip(PASSES, ("forward", "forward and backward"), strict=True))
DTYPES = {name: getattr(torch, name) for name in DTYPE_NAMES}
COUNTED_LENGTHS = tuple(2**power for power in range(4, 21))
BY_LAW = "In italics, with ≈: not measured but read from the fitted law."


class Parts(NamedTuple):
    """The tab's components, and what each shows; of a figure, its slot."""

    lead: Any
    progress: Any
    words: Any
    table: Any
    start: Any
    stop: Any
    clock: Any
    gauge: Any
    work: Any
    weights: Any


FIGURES = Parts._fields[6:]


def build(checkpoints: Library, store: gr.HTML) -> View:
    """The tab's components and its own events; it measures only when asked."""
    lead = gr.HTML(elem_id="time-lead")
    inputs = _build_fields()
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
        weights = figure_slot("Weights one head stores against n", "time-weights", "counted, not measured")
    parts = Parts(lead, progress, words, table, start, stop, clock, gauge, work, weights)
    _wire(parts, checkpoints, store)

    def fill(state: PageState, changed: frozenset[str]) -> Iterator[Values]:
        yield wired_parts(parts, introduce(state))

    def refuse(state: PageState, sentence: str) -> Values:
        return wired_parts(parts, {"lead": note(sentence), "work": emptied(), "weights": emptied()})

    return View(fill, refuse, [lead, *work, *weights], inputs, lead, needs_text=False)


def _wire(parts: Parts, checkpoints: Library, store: gr.HTML) -> None:
    """What the buttons do."""

    def run(request: str) -> Iterator[Values]:
        for piece in measure(shown_state(checkpoints, request)):
            yield wired_parts(parts, piece)

    shown = [parts.progress, parts.words, *parts.clock, *parts.gauge, parts.table, parts.start, parts.stop]
    running = parts.start.click(run, store, shown, js="() => pageState.current()", **ONCE)
    buttons = [parts.progress, parts.start, parts.stop]
    parts.stop.click(lambda: wired(parts, **stopped()), None, buttons, cancels=[running], **ONCE, **AT_ONCE)


def wired_parts(parts: Parts, piece: dict[str, Any]) -> Values:
    """Named results under their components, a figure's under those of its slot."""
    values: Values = {}
    for name, result in piece.items():
        values |= slotted(getattr(parts, name), result) if name in FIGURES else {getattr(parts, name): result}
    return values


def _build_fields() -> dict[str, gr.components.Component]:
    """What is to be measured, by the names that the page's state has for it."""
    first = PageState()

    def dropdown(name: str, label: str, choices: list[tuple[str, Any]]) -> gr.Dropdown:
        return gr.Dropdown(choices, value=getattr(first, name), label=label, elem_id=f"time-{name}")

    def number(name: str, label: str, elem_id: str, low: float, high: float, precision: int | None = 0) -> gr.Number:
        value = getattr(first, name)
        return gr.Number(value, label=label, precision=precision, minimum=low, maximum=high, elem_id=f"time-{elem_id}")

    methods = gr.CheckboxGroup(
        list(DEFAULT_METHODS), value=list(DEFAULT_METHODS), label="Ways to attend", elem_id="time-methods"
    )
    with gr.Row(elem_classes="fields"):
        fields = {
            "longest": dropdown("longest", "Longest text", [(f"{n:,} tokens", n) for n in LENGTHS[2:]]),
            "scope": dropdown("scope", "Measure", [(label, name) for name, label in SCOPE_LABELS.items()]),
            "passes": dropdown("passes", "Pass", [(label, name) for name, label in PASS_LABELS.items()]),
            "dtype": dropdown("dtype", "Number format", [(name, name) for name in DTYPES]),
        }
    with gr.Row(elem_classes="fields"):
        fields |= {
            "num_heads": number("num_heads", "Heads", "heads", 1, 32),
            "head_dim": number("head_dim", "Head dimension", "head-dim", 8, 256),
            "batch": number("batch", "Batch", "batch", 1, 32),
            "num_layers": number("num_layers", "Layers of the model", "layers", 1, 24),
            "repeats": number("repeats", "Repeats", "repeats", 1, 20),
            "budget": number("budget", "Seconds a point", "budget", 0.1, 20, None),
        }
    return {"methods": methods, **fields}


def introduce(state: PageState) -> dict[str, Any]:
    """What a measurement would be about, and the slots of what is known without one: multiply-adds and weights."""
    m, head_dim = landmarks_to_time(state), state.head_dim
    lead = (
        f'<p class="prose-line">The same attention at growing n, on {escape(device_name(state.device))}: exact, and '
        f"over {counted(m, 'landmark', 'landmarks')}, the m that is set. A way that would exceed the seconds a point "
        "stops there, and its law goes on dotted.</p>"
    )
    costs = count_costs(COUNTED_LENGTHS, m, head_dim=head_dim, pinv_iterations=state.pinv_iterations)

    def slot(quantity: str) -> tuple[Any, ...]:
        code = for_counts(COUNTED_LENGTHS, m, head_dim, state.pinv_iterations, quantity)
        return filled(counted_costs(costs, quantity), code)

    return {"lead": lead, "work": slot("multiply_adds"), "weights": slot("weights")}


def landmarks_to_time(state: PageState) -> int:
    return max(1, min(state.num_landmarks, MAX_LANDMARKS))


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads" if device == "cpu" else device


def stopped() -> dict[str, Any]:
    """No progress, and the buttons as before the measurement."""
    return {"progress": "", "start": gr.update(interactive=True), "stop": gr.update(visible=False)}


def measure(state: PageState) -> Iterator[dict[str, Any]]:
    """What `Parts` show as points come in."""
    about, busy = (
        note(what_is_measured(state)),
        {"start": gr.update(interactive=False), "stop": gr.update(visible=True)},
    )
    lengths, options = sweep_of(state)
    measurements = time_attention(lengths, **options)
    total = len(lengths) * len(options["methods"])
    nothing = {"words": "", "clock": emptied(), "gauge": emptied(), "table": ""}
    yield {"progress": progress_of(0, total), **nothing, **busy}
    points: list[Measurement] = []
    drawn = 0.0
    for point in measurements:
        points.append(point)
        if time.monotonic() - drawn > SECONDS_BETWEEN_DRAWINGS:
            drawn = time.monotonic()
            shown = drawing(points, lengths, options, state.longest, about)
            yield {"progress": progress_of(len(points), total), **shown, **busy}
    yield {**drawing(points, lengths, options, FAR, about), **stopped()}


def what_is_measured(state: PageState) -> str:
    """Of what the figures and the table are, which stay while the page's state changes."""
    what = counted(state.num_layers, "layer", "layers") + " of a model" if state.scope == "model" else "One attention"
    landmarks = counted(landmarks_to_time(state), "landmark", "landmarks")
    return (
        f"{what} with {counted(state.num_heads, 'head', 'heads')} of {state.head_dim}, over {landmarks} where there "
        f"are any; batch {state.batch}, {state.dtype}, {PASS_LABELS[state.passes]}, on {device_name(state.device)}."
    )


def progress_of(done: int, total: int) -> str:
    """How many of the points have come."""
    return (
        f'<p class="note"><progress max="{total}" value="{done}" aria-label="Points measured"></progress> '
        f"{done} of {total} points</p>"
    )


def sweep_of(state: PageState) -> tuple[list[int], dict[str, Any]]:
    """The lengths to measure and the keyword arguments of `time_attention`, once the model has been admitted."""
    if not state.methods:
        raise UserError("Choose a way to attend to measure it.")
    whole, backward = state.scope == "model", state.passes == "backward"
    dtype = DTYPES[state.dtype]
    if whole:
        hidden = state.num_heads * state.head_dim
        admit_timed_model(hidden, state.num_layers, state.longest, backward=backward, itemsize=dtype.itemsize)
    options = {
        "num_landmarks": landmarks_to_time(state),
        "methods": [name for name in METHODS if name in state.methods],
        "heads": state.num_heads,
        "head_dim": state.head_dim,
        "batch": state.batch,
        "num_layers": state.num_layers if whole else 0,
        "dtype": dtype,
        "device": state.device,
        "backward": backward,
        "repeats": state.repeats,
        "budget_seconds": state.budget,
        "budget_bytes": timed_call_bytes(),
    }
    return [n for n in LENGTHS if n <= state.longest], options


def drawing(
    points: Sequence[Measurement], lengths: Sequence[int], options: dict[str, Any], until: int, about: str
) -> dict[str, Any]:
    """Words, both figures with their notes and code, and the table."""

    def slot(quantity: str) -> tuple[Any, ...]:
        return filled(timing(points, quantity, until=until), for_times(lengths, options, quantity, until))

    return {
        "words": in_words(points, until),
        "clock": slot("median"),
        "gauge": slot("peak_bytes") if any(point.peak_bytes for point in points) else emptied(),
        "table": table_of(points) + about,
    }


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
