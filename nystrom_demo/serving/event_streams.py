"""Which event stream of a page has ended, for a page that has not read so far yet.

Gradio ends a page's stream with its last pending answer. A request that comes while the page still reads that answer
would never get its own: the page takes the stream for open, so it opens no other, and where its control waits for the
answer it sends nothing more. So streams.js numbers a page's streams, and what accepts a request names the one that
ended last, whose end the page then reads first.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping

from nystrom_demo.serving.gradio_patches import STREAM_END

HEADER = b"x-ended-stream"
NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
PAGES = 10_000  # whose streams ended last; an older end has been read long ago


class EndedStreams:
    """The number of the stream that ended last, by page."""

    def __init__(self, pages: int = PAGES):
        self._pages = pages
        self._numbers: OrderedDict[str, str] = OrderedDict()

    def note(self, asked: Mapping[str, str], chunk: bytes) -> None:
        """Take in what a stream, asked for with these parameters, is about to send. Only a page's own have a number."""
        if not chunk.startswith(STREAM_END):
            return
        session, number = (asked.get(name, "") for name in ("session_hash", "stream"))
        if NUMBER.match(number):
            self._numbers[session] = number
            self._numbers.move_to_end(session)
            if len(self._numbers) > self._pages:
                self._numbers.popitem(last=False)

    def headers(self, session: str) -> list[tuple[bytes, bytes]]:
        """What the answer to a page's request says of its streams."""
        number = self._numbers.get(session)
        return [] if number is None else [(HEADER, number.encode())]
