"""Every check returns the value or one sentence that names the field, the limit and what came."""

import unicodedata

import pytest

from nystrom_demo.errors import UserError
from nystrom_demo.limits.validation import (
    check_choice,
    check_integer,
    check_list,
    check_number,
    check_switch,
    check_text,
    check_tokens,
    shown,
)


@pytest.mark.parametrize("value", [2, 7, 7.0, 13])
def test_a_whole_number_in_range_is_taken_as_an_int(value):
    assert check_integer("num_landmarks", value, 2, 13) == value
    assert type(check_integer("num_landmarks", value, 2, 13)) is int


@pytest.mark.parametrize("value", [True, False, 1, 14, 2.5, float("nan"), float("inf"), "7", None, [7], {"a": 7}])
def test_what_is_no_whole_number_in_range_is_refused(value):
    with pytest.raises(UserError, match=r"^num_landmarks must be a whole number from 2 to 13, got .+\.$"):
        check_integer("num_landmarks", value, 2, 13)


@pytest.mark.parametrize("value", [True, float("nan"), float("-inf"), -0.1, 1.5, "0.5", None])
def test_what_is_no_finite_number_in_range_is_refused(value):
    with pytest.raises(UserError, match="p must be a number from 0 to 1, got "):
        check_number("p", value, 0, 1)
    with pytest.raises(UserError, match="p must be a number from 0 to inf, got a whole number of 1329 bits"):
        check_number("p", 10**400, 0, float("inf"))
    assert check_number("p", 1, 0, 1) == 1.0


@pytest.mark.parametrize("value", [0, 1, "true", None, []])
def test_a_switch_is_a_bool_and_nothing_else(value):
    with pytest.raises(UserError, match="merge must be true or false, got "):
        check_switch("merge", value)
    assert check_switch("merge", True) is True


@pytest.mark.parametrize("value", [None, ["words"], "Words", 1, True])
def test_a_choice_is_one_of_those_offered_and_of_its_type(value):
    with pytest.raises(UserError, match=r"task must be one of words, 1\.5, got "):
        check_choice("task", value, ("words", 1.5))
    assert check_choice("task", "words", ("words", 1)) == "words"
    with pytest.raises(UserError):
        check_choice("layer", True, (0, 1))  # True == 1


def test_a_list_is_checked_item_by_item():
    def item(name, value):
        return check_integer(name, value, 2, 13)

    assert check_list("lengths", [2, 3.0, 5], 2, 3, item) == [2, 3, 5]
    with pytest.raises(UserError, match=r"lengths\[1\] must be a whole number from 2 to 13, got 14"):
        check_list("lengths", [2, 14], 2, 3, item)
    for wrong in ([2], [2] * 5, "235", None, {"2": 2}):
        with pytest.raises(UserError, match="lengths must be a list of 2 to 3 entries, got"):
            check_list("lengths", wrong, 2, 3, item)


@pytest.mark.parametrize("text", ["a", "Zürich", "日本語", "שלום", "a\tb\nc", "👩‍👩‍👧", "नमस्ते", "e\u0301", "\u200fא"])
def test_ordinary_text_of_any_script_is_taken_as_it_is(text):
    assert check_text("text", text, 50) == text


@pytest.mark.parametrize("parting", ["\f", "\v", "\x1c", "\x1d", "\x1e", "\x1f", "\x85"])
def test_a_control_that_parts_words_comes_back_as_a_blank(parting):
    assert check_text("text", f"one page{parting}the next\n", 50) == "one page the next\n"
    with pytest.raises(UserError, match="text must not be empty"):
        check_text("text", parting, 50)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "text must be a text, got None"),
        (["a"], "text must be a text, got"),
        ("a" * 51, "text must have at most 50 characters, got 51"),
        (" \n", "text must not be empty"),
        ("ab\ud800", r"text must have no lone surrogates, got U\+D800 at character 2"),
        ("a\x00", r"text must have no control characters, got U\+0000 at character 1"),
        ("\x1b[31m", r"text must have no control characters, got U\+001B"),
        ("a\u202eb", r"text must have no bidirectional controls, got U\+202E at character 1"),
        ("a\u2066b", r"text must have no bidirectional controls, got U\+2066"),
        ("a" + "\u0301" * 31, "text must have at most 30 combining marks in a row"),
        ("\ufdfa" * 11, "text must have at most 50 characters after Unicode decomposition, got 198"),
    ],
)
def test_text_that_a_later_step_could_not_take_is_refused(value, words):
    with pytest.raises(UserError, match=words):
        check_text("text", value, 50)


def test_text_that_grows_but_stays_within_the_limit_is_taken():
    text = "\ufdfa" * 2
    assert len(unicodedata.normalize("NFKD", text)) == 36
    assert check_text("text", text, 50) == text


def test_an_empty_text_is_taken_where_it_may_be_empty():
    assert check_text("context", "", 50, empty=True) == ""


def test_too_many_tokens_are_refused():
    assert check_tokens("text", 13, 13) == 13
    with pytest.raises(UserError, match=r"text must come to at most 1,300 tokens, got 1,301\."):
        check_tokens("text", 1301, 1300)


BIG = {
    "text": "x" * 10**6,
    "number": 10**5000,
    "list": [["y" * 1000] * 1000],
    "object": {"z": {"z": "z" * 999}},
    "controls": "\ud800\x00\u202e",
}


@pytest.mark.parametrize("name", BIG)
def test_what_came_is_shown_in_at_most_200_printable_characters(name):
    text = shown(BIG[name])
    assert len(text) <= 200
    assert text.isprintable()
