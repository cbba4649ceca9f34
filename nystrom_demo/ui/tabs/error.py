"""Error: how far landmark attention is from exact attention, and from the best of its rank, head by head.

The mosaic of all heads comes first; the chosen head's figures follow one by one.
"""

import functools
from collections.abc import Hashable, Iterator
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
from nystrom_demo.checkpoints import Library
from nystrom_demo.config import AttentionSettings
from nystrom_demo.figures import curves
from nystrom_demo.formatting import percent
from nystrom_demo.limits.admission import admit_heads, admit_ladder
from nystrom_demo.limits.cache import ANSWERS, about
from nystrom_demo.model import NystromformerModel
from nystrom_demo.snippets import HeadView
from nystrom_demo.snippets import errors as snippets
from nystrom_demo.ui.examples import are_examples
from nystrom_demo.ui.export import Slot, code_section, emptied, figure_slot, filled
from nystrom_demo.ui.sidebar import head_within
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.tabs import long_texts
from nystrom_demo.ui.tabs.attention import ReadText, TextReader, choose_head, errors_of_heads
from nystrom_demo.ui.task_views.markup import message
from nystrom_demo.ui.view import EVERYTHING, Values, View, slotted
from nystrom_demo.ui.viewer import mosaic, mosaic_payload
from nystrom_demo.ui.viewer.components import as_json

SPECTRUM_TOKENS = 2_560  # past it a singular value decomposition takes tens of seconds
ALL_HEADS_TOKENS = 1_024  # past it every head at every m takes longer than anyone waits
MEASURES = (("map, Frobenius norm", "frobenius"), ("map, spectral norm", "spectral"), ("output S·V", "output"))
NO_LOGITS = ("question-answering", "multiple-choice")  # what these say depends on more than the text


class Errors(NamedTuple):
    """Errors against m, of the chosen head and of all; None for what is not known (yet)."""

    of_head: pd.DataFrame | None = None
    of_all: pd.DataFrame | None = None


class Parts(NamedTuple):
    """The tab's components, and what each shows; of a figure, its slot."""

    heads: Any
    heads_code: Any
    lead: Any
    against: Any
    all_heads: Any
    spectrum: Any
    pinv: Any
    states: Any


FIGURES = Parts._fields[3:]


def build(checkpoints: Library, store: gr.HTML) -> View:
    """The tab's components and its own events."""
    reader = TextReader(checkpoints, kept=1)
    heads = mosaic("error-mosaic")
    heads_code = code_section("error-mosaic-code")
    lead = gr.HTML(elem_id="error-lead")
    measure = gr.Radio(
        list(MEASURES), value="frobenius", label="Error of the", elem_id="error-measure", elem_classes="segmented"
    )
    parts = Parts(heads, heads_code, lead, *_build_slots())
    long = long_texts.build(checkpoints, store)
    choose_head(heads)

    def fill(state: PageState, changed: frozenset[str]) -> Iterator[Values]:
        return (wired_parts(parts, piece) for piece in show(reader, state, changed))

    def refuse(state: PageState, sentence: str) -> Values:
        gone = dict.fromkeys(FIGURES, emptied())
        return wired_parts(parts, {"heads": None, "heads_code": "", "lead": message(sentence), **gone})

    outputs = [*parts[:3], *(component for slot in parts[3:] for component in slot)]
    return View(fill, refuse, outputs, {"measure": measure, "long_text": long}, lead)


def wired_parts(parts: Parts, piece: dict[str, Any]) -> Values:
    """Named results under their components, a figure's under those of its slot."""
    values: Values = {}
    for name, given in piece.items():
        result = as_json(given) if name == "heads" else given
        values |= slotted(getattr(parts, name), result) if name in FIGURES else {getattr(parts, name): result}
    return values


def _build_slots() -> list[Slot]:
    """The figures' places, in the order of `Parts`."""
    titles = {
        "against": "Error against the number of landmarks, this head",
        "heads": "Error against the number of landmarks, over all heads",
        "spectrum": "Singular values of the exact map",
        "pinv": "The pseudo-inverse, step by step",
        "states": "From attention to the answer",
    }
    with gr.Row(elem_classes="figures"):
        return [figure_slot(title, f"error-{name}") for name, title in titles.items()]


def show(reader: TextReader, state: PageState, changed: frozenset[str] = EVERYTHING) -> Iterator[dict[str, Any]]:
    """The tab's parts by name: the mosaic, then the chosen head's figures, the quick ones first, then the errors of all
    heads m by m. For another measure the other figures stay."""
    model = state.checkpoint(reader.checkpoints).model
    asked = functools.partial(
        about, model, state.text, state.settings(), state.layer, state.head, shared=are_examples(state.text)
    )
    if changed != {"measure"}:
        waiting = ANSWERS.get_or_compute(asked("heads"), lambda: _place_heads(reader, state))
        gone = dict.fromkeys(FIGURES, emptied())
        yield {"lead": "", **gone, **({"heads": waiting} if changed - {"layer", "head"} else {})}
        yield from ANSWERS.replay(asked("head"), lambda: draw_head(reader, state))
    yield from ANSWERS.replay(asked("errors", state.measure), lambda: draw_errors(reader, state))


def _place_heads(reader: TextReader, state: PageState) -> dict[str, Any]:
    text = reader.read(state)
    m = landmarks_of(state.settings(), text.num_tokens)
    admit_heads(state.checkpoint(reader.checkpoints).model.config, text.num_tokens, m)
    return mosaic_payload(None, text.shape, head_within(text.shape, state.layer, state.head), text.num_tokens, m)


def head_view(checkpoints: Library, state: PageState, text: ReadText) -> HeadView:
    """The chosen head on the text, with the landmarks that there are tokens for."""
    settings = landmark_settings(state, text.num_tokens)
    return HeadView(
        state.checkpoint(checkpoints), state.text, *head_within(text.shape, state.layer, state.head), settings
    )


def landmark_settings(state: PageState, num_tokens: int) -> AttentionSettings:
    """The chosen settings with no more landmarks than tokens; as many as tokens are exact."""
    settings = state.settings()
    return settings._replace(implementation="nystrom", num_landmarks=landmarks_of(settings, num_tokens))


def draw_head(reader: TextReader, state: PageState) -> Iterator[dict[str, Any]]:
    """What the tab shows of a head beside its errors against m."""
    text = reader.read(state)
    view = head_view(reader.checkpoints, state, text)
    n, m = text.num_tokens, view.settings.num_landmarks
    table, _ = errors_of_heads(reader, state)
    heads = mosaic_payload(table, text.shape, (view.layer, view.head), n, m)
    yield {"heads": heads, "heads_code": snippets.for_mosaic(view), "lead": describe(line_of(table, view), text, m)}
    yield {"pinv": draw_pinv(text, view)}
    yield {"states": draw_states(view)}
    if n > SPECTRUM_TOKENS:
        yield {"spectrum": _too_long_for_spectra()}
        return
    admit_ladder(view.checkpoint.model.config, n, ladder(text, m))
    spectrum = curves.singular_values(singular_values(text.layers[view.layer], view.head), num_landmarks=m)
    yield {"spectrum": filled(spectrum, snippets.for_spectrum(view, m))}
    best = errors_of_head(text, view)
    best = best[best.num_landmarks == m].best_frobenius.iloc[0]
    yield {"lead": describe(line_of(table, view), text, m, best)}


def draw_errors(reader: TextReader, state: PageState) -> Iterator[dict[str, Any]]:
    """Errors against m by the measure chosen, of the head and then of all heads, drawn anew after each m."""
    text, measure = reader.read(state), state.measure
    view = head_view(reader.checkpoints, state, text)
    if text.num_tokens > SPECTRUM_TOKENS:
        yield {"against": _too_long_for_spectra(), "all_heads": emptied(_too_many_tokens())}
        return
    errors = Errors(errors_of_head(text, view))
    yield {"against": draw_against(view, errors, measure)}
    if text.num_tokens > ALL_HEADS_TOKENS:
        yield {"all_heads": emptied(_too_many_tokens())}
        return
    for of_all in errors_of_all(text, view):
        yield {"all_heads": draw_over_heads(view, errors._replace(of_all=of_all), measure)}


def errors_of_head(text: ReadText, view: HeadView) -> pd.DataFrame:
    """The chosen head's errors at each m of the ladder."""

    def compute() -> pd.DataFrame:
        landmarks = ladder(text, view.settings.num_landmarks)
        return error_against_landmarks(text.layers[view.layer], view.head, landmarks, view.settings)

    asked = _about(view, "errors of a head", view.layer, view.head)
    return ANSWERS.get_or_compute(asked, compute)


def errors_of_all(text: ReadText, view: HeadView) -> Iterator[pd.DataFrame]:
    """The errors of all heads at each m of the ladder, those known so far after each m."""

    def compute() -> Iterator[pd.DataFrame]:
        for m in ladder(text, view.settings.num_landmarks):
            errors = head_errors(text.layers, view.settings._replace(num_landmarks=m), spectral=False)
            yield errors.assign(num_landmarks=m)

    tables = []
    for table in ANSWERS.replay(_about(view, "errors at each m"), compute):
        tables.append(table)
        yield pd.concat(tables)


def _about(view: HeadView, what: str, *more: Any) -> Hashable:
    """The key of what is asked of the view's model and text under its settings."""
    return about(view.checkpoint.model, what, view.text, view.settings, *more, shared=are_examples(view.text))


def line_of(table: pd.DataFrame, view: HeadView) -> pd.Series:
    """The chosen head's line."""
    return table[(table["layer"] == view.layer) & (table["head"] == view.head)].iloc[0]


def ladder(text: ReadText, m: int) -> list[int]:
    """The numbers of landmarks that errors are drawn at, the chosen one among them."""
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


def draw_against(view: HeadView, errors: Errors, measure: str) -> tuple[Any, ...]:
    """The error of the head against m by the measure chosen."""
    m, landmarks = view.settings.num_landmarks, errors.of_head.num_landmarks.tolist()
    figure = curves.error_against_landmarks(errors.of_head, measure, chosen=m)
    return filled(figure, snippets.for_landmarks(view, measure, landmarks, m))


def draw_over_heads(view: HeadView, errors: Errors, measure: str) -> tuple[Any, ...]:
    """The errors of all heads against m by the measure chosen."""
    if measure not in errors.of_all:
        return emptied("The spectral norm is taken of the chosen head alone: of all heads it would take too long.")
    m, landmarks = view.settings.num_landmarks, errors.of_all.num_landmarks.unique().tolist()
    figure = curves.errors_over_heads(errors.of_all, measure, chosen=m)
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


def _too_long_for_spectra() -> tuple[Any, ...]:
    return emptied(
        f"Up to {SPECTRUM_TOKENS:,} tokens only, since this takes a singular value decomposition of the map; see the "
        "long texts below."
    )


def _too_many_tokens() -> str:
    return f"Up to {ALL_HEADS_TOKENS:,} tokens only, since this takes every head at every m."
