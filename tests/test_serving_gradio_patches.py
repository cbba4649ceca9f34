"""Each use of gradio's private parts does what it is for, and gradio as it is needs it."""

import asyncio
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import http_server, networking
from gradio.queueing import Queue
from gradio.server_messages import HeartbeatMessage, ProcessCompletedMessage, ProcessGeneratingMessage
from gradio.state_holder import SessionState, StateHolder
from small_app import build_app

from nystrom_demo.errors import UserError
from nystrom_demo.serving import gradio_patches as patches
from nystrom_demo.serving.gradio_patches import NOT_READ, PAGE_BYTES, Pages, PageState, UnreadMessages, size_of
from nystrom_demo.serving.request_bodies import check_known

KB = 1024


def unread_of(*pages, busy=(), limit=10**6):
    """The unread messages of pages, none yet, the one that asked longest ago first; `busy` have requests under way."""
    queue = SimpleNamespace(
        pending_event_ids_session={page: set() for page in pages},
        event_ids_to_events={page: SimpleNamespace(session_hash=page) for page in busy},
    )
    unread = UnreadMessages(queue, limit)
    for page in pages:
        unread[page] = asyncio.Queue()
    return unread


def answer(kilobytes: float) -> ProcessCompletedMessage:
    return ProcessCompletedMessage(output={"data": ["x" * int(kilobytes * KB)]}, success=True)


def test_the_oldest_unread_answers_go_first():
    unread = unread_of("a", "b", "c", "d", "e", limit=100 * KB)
    for page in "abcde":
        unread[page].put_nowait(answer(5))
    assert unread.bytes < unread.limit - 40 * KB and unread.make_room(unread.limit - unread.bytes + 10 * KB)
    assert list(unread) == list(unread._queue.pending_event_ids_session) == ["b", "c", "d", "e"]


def test_a_page_with_a_request_under_way_keeps_its_answers_whatever_its_age():
    unread = unread_of("a", "b", "c", "d", busy=("a", "c"), limit=40 * KB)
    assert not unread.make_room(40 * KB)
    assert list(unread) == ["a", "c"]


def test_a_page_that_asks_again_is_no_longer_the_oldest():
    unread = unread_of("a", "b", "c")
    assert unread.asks("a")
    assert list(unread) == ["b", "c", "a"]


def test_what_is_counted_is_what_is_kept():
    unread = unread_of("a", "b")
    for page in "ab":
        unread[page].put_nowait(answer(3))
    assert unread.bytes == 2 * PAGE_BYTES + 2 * size_of(answer(3)) > 14 * KB
    assert unread["a"].get_nowait() == answer(3)
    held = unread["b"]
    del unread["b"]
    assert held.get_nowait() == answer(3) and unread.bytes == PAGE_BYTES
    unread.forget("a")
    assert unread.bytes == 0 and not unread._queue.pending_event_ids_session.get("a")


def test_a_page_that_never_reads_keeps_no_more_than_its_part_and_is_told_once_it_reads():
    unread = unread_of("a", busy="a", limit=80 * KB)
    for _ in range(50):
        unread["a"].put_nowait(ProcessGeneratingMessage(output={"data": ["x" * 4 * KB]}, success=True))
    assert unread["a"].bytes <= 10 * KB and not unread.asks("a")
    unread["a"].put_nowait(answer(0))
    unread["a"].put_nowait(HeartbeatMessage())
    read = [unread["a"].get_nowait() for _ in range(unread["a"].qsize())]
    assert (read[-1].success, read[-1].output) == (False, {"error": NOT_READ})  # none goes without an end
    assert unread.asks("a") and unread["a"].bytes == 0
    unread["a"].put_nowait(answer(1))
    assert unread["a"].get_nowait() == answer(1)


def test_one_large_answer_is_kept_for_a_page_that_reads_and_all_pages_together_stay_within_the_bound():
    pages = [f"page{i}" for i in range(30)]
    unread = unread_of(*pages, busy=pages, limit=400 * KB)
    for page in pages:
        unread[page].put_nowait(answer(60))
        assert unread.bytes <= unread.limit + len(pages) * size_of(answer(0.1))  # a note each at most
    ends = [unread[page].get_nowait() for page in pages]
    assert ends[0] == answer(60) and ends[-1].output == {"error": NOT_READ} and len(ends) == 30


def test_a_reader_that_waits_gets_the_next_message():
    async def read() -> object:
        unread = unread_of("a", busy="a", limit=80 * KB)
        waiting = asyncio.create_task(unread["a"].get())
        await asyncio.sleep(0)
        unread["a"].put_nowait(answer(1))
        return await waiting

    assert asyncio.run(read()) == answer(1)


def test_gradio_itself_keeps_whatever_a_page_does_not_read():
    with gr.Blocks() as demo:
        demo.queue()
    assert type(demo._queue) is Queue and not hasattr(demo._queue.pending_messages_per_session, "limit")


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
    monkeypatch.setattr(patches, "FORGOTTEN", 3)
    kept = Pages()
    kept.set_blocks(SimpleNamespace(default_config=demo.default_config, blocks=(), state_session_capacity=2))
    for session in "abcdaefg":
        assert kept[session] is kept.session_data[session]
    assert list(kept.session_data) == ["f", "g"] and list(kept.forgotten) == ["d", "a", "e"]
    check_known(SimpleNamespace(state_holder=kept), "f")
    with pytest.raises(UserError, match=r"the last 2 pages, and this one is no longer among them; copy your text"):
        check_known(SimpleNamespace(state_holder=kept), "e")


def test_gradio_itself_forgets_a_page_without_a_word():
    assert not hasattr(StateHolder(), "forgotten")


def test_gradio_itself_gives_up_on_a_start_that_takes_long(monkeypatch):
    clock = iter(range(0, 100, 3))
    monkeypatch.setattr(http_server, "time", SimpleNamespace(time=lambda: next(clock), sleep=lambda _: None))
    never = SimpleNamespace(run=lambda: None, started=False, reloader=None)
    with pytest.raises(http_server.ServerFailedToStartError):
        http_server.Server.run_in_thread(never)
    asked = []
    monkeypatch.setattr(
        networking.httpx, "head", lambda url, **more: asked.append(more) or SimpleNamespace(status_code=200)
    )
    assert networking.url_ok("http://a") and asked[0]["timeout"] == 3


def test_a_start_is_waited_for_as_long_as_its_thread_lives_and_no_longer():
    import threading

    go, server = threading.Event(), SimpleNamespace(started=False, reloader=None)

    def run() -> None:
        go.wait(30)
        server.started = True
        threading.Event().wait(1)

    server.run = run
    threading.Timer(0.2, go.set).start()
    patches._run_in_thread(server)
    assert server.started
    ended = SimpleNamespace(started=False, reloader=None, run=lambda: None)
    with pytest.raises(http_server.ServerFailedToStartError, match="is its port free"):
        patches._run_in_thread(ended)


def test_what_served_with_changed_is_as_before_afterwards():
    before = http_server.uvicorn, http_server.Server.run_in_thread, http_server.LOCALHOST_NAME
    with pytest.raises(KeyError), patches.served_with(lambda app: app):
        assert http_server.uvicorn is not before[0]
        raise KeyError
    assert (http_server.uvicorn, http_server.Server.run_in_thread, http_server.LOCALHOST_NAME) == before
