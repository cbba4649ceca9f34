"""A view as a link and back."""

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.share import LINK_TEXT, ViewState, copy_link, parse, query_of, restore

EXAMPLES = load_examples()
FULL = ViewState("learn", "masked-lm", None, "Größe & <b>bold</b> = 7?#", 13, 7, True, 2, 5, (3, 11), 4)


def read(query: str):
    return parse(dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)), EXAMPLES)


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
        ("m=0", "The link's m must be a whole number from 1 to 1000000."),
        ("m=1e3", "The link's m must be a whole number from 1 to 1000000."),
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
    update, note = copy_link("attention", "masked-lm", "A film.", 3, 6, False, 1, 0, 2, "3,9")
    assert update["value"] == (
        "?tab=attention&task=masked-lm&text=A%20film.&m=3&steps=6&estimate=heads&layer=2&head=1&step=3&cell=3,9"
    )
    assert update["visible"]
    assert note == ""


def test_restoring_sets_what_the_link_names_and_skips_the_rest(tiny_checkpoints):
    skipped = restore(tiny_checkpoints, "masked-lm", "A film.", 16, {})
    assert len(skipped) == 13
    assert all(update["__type__"] == "update" and len(update) == 1 for update in skipped[:-1])
    tab, task, text, settled, example, num_tokens, slider, *_, step, note = restore(
        tiny_checkpoints, "masked-lm", "A film.", 16, {"tab": "error", "text": "Great.", "m": "900", "step": "3"}
    )
    assert (tab, text, settled, example, step, note) == ("error", "Great.", "Great.", None, 2, "")
    assert task["__type__"] == "update"
    assert num_tokens == 4
    assert slider["value"] == 4  # no more landmarks than tokens
    assert slider["maximum"] == 16  # the page's own m until it has the 4; the bench then ends the range at the text


def test_an_example_in_a_link_is_the_example(tiny_checkpoints):
    restored = restore(tiny_checkpoints, "masked-lm", "A film.", 16, {"example": "news"})
    assert restored[2] == EXAMPLES["news"].text
    assert restored[4] == "news"
