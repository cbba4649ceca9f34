"""The page's state: its values are checked, and it is written into a link and read back, field by field."""

import re
from dataclasses import replace

import pytest

from nystrom_demo.checkpoints import Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.permalink import read_link, write_link
from nystrom_demo.ui.state import ENTRIES, TABS, PageState, checked

EXAMPLES = load_examples()
LIBRARY = Library({"cpu": {}, "cuda": {}}, hub=True)
# For each field a value that no new page has.
OTHER = {
    "text": "Größe & <b>bold</b> = 7?#\nשלום",
    "task": "multiple-choice",
    "num_landmarks": 0,
    "pinv_iterations": 0,
    "inv_coeff_init_option": True,
    "device": "cuda",
    "source": "owner/name",
    "example": "long",
    "tab": "time",
    "layer": 2,
    "head": 5,
    "step": 4,
    "pinv_step": 0,
    "average_padding": True,
    "padding": 0,
    "sharpness": 2.5,
    "masks": ((0, 3), (7, 9)),
    "question": "Who?",
    "choices_question": "",
    "options": "yes\nno",
    "with_passage": False,
    "cell": (3, 11),
    "measure": "output",
    "approximations": ("favor", "nystrom"),
    "compared_by": "output",
    "cost": "numbers_held",
    "long_text": "random",
    "methods": ("landmarks",),
    "longest": 1_024,
    "scope": "model",
    "passes": "backward",
    "dtype": "bfloat16",
    "num_heads": 1,
    "head_dim": 8,
    "batch": 2,
    "num_layers": 3,
    "repeats": 1,
    "budget": 0.25,
}


def test_every_field_is_tried():
    assert OTHER.keys() == ENTRIES.keys()
    assert all(getattr(PageState(), name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", OTHER)
def test_each_field_is_written_into_a_link_and_read_back(name):
    state = replace(PageState(), **{name: OTHER[name]})
    link, note = write_link(state, EXAMPLES)
    back, refusals = read_link(link, LIBRARY)
    assert getattr(back, name) == OTHER[name] and note == "" and refusals == []
    assert checked({name: OTHER[name]}) == state  # and as the page sends it


def test_all_fields_together_come_back():
    state = replace(PageState(**OTHER), example=None)
    assert read_link(write_link(state, EXAMPLES)[0], LIBRARY) == (state, [])


def test_a_link_of_before_says_the_same():
    old = "?tab=learn&task=masked-lm&checkpoint=owner/name&text=A+good+film.&m=3&steps=2&estimate=own&layer=2&head=3"
    state, refusals = read_link(old + "&step=4&cell=3,9&__theme=dark&utm_source=x", LIBRARY)
    wanted = PageState(
        "A good film.", "masked-lm", 3, 2, True, "cpu", "owner/name", layer=1, head=2, step=3, cell=(3, 9)
    )
    assert (state, refusals) == (wanted, [])


def test_zero_landmarks_are_exact_attention():
    state = PageState("A good film.", "masked-lm", 5, 6, False)
    assert state.settings() == AttentionSettings("nystrom", 5, 6, False)
    assert replace(state, num_landmarks=0).settings() == EXACT


def test_a_text_that_nobody_chose_is_the_tasks_own_example():
    assert PageState(task="question-answering").resolved(EXAMPLES).text == EXAMPLES["passage"].text
    assert PageState(task="question-answering", example="long").resolved(EXAMPLES).text == EXAMPLES["long"].text
    assert PageState(task="question-answering", text="").resolved(EXAMPLES).text == ""


def test_fields_are_the_examples_own_until_they_are_typed():
    review, own = PageState(example="review").resolved(EXAMPLES), PageState(text="My own.").resolved(EXAMPLES)
    assert review.question == EXAMPLES["review"].question and review.options.splitlines() == [
        *EXAMPLES["review"].choices
    ]
    assert (own.question, own.choices_question, own.options, own.example) == ("", "", "", None)
    assert PageState(text="My own.", question="Why?").resolved(EXAMPLES).question == "Why?"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("text", ["a"], "text must be a text, got ['a']."),
        ("text", "a" * 101, "text must have at most 100 characters, got 101."),
        ("task", "pickle", "task must be one of masked-lm, "),
        ("num_landmarks", -1, "landmarks must be a whole number from 1 to 1000, got -1."),
        ("num_landmarks", float("nan"), "landmarks must be a whole number from 1 to 1000, got nan."),
        ("num_landmarks", False, "landmarks must be a whole number from 1 to 1000, got False."),
        ("pinv_iterations", 21, "pseudo-inverse steps must be a whole number from 0 to 20, got 21."),
        ("inv_coeff_init_option", "yes", "first estimate must be true or false, got 'yes'."),
        ("source", None, "checkpoint must be a text, got None."),
        ("source", "a" * 201, "checkpoint must have at most 200 characters, got 201."),
        ("example", "none", "example must be one of "),
        ("masks", "0-3", "hidden words must be at most 512 stretches of the text."),
        ("masks", [[3, 5], [4, 9]], "the start of hidden words must be a whole number from 5 to 100, got 4."),
        ("masks", [[3]], "hidden words must be stretches from one character to another, such as 4-11."),
        ("cell", [1], "cell must be two whole numbers with a comma between, such as 3,9."),
        ("methods", ["magic"], "methods[0] must be one of "),
        ("passwd", 1, "The page's state has no 'passwd'."),
    ],
)
def test_values_out_of_range_are_refused(name, value, said):
    with under_limits(Limits(100, 1_000)), pytest.raises(ValueError, match=re.escape(said)):
        checked({name: value})


def test_every_tab_that_reads_the_text_shows_another_one():
    assert ENTRIES["text"].tabs == ("learn", "tasks", "attention", "error", "compare")
    assert all(set(entry.tabs) <= set(TABS) for entry in ENTRIES.values())
