"""A request of the page: where m goes, which checkpoint answers, what inputs become, and what is late is dropped."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from page_requests import answered, make_page, request

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.tasks import TASKS, fill_mask
from nystrom_demo.ui import request as requests
from nystrom_demo.ui.examples import example_for, load_examples
from nystrom_demo.ui.page import build_app
from nystrom_demo.ui.refresh import Latest, refresh
from nystrom_demo.ui.request import Asked, Served, read_request, settle, shown_state
from nystrom_demo.ui.state import ENTRIES, TABS, PageState
from nystrom_demo.ui.view import NO_TEXT

EXAMPLES = load_examples()
TEXT = "the cat sat on the mat"  # 8 tokens


@pytest.fixture(scope="module")
def page(tiny_checkpoints):
    return make_page(tiny_checkpoints)


def settled(library, served=None, **changes):
    state = replace(PageState(TEXT, "masked-lm", 3), **changes)
    return settle(library, EXAMPLES, Asked(1, state, served or Served(BUNDLED, state.task), {}))


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    """What the page is warned of."""
    said = []
    monkeypatch.setattr(requests.gr, "Warning", said.append)
    return said


@pytest.fixture
def offered(tiny_checkpoints, tmp_path) -> Library:
    """A library that offers a folder "mine" with a masked-word head, and a spoiled one."""
    root = Path(tmp_path)
    tiny_checkpoints["masked-lm"].model.save_pretrained(root / "mine")
    tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(root / "mine")
    shutil.copytree(root / "mine", root / "spoiled")
    (root / "spoiled" / "model.safetensors").write_bytes(b"x" * 100)
    return Library(tiny_checkpoints.boxes, root=root)


@pytest.mark.parametrize(
    ("chosen", "text", "shown"),
    [
        (3, TEXT, 3),
        (64, TEXT, 8),
        (64, "", 2),  # an emptied text
        (64, "the cat " * 50, 64),  # and the m that was chosen is back
        (0, TEXT, 8),  # exact stays exact
        (0, "the cat " * 50, 102),
    ],
)
def test_the_chosen_m_is_remembered_and_only_clamped_while_the_text_is_short(tiny_checkpoints, chosen, text, shown):
    after = settled(tiny_checkpoints, num_landmarks=chosen, text=text)
    assert (after.chosen.num_landmarks, after.state.num_landmarks) == (chosen, shown)


def test_the_sliders_range_is_the_text_and_the_quick_choice_is_marked(page):
    answer, _ = answered(page, PageState(TEXT, num_landmarks=64), held={"num_landmarks": 16, "quick": 16})
    assert answer["inputs"]["num_landmarks"] == {"maximum": 8, "value": 8} and answer["seen"] == 8
    assert answer["inputs"]["quick"] == {"value": 64}
    other, _ = answered(page, PageState(TEXT, num_landmarks=5), held={"num_landmarks": 5, "quick": 16})
    assert other["inputs"]["num_landmarks"] == {"maximum": 8}  # what the visitor has set is not sent back
    assert other["inputs"]["quick"] == {"value": None}


def test_a_head_is_brought_within_the_model(tiny_checkpoints):
    after = settled(tiny_checkpoints, layer=11, head=11)
    assert (after.chosen.layer, after.chosen.head) == (1, 2)


def test_the_page_gets_the_text_with_blanks_for_the_controls_that_part_words(page):
    answer, _ = answered(page, PageState("the cat\fsat on the mat"))
    assert answer["inputs"]["text"] == {"value": TEXT} and answer["state"]["text"] == TEXT
    answer, _ = answered(page, PageState(TEXT))
    assert "text" not in answer["inputs"] and "text" not in answer["state"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("chosen", [{}, {"text": TEXT}, {"text": ""}, {"example": "long"}], ids=str)
def test_another_head_brings_its_example_only_while_nobody_has_chosen(task, chosen, page):
    answer, _ = answered(
        page, PageState(task=task, **chosen), served={"source": BUNDLED, "task": task, "example": "long"}
    )
    if chosen:
        assert "text" not in answer["inputs"] and "text" not in answer["state"]
    else:
        assert answer["inputs"]["text"] == {"value": example_for(task, EXAMPLES).text}
        assert answer["inputs"]["example"] == {"value": example_for(task, EXAMPLES).name}


def test_fields_go_with_the_example_and_are_empty_for_a_text_of_ones_own(page):
    names = ("question", "choices_question", "options")
    held = dict.fromkeys(names, "of another")
    picked, _ = answered(page, PageState(example="news"), held=held)
    assert picked["inputs"]["question"] == {"value": EXAMPLES["news"].question}
    assert picked["inputs"]["options"] == {"value": "\n".join(EXAMPLES["news"].choices)}
    own, _ = answered(page, PageState(TEXT), held=held)
    assert [own["inputs"][name]["value"] for name in names] == ["", "", ""]
    typed, _ = answered(page, PageState(TEXT, question="of another"), held=held)
    assert "question" not in typed["inputs"]


def test_a_chosen_checkpoint_serves_and_is_named(offered, warnings):
    page = make_page(offered)
    answer, values = answered(page, PageState(TEXT, "masked-lm", source="mine"))
    assert (answer["served"]["source"], answer["served"]["task"]) == ("mine", "masked-lm")
    assert answer["inputs"]["task"]["info"].startswith("mine, ")
    assert values[page.sidebar.notice]["visible"] is False
    _, values = answered(page, PageState(TEXT, "token-classification", source="mine"))
    assert values[page.sidebar.notice]["visible"]
    assert "has no head for “Entities”" in values[page.sidebar.notice]["value"]
    assert warnings == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("spoiled", "model.safetensors is not a whole safetensors file."),
        ("none", "'none' is not among the checkpoints here."),
    ],
)
def test_a_refused_checkpoint_is_said_in_a_sentence_and_the_last_one_stays_bit_for_bit(source, said, offered, warnings):
    served = Served("mine", "masked-lm")
    before = fill_mask(offered.load("mine", "masked-lm"), "the [MASK] sat")
    after = settled(offered, served, source=source)
    assert warnings == [said]
    assert (after.chosen.source, after.chosen.task, after.reverted) == ("mine", "masked-lm", True)
    assert fill_mask(offered.load("mine", "masked-lm"), "the [MASK] sat") == before


def test_where_the_last_one_is_gone_too_the_bundled_one_answers(offered, warnings):
    after = settled(offered, Served("gone", "masked-lm"), source="spoiled")
    assert len(warnings) == 2
    assert (after.chosen.source, after.chosen.task) == (BUNDLED, "masked-lm")


def test_a_device_that_is_not_there_is_refused(tiny_checkpoints, warnings):
    with pytest.raises(ValueError, match=r"^device must be one of cpu, got 'cuda'\.$"):
        settled(tiny_checkpoints, device="cuda")
    assert warnings == []


@pytest.mark.parametrize("tab", TABS)
def test_what_comes_back_carries_what_it_was_asked_for_and_fills_the_open_tab_alone(page, tab):
    answer, values = answered(page, PageState(TEXT, tab=tab), stamp=7)
    assert (answer["stamp"], answer["filled"], answer["done"]) == (7, True, True)
    others = {part for name, view in page.views.items() if name != tab for part in view.outputs}
    assert not others & values.keys() and set(page.views[tab].outputs) & values.keys()


@pytest.mark.parametrize("tab", TABS)
def test_what_a_newer_request_makes_late_is_not_sent(page, tab):
    latest = Latest()
    answers = refresh(page, request(PageState(TEXT, tab=tab), 1), latest)
    next(answers)
    next(refresh(page, request(PageState("another text", tab=tab), 2), latest))
    assert list(answers) == []


@pytest.mark.parametrize("tab", ["learn", "tasks", "attention", "error", "compare"])
def test_an_empty_text_is_one_kind_sentence_on_every_tab(page, tab):
    _, values = answered(page, PageState("", tab=tab))
    assert sum(NO_TEXT in str(value) for value in values.values()) == 1


def test_a_reload_and_a_link_set_every_input(page):
    state = PageState(TEXT, num_landmarks=0, question="Who?", methods=("landmarks",), layer=1)
    restored, _ = answered(page, state, restored=True)
    assert {name for name, update in restored["inputs"].items() if "value" in update} == page.inputs.keys()
    assert restored["inputs"]["learn_layer"]["value"] == 2 and restored["inputs"]["methods"]["value"] == ["landmarks"]
    assert restored["state"].keys() == ENTRIES.keys()
    linked, values = answered(page, PageState(), link="text=Hello&m=4&tab=error&layer=2&steps=99")
    assert (linked["state"]["text"], linked["state"]["num_landmarks"], linked["state"]["tab"]) == ("Hello", 4, "error")
    assert values[page.sidebar.permalink.note] == "The link's steps must be a whole number from 0 to 20."


@pytest.mark.parametrize(
    "sent", ["", "null", "[]", "{}", '{"state": 1, "served": {}}', '{"state": [[1, 2, 3]]}', "nonsense"]
)
def test_what_no_page_of_ours_sends_is_refused_in_a_sentence(tiny_checkpoints, sent):
    for read in (read_request, lambda text: shown_state(tiny_checkpoints, text)):
        with pytest.raises(ValueError, match="The page's request is not one of this app's"):
            read(sent)


def test_a_visitors_text_never_ends_a_script(page):
    *_, values = refresh(page, request(PageState("</script><b>\f")), Latest())
    assert "<" not in values[page.store] and json.loads(values[page.store])["state"]["text"] == "</script><b> "


def test_only_what_is_started_and_stopped_drops_an_event_that_comes_while_it_runs(tiny_checkpoints):
    demo = build_app(tiny_checkpoints)
    # The named endpoints have no targets.
    answering = [fn for fn in demo.fns.values() if fn.fn is not None and fn.targets]
    dropping = {demo.blocks[each].elem_id for fn in answering if fn.trigger_mode == "once" for each, _ in fn.targets}
    assert dropping == {"time-start", "time-stop", "long-start", "long-stop"}


def test_one_event_alone_fills_the_tabs(tiny_checkpoints):
    demo = build_app(tiny_checkpoints)
    filling = [fn for fn in demo.fns.values() if any(part.elem_id == "tasks-answer" for part in fn.outputs)]
    assert len(filling) == 1 and not any(isinstance(part, gr.State) for part in filling[0].outputs)
