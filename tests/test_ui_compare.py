"""The Compare tab's handlers as functions: what comes after each method, and what is refused."""

import pytest
from analysis_by_hand import random_inputs

from nystrom_demo.analysis import approximation_maps
from nystrom_demo.errors import UserError
from nystrom_demo.figures import attention_maps, summary_of
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.tabs import compare


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
