"""Error: how far landmark attention is from exact attention, and from the best of its rank, head by head.

The mosaic of all heads comes first; the chosen head's figures follow one by one in a second event.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd

from nystrom_demo.analysis import (
    error_against_landmarks,
    head_errors,
    hidden_state_errors,
    landmark_ladder,
    logit_errors,
    pinv_residuals,
    singular_values,
)
from nystrom_demo.analysis.layers import landmarks_of
from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import AttentionSettings
from nystrom_demo.figures import curves
from nystrom_demo.figures.words import percent
from nystrom_demo.serving.admission import admit_spectrum
from nystrom_demo.ui import long_texts
from nystrom_demo.ui.attention_tab import ReadText, TextReader, nearest_head, take_choice
from nystrom_demo.ui.bench import Bench, BenchValues, Refresh, takes_bench
from nystrom_demo.ui.figure_slot import emptied, figure_slot, filled
from nystrom_demo.ui.heads.markup import message
from nystrom_demo.ui.viewer import mosaic, mosaic_payload

SPECTRUM_TOKENS = 2_560  # past it a singular value decomposition takes tens of seconds
MEASURES = (("map, Frobenius norm", "frobenius"), ("map, spectral norm", "spectral"), ("output S·V", "output"))
NO_LOGITS = ("question-answering", "multiple-choice")  # what these say depends on more than the bench's text


class Shown(NamedTuple):
    """What the figures' event shows; what is left out stays as it is."""

    heads: Any = gr.skip()
    lead: Any = gr.skip()
    against: Any = gr.skip()
    against_note: Any = gr.skip()
    errors: Any = gr.skip()
    spectrum: Any = gr.skip()
    spectrum_note: Any = gr.skip()
    pinv: Any = gr.skip()
    pinv_note: Any = gr.skip()
    states: Any = gr.skip()
    states_note: Any = gr.skip()


def build(bench: Bench, checkpoints: dict[str, Checkpoint]) -> Refresh:
    """The tab's components and its own events."""
    reader = TextReader(checkpoints, kept=1)
    heads = mosaic("error-mosaic")
    lead = gr.HTML(elem_id="error-lead")
    measure = gr.Radio(
        list(MEASURES), value="frobenius", label="Error of the", elem_id="error-measure", elem_classes="segmented"
    )
    errors = gr.State(None)
    with gr.Row(elem_classes="figures"):
        against = figure_slot("Error against the number of landmarks", "error-against")
        spectrum = figure_slot("Singular values of the exact map", "error-spectrum")
    with gr.Row(elem_classes="figures"):
        pinv = figure_slot("The pseudo-inverse, step by step", "error-pinv")
        states = figure_slot("From attention to the answer", "error-states")
    long_texts.build(bench, checkpoints)

    own = [*bench.inputs, bench.layer, bench.head, measure]
    shown = [heads, lead, *against, errors, *spectrum, *pinv, *states]
    then = (takes_bench(functools.partial(measure_head, reader, checkpoints)), own, shown)
    refresh = Refresh(
        takes_bench(functools.partial(show, reader)), own, [bench.layer, bench.head, heads, lead], then, lead
    )
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    chosen = heads.choose(take_choice, None, [bench.layer, bench.head], queue=False, **quiet)
    chosen.then(refresh.fn, refresh.inputs, refresh.outputs, **quiet).then(*then, **quiet)
    measure.input(takes_bench(draw_against), [*bench.inputs, errors, measure], [*against], queue=False, **quiet)
    return refresh


def show(reader: TextReader, values: BenchValues, layer: int, head: int, measure: str) -> tuple[Any, ...]:
    """(layer, head, mosaic, lead): the mosaic still to be computed, or why there is none."""
    try:
        text = reader.read(values)
    except ValueError as error:  # a text too long to be shown whole; its sentence says so
        return layer, head, None, message(str(error))
    layer, head = nearest_head(text, layer, head)
    m = landmarks_of(values.settings(), text.num_tokens)
    return layer, head, mosaic_payload(None, text.shape, (layer, head), text.num_tokens, m), ""


def measure_head(
    reader: TextReader, checkpoints: dict[str, Checkpoint], values: BenchValues, layer: int, head: int, measure: str
) -> Iterator[Shown]:
    """The mosaic, then the chosen head's figures, the quick ones first."""
    try:
        text = reader.read(values)
    except ValueError:  # `show` has said why
        yield Shown(None, gr.skip(), *emptied(), None, *emptied(), *emptied(), *emptied())
        return
    layer, head = nearest_head(text, layer, head)
    settings, layer_inputs = values.settings(), text.layers[layer]
    m = landmarks_of(settings, text.num_tokens)
    table = head_errors(text.layers, settings, spectral=False)
    line = table[(table["layer"] == layer) & (table["head"] == head)].iloc[0]
    heads = mosaic_payload(table, text.shape, (layer, head), text.num_tokens, m)
    yield Shown(heads=heads, lead=describe(line, text, m))
    yield Shown(**_named("pinv", draw_pinv(layer_inputs, head, settings, m)))
    yield Shown(**_named("states", draw_states(values.checkpoint(checkpoints), values)))
    if text.num_tokens > SPECTRUM_TOKENS:
        why = emptied(
            f"Up to {SPECTRUM_TOKENS:,} tokens only, since this takes a singular value decomposition of the map; see "
            "the long texts below."
        )
        yield Shown(against=why[0], against_note=why[1], spectrum=why[0], spectrum_note=why[1], errors=None)
        return
    admit_spectrum(text.num_tokens)
    spectrum = curves.singular_values(singular_values(layer_inputs, head), num_landmarks=m)
    yield Shown(**_named("spectrum", filled(spectrum)))
    ladder = sorted({*landmark_ladder(text.num_tokens), m})
    errors = error_against_landmarks(layer_inputs, head, ladder, settings)
    best = errors[errors.num_landmarks == m].best_frobenius.iloc[0]
    against = draw_against(values, errors, measure)
    yield Shown(lead=describe(line, text, m, best), errors=errors, **_named("against", against))


def describe(line: pd.Series, text: ReadText, m: int, best: float | None = None) -> str:
    """The chosen head's errors in a sentence."""
    name = f"Layer {line['layer'] + 1:.0f}, head {line['head'] + 1:.0f}"
    if m >= text.num_tokens:
        return f'<p class="verdict">{name}: a landmark for every token is exact attention, and every error is zero.</p>'
    least = "" if best is None else f"; no matrix of rank {m:,} comes nearer than {percent(best)}"
    return (
        f'<p class="verdict">{name} over {m:,} landmark{"s" if m > 1 else ""}: the map is '
        f"{percent(line.frobenius)} away{least}. The output is {percent(line.output)} away.</p>"
    ).replace(" %", "\N{NO-BREAK SPACE}%")


def draw_against(values: BenchValues, errors: pd.DataFrame | None, measure: str) -> tuple[Any, str]:
    """The error against m by the measure chosen, from errors that are known."""
    if errors is None:
        return gr.skip(), gr.skip()
    m = landmarks_of(values.settings(), int(errors.num_landmarks.max()))
    return filled(curves.error_against_landmarks(errors, measure, chosen=m))


def draw_pinv(layer_inputs, head: int, settings: AttentionSettings, m: int) -> tuple[Any, str]:
    """The residual of the pseudo-inverse per step."""
    if settings.implementation != "nystrom" or m >= layer_inputs.num_tokens:
        return emptied("With a landmark for every token nothing is inverted.")
    steps = max(12, settings.pinv_iterations)
    residuals = pinv_residuals(layer_inputs, head, settings, steps=steps)
    return filled(curves.pinv_residuals(residuals, steps=settings.pinv_iterations))


def draw_states(checkpoint: Checkpoint, values: BenchValues) -> tuple[Any, str]:
    """How far hidden states go from the exact ones, layer by layer, and what that does to the logits."""
    inputs = checkpoint.tokenizer(values.text, return_tensors="pt", verbose=False).to(checkpoint.device)
    settings = values.settings()
    table = hidden_state_errors(checkpoint.model, inputs["input_ids"], settings)
    more = ""
    if values.task not in NO_LOGITS:
        logits = logit_errors(checkpoint.model, {"input_ids": inputs["input_ids"]}, settings)
        more = (
            f"The logits move by {percent(logits.relative)}, and {percent(logits.agreement)} of the places keep their "
            "likeliest label."
        )
    return filled(curves.hidden_state_errors(table), more)


def _named(slot: str, pair: tuple[Any, str]) -> dict[str, Any]:
    return {slot: pair[0], f"{slot}_note": pair[1]}
