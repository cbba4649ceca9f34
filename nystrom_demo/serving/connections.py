"""Connections and the time and bytes that a request may take to arrive: what uvicorn has no settings for.

uvicorn's other parser, h11, has one for the bytes of a head; httptools, which it takes where both are there, has none,
and neither has a deadline or a bound on connections that also makes room.
"""

import asyncio
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

try:
    import resource
except ImportError:  # Windows, which has no such bound
    resource = None

HEAD_BYTES, HEAD_LINES = 64 * 1024, 128  # the request's line and its headers
REQUEST_SECONDS = 20.0  # line, headers and body
BACKLOG = 64  # connections that may wait to be accepted, and then come all at once
SPARE_FILES = 96  # descriptors left for the backlog and what else the process opens
CHUNKING = 8  # a body sent in chunks of a few bytes takes so many times its size


def most_connections(wanted: int) -> int:
    """`wanted`, or as many as the process may have files open, less those it has and some to spare.

    It first asks the system for as many as it may have.
    """
    if resource is None:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    folder = Path("/proc/self/fd")
    used = len(list(folder.iterdir())) if folder.is_dir() else SPARE_FILES
    return min(wanted, max(soft - used - SPARE_FILES, 8))


class Connections:
    """The open connections: at most `total`, and at most `per_client` of one address where that is not None."""

    def __init__(self, total: int, per_client: int | None):
        self.total, self.per_client = total, per_client
        self._open: dict[BoundedProtocol, str] = {}  # the oldest first
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: "BoundedProtocol", client: str) -> bool:
        """Take in a connection. Where there are too many, the oldest that waits for a request makes room; False where
        none does."""
        crowded = self.per_client is not None and self._of[client] >= self.per_client
        room = True
        if crowded or len(self._open) >= self.total:
            room = self._close_one(client if crowded else None)
        if room:
            self._open[connection] = client
            self._of[client] += 1
        return room

    def leave(self, connection: "BoundedProtocol") -> None:
        client = self._open.pop(connection, None)
        if client is not None:
            self._of[client] -= 1
            if not self._of[client]:
                del self._of[client]

    def _close_one(self, client: str | None) -> bool:
        for connection, owner in self._open.items():
            if connection.is_waiting and client in (None, owner):
                self.leave(connection)
                connection.transport.abort()
                return True
        return False


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with at most 64 kB and 128 lines for a request's head, and 20 seconds for all of it."""

    def __init__(self, *, connections: Connections, body_bytes: int, seconds: float = REQUEST_SECONDS, **more: Any):
        super().__init__(**more)
        self._others, self._seconds = connections, seconds
        self._most = HEAD_BYTES + CHUNKING * body_bytes
        self._clock: asyncio.TimerHandle | None = None
        self._in_head, self._received, self._head, self._lines = True, 0, 0, 0

    @property
    def is_waiting(self) -> bool:
        """Whether no whole request is here that is still to be answered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if self._others.enter(self, self.client[0] if self.client else ""):
            self._start_clock()
        else:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self._others.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._clock is None and self.is_waiting:
            self._start_clock()
        self._received += len(data)
        super().data_received(data)
        if self._received > (HEAD_BYTES if self._in_head else self._most) and not self.transport.is_closing():
            self._refuse(431 if self._in_head else 413)

    def on_message_begin(self) -> None:
        self._head = self._lines = 0
        if self._clock is None:
            self._start_clock()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        self._in_head, self._received = True, 0
        self._stop_clock()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(431 if self._is_large else 400)

    @property
    def _is_large(self) -> bool:
        return self._head > HEAD_BYTES or self._lines > HEAD_LINES

    @property
    def _may_answer(self) -> bool:
        """Whether nothing has been written yet to what is being received."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return not answering if self._in_head else answering and not self.cycle.response_started

    def _count(self, size: int) -> None:
        self._head += size
        if self._is_large:
            raise ValueError("The head is too large.")  # ends the parser, and uvicorn asks for a refusal

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(self._seconds, self._refuse, 408)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _refuse(self, status: int) -> None:
        """Close the connection, with an answer where none has begun."""
        self._stop_clock()
        if self._may_answer:
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(line.encode())
        self.transport.close()
