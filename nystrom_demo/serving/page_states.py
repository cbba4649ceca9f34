"""What the server keeps of an open page: its last values and the answers that it has not read, each within a bound."""

from collections import OrderedDict
from itertools import islice
from types import SimpleNamespace
from typing import Any

from gradio import Blocks
from gradio.queueing import Queue
from gradio.state_holder import SessionState, StateHolder

from nystrom_demo.errors import UserError

FORGOTTEN = 10_000  # names of pages whose state is gone, so that they can be told
UNREAD_QUEUES = 5  # an answer is kept until so many whole queues of later requests have come


class PageState(SessionState):
    """A page's state without gradio's copy of every component's configuration.

    The copy serves links to a kept state, which the guard does not let through. It costs the event loop milliseconds
    for each new page and each call by name, and the server hundreds of kilobytes for each.
    """

    def __init__(self, blocks: Blocks):
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


def use_pages(demo: Blocks) -> None:
    """Let the launched `demo` keep its pages' states in `Pages`."""
    demo.app.state_holder = Pages()
    demo.app.state_holder.set_blocks(demo)


def check_known(pages: StateHolder, session: str | None) -> None:
    """Refuse the request of a page whose state is gone."""
    if isinstance(pages, Pages) and session in pages.forgotten:
        raise UserError(
            f"The server keeps the settings of the last {pages.capacity:,} pages, and this one is no longer among "
            "them; copy your text and reload the page."
        )


def forget_unread(queue: Queue, session: str | None, keep: int) -> None:
    """Drop the oldest answers that nobody read, down to `keep` pages; never those of a page with a request under way.

    `session` is the page that asks now. Gradio itself keeps 2,000 pages' answers and, past that, drops the page it has
    known longest, even in the midst of a request, which then has no end; of the pages' names it drops none.
    """
    unread = queue.pending_messages_per_session
    if session in unread:
        unread.move_to_end(session)
    over = len(unread) - keep
    if over <= 0:
        return
    busy = {event.session_hash for event in queue.event_ids_to_events.values()}
    for old in list(islice(unread, over)):
        if old not in busy:
            del unread[old]
            queue.pending_event_ids_session.pop(old, None)
