"""Every use of what gradio keeps to itself, each with its reason, tried with gradio 6.31.

`tests/test_serving_gradio_patches.py` fails where a newer gradio has changed or no longer needs one of them.
"""

import asyncio
import sys
import threading
import time
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import gradio as gr
import uvicorn
from gradio import http_server
from gradio.context import LocalContext
from gradio.server_messages import ProcessCompletedMessage
from gradio.state_holder import SessionState, StateHolder

from nystrom_demo.serving.identity import client_of

FORGOTTEN = 10_000  # names of pages whose state is gone, so that they can be told
PAGE_SHARE = 8  # an eighth of the bytes of all unread messages may be one page's
MESSAGE_BYTES, PAGE_BYTES = 1_024, 4_096  # what a message takes beside its contents, and a page beside its messages
NOT_READ = "The page did not read its last answers, so this one was let go; reload the page."
STREAM_END = b'data: {"msg":"close_stream"'


# Where gradio has the request that a handler works for. A handler of ours takes no gr.Request, since its arguments are
# also an endpoint's and a tool's.


def current_client() -> str:
    """The client whose request runs here."""
    return client_of(LocalContext.request.get(None))


def current_session() -> str:
    """The open page whose request runs here, "" for a request of no page."""
    return getattr(LocalContext.request.get(None), "session_hash", None) or ""


# What waits in gradio's queue, which gradio bounds for all clients together only.


class Waiting(NamedTuple):
    """A request that waits or runs."""

    client: str
    session: str


def requests_waiting(demo: gr.Blocks) -> list[Waiting]:
    events = list(demo._queue.event_ids_to_events.values())
    return [Waiting(client_of(event.request), event.session_hash) for event in events]


# A page's component after handlers changed it. Gradio checks values against the component as it was built.


def component_of(demo: gr.Blocks, session: str | None, block: Any) -> Any:
    """The component as the session's page has it now, with the range and choices that handlers gave it since."""
    state = demo.state_holder.session_data.get(session) if session else None
    return block if state is None else state.blocks_config.blocks.get(block._id, block)


# The states of pages. Gradio copies every component's configuration for each page, for links to a kept state that the
# guard does not let through: milliseconds of the event loop and hundreds of kilobytes for each page and call by name.
# And it forgets a page without telling it.


class PageState(SessionState):
    """A page's state without gradio's copy of every component's configuration."""

    def __init__(self, blocks: gr.Blocks):
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks=()))

    def _update_config(self, key: int) -> None:
        """Nothing: there is no copy."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing: there is no copy."""


class Pages(StateHolder):
    """The states of the pages used last; how many is `state_session_capacity` of the gr.Blocks.

    A page whose state is gone has other ranges and counts than it shows, so its requests are refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: OrderedDict[str, None] = OrderedDict()  # the last one at the end

    def update(self, session_id: str) -> None:
        """Mark the page as used, and forget the one unused longest where there are too many."""
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            if len(self.session_data) > self.capacity:
                oldest, _ = self.session_data.popitem(last=False)
                self.time_last_used.pop(oldest, None)
                self.forgotten[oldest] = None
            if len(self.forgotten) > FORGOTTEN:
                self.forgotten.popitem(last=False)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = PageState(self.blocks)
        return super().__getitem__(session_id)


def use_pages(demo: gr.Blocks) -> None:
    """Let the launched `demo` keep its pages' states in `Pages`."""
    demo.app.state_holder = Pages()
    demo.app.state_holder.set_blocks(demo)


# What a page's event stream has yet to send. Gradio keeps all of it for 2,000 pages, whatever it weighs; past that it
# drops the page it has known longest, even in the midst of a request, which then has no end; of the pages' names it
# drops none.


class UnreadMessages(UserDict):
    """The messages that pages have yet to read, by page, within `limit` bytes in all and an eighth of it a page.

    Where there is no room, pages with no request under way go first, the one that asked longest ago before others.
    Where that does not do, what is new is let go, and a note says so in an answer's place; there are no more notes than
    requests under way.
    """

    def __init__(self, queue: Any, limit: int):
        super().__init__()
        self._queue, self.limit, self.bytes = queue, limit, 0

    def __setitem__(self, session: str, queue: asyncio.Queue) -> None:
        """Gradio's new queue for a page, for which one that counts is taken."""
        self.data[session] = PageMessages(self, session)
        self.bytes += PAGE_BYTES

    def __delitem__(self, session: str) -> None:
        messages = self.data.pop(session)
        self.bytes -= messages.bytes + PAGE_BYTES
        messages.unread = None

    def forget(self, session: str) -> None:
        """Drop a page that has no request under way."""
        del self[session]
        self._queue.pending_event_ids_session.pop(session, None)

    def asks(self, session: str) -> bool:
        """Note that a page makes a request; False where it must read first."""
        if session not in self.data:
            return True
        self.data[session] = messages = self.data.pop(session)  # to the end
        return not messages.spilt and messages.bytes < self.limit // PAGE_SHARE

    def make_room(self, size: int) -> bool:
        """Whether there is room for so many bytes, after dropping what pages without a request left unread."""
        if self.bytes + size > self.limit:
            busy = {event.session_hash for event in self._queue.event_ids_to_events.values()}
            for session in [session for session in self.data if session not in busy]:
                self.forget(session)
                if self.bytes + size <= self.limit:
                    break
        return self.bytes + size <= self.limit


class PageMessages(asyncio.Queue):
    """The messages that one page has yet to read."""

    def __init__(self, unread: UnreadMessages, session: str):
        super().__init__()
        self.unread: UnreadMessages | None = unread
        self.session, self.bytes = session, 0
        self.spilt = False  # something was let go, and the page has yet to read what is here

    def _put(self, message: Any) -> None:
        kept = message
        if self.unread is not None and not self._has_room(size_of(message)):
            self.spilt = True
            kept = in_place_of(message)
        if kept is not None:
            self._add(kept, size_of(kept))

    def _get(self) -> Any:
        message, size = super()._get()
        self._count(-size)
        if not self._queue:
            self.spilt = False
        return message

    def _has_room(self, size: int) -> bool:
        full = self.bytes + size > self.unread.limit // PAGE_SHARE and len(self._queue) > 0
        return not self.spilt and not full and self.unread.make_room(size)

    def _add(self, message: Any, size: int) -> None:
        super()._put((message, size))
        self._count(size)

    def _count(self, size: int) -> None:
        if self.unread is not None:
            self.bytes += size
            self.unread.bytes += size


def in_place_of(message: Any) -> Any:
    """What is kept of a message for which there is no room: of an answer that it was let go, of others nothing."""
    if isinstance(message, ProcessCompletedMessage):
        return message.model_copy(update={"success": False, "output": {"error": NOT_READ}, "title": "Error"})
    return None


def size_of(message: Any) -> int:
    """About how many bytes of memory a message takes."""
    size, rest = MESSAGE_BYTES, list(vars(message).values())
    while rest:
        value = rest.pop()
        size += sys.getsizeof(value)
        if isinstance(value, dict):
            rest += value.values()
        elif isinstance(value, list | tuple):
            rest += value
    return size


def bound_queue(demo: gr.Blocks, unread_bytes: int) -> None:
    """Bound what the queue of `demo` keeps for its pages. Before launch."""
    queue = demo._queue
    queue.pending_messages_per_session = UnreadMessages(queue, unread_bytes)
    # Gradio would keep its last 10,000 events and tabulate them after each, for a page that the guard does not serve.
    queue.ANALYTICS_MAX_EVENTS = 0
    queue.compute_analytics_summary = lambda records: {"functions": {}}


def must_read_first(demo: gr.Blocks, session: str | None) -> bool:
    """Whether a page that makes a request has to read its last answers before."""
    return bool(session) and not demo._queue.pending_messages_per_session.asks(session)


# The server. Gradio gives no way to set uvicorn's options or to stand before its own middleware, and gives up where its
# thread has not begun after five seconds or its page has not answered within three, as on a busy machine.


@contextmanager
def served_with(wrap: Callable[[Any], Any], **options: Any) -> Iterator[None]:
    """Within, `launch` serves `wrap(app)` by a uvicorn with these options, and waits for its start as long as it lives.

    `launch` needs `_frontend=False` to leave out its look at its own page.
    """

    def configure(app: Any, **gradios: Any) -> uvicorn.Config:
        return uvicorn.Config(app=wrap(app), **gradios | options)

    old = http_server.uvicorn, http_server.Server.run_in_thread, http_server.LOCALHOST_NAME
    http_server.uvicorn = SimpleNamespace(Config=configure)
    http_server.Server.run_in_thread = _run_in_thread
    http_server.LOCALHOST_NAME = "127.0.0.1"  # where gradio tries whether a port is free, by IPv4 only
    try:
        yield
    finally:
        http_server.uvicorn, http_server.Server.run_in_thread, http_server.LOCALHOST_NAME = old


def _run_in_thread(server: http_server.Server) -> None:
    server.thread = threading.Thread(target=server.run, daemon=True)
    if server.reloader:
        server.watch_thread = threading.Thread(target=server.watch, daemon=True)
        server.watch_thread.start()
    server.thread.start()
    while not server.started:
        if not server.thread.is_alive():
            raise http_server.ServerFailedToStartError("The server ended before it began; is its port free?")
        time.sleep(0.005)
