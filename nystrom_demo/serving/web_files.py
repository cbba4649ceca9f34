"""The page's own files under /web/: an exact list, held in memory.

No address opens a file. What is asked for is a name in the list or it is not there.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

CONTENT_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "json": "application/json"}


class WebFile(NamedTuple):
    body: bytes
    content_type: str
    etag: str

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What an answer with this file says of it: a browser keeps it, since a name changes with its content."""
        values = {
            "content-type": self.content_type,
            "content-length": str(len(self.body)),
            "etag": self.etag,
            "cache-control": "public, max-age=31536000, immutable",
        }
        return [(name.encode(), value.encode()) for name, value in values.items()]


def web_files(files: Mapping[str, bytes]) -> dict[str, WebFile]:
    """Each file as it is served. ValueError for one whose content type is not known."""
    return {name: _web_file(name, body) for name, body in files.items()}


def _web_file(name: str, body: bytes) -> WebFile:
    ending = name.rpartition(".")[2]
    if ending not in CONTENT_TYPES:
        raise ValueError(f"A file under /web/ must end in one of .{', .'.join(CONTENT_TYPES)}, got {name!r}.")
    return WebFile(body, CONTENT_TYPES[ending], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
