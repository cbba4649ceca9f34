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
from nystrom_demo.tasks import TASKS
from nystrom_demo.tasks.latency import compare_latency
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.readout import count_tokens
from nystrom_demo.ui.refresh import fill
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.tabs import tasks as tasks_tab
from nystrom_demo.ui.task_views import answers, choices, entities, labels, masked
from nystrom_demo.ui.task_views.inputs import hidden_spans, task_inputs
from nystrom_demo.ui.task_views.markup import Stretch, bars, excerpt, marked_text
from nystrom_demo.ui.task_views.registry import TASK_VIEWS
from nystrom_demo.ui.view import NO_TEXT

TEXT = "john smith went to paris and saw the river, the cat and the old house"
OPTIONS = "he went home\nhe saw paris\nthe cat sat"
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{alert(3)}} </script> & \"quoted\" 'quoted'"


def page_state(task, text=TEXT, m=3, masks=(), question="who went to paris?", options=OPTIONS) -> PageState:
    more = {"masks": masks, "question": question, "choices_question": question, "options": options}
    return PageState(text, task, m, 6, False, "cpu", **more)


def pieces(checkpoints, task, **more):
    return tasks_tab.show(checkpoints, load_examples(), page_state(task, **more))


def show(checkpoints, task, **more) -> dict:
    """What the tab shows at first."""
    return next(pieces(checkpoints, task, **more))


def make_ask(checkpoints, task, **more) -> tasks_tab.Ask:
    state, checkpoint = page_state(task, **more), checkpoints[task]
    return tasks_tab.make_ask(checkpoint, state, task_inputs(state, state.masks))


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
    answer = show(tiny_checkpoints, task, masks=((0, 4),))["answer"]
    settings = PageState(TEXT, task, 3, 6, False, "cpu").settings()
    wanted = expected(tiny_checkpoints, task, EXACT) + expected(tiny_checkpoints, task, settings)
    assert numbers(answer) == [escape(as_probability(score)) for score in wanted]


def test_passes_at_once_take_the_memory_of_both(tiny_checkpoints):
    checkpoint = tiny_checkpoints["sequence-classification"]
    num_tokens = tasks.prepare(checkpoint, TEXT).num_tokens
    landmarks = PageState(TEXT, checkpoint.task, 3, 6, False, "cpu").settings()
    one = max(encoder_bytes(checkpoint.model.config, 1, num_tokens, each) for each in (EXACT, landmarks))
    with under_limits(Limits(request_bytes=one)):
        show(tiny_checkpoints, checkpoint.task, m=0)  # exact both times: one pass
        with pytest.raises(ValueError, match="of memory"):
            show(tiny_checkpoints, checkpoint.task)


@pytest.fixture(scope="module")
def view(tiny_checkpoints):
    with gr.Blocks():
        return tasks_tab.build(tiny_checkpoints, gr.HTML())


def test_a_refusal_takes_the_place_of_the_answer_and_nothing_is_measured(view):
    with under_limits(Limits(text_tokens=5)):
        (values,) = fill(view, page_state("sequence-classification"))
    _, said, code, cost, figure, note, *_ = (values[part] for part in view.outputs)
    assert "text must come to at most 5 tokens, got" in said
    assert (code, cost, figure, note) == ("", "", None, "")


def test_a_librarys_error_is_not_shown_but_goes_on_to_the_log(view, monkeypatch):
    def fail(*_):
        raise ValueError("a library's words")

    monkeypatch.setattr(tasks_tab, "show", fail)
    with pytest.raises(ValueError, match="a library's words"):
        next(fill(view, page_state("sequence-classification")))


@pytest.mark.parametrize("task", ["question-answering", "multiple-choice"])
def test_as_many_landmarks_as_the_text_has_tokens_are_exact_with_a_question_too(tiny_checkpoints, task):
    m = count_tokens(tiny_checkpoints[task], TEXT)
    answer = show(tiny_checkpoints, task, m=m)["answer"]
    assert "exact as well" in answer
    assert "exact as well" not in show(tiny_checkpoints, task, m=m - 1)["answer"]


def test_what_is_asked_is_admitted_before_it_runs(tiny_checkpoints):
    ask = make_ask(tiny_checkpoints, "sequence-classification")
    with under_limits(Limits(request_bytes=1000)), pytest.raises(ValueError, match="of memory"):
        tasks_tab.read_both(ask)
    with under_limits(Limits(text_tokens=5)), pytest.raises(ValueError, match="at most 5 tokens"):
        tasks_tab.read_both(ask)


def test_entities_are_the_packages_own(tiny_checkpoints):
    answer = show(tiny_checkpoints, "token-classification")["answer"]
    exact = answer.split('class="landmark"')[0]
    found = tasks.tag(tiny_checkpoints["token-classification"], TEXT).entities
    assert found
    shown = re.findall(r'data-tag="([^"]*)">([^<]*)<', exact)
    assert shown == [(f"{entity.entity} {as_probability(entity.score)}", entity.word) for entity in found]


def saved(answer: str) -> pd.DataFrame:
    """The numbers that an answer can be saved as."""
    return pd.read_csv(io.StringIO(unescape(re.search(r'data-csv="([^"]*)"', answer).group(1))), keep_default_na=False)


@pytest.mark.parametrize("task", list(TASKS))
def test_what_is_saved_of_an_answer_is_what_both_columns_show(tiny_checkpoints, task):
    answer = show(tiny_checkpoints, task, masks=((0, 4),))["answer"]
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
    table = saved(show(tiny_checkpoints, "multiple-choice", options="=1+1\nan, option")["answer"])
    assert list(table.option) == ["'=1+1", "an, option"] * 2


@pytest.mark.parametrize("m", [0, 999])
def test_with_a_landmark_for_each_token_both_columns_are_the_same(tiny_checkpoints, m):
    answer = show(tiny_checkpoints, "sequence-classification", m=m)["answer"]
    shown = numbers(answer)
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :]
    assert "exact as well" in answer


@pytest.mark.parametrize("task", list(TASKS))
def test_hostile_text_stays_text(tiny_checkpoints, task):
    token = masked.token_spans(tiny_checkpoints["masked-lm"], HOSTILE)[1]
    outputs = show(
        tiny_checkpoints, task, text=HOSTILE, masks=(token,), question=HOSTILE, options=f"{HOSTILE}\n<b>b</b>"
    )
    for markup in (outputs["board"], outputs["answer"], outputs["cost"], outputs["curve"][1]):
        assert "<img" not in markup
        assert "<b>b" not in markup
        assert "</script" not in markup


def test_what_is_missing_is_said(tiny_checkpoints):
    said = {
        "masked-lm": show(tiny_checkpoints, "masked-lm")["answer"],
        "sequence-classification": show(tiny_checkpoints, "sequence-classification", text="  ")["answer"],
        "question-answering": show(tiny_checkpoints, "question-answering", question="")["answer"],
        "multiple-choice": show(tiny_checkpoints, "multiple-choice", options="one\n\n")["answer"],
    }
    assert "Click a word" in said["masked-lm"]
    assert NO_TEXT in said["sequence-classification"]
    assert "Ask a question" in said["question-answering"]
    assert "two to six options, one a line; there is 1 now" in said["multiple-choice"]


def test_an_example_begins_with_its_own_masks(tiny_checkpoints):
    example, checkpoint = load_examples()["sentences"], tiny_checkpoints["masked-lm"]
    state = page_state("masked-lm", text=example.text, masks=None)
    masks = hidden_spans(checkpoint, load_examples(), state)
    assert [example.text[slice(*span)] for span in masks] == ["capital"]  # the tiny vocabulary splits the others
    board = show(tiny_checkpoints, "masked-lm", text=example.text, masks=None)["board"]
    assert board.count("<button") == len(masked.token_spans(checkpoint, example.text))
    assert board.count('aria-pressed="true"') == 1


def test_hidden_words_are_tokens_of_the_text(tiny_checkpoints):
    with pytest.raises(ValueError, match="The hidden words must be tokens of this text"):
        show(tiny_checkpoints, "masked-lm", masks=((1, 3),))


def test_masks_replace_their_characters_only():
    assert masked.masked_text("the cat sat", [(8, 11), (0, 3)], "[MASK]") == "[MASK] cat [MASK]"


def test_latency_then_the_curve_which_is_kept(tiny_checkpoints, monkeypatch):
    first, cost, *_, last = pieces(tiny_checkpoints, "sequence-classification")
    assert first["cost"] == tasks_tab.MEASURING and first["curve"][0] is None  # what stood there was of other inputs
    assert "ms</b> exact" in cost["cost"]
    exact = tasks.classify(tiny_checkpoints["sequence-classification"], TEXT)
    points = list(tasks_tab.sweep(make_ask(tiny_checkpoints, "sequence-classification")))
    assert points[0].probability == pytest.approx(exact.probabilities[exact.label])
    assert [point.num_landmarks for point in points] == [0, 1, 2, 4, 8, 16]
    monkeypatch.setattr(tasks_tab, "sweep_landmarks", lambda *_, **__: pytest.fail("it was computed again"))
    *_, again = pieces(tiny_checkpoints, "sequence-classification", m=4)
    assert again["curve"][0].data[0].y == last["curve"][0].data[0].y


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
    said = "Landmarks find 0 of the 1 entity that exact attention finds, miss 1 and see one that it does not."
    assert entities.verdict(one, two) == said
    assert entities.verdict(nothing, two) == "Landmarks find 1 entity, exact attention none."
    assert entities.nothing(nothing).startswith("Exact attention finds no entity here") and not entities.nothing(one)


def test_bars_mark_the_answer():
    markup = bars([("a", 0.25), ("b", 0.5)], marked=1)
    assert markup.index('class="chosen"') > markup.index(">a<")
    assert "width:50.00%" in markup


def test_marks_keep_the_text_whole_and_skip_overlaps():
    text = "one two three"
    markup = marked_text(text, [Stretch(4, 7, "lit"), Stretch(5, 9, "next")])
    assert markup == '<div class="reading" dir="auto">one <mark class="lit">two</mark> three</div>'


def test_a_long_text_is_cut_at_words_around_the_answer():
    text = "word " * 1_000
    low, high = excerpt(text, 2_500)
    assert low < 2_500 < high
    assert text[low : low + 5] == "word "
    assert high - low <= 1_400
    assert excerpt("short", 2) == (0, 5)


def test_every_task_has_a_view():
    assert list(TASK_VIEWS) == list(TASKS)


def test_an_answer_that_the_text_has_in_several_places_is_one(tiny_checkpoints):
    def found(*answers_: tuple[str, int, float]) -> tasks.Answers:
        made = tuple(tasks.Answer(said, start, start + len(said), score) for said, start, score in answers_)
        return tasks.Answers(made, False, 0.1, 5, 1)

    text = "1,300 posts, 1,300 ropes and 1,300 lamps by the river"
    four = found(("1,300", 0, 0.4), ("1,300", 13, 0.2), ("river", 48, 0.1), ("1,300", 29, 0.05))
    assert answers.in_rows(four) == [("1,300 (at 3 places)", 0.4), ("river", 0.1)]
    assert answers.column(four, text).count('class="name" dir="auto">1,300') == 1
    assert len(answers.table(four)) == 5  # the numbers keep each place
    elsewhere = found(("1,300", 13, 0.3))
    assert answers.verdict(four, elsewhere).startswith("Both give the same answer, at different places of the text: ")


@pytest.mark.parametrize("task", list(TASKS))
def test_text_that_runs_from_right_to_left_is_laid_out_so(tiny_checkpoints, task):
    text = "שלום עולם [UNK] the cat"
    shown = show(tiny_checkpoints, task, text=text, masks=None, question="מי?", options="שלום\nעולם")
    for markup in (shown["board"], shown["answer"]):
        for piece in re.findall(r"<(\w+)([^>]*)>[^<]*[\u0590-\u05ff]", markup):
            assert piece[0] in ("button", "span", "mark") or 'dir="auto"' in piece[1], piece
    if task == "masked-lm":
        assert '<div class="board" dir="auto"' in shown["board"]


def test_an_empty_field_gets_no_answer(tiny_checkpoints):
    for task, more in (("question-answering", {"question": " "}), ("multiple-choice", {"options": ""})):
        (only,) = pieces(tiny_checkpoints, task, **more)
        assert "verdict" not in only["answer"] and only["cost"] == "" and only["curve"][0] is None


@pytest.mark.parametrize("task", list(TASKS))
def test_an_empty_text_is_said_in_the_same_sentence_by_every_head(tiny_checkpoints, task):
    (only,) = pieces(tiny_checkpoints, task, text=" \n", masks=None)
    assert NO_TEXT in only["answer"]


def test_no_entity_is_no_curve(tiny_checkpoints, monkeypatch):
    monkeypatch.setattr(tasks_tab, "read_both", lambda ask: (tasks.Tagging((), (), 5, 1),) * 2)
    *_, last = pieces(tiny_checkpoints, "token-classification")
    assert last["curve"][0] is None and "no entity here" in last["curve"][1]
