"""The page's own files under /web/: an exact list, read when the server starts.

No address opens a file. What is asked for is a name in the list or it is not there.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CONTENT_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


class WebFile(NamedTuple):
    body: bytes
    content_type: str
    etag: str

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What an answer with this file says of it: a browser keeps it and asks each time whether it is still so."""
        values = {
            "content-type": self.content_type,
            "content-length": str(len(self.body)),
            "etag": self.etag,
            "cache-control": "no-cache",
        }
        return [(name.encode(), value.encode()) for name, value in values.items()]


def files_in(folder: Path) -> dict[str, Path]:
    """The files under a folder that a browser may have, by their names there: "lib/dom.js" is asked for as
    /web/lib/dom.js. Tests and what has another ending are left out."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in CONTENT_TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths if ".test." not in path.name}


def read_files(files: Mapping[str, Path]) -> dict[str, WebFile]:
    """Each file as it is served. ValueError for one whose content type is not known."""
    return {name: _read(name, path) for name, path in files.items()}


def _read(name: str, path: Path) -> WebFile:
    if path.suffix not in CONTENT_TYPES:
        raise ValueError(f"A file under /web/ must end in one of {', '.join(CONTENT_TYPES)}, got {name!r}.")
    body = path.read_bytes()
    return WebFile(body, CONTENT_TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
