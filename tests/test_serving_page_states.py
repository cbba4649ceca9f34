"""What the server keeps of its pages is bounded, and never at the cost of a page that waits."""

from collections import OrderedDict
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from small_app import build_app

from nystrom_demo.errors import UserError
from nystrom_demo.serving import page_states as pages
from nystrom_demo.serving.page_states import Pages, PageState, check_known, forget_unread


def queue_of(*pages, busy=()):
    """What `forget_unread` reads of gradio's queue: answers by page, oldest first, and the requests under way."""
    return SimpleNamespace(
        pending_messages_per_session=OrderedDict((page, []) for page in pages),
        pending_event_ids_session={page: set() for page in pages},
        event_ids_to_events={page: SimpleNamespace(session_hash=page) for page in busy},
    )


def test_the_oldest_unread_answers_go_first():
    queue = queue_of("a", "b", "c", "d", "e")
    forget_unread(queue, None, 3)
    assert list(queue.pending_messages_per_session) == list(queue.pending_event_ids_session) == ["c", "d", "e"]


def test_a_page_with_a_request_under_way_keeps_its_answers_whatever_its_age():
    queue = queue_of("a", "b", "c", "d", busy=("a", "c"))
    forget_unread(queue, None, 1)
    assert list(queue.pending_messages_per_session) == ["a", "c", "d"]


def test_a_page_that_asks_again_is_no_longer_the_oldest():
    queue = queue_of("a", "b", "c")
    forget_unread(queue, "a", 2)
    assert list(queue.pending_messages_per_session) == ["c", "a"]


@pytest.fixture(scope="module")
def demo():
    return build_app()


def test_a_pages_state_holds_no_copy_of_the_components_configurations(demo):
    assert len(SessionState(demo).config_values) > 10
    state, key = PageState(demo), next(iter(demo.blocks))
    state._update_value_in_config(key, "a value")
    assert state.config_values == {}


def test_what_a_handler_changed_is_of_its_own_page_only(demo):
    text = next(block for block in demo.blocks.values() if getattr(block, "elem_id", None) == "text")
    ours, theirs = PageState(demo), PageState(demo)
    ours[text._id] = changed = gr.Textbox("changed")
    assert ours[text._id] is changed and theirs[text._id] is text


def test_only_so_many_names_of_forgotten_pages_are_kept(demo, monkeypatch):
    monkeypatch.setattr(pages, "FORGOTTEN", 3)
    kept = Pages()
    kept.set_blocks(SimpleNamespace(default_config=demo.default_config, blocks=(), state_session_capacity=2))
    for session in "abcdaefg":
        assert kept[session] is kept.session_data[session]
    assert list(kept.session_data) == ["f", "g"] and list(kept.forgotten) == ["d", "a", "e"]
    check_known(kept, "f")
    with pytest.raises(UserError, match=r"the last 2 pages, and this one is no longer among them; copy your text"):
        check_known(kept, "e")
