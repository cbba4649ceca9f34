"""The bench: examples, what handlers get, token counts, where m goes when the text changes."""

import re

import gradio as gr
import pytest

from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.serving.limits import Limits, under_limits
from nystrom_demo.ui import bench
from nystrom_demo.ui.bench import TASK_LABELS, BenchValues, takes_bench
from nystrom_demo.ui.examples import example_for, example_of, load_examples

VALUES = ("A good film.", "masked-lm", 5, 6, False, "cpu")


@pytest.fixture(scope="module")
def examples():
    return load_examples()


def test_each_head_has_its_own_example(examples):
    chosen = [example_for(task, examples).name for task in TASK_LABELS]
    assert len(set(chosen)) == len(TASK_LABELS)


def test_examples_say_what_every_head_is_asked(examples):
    for example in examples.values():
        assert 2 <= len(example.choices) <= 6
        assert example.question.endswith("?")
        assert example.choices_question.endswith("?")
        for word in example.masked:
            assert re.search(rf"\b{word}\b", example.text), f"{example.name} has no {word}"


def test_one_example_is_long(examples):
    assert max(len(example.text.split()) for example in examples.values()) > 1_500


def test_an_edited_example_is_the_visitors_own(examples):
    text = examples["review"].text
    assert example_of(text + "\n", examples) is examples["review"]
    assert example_of(text + " Indeed.", examples) is None


def test_zero_landmarks_are_exact_attention():
    values = BenchValues(*VALUES)
    assert values.settings() == AttentionSettings("nystrom", 5, 6, False)
    assert BenchValues("", "masked-lm", 0, 6, False, "cpu").settings() == EXACT


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, None, "text must be a text, got None."),
        (0, "a" * 101, "text must have at most 100 characters, got 101."),
        (1, "pickle", "checkpoint must be one of masked-lm, "),
        (2, -1, "landmarks must be a whole number from 0 to 1000, got -1."),
        (2, float("nan"), "landmarks must be a whole number from 0 to 1000, got nan."),
        (3, 21, "pseudo-inverse steps must be a whole number from 0 to 20, got 21."),
        (4, "yes", "first estimate must be true or false, got 'yes'."),
    ],
)
def test_values_out_of_range_are_refused(place, value, said):
    values = [*VALUES]
    values[place] = value
    with under_limits(Limits(100, 1_000)), pytest.raises(ValueError, match=re.escape(said)):
        BenchValues(*values).checked()


def test_a_device_that_is_not_there_is_refused(tiny_checkpoints):
    values = BenchValues(*VALUES[:-1], "cuda")
    with pytest.raises(ValueError, match=r"device must be one of cpu, got 'cuda'\."):
        values.checkpoint(tiny_checkpoints)


def test_handlers_get_the_bench_as_one_value_and_their_own_inputs_after_it():
    def fn(values: BenchValues, layer: int) -> str:
        """What it shows."""
        return f"{values.text} {layer}"

    wrapped = takes_bench(fn)
    assert wrapped(*VALUES, 3) == "A good film. 3"
    assert (wrapped.__name__, wrapped.__doc__) == ("fn", "What it shows.")


def test_generators_stay_generators():
    def fn(values: BenchValues, count: int):
        yield from range(count)

    assert list(takes_bench(fn)(*VALUES, 3)) == [0, 1, 2]


def test_exact_at_the_end_of_the_slider_stays_at_the_end(tiny_checkpoints, examples):
    arguments = (tiny_checkpoints, examples, "the cat sat on the mat", "masked-lm")
    num_tokens, slider, example, _ = bench.measure(*arguments, 13, 13)
    assert (num_tokens, slider["value"], example) == (8, 8, None)
    assert slider["maximum"] == 13  # what the page holds until it has the 8 is not refused meanwhile
    assert bench.end_range(tiny_checkpoints, "masked-lm", num_tokens)["maximum"] == 8


def test_m_is_brought_within_a_shorter_text(tiny_checkpoints, examples):
    _, slider, _, _ = bench.measure(tiny_checkpoints, examples, "the cat", "masked-lm", 7, 13)
    assert slider["value"] == 4
    _, slider, _, _ = bench.measure(tiny_checkpoints, examples, "the cat sat on the mat", "masked-lm", 3, 4)
    assert slider["value"] == 3


def test_a_head_brings_its_example_but_leaves_the_visitors_text(examples):
    assert bench.suit_head(examples, "question-answering", examples["review"].text)[0] == examples["passage"].text
    assert bench.suit_head(examples, "question-answering", "My own.") == ("My own.", "My own.")


def test_quick_landmarks_never_pass_the_text():
    assert bench.quick_landmarks(64, 11) == 11
    assert bench.quick_landmarks(4, 11) == 4
    assert bench.quick_landmarks(None, 11) == 11


def test_the_readout_says_what_m_means():
    assert bench.describe(22, 4, 100) == "<p><b>22</b> tokens, <b>4</b> landmarks: one for <b>5.5</b> tokens</p>"
    assert "exactly" in bench.describe(22, 22, 100)
    assert "in windows of 100" in bench.describe(220, 4, 100)


def test_the_page_has_every_tab_and_publishes_seven_endpoints_only(tiny_checkpoints):
    from nystrom_demo.ui.app import TABS, build_app

    app = build_app(tiny_checkpoints)
    labels = [block.label for block in app.blocks.values() if isinstance(block, gr.Tab)]
    assert labels == [tab.label for tab in TABS] == ["Learn", "Tasks", "Attention", "Error", "Time"]
    public = [fn.api_name for fn in app.fns.values() if fn.api_visibility == "public"]
    assert public == ["fill_mask", "classify", "tag", "answer", "choose", "compare_attention", "time_attention"]


def test_a_change_stamps_the_open_tab_only():
    from nystrom_demo.ui.app import TABS, fingerprint, stamp

    values = (*VALUES, 0, 0)
    readout, *stamps = stamp(4096, *values, 7, "error", *(tab.id for tab in TABS))
    assert "5</b> landmarks" in readout
    assert stamps == [fingerprint(values) if tab.id == "error" else tab.id for tab in TABS]
