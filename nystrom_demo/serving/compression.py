"""Compressed answers, each made once: the page, its configuration, and the scripts and styles that gradio brings."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import brotli

from nystrom_demo.serving.identity import Scope, header_values

ENDINGS = (".js", ".css", ".json", ".svg", ".html")
PAGES = ("/", "/config", "/config/", "/gradio_api/info", "/gradio_api/info/")
FOLDERS = ("/assets/", "/static/", "/svelte/")  # the same whatever host is asked
KEPT_BYTES = 64 << 20
SMALLEST = 400  # bytes; less is not worth it
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, quality=5),
    "gzip": lambda body: gzip.compress(body, 6),
}
CONDITIONS = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"if-range", b"range")


class Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def size(self) -> int:
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers) + 1_024


class Packed:
    """An ASGI middleware that answers from what it has packed before, and keeps that within a number of bytes.

    Gradio packs scripts and styles anew for each request, on the event loop, and leaves the page as it is. What else a
    server answers is small, or a stream of events, which must not wait for a compressor.
    """

    def __init__(self, app: Callable, limit: int = KEPT_BYTES):
        self.app, self.limit, self.bytes = app, limit, 0
        self._kept: OrderedDict[tuple, Answer] = OrderedDict()  # the one used longest ago first
        self._making = asyncio.Lock()  # so that a hundred readers of one file do not make it a hundred times

    async def __call__(self, scope: Scope, receive: Callable, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_packable(scope["path"]):
            await self.app(scope, receive, send)
            return
        answer = await self._answer(scope, receive)
        if answer.status == 200 and _has_it(scope, answer):
            kept = [header for header in answer.headers if header[0].lower() != b"content-length"]
            answer = Answer(304, kept, b"")
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Callable) -> Answer:
        encoding = _encoding(scope)
        key = (scope["path"], encoding, _address(scope))
        async with self._making:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            answer = await _ask(self.app, scope, receive)
            if answer.status == 200:
                answer = await asyncio.to_thread(_pack, answer, encoding)
                self._keep(key, answer)
            return answer

    def _keep(self, key: tuple, answer: Answer) -> None:
        self._kept[key] = answer
        self.bytes += answer.size()
        while self.bytes > self.limit:
            _, old = self._kept.popitem(last=False)
            self.bytes -= old.size()


def _is_packable(path: str) -> bool:
    return path in PAGES or path.endswith(ENDINGS)


def _encoding(scope: Scope) -> str:
    """The best of the encodings that the client takes, "" for none."""
    taken = set()
    for part in ",".join(header_values(scope, b"accept-encoding")).split(","):
        name, _, weight = part.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            taken.add(name.strip().lower())
    return next((name for name in PACKERS if name in taken), "")


def _address(scope: Scope) -> tuple:
    """What gradio makes the page's own address from, which stands in it."""
    if scope["path"].startswith(FOLDERS):
        return ()
    names = (b"host", b"x-forwarded-host", b"x-forwarded-proto")
    return (scope.get("scheme"), *(",".join(header_values(scope, name)) for name in names))


def _has_it(scope: Scope, answer: Answer) -> bool:
    etags = [value for name, value in answer.headers if name.lower() == b"etag"]
    asked = ",".join(header_values(scope, b"if-none-match")).split(",")
    return bool(etags) and etags[0].decode("latin-1") in [tag.strip().removeprefix("W/") for tag in asked]


async def _ask(app: Callable, scope: Scope, receive: Callable) -> Answer:
    """The app's whole answer, as it is."""
    plain = [(name, value) for name, value in scope["headers"] if name.lower() not in CONDITIONS]
    start, chunks = {}, []

    async def take(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app({**scope, "headers": plain}, receive, take)
    return Answer(start["status"], list(start.get("headers", [])), b"".join(chunks))


def _pack(answer: Answer, encoding: str) -> Answer:
    body = PACKERS[encoding](answer.body) if encoding and len(answer.body) >= SMALLEST else answer.body
    dropped = (b"content-length", b"transfer-encoding", b"accept-ranges", b"vary")
    headers = [(name, value) for name, value in answer.headers if name.lower() not in dropped]
    headers += [(b"content-length", str(len(body)).encode()), (b"vary", b"Accept-Encoding")]
    if body is not answer.body:
        headers.append((b"content-encoding", encoding.encode()))
    return Answer(200, headers, body)
