"""The Learn tab's handlers."""

import json
import re

import gradio as gr
import pytest

from nystrom_demo.lessons import load_lessons
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.learn import picture_payload, text_payload
from nystrom_demo.ui.page import build_app
from nystrom_demo.ui.refresh import fill
from nystrom_demo.ui.state import PageState, checked
from nystrom_demo.ui.tabs import learn as learn_tab
from nystrom_demo.ui.tabs.learn import HEAD_CONTROLS, OWN_CONTROLS, TourControls, make_case, show_step, visible_controls
from nystrom_demo.ui.view import NO_TEXT

LESSONS = load_lessons()
TEXT = "The film was great, and Mary walked to the bank by the river in London."


def page_state(text: str = TEXT, num_landmarks: int = 5, **changes) -> PageState:
    return PageState(text, "masked-lm", num_landmarks, 6, False, "cpu", **changes)


def test_the_controls_are_those_of_a_picture():
    assert set(HEAD_CONTROLS).union(*OWN_CONTROLS.values()) == set(TourControls._fields)
    assert set(OWN_CONTROLS) <= {lesson.name for lesson in LESSONS}


def test_one_event_alone_draws_the_tour(tiny_checkpoints):
    """Two events could answer in the wrong order, and an older step would stay on the page."""
    events = build_app(tiny_checkpoints).fns.values()
    drawing = [event for event in events if any(part.elem_id == "learn-picture" for part in event.outputs)]
    assert len(drawing) == 1


@pytest.mark.parametrize("index", range(len(LESSONS)))
def test_a_step_is_sent_as_plain_data(index, tiny_checkpoints):
    text, picture, code = show_step(tiny_checkpoints, page_state(step=index))
    assert json.loads(json.dumps([text, picture]))
    assert len(json.dumps(picture)) < 1_000_000
    assert text["index"] == picture["index"] == index
    assert text["outcome"] in [option["name"] for option in text["options"]]
    assert "from nystrom_demo" in code
    shown = OWN_CONTROLS.get(LESSONS[index].name, HEAD_CONTROLS)
    controls = visible_controls(page_state(step=index))
    assert {name for name, control in controls.items() if control["visible"]} == set(shown)


def said_instead(view, state: PageState) -> list:
    """What a tab's outputs show of a state that it refuses, in their order."""
    (values,) = fill(view, state)
    return [values[component] for component in view.outputs]


@pytest.fixture(scope="module")
def learn(tiny_checkpoints):
    with gr.Blocks():
        return learn_tab.build(tiny_checkpoints, gr.HTML())


def test_a_step_without_text_keeps_its_lesson_and_says_why_there_is_no_picture(learn):
    text, picture, code, *_ = said_instead(learn, page_state("  ", step=3))
    assert text["title"] == LESSONS[3].title
    assert text["outcome"] == ""
    assert picture["error"] == NO_TEXT
    assert picture["rows"] == []
    assert code == ""


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_picture_that_the_memory_does_not_hold_is_refused(lesson, learn):
    with under_limits(Limits(request_bytes=10_000)):
        _, picture, *_ = said_instead(learn, page_state(step=LESSONS.index(lesson)))
    assert re.match(r"The picture of \d+ tokens would take about .* allows a request 9.77 KiB", picture["error"])
    assert picture["rows"] == []


def test_a_step_begins_with_the_settings_of_a_new_page():
    start, page = text_payload(3, None)["start"], PageState()
    assert start == picture_payload(3, None)["start"] == {name: getattr(page, name) for name in start}
    assert set(start) == {"layer", "head", "pinv_step", "average_padding", "padding", "sharpness"}


def test_layer_and_head_are_brought_within_the_model(tiny_checkpoints):
    controls = make_case(tiny_checkpoints, page_state(layer=99, head=99)).controls
    assert (controls.layer, controls.head) == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("step", 12, "step must be a whole number from 1 to 12, got 13"),  # counted from 1, as the page does
        ("step", -1, "step must be a whole number from 1 to 12, got 0"),
        ("step", "x", "step must be a whole number from 1 to 12, got 'x'"),
        ("pinv_step", 13, "pinv step must be a whole number from 0 to 12, got 13"),
        ("average_padding", 1, "average padding must be true or false, got 1"),
        ("padding", 101, "padding must be a whole number from 0 to 100, got 101"),
        ("sharpness", float("nan"), "sharpness must be a number from 0 to 15, got nan"),
        ("layer", None, "layer must be a whole number from 1 to 1000, got None"),
    ],
)
def test_a_control_out_of_its_range_is_refused(name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        checked({name: value})


def test_symbols_in_running_text_light_what_the_formula_names():
    links = text_payload(5, None)["links"]
    assert links["F"] == {"key": "kernel_1", "role": "kernel_1"}
    assert links["\\hat S"] == {"key": "landmark", "role": "landmark"}
    assert picture_payload(5, None, "why")["error"] == "why"
