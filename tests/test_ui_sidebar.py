"""The bench: examples, what handlers get, the choice of checkpoint."""

import re
from dataclasses import replace

import gradio as gr
import pytest

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui import sidebar
from nystrom_demo.ui.examples import example_for, example_of, load_examples
from nystrom_demo.ui.readout import TASK_LABELS, TextSize, describe, new_head_notice
from nystrom_demo.ui.sidebar import BenchValues, takes_bench

VALUES = ("A good film.", "masked-lm", 5, 6, False, "cpu", BUNDLED)


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
        (1, "pickle", "task must be one of masked-lm, "),
        (2, -1, "landmarks must be a whole number from 0 to 1000, got -1."),
        (2, float("nan"), "landmarks must be a whole number from 0 to 1000, got nan."),
        (3, 21, "pseudo-inverse steps must be a whole number from 0 to 20, got 21."),
        (4, "yes", "first estimate must be true or false, got 'yes'."),
        (6, None, "checkpoint must be a text, got None."),
        (6, ["a"], "checkpoint must be a text, got ['a']."),
        (6, "a" * 201, "checkpoint must have at most 200 characters, got 201."),
    ],
)
def test_values_out_of_range_are_refused(place, value, said):
    values = [*VALUES]
    values[place] = value
    with under_limits(Limits(100 if place == 0 else 1_000, 1_000)), pytest.raises(ValueError, match=re.escape(said)):
        BenchValues(*values).checked()


def test_a_device_that_is_not_there_is_refused(tiny_checkpoints):
    values = BenchValues(*VALUES[:5], "cuda", BUNDLED)
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


def test_a_head_brings_its_example_but_leaves_the_visitors_text(examples):
    assert sidebar.suit_head(examples, "question-answering", examples["review"].text)[0] == examples["passage"].text
    assert sidebar.suit_head(examples, "question-answering", "My own.") == ("My own.", "My own.")


def test_quick_landmarks_never_pass_the_text():
    size = TextSize(11, 100)
    assert sidebar.quick_landmarks(64, size) == 11
    assert sidebar.quick_landmarks(4, size) == 4
    assert sidebar.quick_landmarks(None, size) == 11
    assert sidebar.quick_landmarks(None, TextSize(220, 100)) == 100
    assert sidebar.quick_landmarks(None, 16) == gr.skip()  # a link's text is still to be counted


def test_an_example_that_is_not_there_is_refused(examples):
    with pytest.raises(ValueError, match="example must be one of "):
        sidebar.load_example(examples, None)


def test_the_readout_says_what_m_means():
    size = TextSize(22, 100)
    assert describe(size, 4) == "<p><b>22</b> tokens, <b>4</b> landmarks: one for <b>5.5</b> tokens</p>"
    assert "exactly" in describe(size, 22)
    assert "in windows of 100" in describe(TextSize(220, 100), 4)


def built(library) -> sidebar.Bench:
    with gr.Blocks():
        return sidebar.build_bench(library)


def test_a_choice_of_checkpoint_appears_only_where_there_is_one(tiny_checkpoints, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    boxes = tiny_checkpoints.boxes
    alone = built(tiny_checkpoints).source
    assert (alone.visible, alone.value, alone.choices) == (False, BUNDLED, [(BUNDLED, BUNDLED)])
    folders = built(Library(boxes, root=tmp_path)).source
    assert (folders.visible, folders.allow_custom_value) == (True, False)
    assert [value for _, value in folders.choices] == [BUNDLED, "mine"]
    hub = built(Library(boxes, hub=True)).source
    assert (hub.visible, hub.allow_custom_value) == (True, True)
    assert "only safetensors" in hub.info


def test_a_choice_of_device_appears_only_where_there_are_two(tiny_checkpoints):
    box = tiny_checkpoints.boxes["cpu"]
    assert not built(tiny_checkpoints).device.visible
    device = built(Library({"cuda": box, "cpu": box})).device
    assert (device.visible, device.value, [value for _, value in device.choices]) == (True, "cuda", ["cuda", "cpu"])


def test_an_untrained_head_is_announced_in_words_and_a_trained_one_is_not(tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    assert new_head_notice(checkpoint) == ""
    notice = new_head_notice(replace(checkpoint, name="<b>mine", new_head=True))
    assert "<b>&lt;b&gt;mine</b> has no head for “Entities”. A new, untrained one stands in for it" in notice


def test_the_page_has_every_tab_and_publishes_seven_endpoints_only(tiny_checkpoints):
    from nystrom_demo.ui.page import TABS, build_app

    app = build_app(tiny_checkpoints)
    labels = [block.label for block in app.blocks.values() if isinstance(block, gr.Tab)]
    assert labels == [tab.label for tab in TABS] == ["Learn", "Tasks", "Attention", "Error", "Time"]
    public = [fn.api_name for fn in app.fns.values() if fn.api_visibility == "public"]
    assert public == ["fill_mask", "classify", "tag", "answer", "choose", "compare_attention", "time_attention"]
