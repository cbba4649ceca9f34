"""The sidebar: examples, the choice of checkpoint, what is in sight; and the page's tabs and endpoints."""

import re
from dataclasses import replace

import gradio as gr
import pytest

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.tasks import TASKS
from nystrom_demo.ui import sidebar
from nystrom_demo.ui.examples import example_for, example_of, load_examples
from nystrom_demo.ui.readout import TextSize, describe, new_head_notice


@pytest.fixture(scope="module")
def examples():
    return load_examples()


def test_each_head_has_its_own_example(examples):
    chosen = [example_for(task, examples).name for task in TASKS]
    assert len(set(chosen)) == len(TASKS)


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


def test_the_readout_says_what_m_means():
    size = TextSize(22, 100)
    assert describe(size, 4) == "<p><b>22</b> tokens, <b>4</b> landmarks: one for <b>5.5</b> tokens</p>"
    assert "exactly" in describe(size, 22)
    assert "in windows of 100" in describe(TextSize(220, 100), 4)


def built(library) -> sidebar.Sidebar:
    with gr.Blocks():
        return sidebar.build_sidebar(library)


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
    from nystrom_demo.ui.page import build_app

    app = build_app(tiny_checkpoints)
    labels = [block.label for block in app.blocks.values() if isinstance(block, gr.Tab)]
    assert labels == ["Learn", "Tasks", "Attention", "Error", "Compare", "Time"]
    public = [fn.api_name for fn in app.fns.values() if fn.api_visibility == "public"]
    assert public == ["fill_mask", "classify", "tag", "answer", "choose", "compare_attention", "time_attention"]


def test_the_text_comes_first_then_m_then_the_link_and_the_rest_is_folded(tiny_checkpoints):
    with gr.Blocks() as demo:
        sidebar.build_sidebar(tiny_checkpoints)
    ids = [block.elem_id for block in demo.blocks.values() if block.elem_id]
    order = ["sidebar-text", "sidebar-readout", "sidebar-quick", "sidebar-landmarks", "permalink-copy", "sidebar-task"]
    assert [each for each in ids if each in order] == order
    (model,) = (block for block in demo.blocks.values() if block.elem_id == "sidebar-model-section")
    assert not model.open


def test_the_page_keeps_its_state_in_few_hidden_parts_and_events(tiny_checkpoints):
    """Before the page had one state there were 19 hidden parts and 84 events, and two fewer figures with code."""
    from nystrom_demo.ui.page import build_app

    app = build_app(tiny_checkpoints)
    hidden = [each for each in app.blocks.values() if isinstance(each, gr.State) or each.visible == "hidden"]
    assert len(hidden) == 2
    assert len(app.fns) - 2 < 42
