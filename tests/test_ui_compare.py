"""The Compare tab's handlers as functions: what comes after each method, and what is refused."""

import re

import pytest
from analysis_by_hand import random_inputs
from page_requests import answered, make_page

from nystrom_demo.analysis import approximation_maps
from nystrom_demo.errors import UserError
from nystrom_demo.figures import attention_maps, csv_of, summary_of
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.permalink import read_link, write_link
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.tabs import compare
from nystrom_demo.ui.tabs.attention import TextReader
from nystrom_demo.ui.view import EVERYTHING

TEXT = "john smith went to paris and saw the river, the cat and the old house by the water"


def test_budgets_are_powers_of_two_below_the_text_s_length():
    assert (
        compare.budgets_of(100) == [4, 8, 16, 32, 64]
        and compare.budgets_of(16) == [4, 8]
        and compare.budgets_of(3) == [1]
    )


def test_each_method_adds_a_line_and_the_sentence_speaks_of_all_so_far():
    first, second, third = compare.compare_head(random_inputs(40), 1, ["nystrom", "favor"], seeds=[0, 1])
    assert set(second.errors.seed) == {0} and list(third.errors.method.unique()) == ["nystrom", "favor"]
    assert third.errors.groupby("method").seed.nunique().to_dict() == {"favor": 2, "nystrom": 1}
    assert [trace.name for trace in first.against_budget.data][:1] == ["landmarks: segment means"]
    assert len(second.against_budget.data) == 3 and len(second.against_cost.data) == 3
    assert second.sentence.startswith("At m = 32 of 40 tokens the nearest of 2 methods is landmarks: segment means")
    assert set(second.errors.method) == {"nystrom", "favor"} and set(second.errors["head"]) == {1}
    again = compare.comparison_of(second.errors, "output", "numbers_held")
    assert again.against_cost.layout.xaxis.title.text == "numbers held for one head"
    assert "relative error of the output" in again.sentence


def test_maps_of_a_method_are_drawn_as_landmark_maps_are():
    maps = approximation_maps(random_inputs(), 1, "wildcat", 4)
    assert "differs from exact attention by" in summary_of(attention_maps(maps))


def test_what_memory_has_no_room_for_is_refused_before_anything_is_computed():
    with (
        under_limits(Limits(request_bytes=1_000_000)),
        pytest.raises(UserError, match="window and first token at m = 128"),
    ):
        next(compare.compare_head(random_inputs(200), 1, ["window"]))


def test_answers_come_one_at_a_time(tiny_checkpoints):
    checkpoint = tiny_checkpoints["question-answering"]
    stream = compare.answers_under(
        checkpoint, "who sat", "the cat sat on the mat and the dog on the cat", methods=["favor"], num_landmarks=3
    )
    first, second = stream
    assert list(first.method) == ["exact"] and list(second.method) == ["exact", "favor"]
    assert list(second.columns) == ["method", "answer", "probability", "agrees"]


@pytest.fixture(scope="module")
def tab(tiny_checkpoints):
    """tab(state, changed) → what the tab shows, piece by piece."""
    reader, examples = TextReader(tiny_checkpoints), load_examples()
    return lambda state, changed=EVERYTHING: list(compare.show(reader, examples, state.resolved(examples), changed))


def state_of(**changes) -> PageState:
    given = {"approximations": ("favor", "nystrom"), "layer": 1, "head": 2, "num_landmarks": 5} | changes
    return PageState(TEXT, **given)


def whole(pieces) -> dict:
    return dict(pair for piece in pieces for pair in piece.items())


def test_the_tab_shows_errors_a_method_at_a_time_and_then_the_answers(tab):
    pieces = tab(state_of())
    drawn = [piece["against_budget"][0] for piece in pieces if piece.get("against_budget", (None,))[0]]
    assert [len(figure.data) for figure in drawn] == [2, 3, 3, 3]  # two methods beside the best of rank m, then chance
    shown = whole(pieces)
    assert shown["lead"].startswith('<p class="verdict">Layer 2, head 3. At m = 16 of ')
    assert summary_of(drawn[-1]).replace(" %", "\N{NO-BREAK SPACE}%") in shown["lead"]
    assert re.findall(r'"row">([^<]*)<', shown["answers"]) == [
        "exact attention",
        "FAVOR+ (Performer)",
        "landmarks: segment means",
    ]
    assert "at m = 5" in shown["answers"]


def test_the_code_of_each_figure_computes_its_numbers(tab, tiny_box, monkeypatch, capsys):
    monkeypatch.setenv("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box))
    shown = whole(tab(state_of(compared_by="output", cost="numbers_held")))
    for name in compare.FIGURES:
        figure, _, code = shown[name]
        exec(compile(code, "<code for this view>", "exec"), {})
        assert capsys.readouterr().out == f"{csv_of(figure)}\n{summary_of(figure)}\n"


def test_another_measure_or_cost_redraws_and_another_m_asks_for_answers_alone(tab, monkeypatch):
    tab(state_of())
    monkeypatch.setattr(compare, "approximation_errors", lambda *_, **__: pytest.fail("it was computed again"))
    (redrawn,) = tab(state_of(compared_by="output", cost="numbers_held"), frozenset({"compared_by", "cost"}))
    assert redrawn.keys() == {"lead", *compare.FIGURES} and "relative error of the output" in redrawn["lead"]
    assert redrawn["against_cost"][0].layout.xaxis.title.text == "numbers held for one head"
    assert whole(tab(state_of(num_landmarks=3), frozenset({"num_landmarks"}))).keys() == {"answers"}
    assert "answers" not in whole(tab(state_of(cost="numbers_held"), frozenset({"layer"})))


def test_what_a_head_still_needs_is_said_in_the_answers_place(tab):
    shown = whole(tab(state_of(task="question-answering", question="", options="", choices_question="")))
    assert shown["against_budget"][0] and "On the Tasks tab: Ask a question about the text" in shown["answers"]


def test_a_method_too_large_for_memory_is_refused_by_name_and_the_others_are_compared(tab, monkeypatch):
    def admit(layer_inputs, name):
        if name == "favor":
            raise UserError("FAVOR+ (Performer) at m = 16 would take too much.")

    monkeypatch.setattr(compare, "admit", admit)
    shown = whole(tab(state_of()))
    assert "FAVOR+ (Performer) at m = 16 would take too much." in shown["lead"]
    assert [trace.name for trace in shown["against_budget"][0].data][:1] == ["landmarks: segment means"]
    assert "FAVOR" not in shown["answers"]
    with pytest.raises(UserError, match="would take too much"):
        tab(state_of(approximations=("favor",)))


def test_no_method_and_too_long_a_text_are_said_in_a_sentence(tab, monkeypatch):
    with pytest.raises(UserError, match="Choose a method"):
        tab(state_of(approximations=()))
    monkeypatch.setattr(compare, "MOST_TOKENS", 8)
    with pytest.raises(UserError, match=r"on up to 8 tokens.*this text has"):
        tab(state_of())


def test_a_link_restores_methods_measure_and_cost(tiny_checkpoints):
    state = state_of(tab="compare", compared_by="output", cost="numbers_held")
    link, said = write_link(state, load_examples())
    found, refusals = read_link(f"#{link}", tiny_checkpoints)
    assert (found, said, refusals) == (state, "", [])


def test_layer_and_head_are_chosen_from_one(tiny_checkpoints):
    told, _ = answered(make_page(tiny_checkpoints), state_of(tab="compare"), restored=True)
    assert (told["inputs"]["compare_layer"]["value"], told["inputs"]["compare_head"]["value"]) == (2, 3)


def test_a_link_fills_the_tab_though_nothing_changed_on_the_one_before(tiny_checkpoints):
    page = make_page(tiny_checkpoints)
    _, values = answered(page, PageState(), link="tab=compare&text=the+cat+sat", changed=[])
    assert any("Answers under each method" in str(value) for value in values.values())
