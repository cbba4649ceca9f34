"""The middleware in front of gradio: what may be sent to its routes, what every answer carries."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from urllib.parse import parse_qs, urlsplit

import gradio as gr

from nystrom_demo.errors import UserError
from nystrom_demo.serving.event_streams import EndedStreams
from nystrom_demo.serving.handlers import as_text, client_of
from nystrom_demo.serving.headers import security_headers
from nystrom_demo.serving.health import Readiness
from nystrom_demo.serving.log import client_tag, log, trace_of
from nystrom_demo.serving.metrics import CONTENT_TYPE, Metrics
from nystrom_demo.serving.page_states import UNREAD_QUEUES, forget_unread
from nystrom_demo.serving.request_bodies import TOKEN, check_call, check_cancel, check_reset, parse_json
from nystrom_demo.serving.routes import API, MCP_ROUTES, ROUTES, Denied, find_route
from nystrom_demo.serving.settings import LOOPBACK, Settings

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_SECONDS = 20.0
FAILED = "The server failed on this request."


class Guard:
    """An ASGI middleware around the gradio app of `demo`. See `routes` for what it lets through."""

    def __init__(
        self,
        app: Callable,
        demo: gr.Blocks,
        settings: Settings,
        readiness: Readiness | None = None,
        metrics: Metrics | None = None,
    ):
        self.app, self.demo, self.settings, self.readiness, self.metrics = app, demo, settings, readiness, metrics
        self.headers = security_headers(settings)
        self.routes = ROUTES + (MCP_ROUTES if settings.mcp else ())
        self.streams: Counter[str] = Counter()  # open ones, by client
        self.ended = EndedStreams()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _Exchange(self, scope, receive, send).serve()
        else:
            await send({"type": "websocket.close", "code": 1008})

    def refuse_foreigners(self, headers: dict[str, str]) -> None:
        """Refuse pages of other sites, which a visitor's browser would let call a server that only he can reach."""
        host, origin = headers.get("host", ""), headers.get("origin")
        allowed = self.settings.origins
        if self.settings.loopback_only and _hostname(f"//{host}") not in LOOPBACK:
            raise Denied(403, "This server answers only to the machine it runs on.")
        if origin is not None and urlsplit(origin).netloc != host and origin not in allowed:
            raise Denied(403, "Pages of other origins may not call this server.")

    def public_names(self) -> set[str]:
        return {str(fn.api_name) for fn in self.demo.fns.values() if fn.api_name and fn.api_visibility == "public"}

    def find_room(self, client: str, session: str | None) -> None:
        """Refuse a request when the queue is full, or when this client's or this page's part of it is."""
        events = list(self.demo._queue.event_ids_to_events.values())
        settings = self.settings
        if len(events) >= settings.queue:
            raise Denied(503, f"The server is busy with {settings.queue} requests; try again in a few seconds.")
        mine = sum(self._client_of_event(event) == client for event in events)
        if mine >= settings.queue_per_client:
            limit = settings.queue_per_client
            raise Denied(503, f"Your address has {limit} requests waiting; wait for their answers.")
        if session and sum(event.session_hash == session for event in events) >= settings.queue_per_session:
            limit = settings.queue_per_session
            raise Denied(503, f"This page has {limit} requests waiting; wait for their answers.")
        forget_unread(self.demo._queue, session, UNREAD_QUEUES * settings.queue)

    def find_stream(self, client: str) -> None:
        """Refuse an event stream when as many are open as there may be, in all or of this client."""
        if self.streams.total() >= self.settings.streams:
            raise Denied(503, "The server has too many open pages; try again in a minute.")
        limit = self.settings.streams_per_client
        if self.streams[client] >= limit:
            raise Denied(503, f"Your address has {limit} open event streams; close pages that you do not need.")

    @contextmanager
    def counted_stream(self, client: str) -> Iterator[None]:
        """One more of this client's streams while the context lasts."""
        self.streams[client] += 1
        try:
            yield
        finally:
            self.streams[client] -= 1
            if not self.streams[client]:
                del self.streams[client]

    def _client_of_event(self, event: Any) -> str:
        request = event.request
        return client_of(request.headers, getattr(request.client, "host", None), self.settings.proxy_hops)


class _Exchange:
    """One request on its way through the guard."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send):
        self.guard, self.scope, self.receive, self.send = guard, scope, receive, send
        self.headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        peer = scope.get("client")
        self.client = client_of(self.headers, peer[0] if peer else None, guard.settings.proxy_hops)
        self.status: int | None = None
        self.kind, self.session = "none", ""
        self.replaced = self.complete = False
        self.body = b""

    async def serve(self) -> None:
        began = time.monotonic()
        try:
            if not await self._own_route():
                receive = await self._checked()
                with self.guard.counted_stream(self.client) if self.kind == "stream" else nullcontext():
                    await self.guard.app(self.scope, receive, self._send)
        except Denied as denied:
            await self._answer(denied.status, _told(denied.message))
        except UserError as refusal:
            # What refuses a place in the queue is drawn by the page.
            await self._answer(400, _told(as_text(str(refusal)) if self.kind == "join" else str(refusal)))
        except Exception as error:  # gradio's own; its trace belongs in the log, not in an answer
            log("failure", route=self.kind, trace=trace_of(error))
            await self._fail()
        finally:
            if (self.status or 0) >= 400:  # what was let through has its line from its handler
                ms = round((time.monotonic() - began) * 1e3, 1)
                if self.guard.metrics is not None:
                    self.guard.metrics.note_refusal(f"http {self.status}")
                log("http", route=self.kind, status=self.status, client=client_tag(self.client), ms=ms)

    async def _own_route(self) -> bool:
        path, readiness, metrics = self.scope["path"], self.guard.readiness, self.guard.metrics
        if path == "/metrics" and self.scope["method"] == "GET" and metrics is not None and self.guard.settings.metrics:
            self.kind, self.status = "own", 200
            headers = [(b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store"), *self.guard.headers]
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})
            await self.send({"type": "http.response.body", "body": metrics.text()})
            return True
        if path not in ("/health", "/ready") or self.scope["method"] not in ("GET", "HEAD"):
            return False
        self.kind = "own"
        ready = path == "/health" or (readiness is not None and readiness.ready)
        await self._answer(200 if ready else 503, {"status": "ok" if ready else "not ready"})
        return True

    async def _checked(self) -> Receive:
        """The stream to hand on, once route, origin, size and content have passed."""
        self.guard.refuse_foreigners(self.headers)
        self.kind, name = find_route(self.scope, self.guard.routes)
        if self.kind == "stream":
            self.guard.find_stream(self.client)
        if name is not None and name not in self.guard.public_names():
            raise Denied(404, "There is no such endpoint.")
        if self.scope["path"] == API + "/queue/data":
            session = parse_qs(self.scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
            if not TOKEN.match(session):
                raise UserError("session_hash must be 1 to 64 letters, digits, - or _.")
        if self.scope["method"] != "POST":
            return self.receive
        body = await self._body()
        value = parse_json(body)
        if self.kind != "mcp":  # a tool's call comes back as a call of the endpoint, which is checked then
            self._check_body(value, name)
        return self._replay(body)

    def _check_body(self, value: Any, name: str | None) -> None:
        demo = self.guard.demo
        if self.kind == "cancel":
            check_cancel(demo, value)
        elif self.kind == "reset":
            check_reset(demo, value)
        else:
            check_call(demo, value, self.guard.settings.text_chars, api_name=name)
            if self.kind != "run":
                self.session = value.get("session_hash") or ""
                self.guard.find_room(self.client, self.session)

    async def _body(self) -> bytes:
        limit = self.guard.settings.body_kb * 1024
        too_long = Denied(413, f"The body must have at most {self.guard.settings.body_kb} kB.")
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > limit:
            raise too_long
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise Denied(400, "The body ended early.")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise too_long
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise Denied(408, "The body took too long to arrive.") from None

    def _replay(self, body: bytes) -> Receive:
        # The body was checked as JSON, so it is JSON whatever its sender called it.
        others = [(key, value) for key, value in self.scope["headers"] if key.lower() != b"content-type"]
        self.scope = {**self.scope, "headers": [*others, (b"content-type", b"application/json")]}
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else await self.receive()

        return receive

    async def _send(self, message: dict[str, Any]) -> None:
        """Pass gradio's answer on with our headers, or its bare errors as one sentence of ours."""
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and message["status"] != 503:
                self.replaced = True
                if self.kind == "run" and message["status"] == 500:
                    return  # gradio's status for a handler's own refusal, whose sentence is in the body
                status = 500 if message["status"] >= 500 else message["status"]
                text = FAILED if status == 500 else "The server does not take this."
                await self._answer(status, _told(text))
                return
            self.status = message["status"]
            kept = [(k, v) for k, v in message.get("headers", []) if not k.lower().startswith(b"access-control-")]
            streams = self.guard.ended.headers(self.session) if self.kind == "join" else []
            message = {**message, "headers": kept + streams + self.guard.headers}
        elif self.replaced:
            if self.status is None:
                await self._answer_for_handler(message)
            return
        else:
            if self.kind == "stream":
                self.guard.ended.note(self.scope["query_string"].decode("latin-1"), message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self.send(message)

    async def _answer_for_handler(self, message: dict[str, Any]) -> None:
        """The sentence with which the edge ended a direct call; without one, the failure is gradio's."""
        self.body += message.get("body", b"")
        if message.get("more_body", False):
            return
        said = json.loads(self.body).get("error")
        await self._answer(400 if said else 500, _told(said or FAILED))

    async def _answer(self, status: int, value: dict[str, str]) -> None:
        if self.status is not None:
            return
        self.status = status
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if status == 503:
            headers.append((b"retry-after", b"3"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers + self.guard.headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})
        self.complete = True

    async def _fail(self) -> None:
        if self.status is None:
            await self._answer(500, _told(FAILED))
        elif not self.complete:  # an event stream that broke off after it began
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
            self.complete = True


def _told(message: str) -> dict[str, str]:
    """A refusal as gradio's page and clients look for it: under "error" after a direct call, else under "detail"."""
    return {"detail": message, "error": message}


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
