"""How many requests and event streams there may be at once: in all, of one address, of one page."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from nystrom_demo.serving.gradio_patches import Waiting
from nystrom_demo.serving.routes import Denied
from nystrom_demo.serving.settings import Settings


def find_room(waiting: list[Waiting], settings: Settings, client: str, session: str | None) -> None:
    """Refuse a request when the queue is full, or when this client's or this page's part of it is."""
    if len(waiting) >= settings.queue:
        raise Denied(503, f"The server is busy with {settings.queue} requests; try again in a few seconds.")
    if sum(each.client == client for each in waiting) >= settings.queue_per_client:
        limit = settings.queue_per_client
        raise Denied(503, f"Your address has {limit} requests waiting; wait for their answers.")
    if session and sum(each.session == session for each in waiting) >= settings.queue_per_session:
        limit = settings.queue_per_session
        raise Denied(503, f"This page has {limit} requests waiting; wait for their answers.")


class Streams:
    """The open event streams, by client."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._open: Counter[str] = Counter()

    def find_one(self, client: str) -> None:
        """Refuse an event stream when as many are open as there may be, in all or of this client."""
        if self._open.total() >= self._settings.streams:
            raise Denied(503, "The server has too many open pages; try again in a minute.")
        limit = self._settings.streams_per_client
        if self._open[client] >= limit:
            raise Denied(503, f"Your address has {limit} open event streams; close pages that you do not need.")

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """One more of this client's streams while the context lasts."""
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
