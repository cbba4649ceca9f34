"""What the server keeps of its pages is bounded, and never at the cost of a page that waits."""

from collections import OrderedDict
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from small_app import build_app

from nystrom_demo.serving.pages import PageState, forget_unread


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
