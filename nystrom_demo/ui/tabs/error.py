"""Error: how far landmark attention is from exact attention, and from the best of its rank, head by head.

The mosaic of all heads comes first; the chosen head's figures follow one by one in a second event.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd

from nystrom_demo.analysis import (
    LogitErrors,
    error_against_landmarks,
    head_errors,
    hidden_state_errors,
    landmark_ladder,
    logit_errors,
    pinv_residuals,
    singular_values,
)
from nystrom_demo.analysis.layers import landmarks_of
from nystrom_demo.analysis.spectra import PINV_STEPS
from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.config import AttentionSettings
from nystrom_demo.figures import curves
from nystrom_demo.formatting import percent
from nystrom_demo.limits.admission import admit_spectrum
from nystrom_demo.limits.cache import ANSWERS, about
from nystrom_demo.limits.validation import check_choice, is_ours, sentence_of
from nystrom_demo.model import NystromformerModel
from nystrom_demo.snippets import HeadView
from nystrom_demo.snippets import errors as snippets
from nystrom_demo.ui.events import EACH, LAST
from nystrom_demo.ui.export import SKIPPED, Slot, code_section, emptied, figure_slot, filled
from nystrom_demo.ui.sidebar import Bench, BenchValues, Refresh, head_within, takes_bench
from nystrom_demo.ui.tabs import long_texts
from nystrom_demo.ui.tabs.attention import ReadText, TextReader
from nystrom_demo.ui.task_views.markup import message
from nystrom_demo.ui.viewer import chosen_head, mosaic, mosaic_payload

SPECTRUM_TOKENS = 2_560  # past it a singular value decomposition takes tens of seconds
ALL_HEADS_TOKENS = 1_024  # past it every head at every m takes longer than anyone waits
MEASURES = (("map, Frobenius norm", "frobenius"), ("map, spectral norm", "spectral"), ("output S·V", "output"))
NO_LOGITS = ("question-answering", "multiple-choice")  # what these say depends on more than the bench's text


class Known(NamedTuple):
    """Errors against m that were computed, of one head and of all, from which another measure is drawn."""

    of_head: pd.DataFrame | None = None
    of_all: pd.DataFrame | None = None


class Shown(NamedTuple):
    """What the figures' event shows; what is left out stays as it is."""

    heads: Any = gr.skip()
    heads_code: Any = gr.skip()
    lead: Any = gr.skip()
    known: Any = gr.skip()
    against: tuple[Any, ...] = SKIPPED
    all_heads: tuple[Any, ...] = SKIPPED
    spectrum: tuple[Any, ...] = SKIPPED
    pinv: tuple[Any, ...] = SKIPPED
    states: tuple[Any, ...] = SKIPPED

    def flat(self) -> tuple[Any, ...]:
        """A value for each of the components that `build` lists."""
        return (*self[:4], *(value for slot in self[4:] for value in slot))


def build(bench: Bench, checkpoints: Library) -> Refresh:
    """The tab's components and its own events."""
    reader = TextReader(checkpoints, kept=1)
    heads = mosaic("error-mosaic")
    heads_code = code_section("error-mosaic-code")
    lead = gr.HTML(elem_id="error-lead")
    measure = gr.Radio(
        list(MEASURES), value="frobenius", label="Error of the", elem_id="error-measure", elem_classes="segmented"
    )
    known = gr.State(Known())
    slots = _build_slots()
    long_texts.build(bench, checkpoints)

    own = [*bench.inputs, bench.layer, bench.head, measure]
    shown = [heads, heads_code, lead, known, *(component for slot in slots for component in slot)]
    then = (takes_bench(functools.partial(measure_head, reader, checkpoints)), own, shown)
    refresh = Refresh(
        takes_bench(functools.partial(show, reader)), own, [bench.layer, bench.head, heads, lead], then, lead
    )
    chosen = heads.choose(None, None, [bench.layer, bench.head], js=chosen_head("error-mosaic"), **EACH)
    chosen.then(refresh.fn, refresh.inputs, refresh.outputs, **LAST).then(*then, **LAST)
    measure.input(
        takes_bench(functools.partial(show_measure, checkpoints)), [*own, known], [*slots[0], *slots[1]], **LAST
    )
    return refresh


def _build_slots() -> list[Slot]:
    """The figures' places, in the order of `Shown`."""
    titles = {
        "against": "Error against the number of landmarks, this head",
        "heads": "Error against the number of landmarks, over all heads",
        "spectrum": "Singular values of the exact map",
        "pinv": "The pseudo-inverse, step by step",
        "states": "From attention to the answer",
    }
    with gr.Row(elem_classes="figures"):
        return [figure_slot(title, f"error-{name}") for name, title in titles.items()]


def show(reader: TextReader, values: BenchValues, layer: int, head: int, measure: str) -> tuple[Any, ...]:
    """(layer, head, mosaic, lead): the mosaic still to be computed, or why there is none."""
    try:
        asked = about(values.checkpoint(reader.checkpoints).model, "heads", values, layer, head)
        return ANSWERS.recall(asked, lambda: _place_heads(reader, values, layer, head))
    except ValueError as error:  # a text too long to be shown whole; its sentence says so
        return gr.skip(), gr.skip(), None, message(sentence_of(error))


def _place_heads(reader: TextReader, values: BenchValues, layer: int, head: int) -> tuple[Any, ...]:
    text = reader.read(values)
    layer, head = head_within(text.shape, layer, head)
    m = landmarks_of(values.settings(), text.num_tokens)
    return layer, head, mosaic_payload(None, text.shape, (layer, head), text.num_tokens, m), ""


def measure_head(
    reader: TextReader, checkpoints: Library, values: BenchValues, layer: int, head: int, measure: str
) -> Iterator[tuple[Any, ...]]:
    """The mosaic, then the chosen head's figures, the quick ones first, then the errors of all heads m by m."""
    measure, checkpoint = check_measure(measure), values.checkpoint(checkpoints)
    asked = about(checkpoint.model, "errors", values, layer, head, measure)
    pieces = ANSWERS.replay(asked, lambda: _read_and_draw(reader, checkpoint, values, layer, head, measure))
    try:
        next(pieces)
    except ValueError as error:
        if not is_ours(error):
            raise
        # `show` has said why.
        gone = emptied()
        yield Shown(None, "", gr.skip(), Known(), gone, gone, gone, gone, gone).flat()
        return
    shown = Shown()
    for piece in pieces:
        # A page that is behind takes up the last message alone, so each says all that is known.
        shown = shown._replace(**piece)
        yield shown.flat()


def _read_and_draw(
    reader: TextReader, checkpoint: Checkpoint, values: BenchValues, layer: int, head: int, measure: str
) -> Iterator[dict[str, Any]]:
    """An empty piece once the text was read, then those of `draw_head`."""
    text = reader.read(values)
    view = head_view(checkpoint, values, text, layer, head)
    yield {}
    yield from draw_head(text, view, measure)


def head_view(checkpoint: Checkpoint, values: BenchValues, text: ReadText, layer: int, head: int) -> HeadView:
    """The chosen head on the text, with the landmarks that there are tokens for."""
    settings = landmark_settings(values, text.num_tokens)
    return HeadView(checkpoint, values.text, *head_within(text.shape, layer, head), settings)


def landmark_settings(values: BenchValues, num_tokens: int) -> AttentionSettings:
    """The bench's settings with no more landmarks than tokens; as many as tokens are exact."""
    settings = values.settings()
    return settings._replace(implementation="nystrom", num_landmarks=landmarks_of(settings, num_tokens))


def draw_head(text: ReadText, view: HeadView, measure: str) -> Iterator[dict[str, Any]]:
    """What the tab shows of a head, piece by piece, as fields of `Shown`."""
    n, m = text.num_tokens, view.settings.num_landmarks
    table = head_errors(text.layers, view.settings, spectral=False)
    line = table[(table["layer"] == view.layer) & (table["head"] == view.head)].iloc[0]
    heads = mosaic_payload(table, text.shape, (view.layer, view.head), n, m)
    yield {"heads": heads, "heads_code": snippets.for_mosaic(view), "lead": describe(line, text, m)}
    yield {"pinv": draw_pinv(text, view)}
    yield {"states": draw_states(view)}
    if n > SPECTRUM_TOKENS:
        why = emptied(
            f"Up to {SPECTRUM_TOKENS:,} tokens only, since this takes a singular value decomposition of the map; see "
            "the long texts below."
        )
        yield {"known": Known(), "against": why, "spectrum": why, "all_heads": emptied(_too_many_tokens())}
        return
    admit_spectrum(n)
    spectrum = curves.singular_values(singular_values(text.layers[view.layer], view.head), num_landmarks=m)
    yield {"spectrum": filled(spectrum, snippets.for_spectrum(view, m))}
    errors = error_against_landmarks(text.layers[view.layer], view.head, ladder(text, m), view.settings)
    best = errors[errors.num_landmarks == m].best_frobenius.iloc[0]
    known = Known(errors)
    yield {"lead": describe(line, text, m, best), "known": known, "against": draw_against(view, known, measure)}
    yield from draw_all_heads(text, view, known, measure)


def draw_all_heads(text: ReadText, view: HeadView, known: Known, measure: str) -> Iterator[dict[str, Any]]:
    """The errors of all heads against m, drawn anew after each m."""
    if text.num_tokens > ALL_HEADS_TOKENS:
        yield {"all_heads": emptied(_too_many_tokens())}
        return
    tables = []
    for m in ladder(text, view.settings.num_landmarks):
        errors = head_errors(text.layers, view.settings._replace(num_landmarks=m), spectral=False)
        tables.append(errors.assign(num_landmarks=m))
        known = known._replace(of_all=pd.concat(tables))
        yield {"known": known, "all_heads": draw_over_heads(view, known, measure)}


def ladder(text: ReadText, m: int) -> list[int]:
    """The numbers of landmarks that errors are drawn at, the bench's among them."""
    return sorted({*landmark_ladder(text.num_tokens), m})


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


def check_measure(measure: str) -> str:
    return check_choice("error", measure, [name for _, name in MEASURES])


def show_measure(
    checkpoints: Library, values: BenchValues, layer: int, head: int, measure: str, known: Known
) -> tuple[Any, ...]:
    """Both figures of errors against m by another measure, from errors that are known."""
    measure = check_measure(measure)
    if known.of_head is None:
        return SKIPPED + SKIPPED
    settings = landmark_settings(values, int(known.of_head.num_landmarks.max()))
    view = HeadView(values.checkpoint(checkpoints), values.text, layer, head, settings)
    return draw_against(view, known, measure) + draw_over_heads(view, known, measure)


def draw_against(view: HeadView, known: Known, measure: str) -> tuple[Any, ...]:
    """The error of the head against m by the measure chosen."""
    m, landmarks = view.settings.num_landmarks, known.of_head.num_landmarks.tolist()
    figure = curves.error_against_landmarks(known.of_head, measure, chosen=m)
    return filled(figure, snippets.for_landmarks(view, measure, landmarks, m))


def draw_over_heads(view: HeadView, known: Known, measure: str) -> tuple[Any, ...]:
    """The errors of all heads against m by the measure chosen."""
    if known.of_all is None:
        return SKIPPED
    if measure not in known.of_all:
        return emptied("The spectral norm is taken of the chosen head alone: of all heads it would take too long.")
    m, landmarks = view.settings.num_landmarks, known.of_all.num_landmarks.unique().tolist()
    figure = curves.errors_over_heads(known.of_all, measure, chosen=m)
    return filled(figure, snippets.for_all_heads(view, measure, landmarks, m))


def draw_pinv(text: ReadText, view: HeadView) -> tuple[Any, ...]:
    """The residual of the pseudo-inverse per step."""
    if view.settings.num_landmarks >= text.num_tokens:
        return emptied("With a landmark for every token nothing is inverted.")
    steps = max(PINV_STEPS, view.settings.pinv_iterations)
    residuals = pinv_residuals(text.layers[view.layer], view.head, view.settings, steps=steps)
    figure = curves.pinv_residuals(residuals, steps=view.settings.pinv_iterations)
    return filled(figure, snippets.for_pinv(view, steps))


def draw_states(view: HeadView) -> tuple[Any, ...]:
    """How far hidden states go from the exact ones, layer by layer, and what that does to the logits."""
    checkpoint = view.checkpoint
    if not isinstance(checkpoint.model.base_model, NystromformerModel):
        kind = checkpoint.model.config.model_type
        return emptied(f"Layer by layer only Nyströmformers are followed, and this checkpoint is of type {kind}.")
    ids = checkpoint.tokenizer(view.text, return_tensors="pt", verbose=False)["input_ids"].to(checkpoint.device)
    table = hidden_state_errors(checkpoint.model, ids, view.settings)
    with_logits = checkpoint.task not in NO_LOGITS
    more = "What that does to this head's answer depends on its question too: see Tasks."
    if with_logits:
        logits = logit_errors(checkpoint.model, {"input_ids": ids}, view.settings)
        more = logits_in_words(logits, one_place=checkpoint.task == "sequence-classification")
    return filled(curves.hidden_state_errors(table), snippets.for_states(view, logits=with_logits), more)


def logits_in_words(logits: LogitErrors, *, one_place: bool) -> str:
    """What landmarks do to the logits, of a whole text or token by token."""
    moved = f"The logits move by {percent(logits.relative)}, and "
    if one_place:
        return moved + f"the likeliest label {'stays' if logits.agreement == 1 else 'changes'}."
    return moved + f"{percent(logits.agreement)} of the tokens keep their likeliest label."


def _too_many_tokens() -> str:
    return f"Up to {ALL_HEADS_TOKENS:,} tokens only, since this takes every head at every m."
