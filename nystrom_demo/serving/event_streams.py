"""Which event stream of a page has ended, for a page that has not read so far yet.

Gradio ends a page's stream with its last pending answer. A request that comes while the page still reads that answer
would never get its own: the page takes the stream for open, so it opens no other, and where its control waits for the
answer it sends nothing more. So streams.js numbers a page's streams, and what accepts a request names the one that
ended last, whose end the page then reads first.
"""

import re
from collections import OrderedDict
from urllib.parse import parse_qs

HEADER = b"x-ended-stream"
END = b'data: {"msg":"close_stream"'
NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
PAGES = 10_000  # whose streams ended last; an older end has been read long ago


class EndedStreams:
    """The number of the stream that ended last, by page."""

    def __init__(self, pages: int = PAGES):
        self._pages = pages
        self._numbers: OrderedDict[str, str] = OrderedDict()

    def note(self, query: str, chunk: bytes) -> None:
        """Take in what a stream, asked for with this query, is about to send. Only a page's own have a number."""
        if not chunk.startswith(END):
            return
        asked = parse_qs(query)
        session, number = (asked.get(name, [""])[0] for name in ("session_hash", "stream"))
        if NUMBER.match(number):
            self._numbers[session] = number
            self._numbers.move_to_end(session)
            if len(self._numbers) > self._pages:
                self._numbers.popitem(last=False)

    def headers(self, session: str) -> list[tuple[bytes, bytes]]:
        """What the answer to a page's request says of its streams."""
        number = self._numbers.get(session)
        return [] if number is None else [(HEADER, number.encode())]
