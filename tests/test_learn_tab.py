"""The Learn tab's handlers."""

import json
import re
from dataclasses import fields

import gradio as gr
import pytest

from nystrom_demo.lessons import Controls, load_lessons
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.learn import picture_payload, text_payload
from nystrom_demo.ui.page import build_app
from nystrom_demo.ui.sidebar import BenchValues
from nystrom_demo.ui.tabs.learn import OWN_CONTROLS, TourControls, go, nearest_step, show_step

LESSONS = load_lessons()
TEXT = "The film was great, and Mary walked to the bank by the river in London."
START = tuple(getattr(Controls(), field.name) for field in fields(Controls))


def bench(text: str = TEXT, num_landmarks: int = 5) -> BenchValues:
    return BenchValues(text, "masked-lm", num_landmarks, 6, False, "cpu")


def test_the_controls_are_those_of_a_picture():
    assert TourControls._fields == tuple(field.name for field in fields(Controls))
    assert set(OWN_CONTROLS) <= {lesson.name for lesson in LESSONS}


def test_one_event_alone_draws_the_tour(tiny_checkpoints):
    """Two events could answer in the wrong order, and an older step would stay on the page."""
    events = build_app(tiny_checkpoints).fns.values()
    drawing = [event for event in events if any(part.elem_id == "learn-picture" for part in event.outputs)]
    assert len(drawing) == 1
    assert drawing[0].trigger_mode == "always_last"


@pytest.mark.parametrize("index", range(len(LESSONS)))
def test_a_step_is_sent_as_plain_data(index, tiny_checkpoints):
    text, picture, code, *controls = show_step(tiny_checkpoints, bench(), index, *START)
    assert json.loads(json.dumps([text, picture]))
    assert len(json.dumps(picture)) < 1_000_000
    assert text["index"] == picture["index"] == index
    assert text["outcome"] in [option["name"] for option in text["options"]]
    assert "from nystrom_demo" in code
    shown = OWN_CONTROLS.get(LESSONS[index].name, ("layer", "head"))
    assert [control["visible"] for control in controls] == [name in shown for name in TourControls._fields]


def test_a_step_without_text_keeps_its_lesson_and_says_why_there_is_no_picture(tiny_checkpoints):
    text, picture, code, *_ = show_step(tiny_checkpoints, bench("  "), 3, *START)
    assert text["title"] == LESSONS[3].title
    assert text["outcome"] == ""
    assert picture["error"] == "text is empty: write a sentence to see attention on it."
    assert picture["rows"] == []
    assert code == ""


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_picture_that_the_memory_does_not_hold_is_refused(lesson, tiny_checkpoints):
    with under_limits(Limits(request_bytes=10_000)):
        _, picture, *_ = show_step(tiny_checkpoints, bench(), LESSONS.index(lesson), *START)
    assert re.match(r"The picture of \d+ tokens would take about .* allows a request 9.77 KiB", picture["error"])
    assert picture["rows"] == []


def test_layer_and_head_are_brought_within_the_model(tiny_checkpoints):
    *_, layer, head, _, _, _, _ = show_step(tiny_checkpoints, bench(), 0, 99, 99, *START[2:])
    assert (layer["value"], head["value"]) == (2, 3)  # counted from one


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (2, 13, "step must be a whole number from 0 to 12, got 13"),
        (3, 1, "average_padding must be true or false, got 1"),
        (4, 101, "padding must be a whole number from 0 to 100, got 101"),
        (5, float("nan"), "sharpness must be a number from 0 to 15, got nan"),
        (0, None, "layer must be a whole number from 0 to 10000, got None"),
    ],
)
def test_a_control_out_of_its_range_is_refused(place, value, message, tiny_checkpoints):
    controls = [*START]
    controls[place] = value
    _, picture, *_ = show_step(tiny_checkpoints, bench(), 4, *controls)
    assert picture["error"].startswith(message)


@pytest.mark.parametrize(
    ("asked", "index"), [(3, 3), (-1, 0), (99, 11), (None, 0), ("x", 0), (float("nan"), 0), (2.0, 2)]
)
def test_any_step_asked_for_is_one_of_the_tour(asked, index):
    assert nearest_step(asked) == index
    assert go(gr.EventData(None, {"step": asked})) == index


def test_an_event_that_names_no_step_opens_the_first():
    assert go(gr.EventData(None, {})) == 0


def test_symbols_in_running_text_light_what_the_formula_names():
    links = text_payload(5, None)["links"]
    assert links["F"] == {"key": "kernel_1", "role": "kernel_1"}
    assert links["\\hat S"] == {"key": "landmark", "role": "landmark"}
    assert picture_payload(5, None, "why")["error"] == "why"
