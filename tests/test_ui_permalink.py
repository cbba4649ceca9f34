"""A view as a link and back."""

from dataclasses import replace
from urllib.parse import parse_qsl

import gradio as gr
import pytest

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.permalink import LINK_TEXT, ViewState, copy_link, parse, query_of, restore

EXAMPLES = load_examples()
FULL = ViewState("learn", "masked-lm", "owner/name", None, "Größe & <b>bold</b> = 7?#", 13, 7, True, 2, 5, (3, 11), 4)
BOX = {"cpu": {}}
RESTORED = (
    *("link", "link_tab", "open_tab", "served", "size", "task", "source", "text", "settled"),
    *("m", "steps", "estimate", "layer", "head", "step", "note"),
)
HUB, CLOSED = Library(BOX, hub=True), Library(BOX)


def read(query: str, library: Library = HUB):
    return parse(dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)), EXAMPLES, library)


def restored(library: Library, **query: str) -> dict:
    """What `restore` sets, by name."""
    return dict(zip(RESTORED, restore(library, 16, query), strict=True))


def test_the_bundled_checkpoint_needs_no_word_in_a_link():
    assert "checkpoint" not in query_of(replace(FULL, source=BUNDLED), EXAMPLES)[0]
    assert "checkpoint=owner%2Fname" in query_of(FULL, EXAMPLES)[0]


@pytest.mark.parametrize(
    ("library", "source", "said"),
    [
        (CLOSED, "owner/name", "The link's checkpoint is not among those that this server offers."),
        (CLOSED, "..", "The link's checkpoint is not among those that this server offers."),
        (HUB, "/etc/passwd", "The link's checkpoint is not among those that this server offers."),
        (HUB, "a" * 201, "The link's checkpoint must have at most 200 characters."),
        (HUB, "", "The link's checkpoint must not be empty."),
    ],
)
def test_a_checkpoint_that_is_not_offered_here_is_refused(library, source, said):
    assert read(f"checkpoint={source}", library) == (ViewState(), [said])


def test_a_link_says_all_of_a_view_and_is_read_back():
    query, note = query_of(FULL, EXAMPLES)
    assert read(query) == (FULL, [])
    assert note == ""
    assert "layer=3&head=6&step=5" in query  # as the page counts


@pytest.mark.parametrize("field", ["inv_coeff_init_option", "layer", "head", "pinv_iterations", "step"])
def test_zero_and_false_are_values(field):
    state = replace(FULL, **{field: type(getattr(FULL, field))(0)})
    assert read(query_of(state, EXAMPLES)[0])[0] == state


def test_an_unedited_example_goes_by_its_name():
    name, example = next(iter(EXAMPLES.items()))
    query, _ = query_of(replace(FULL, text=example.text), EXAMPLES)
    assert f"example={name}" in query
    assert "text=" not in query


def test_a_text_too_long_for_a_link_is_left_out_and_the_note_says_why():
    query, note = query_of(replace(FULL, text="a b" * LINK_TEXT), EXAMPLES)
    assert "text" not in query
    assert (
        note == "The text would take 20,000 characters and a link carries 4,000, so this one restores all but the text."
    )


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("m=0", "The link's m must be a whole number from 1 to 16384."),
        ("m=1e3", "The link's m must be a whole number from 1 to 16384."),
        ("m=16385", "The link's m must be a whole number from 1 to 16384."),
        ("steps=21", "The link's steps must be a whole number from 0 to 20."),
        ("layer=-1", "The link's layer must be a whole number from 1 to 1000."),
        ("step=13", "The link's step must be a whole number from 1 to 12."),
        ("tab=admin", "The link's tab must be one of learn, tasks, attention, error, time."),
        ("estimate=1", "The link's estimate must be one of heads, own."),
        ("cell=3;9", "The link's cell must be two whole numbers with a comma between, such as 3,9."),
        ("text=%00", "The link's text "),
        ("text=" + "a" * 4001, "The link's text must have at most 4,000 characters."),
        ("text=" + "%C3%A9" * 2000, "The link's text must take at most 4,000 characters."),
    ],
)
def test_what_a_link_says_wrong_is_refused_in_a_sentence(query, sentence):
    state, refusals = read(query)
    assert state == ViewState()
    assert len(refusals) == 1
    assert refusals[0].startswith(sentence)


def test_a_refusal_repeats_nothing_of_the_link():
    _, refusals = read("tab=[click](http://example.org)&layer=<img src=x onerror=alert(1)>")
    assert len(refusals) == 2
    assert "example.org" not in "".join(refusals)
    assert "<img" not in "".join(refusals)


def test_parameters_of_others_are_let_be():
    assert read("__theme=dark&utm_source=x") == (ViewState(), [])


def test_copying_gives_the_query_that_restores_the_page():
    update, note = copy_link("attention", "masked-lm", "mine", "A film.", 3, 6, False, 1, 0, 2, "3,9")
    assert update["value"] == (
        "?tab=attention&task=masked-lm&checkpoint=mine&text=A%20film.&m=3&steps=6&estimate=heads&layer=2&head=1&step=3&cell=3,9"
    )
    assert update["visible"]
    assert note == ""


def test_restoring_sets_what_the_link_names_and_skips_the_rest():
    nothing = restored(HUB)
    assert nothing.pop("note") == ""
    assert nothing.pop("source") == gr.update(choices=[BUNDLED])  # those of now, not of the server's start
    assert all(update == gr.skip() for update in nothing.values())
    some = restored(HUB, tab="error", text="Great.", m="900", step="3", checkpoint="owner/name")
    assert (some["link_tab"], some["open_tab"], some["step"], some["note"]) == ("error", "error", 2, "")
    assert (some["text"], some["settled"]) == ("Great.", "Great.")
    assert some["source"]["value"] == "owner/name"
    assert some["task"] == some["layer"] == some["served"] == gr.skip()
    assert (some["m"]["value"], some["m"]["maximum"], some["size"]) == (900, 900, 900)  # still to be counted
    assert some["link"] != restored(HUB, tab="error", text="Great.")["link"] != ""


def test_an_example_in_a_link_is_the_example_whatever_the_task():
    some = restored(HUB, example="news", task="question-answering")
    assert some["text"] == some["settled"] == EXAMPLES["news"].text
    assert some["served"] == (BUNDLED, "question-answering")  # so that it does not give way to the task's own


def test_a_link_obeys_the_servers_limits():
    with under_limits(Limits(100, 200)):
        some = restored(HUB, text="a" * 101, m="201")
    assert some["text"] == some["m"] == gr.skip()
    assert some["note"] == (
        "The link's text must have at most 100 characters. The link's m must be a whole number from 1 to 200."
    )
