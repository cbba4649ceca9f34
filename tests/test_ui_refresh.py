"""A change of the bench: where m goes, which checkpoint answers, which tab is refreshed."""

import shutil
from pathlib import Path
from typing import NamedTuple, get_type_hints

import gradio as gr
import pytest

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.tasks import fill_mask
from nystrom_demo.ui import refresh
from nystrom_demo.ui.examples import example_for, load_examples
from nystrom_demo.ui.page import build_app
from nystrom_demo.ui.readout import TASK_LABELS, TextSize
from nystrom_demo.ui.refresh import end_range, fingerprint, landmarks_for, settle, slide, stamp

EXAMPLES = load_examples()
TABS = ("learn", "tasks", "error")
TEXT = "the cat sat on the mat"  # 8 tokens
LONGER = TextSize(13, 4096)


class Settled(NamedTuple):
    """What `settle` returns."""

    text: object
    settled: object
    task: object
    source: object
    slider: dict
    example: str | None
    size: TextSize
    served: tuple[str, str]
    notice: dict


def settle_on(library, text=TEXT, task="masked-lm", m=3, source=BUNDLED, size=LONGER, served=None):
    values = (text, task, m, 6, False, "cpu", source)
    served = (BUNDLED, task) if served is None else served
    return Settled(*settle(library, EXAMPLES, *values, size, served))


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    """What the page is warned of."""
    said = []
    monkeypatch.setattr(refresh.gr, "Warning", said.append)
    return said


@pytest.fixture
def offered(tiny_checkpoints, tmp_path) -> Library:
    """A library that offers a folder "mine" with a masked-word head, and a spoiled one."""
    root = Path(tmp_path)
    tiny_checkpoints["masked-lm"].model.save_pretrained(root / "mine")
    tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(root / "mine")
    shutil.copytree(root / "mine", root / "spoiled")
    (root / "spoiled" / "model.safetensors").write_bytes(b"x" * 100)
    return Library(tiny_checkpoints.boxes, root=root)


@pytest.mark.parametrize(
    ("m", "old", "m_after"),
    [
        (3, TextSize(13, 100), 3),
        (13, TextSize(13, 100), 8),  # exact stays exact
        (10, TextSize(13, 100), 8),
        (0, TextSize(13, 100), 1),
        (6, TextSize(6, 100), 8),  # exact on a longer text too
        (100, TextSize(500, 100), 8),
        (16, 6, 6),  # a link's m, which the page does not hold yet
        (16, 900, 8),
    ],
)
def test_m_stays_as_far_as_the_text_goes_and_exact_stays_exact(m, old, m_after):
    assert landmarks_for(m, old, TextSize(8, 100)) == m_after


def test_the_range_holds_what_the_page_still_sends_until_it_has_the_new_m():
    assert slide(8, 13, 8) == gr.update(maximum=13, value=8)
    assert slide(900, 16, 900) == gr.update(maximum=900, value=900)
    assert slide(3, 3, 8) == gr.update(maximum=8)  # an m that stays is not sent, for the visitor may have moved on
    assert end_range(TextSize(8, 100)) == gr.update(maximum=8)
    assert end_range(TextSize(800, 100)) == gr.update(maximum=100)
    assert end_range(16) == gr.skip()


def test_a_text_is_counted_and_m_brought_within_it(tiny_checkpoints):
    after = settle_on(tiny_checkpoints, m=13)
    assert (after.size, after.example, after.slider["value"]) == (TextSize(8, 4096), None, 8)
    assert after.text == after.settled == after.source == gr.skip()
    assert after.notice["visible"] is False


def test_the_page_gets_the_text_with_blanks_for_the_controls_that_part_words(tiny_checkpoints):
    after = settle_on(tiny_checkpoints, text="the cat\fsat on the mat")
    assert after.text == after.settled == TEXT and after.size.num_tokens == 8
    assert settle_on(tiny_checkpoints).text == gr.skip()


@pytest.mark.parametrize("task", TASK_LABELS)
def test_another_task_brings_its_own_example_in_the_same_step(task, tiny_checkpoints):
    other = next(each for each in TASK_LABELS if each != task)
    example = example_for(task, EXAMPLES)
    after = settle_on(tiny_checkpoints, example_for(other, EXAMPLES).text, task, served=(BUNDLED, other))
    assert (after.text, after.settled, after.example) == (example.text, example.text, example.name)
    own = settle_on(tiny_checkpoints, TEXT, task, served=(BUNDLED, other))
    assert own.text == gr.skip()  # a visitor's text stays
    link = settle_on(tiny_checkpoints, EXAMPLES["dialogue"].text, task, served=(BUNDLED, task))
    assert link.text == gr.skip()  # as does an example that was picked, or named in a link


def test_a_chosen_checkpoint_serves_and_is_named(offered, warnings):
    after = settle_on(offered, source="mine")
    assert after.served == ("mine", "masked-lm")
    assert after.task["info"].startswith("mine, ")
    assert after.notice["visible"] is False
    new = settle_on(offered, task="token-classification", source="mine")
    assert new.notice["visible"]
    assert "has no head for “Entities”" in new.notice["value"]
    assert warnings == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("spoiled", "model.safetensors is not a whole safetensors file."),
        ("none", "'none' is not among the checkpoints here."),
    ],
)
def test_a_refused_checkpoint_is_said_in_a_sentence_and_the_last_one_stays_bit_for_bit(source, said, offered, warnings):
    settle_on(offered, source="mine")
    before = fill_mask(offered.load("mine", "masked-lm"), "the [MASK] sat")
    after = settle_on(offered, source=source, served=("mine", "masked-lm"))
    assert warnings == [said]
    assert (after.source, after.task["value"], after.served) == ("mine", "masked-lm", ("mine", "masked-lm"))
    assert fill_mask(offered.load("mine", "masked-lm"), "the [MASK] sat") == before


def test_where_the_last_one_is_gone_too_the_bundled_one_answers(offered, warnings):
    after = settle_on(offered, source="spoiled", served=("gone", "masked-lm"))
    assert len(warnings) == 2
    assert (after.source, after.served) == (BUNDLED, (BUNDLED, "masked-lm"))


def test_a_device_that_is_not_there_is_refused(tiny_checkpoints, warnings):
    values = (TEXT, "masked-lm", 3, 6, False, "cuda", BUNDLED)
    with pytest.raises(ValueError, match=r"^device must be one of cpu, got 'cuda'\.$"):
        settle(tiny_checkpoints, EXAMPLES, *values, LONGER, (BUNDLED, "masked-lm"))
    assert warnings == []


def test_a_change_stamps_the_open_tab_only():
    shown = (TEXT, "masked-lm", 5, 6, False, "cpu", BUNDLED, 0, 0)
    readout, *stamps = stamp(TABS, *shown, TextSize(7, 4096), "error")
    assert "5</b> landmarks" in readout
    assert stamps == [gr.skip(), gr.skip(), fingerprint(shown)]
    assert stamp(TABS, *shown, TextSize(7, 4096), "none")[1:] == (gr.skip(),) * 3
    assert stamp(TABS, *shown, 16, "error")[0] == gr.skip()  # a link's text is still to be counted


def test_a_whole_number_has_one_stamp_however_it_is_sent():
    assert fingerprint((16, True)) == fingerprint((16.0, True))
    assert len({fingerprint((value,)) for value in (16, 17, "16", True, None, 1)}) == 6


def test_only_what_is_started_and_stopped_drops_an_event_that_comes_while_it_runs(tiny_checkpoints):
    demo = build_app(tiny_checkpoints)
    answered = [
        fn for fn in demo.fns.values() if fn.fn is not None and fn.targets
    ]  # the named endpoints have no targets
    dropping = {demo.blocks[each].elem_id for fn in answered if fn.trigger_mode == "once" for each, _ in fn.targets}
    assert dropping == {"time-start", "time-stop", "long-start", "long-stop"}


def test_an_event_with_data_of_its_own_is_answered_each_time(tiny_checkpoints):
    """Gradio asks a second time with the first one's data, if told to ask again for the last."""
    with_data = [fn for fn in build_app(tiny_checkpoints).fns.values() if fn.fn and _takes_data(fn.fn)]
    assert len(with_data) == 3 and {fn.trigger_mode for fn in with_data} == {"multiple"}


def _takes_data(fn) -> bool:
    return any(hint is gr.EventData for hint in get_type_hints(getattr(fn, "func", fn)).values())
