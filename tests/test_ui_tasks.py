"""The Tasks tab: what it shows is what the package answers, and visitors' text is never markup."""

import io
import re
from html import escape, unescape

import gradio as gr
import pandas as pd
import pytest

from nystrom_demo import tasks
from nystrom_demo.config import EXACT
from nystrom_demo.formatting import as_probability
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.limits.estimates import encoder_bytes
from nystrom_demo.tasks.latency import compare_latency
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.readout import count_tokens
from nystrom_demo.ui.sidebar import BenchValues
from nystrom_demo.ui.tabs import tasks as tasks_tab
from nystrom_demo.ui.tabs.tasks import Sweep
from nystrom_demo.ui.task_views import answers, choices, entities, labels, masked
from nystrom_demo.ui.task_views.asked import Asked, Masks, toggle_mask
from nystrom_demo.ui.task_views.markup import Stretch, bars, excerpt, marked_text

TEXT = "john smith went to paris and saw the river, the cat and the old house"
OPTIONS = "he went home\nhe saw paris\nthe cat sat"
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{alert(3)}} </script> & \"quoted\" 'quoted'"
NOTHING = Sweep("", [])


def asked(masks=(), question="who went to paris?", options=OPTIONS, text=TEXT, with_passage=True):
    return Asked(Masks(text, list(masks)), question, question, options, with_passage)


def show(checkpoints, task, text=TEXT, m=3, **more):
    values = BenchValues(text, task, m, 6, False, "cpu")
    return tasks_tab.show(checkpoints, load_examples(), values, NOTHING, *asked(text=text, **more))


def numbers(markup: str) -> list[str]:
    return re.findall(r'class="number">([^<]*)<', markup)


def expected(checkpoints, task, settings):
    """The probabilities that a head's column must show, straight from the package."""
    checkpoint = checkpoints[task]
    if task == "masked-lm":
        masks = tasks.fill_mask(checkpoint, "[MASK]" + TEXT[4:], settings).masks
        return [candidate.score for mask in masks for candidate in mask.candidates]
    if task == "sequence-classification":
        return list(tasks.classify(checkpoint, TEXT, settings).probabilities.values())
    if task == "question-answering":
        found = tasks.answer(checkpoint, "who went to paris?", TEXT, settings)
        return [*(answer.score for answer in found.answers), found.no_answer_score]
    return list(tasks.choose(checkpoint, "who went to paris?", OPTIONS.splitlines(), TEXT, settings).scores)


@pytest.mark.parametrize("task", ["masked-lm", "sequence-classification", "question-answering", "multiple-choice"])
def test_both_columns_show_the_packages_own_numbers(tiny_checkpoints, task):
    answer = show(tiny_checkpoints, task, masks=[(0, 4)])[2]
    settings = BenchValues(TEXT, task, 3, 6, False, "cpu").settings()
    wanted = expected(tiny_checkpoints, task, EXACT) + expected(tiny_checkpoints, task, settings)
    assert numbers(answer) == [escape(as_probability(score)) for score in wanted]


def test_passes_at_once_take_the_memory_of_both(tiny_checkpoints):
    checkpoint = tiny_checkpoints["sequence-classification"]
    num_tokens = tasks.prepare(checkpoint, TEXT).num_tokens
    landmarks = BenchValues(TEXT, checkpoint.task, 3, 6, False, "cpu").settings()
    one = max(encoder_bytes(checkpoint.model.config, 1, num_tokens, each) for each in (EXACT, landmarks))
    with under_limits(Limits(request_bytes=one)):
        show(tiny_checkpoints, checkpoint.task, m=0)  # exact both times: one pass
        with pytest.raises(ValueError, match="of memory"):
            show(tiny_checkpoints, checkpoint.task)


def test_a_refusal_takes_the_place_of_the_answer_and_nothing_is_measured(tiny_checkpoints):
    values = BenchValues(TEXT, "sequence-classification", 3, 6, False, "cpu")
    with under_limits(Limits(text_tokens=5)):
        _, _, said, *rest = tasks_tab.show_or_say(tiny_checkpoints, load_examples(), values, NOTHING, *asked())
        assert "text must come to at most 5 tokens, got" in said
        assert rest[:2] == ["", ""]
        (nothing,) = tasks_tab.measure_what_is_shown(tiny_checkpoints, values, NOTHING, *asked())
        assert (nothing[0], nothing[-1]) == ("", NOTHING)


def test_a_librarys_error_is_not_shown_but_goes_on_to_the_log(tiny_checkpoints, monkeypatch):
    def fail(*_):
        raise ValueError("a library's words")

    monkeypatch.setattr(tasks_tab, "show", fail)
    values = BenchValues(TEXT, "sequence-classification", 3, 6, False, "cpu")
    with pytest.raises(ValueError, match="a library's words"):
        tasks_tab.show_or_say(tiny_checkpoints, load_examples(), values, NOTHING, *asked())


@pytest.mark.parametrize("task", ["question-answering", "multiple-choice"])
def test_as_many_landmarks_as_the_text_has_tokens_are_exact_with_a_question_too(tiny_checkpoints, task):
    m = count_tokens(tiny_checkpoints[task], TEXT)
    answer = show(tiny_checkpoints, task, m=m)[2]
    assert "exact as well" in answer
    assert "exact as well" not in show(tiny_checkpoints, task, m=m - 1)[2]


def test_what_comes_after_the_answer_has_the_same_limits(tiny_checkpoints):
    values = BenchValues(TEXT, "sequence-classification", 3, 6, False, "cpu")
    with under_limits(Limits(request_bytes=1000)), pytest.raises(ValueError, match="of memory"):
        next(tasks_tab.measure(tiny_checkpoints, values, NOTHING, *asked()))
    with under_limits(Limits(text_tokens=5)), pytest.raises(ValueError, match="at most 5 tokens"):
        next(tasks_tab.measure(tiny_checkpoints, values, NOTHING, *asked()))


def test_entities_are_the_packages_own(tiny_checkpoints):
    answer = show(tiny_checkpoints, "token-classification")[2]
    exact = answer.split('class="landmark"')[0]
    found = tasks.tag(tiny_checkpoints["token-classification"], TEXT).entities
    assert found
    shown = re.findall(r'data-tag="([^"]*)">([^<]*)<', exact)
    assert shown == [(f"{entity.entity} {as_probability(entity.score)}", entity.word) for entity in found]


def saved(answer: str) -> pd.DataFrame:
    """The numbers that an answer can be saved as."""
    return pd.read_csv(io.StringIO(unescape(re.search(r'data-csv="([^"]*)"', answer).group(1))), keep_default_na=False)


@pytest.mark.parametrize("task", list(tasks_tab.TASK_LABELS))
def test_what_is_saved_of_an_answer_is_what_both_columns_show(tiny_checkpoints, task):
    answer = show(tiny_checkpoints, task, masks=[(0, 4)])[2]
    table = saved(answer)
    assert list(table.attention.unique()) == ["exact", "landmarks"]
    shown = numbers(answer)
    if task == "token-classification":
        shown = [tag.rsplit(" ", 1)[1] for tag in re.findall(r'data-tag="([^"]*)"', answer)]
    assert [escape(as_probability(score)) for score in table.probability] == shown


def test_an_answer_without_entities_is_saved_as_a_table_without_rows():
    none = tasks.Tagging((), (), 5, 1)
    assert list(entities.table(none)) == ["entity", "words", "start", "end", "probability"]
    assert entities.table(none).empty


def test_what_is_saved_runs_nothing_in_a_spreadsheet(tiny_checkpoints):
    table = saved(show(tiny_checkpoints, "multiple-choice", options="=1+1\nan, option")[2])
    assert list(table.option) == ["'=1+1", "an, option"] * 2


@pytest.mark.parametrize("m", [0, 999])
def test_with_a_landmark_for_each_token_both_columns_are_the_same(tiny_checkpoints, m):
    answer = show(tiny_checkpoints, "sequence-classification", m=m)[2]
    shown = numbers(answer)
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :]
    assert "exact as well" in answer


@pytest.mark.parametrize("task", list(tasks_tab.TASK_LABELS))
def test_hostile_text_stays_text(tiny_checkpoints, task):
    outputs = show(
        tiny_checkpoints, task, text=HOSTILE, masks=[(5, 8)], question=HOSTILE, options=f"{HOSTILE}\n<b>b</b>"
    )
    for markup in (outputs[1], outputs[2], outputs[4], outputs[6]):  # board, answers, cost, the curve's sentence
        assert "<img" not in markup
        assert "<b>b" not in markup
        assert "</script" not in markup


def test_what_is_missing_is_said(tiny_checkpoints):
    said = {
        "masked-lm": show(tiny_checkpoints, "masked-lm")[2],
        "sequence-classification": show(tiny_checkpoints, "sequence-classification", text="  ")[2],
        "question-answering": show(tiny_checkpoints, "question-answering", question="")[2],
        "multiple-choice": show(tiny_checkpoints, "multiple-choice", options="one\n\n")[2],
    }
    assert "Click a word" in said["masked-lm"]
    assert "Type a text" in said["sequence-classification"]
    assert "Ask a question" in said["question-answering"]
    assert "two to six options, one a line; there is 1 now" in said["multiple-choice"]


def test_an_example_begins_with_its_own_masks(tiny_checkpoints):
    example = load_examples()["sentences"]
    masks, board, *_ = show(tiny_checkpoints, "masked-lm", text=example.text)
    assert masks == gr.skip()  # those given belong to this text already, and a click may come meanwhile
    values = BenchValues(example.text, "masked-lm", 3, 6, False, "cpu")
    masks = tasks_tab.show(tiny_checkpoints, load_examples(), values, NOTHING, *asked())[0]
    assert [example.text[slice(*span)] for span in masks.spans] == ["capital"]  # the tiny vocabulary splits the others
    assert board.count("<button") == len(masked.token_spans(tiny_checkpoints["masked-lm"], example.text))


def test_a_click_masks_a_token_and_another_shows_it_again(tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    once = toggle_mask(checkpoint, TEXT, Masks("another text", [(1, 2)]), 1)
    assert once == Masks(TEXT, [(5, 10)])
    assert toggle_mask(checkpoint, TEXT, once, 1) == Masks(TEXT, [])
    with pytest.raises(ValueError, match=r"token must be a whole number from 0 to \d+, got 999\."):
        toggle_mask(checkpoint, TEXT, once, 999)


def test_masks_replace_their_characters_only():
    assert masked.masked_text("the cat sat", [(8, 11), (0, 3)], "[MASK]") == "[MASK] cat [MASK]"


def test_latency_then_the_curve_which_is_kept(tiny_checkpoints):
    values = BenchValues(TEXT, "sequence-classification", 3, 6, False, "cpu")
    first = list(tasks_tab.measure(tiny_checkpoints, values, NOTHING, *asked()))
    assert "ms</b> exact" in first[0][0]
    known = first[-1][-1]
    exact = tasks.classify(tiny_checkpoints["sequence-classification"], TEXT)
    assert known.points[0].probability == pytest.approx(exact.probabilities[exact.label])
    assert [point.num_landmarks for point in known.points] == [0, 1, 2, 4, 8, 16]
    again = list(tasks_tab.measure(tiny_checkpoints, values, known, *asked()))
    assert again[-1][-1].points == known.points
    assert tasks_tab.show(tiny_checkpoints, {}, values, known, *asked())[4:] == (gr.skip(),) * 4


def test_a_new_question_takes_the_old_curve_away(tiny_checkpoints):
    cost, curve = show(tiny_checkpoints, "sequence-classification")[4:6]
    assert cost == tasks_tab.MEASURING
    assert curve is None


def test_latency_takes_turns_and_keeps_its_budget(tiny_checkpoints):
    checkpoint = tiny_checkpoints["sequence-classification"]
    reader = tasks.prepare(checkpoint, TEXT)
    latency = compare_latency(checkpoint, reader, EXACT, repeats=3, budget_seconds=60)
    assert len(latency.exact) == len(latency.landmark) == 3
    assert min(latency.exact + latency.landmark) > 0
    assert len(compare_latency(checkpoint, reader, EXACT, budget_seconds=0).exact) == 1


def test_verdicts_say_whether_landmarks_agree(tiny_checkpoints):
    say = tasks.Classification
    yes, no = say("a", {"a": 0.75, "b": 0.25}, 5, 1), say("b", {"a": 0.25, "b": 0.75}, 5, 1)
    assert labels.verdict(yes, yes).startswith("Both say a: 75.0")
    assert labels.verdict(yes, no).startswith("They differ: exact attention says a")
    first, second = tasks.Choice(0, "x", (0.75, 0.25), 5, 1), tasks.Choice(1, "y", (0.25, 0.75), 5, 1)
    assert choices.verdict(first, first).startswith("Both choose option 1")
    assert "landmarks option 2" in choices.verdict(first, second)
    here = tasks.Answers((tasks.Answer("cat", 4, 7, 0.5),), False, 0.1, 5, 1)
    there = tasks.Answers((tasks.Answer("the cat", 0, 7, 0.5),), False, 0.1, 5, 1)
    none = tasks.Answers((tasks.Answer("cat", 4, 7, 0.01),), True, 0.1, 5, 1)
    assert answers.verdict(here, here).startswith("Both give the same answer")
    assert answers.verdict(here, there).startswith("The answers overlap")
    assert answers.verdict(none, none) == "Neither finds an answer in this text."
    assert answers.verdict(here, none) == "They differ: exact attention finds an answer, landmarks do not."
    one = tasks.Tagging((), (tasks.Entity("PER", "cat", 4, 7, 0.5),), 5, 1)
    two = tasks.Tagging((), (tasks.Entity("LOC", "cat", 4, 7, 0.5),), 5, 1)
    assert entities.verdict(one, one) == "Both find the same entity."
    nothing = tasks.Tagging((), (), 5, 1)
    assert entities.verdict(nothing, nothing) == "Neither finds a person, place or other thing with a name."
    assert "find 0 of the 1" in entities.verdict(one, two)
    assert "miss 1 and see 1 others" in entities.verdict(one, two)


def test_bars_mark_the_answer():
    markup = bars([("a", 0.25), ("b", 0.5)], marked=1)
    assert markup.index('class="chosen"') > markup.index(">a<")
    assert "width:50.00%" in markup


def test_marks_keep_the_text_whole_and_skip_overlaps():
    text = "one two three"
    markup = marked_text(text, [Stretch(4, 7, "lit"), Stretch(5, 9, "next")])
    assert markup == '<div class="reading">one <mark class="lit">two</mark> three</div>'


def test_a_long_text_is_cut_at_words_around_the_answer():
    text = "word " * 1_000
    low, high = excerpt(text, 2_500)
    assert low < 2_500 < high
    assert text[low : low + 5] == "word "
    assert high - low <= 1_400
    assert excerpt("short", 2) == (0, 5)
