"""The Error tab's handlers: its figures plot what the analysis says, and what cannot be shown is said."""

import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pandas as pd
import pytest
from page_requests import make_page, request

from nystrom_demo.analysis import (
    error_against_landmarks,
    head_errors,
    hidden_state_errors,
    logit_errors,
    pinv_residuals,
    singular_values,
)
from nystrom_demo.config import AttentionSettings
from nystrom_demo.formatting import percent
from nystrom_demo.limits.cache import ANSWERS
from nystrom_demo.ui.refresh import Latest, fill, refresh
from nystrom_demo.ui.state import MEASURES, PageState, checked
from nystrom_demo.ui.tabs import error as error_tab
from nystrom_demo.ui.tabs.attention import TextReader, read_text
from nystrom_demo.ui.tabs.error import FIGURES, Parts

TEXT = "john smith went to paris and saw the river, the cat and the old house by the water"
LAYER, HEAD, M = 1, 2, 5
SETTINGS = AttentionSettings(num_landmarks=M)


def page_state(**changes) -> PageState:
    return replace(PageState(TEXT, "sequence-classification", M, 6, False, "cpu"), **changes)


def last_shown(checkpoints, state: PageState, measure: str = "frobenius") -> Parts:
    """What stands on the page once all has come, with each slot's (figure, sentence, code)."""
    shown = {}
    for piece in error_tab.show(TextReader(checkpoints), replace(state, layer=LAYER, head=HEAD, measure=measure)):
        shown |= piece
    return Parts(**shown)


@pytest.fixture(scope="module")
def shown(tiny_checkpoints) -> Parts:
    return last_shown(tiny_checkpoints, page_state())


@pytest.fixture(scope="module")
def text(tiny_checkpoints):
    return read_text(tiny_checkpoints["sequence-classification"], TEXT)


def assert_plots(trace, x, y):
    np.testing.assert_array_equal(np.asarray(trace.x, float), np.asarray(x, float))
    np.testing.assert_allclose(np.asarray(trace.y, float), np.asarray(y, float), rtol=1e-6)


def test_the_mosaic_has_every_heads_errors(shown, text):
    lines = pd.DataFrame(shown.heads["heads"])
    wanted = head_errors(text.layers, SETTINGS, spectral=False)
    pd.testing.assert_frame_equal(lines, wanted[list(lines)])
    assert shown.heads["chosen"] == [LAYER, HEAD]


def test_the_lead_says_the_chosen_heads_errors_counted_from_one(shown, text):
    errors = error_against_landmarks(text.layers[LAYER], HEAD, [M], SETTINGS).iloc[0]
    said = [percent(errors[name]) for name in ("frobenius", "best_frobenius", "output")]
    lead = re.sub("<[^>]*>", "", shown.lead)
    assert lead.startswith("Layer 2, head 3 over 5 landmarks:")
    assert re.findall(r"[\d.]+\N{NO-BREAK SPACE}%", lead) == said


@pytest.mark.parametrize("measure", MEASURES)
def test_the_error_against_m_is_the_analysis_own(tiny_checkpoints, text, measure):
    figure, sentence, _ = last_shown(tiny_checkpoints, page_state(), measure).against
    landmarks = sorted({1, 2, 4, 5, 8, 16, text.num_tokens})
    errors = error_against_landmarks(text.layers[LAYER], HEAD, landmarks, SETTINGS)
    assert_plots(figure.data[0], landmarks, errors[measure].where(errors[measure] > 0))
    if measure != "output":
        best = errors[f"best_{measure}"]
        assert_plots(figure.data[1], landmarks, best.where(best > 0))
    assert "From m = 1 to" in sentence


def test_all_heads_have_a_band_at_each_m(shown, text):
    figure, sentence, _ = shown.all_heads
    median = figure.data[2]
    assert list(median.x) == [1, 2, 4, 5, 8, 16]  # at m = n there is no error to draw
    for m, middle in zip(median.x, median.y, strict=True):
        errors = head_errors(text.layers, SETTINGS._replace(num_landmarks=int(m)), spectral=False)
        assert middle == pytest.approx(errors.frobenius.median())
    assert "of the 6 heads" in sentence


def test_spectrum_and_residuals_are_the_analysis_own(shown, text):
    values = singular_values(text.layers[LAYER], HEAD)
    assert_plots(shown.spectrum[0].data[0], values["index"], values.value.where(values.value > 0))
    residuals = pinv_residuals(text.layers[LAYER], HEAD, SETTINGS, steps=12)
    for trace, (_, lines) in zip(shown.pinv[0].data, residuals.groupby("first_estimate", sort=False), strict=True):
        assert_plots(trace, lines.step, lines.residual)


def test_states_and_logits_are_the_models_own(shown, tiny_checkpoints):
    checkpoint = tiny_checkpoints["sequence-classification"]
    ids = checkpoint.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    states = hidden_state_errors(checkpoint.model, ids, SETTINGS)
    assert_plots(shown.states[0].data[0], states.layer, states.accumulated)
    moved = percent(logit_errors(checkpoint.model, {"input_ids": ids}, SETTINGS).relative)
    assert f"The logits move by {moved}, and the likeliest label" in shown.states[1]


def test_what_becomes_of_the_logits_fits_the_head(tiny_checkpoints):
    tagged = last_shown(tiny_checkpoints, page_state(task="token-classification")).states[1]
    assert "of the tokens keep their likeliest label." in tagged
    asked = last_shown(tiny_checkpoints, page_state(task="question-answering")).states[1]
    assert "depends on its question too: see Tasks." in asked and "logits move" not in asked


@pytest.mark.parametrize("m", [0, 999])
def test_with_a_landmark_for_every_token_every_error_is_zero(tiny_checkpoints, m):
    exact = last_shown(tiny_checkpoints, page_state(num_landmarks=m))
    assert "every error is zero" in exact.lead
    assert exact.pinv[0] is None and "nothing is inverted" in exact.pinv[1]
    assert all(line["frobenius"] == 0 for line in exact.heads["heads"])
    assert set(exact.states[0].data[0].y) == {0.0}


def test_every_figure_comes_with_its_sentence_and_code(shown):
    for slot in shown[3:]:
        figure, sentence, code = slot
        assert figure.layout.meta["summary"].replace(" %", "\N{NO-BREAK SPACE}%") in sentence
        compile(code, "<code for this view>", "exec")
    assert "head_errors" in shown.heads_code


def test_each_answer_repeats_what_is_known(tiny_checkpoints):
    """A page that is behind takes up the last answer alone."""
    page = make_page(tiny_checkpoints)
    asked = request(page_state(tab="error"))
    plots = [page.views["error"].outputs[place] for place in range(3, 18, 3)]
    seen: set[int] = set()
    for answer in refresh(page, asked, Latest()):
        figures = {place for place, plot in enumerate(plots) if getattr(answer.get(plot), "layout", None)}
        assert figures >= seen
        seen = figures
    assert len(seen) == 5


def test_another_measure_leaves_the_other_figures_and_computes_nothing(tiny_checkpoints, shown, monkeypatch):
    last_shown(tiny_checkpoints, page_state())
    for name in ("head_errors", "error_against_landmarks", "singular_values"):
        monkeypatch.setattr(error_tab, name, lambda *_, **__: pytest.fail("it was computed again"))
    reader, changed = TextReader(tiny_checkpoints), frozenset({"measure"})
    redrawn, spectral = (
        dict(pair for piece in error_tab.show(reader, at(measure), changed) for pair in piece.items())
        for measure in ("output", "spectral")
    )
    assert redrawn.keys() == {"against", "all_heads"}
    assert "relative error of the output" in redrawn["all_heads"][1]
    assert spectral["all_heads"][0] is None and "of the chosen head alone" in spectral["all_heads"][1]


def at(measure: str) -> PageState:
    return page_state(layer=LAYER, head=HEAD, measure=measure)


def test_a_text_past_the_position_table_is_refused_in_a_sentence(tiny_checkpoints):
    with gr.Blocks():
        view = error_tab.build(tiny_checkpoints, gr.HTML())
    (values,) = fill(view, page_state(text="cat " * 5_000))
    heads, code, lead, *figures = (values[part] for part in view.outputs)
    assert "this one has 5,002 tokens, and the position table of this model ends at 4,096." in lead
    assert heads is None and code == "" and figures[::3] == [None] * len(FIGURES)


def test_past_its_bound_a_figure_says_why_it_is_not_there(tiny_checkpoints, monkeypatch):
    monkeypatch.setattr(error_tab, "ALL_HEADS_TOKENS", 10)
    assert "Up to 10 tokens only" in last_shown(tiny_checkpoints, page_state()).all_heads[1]
    ANSWERS.clear()
    monkeypatch.setattr(error_tab, "SPECTRUM_TOKENS", 10)
    few = last_shown(tiny_checkpoints, page_state())
    assert few.against[0] is None and "Up to 10 tokens only" in few.spectrum[1]


def test_an_unknown_measure_is_named():
    with pytest.raises(ValueError, match="error must be one of frobenius, spectral, output, got 'max'"):
        checked({"measure": "max"})


@pytest.mark.parametrize("head", [-1, "x", 2**70])
def test_a_head_that_no_model_has_is_refused(head):
    with pytest.raises(ValueError, match="head must be a whole number from 1 to 1000"):
        checked({"head": head})
