"""What a link leaves out, what it refuses, and in which words."""

import pytest

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.permalink import LINK_TEXT, as_note, read_link, write_link
from nystrom_demo.ui.state import PageState

EXAMPLES = load_examples()
BOX = {"cpu": {}}
HUB, CLOSED = Library(BOX, hub=True), Library(BOX)


def test_the_bundled_checkpoint_needs_no_word_in_a_link():
    assert "checkpoint" not in write_link(PageState(source=BUNDLED), EXAMPLES)[0]
    assert "checkpoint=owner%2Fname" in write_link(PageState(source="owner/name"), EXAMPLES)[0]


@pytest.mark.parametrize(
    ("library", "link", "said"),
    [
        (CLOSED, "checkpoint=owner/name", "The link's checkpoint is not among those that this server offers."),
        (CLOSED, "checkpoint=..", "The link's checkpoint is not among those that this server offers."),
        (HUB, "checkpoint=/etc/passwd", "The link's checkpoint is not among those that this server offers."),
        (HUB, "checkpoint=" + "a" * 201, "The link's checkpoint must have at most 200 characters."),
        (HUB, "checkpoint=", "The link's checkpoint must not be empty."),
        (HUB, "device=cuda", "The link's device is not among those that this server has."),
    ],
)
def test_what_this_server_does_not_offer_is_refused(library, link, said):
    assert read_link(link, library) == (PageState(), [said])


def test_a_link_counts_from_one_as_the_page_does():
    link, _ = write_link(PageState(layer=2, head=5, step=4), EXAMPLES)
    assert "layer=3&head=6&step=5" in link


def test_an_unedited_example_goes_by_its_name():
    name, example = next(iter(EXAMPLES.items()))
    for state in (PageState(text=example.text), PageState(example=name)):
        link, _ = write_link(state, EXAMPLES)
        assert f"example={name}" in link and "text=" not in link
    assert "example=review" in write_link(PageState(), EXAMPLES)[0]  # the text that the task begins with


@pytest.mark.parametrize("field", ["text", "question", "options"])
def test_a_text_too_long_for_a_link_is_left_out_and_the_note_says_why(field):
    link, note = write_link(PageState(**{field: "a b" * LINK_TEXT}), EXAMPLES)
    assert f"{field}=" not in link
    assert note == (
        f"The {field} would take 20,000 characters and a link carries 4,000, so this one restores all but the {field}."
    )


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("m=0", "The link's m must be a whole number from 1 to 16384."),
        ("m=1e3", "The link's m must be a whole number from 1 to 16384."),
        ("m=16385", "The link's m must be a whole number from 1 to 16384."),
        ("steps=21", "The link's steps must be a whole number from 0 to 20."),
        ("layer=-1", "The link's layer must be a whole number from 1 to 1000."),
        ("step=13", "The link's step must be a whole number from 1 to 12."),
        ("tab=admin", "The link's tab must be one of learn, tasks, attention, error, compare, time."),
        ("estimate=1", "The link's estimate must be true or false."),
        ("cell=3;9", "The link's cell must be two whole numbers with a comma between, such as 3,9."),
        ("hidden=9-3", "The link's the end of hidden must be a whole number from 10 to 50000."),
        ("longest=3", "The link's longest must be one of 256, 512, "),
        ("text=%00", "The link's text "),
        ("text=" + "a" * 4001, "The link's text must take at most 4,000 characters."),
        ("question=" + "%C3%A9" * 2000, "The link's question must take at most 4,000 characters."),
    ],
)
def test_what_a_link_says_wrong_is_refused_in_a_sentence(link, sentence):
    state, refusals = read_link(link, HUB)
    assert state == PageState()
    assert len(refusals) == 1
    assert refusals[0].startswith(sentence)


def test_a_refusal_repeats_nothing_of_the_link():
    _, refusals = read_link("tab=[click](http://example.org)&layer=<img src=x onerror=alert(1)>", HUB)
    assert len(refusals) == 2
    assert "example.org" not in "".join(refusals)
    assert "<img" not in "".join(refusals)
    assert as_note(["<b>"]) == "&lt;b&gt;"


def test_a_link_obeys_the_servers_limits():
    with under_limits(Limits(100, 200)):
        state, refusals = read_link("text=" + "a" * 101 + "&m=201", HUB)
    assert state == PageState()
    assert refusals == [
        "The link's text must have at most 100 characters.",
        "The link's m must be a whole number from 1 to 200.",
    ]
