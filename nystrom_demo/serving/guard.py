"""The middleware in front of gradio: what may be sent to its routes, what every answer carries."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any

import gradio as gr

from nystrom_demo.errors import UserError
from nystrom_demo.serving.event_streams import EndedStreams
from nystrom_demo.serving.gradio_patches import must_read_first, requests_waiting
from nystrom_demo.serving.handlers import as_text
from nystrom_demo.serving.headers import security_headers, trusted_headers
from nystrom_demo.serving.health import Readiness
from nystrom_demo.serving.identity import (
    CLIENT,
    Scope,
    client_address,
    header_values,
    hostname,
    is_foreign,
    parameters,
)
from nystrom_demo.serving.log import client_tag, log, trace_of
from nystrom_demo.serving.metrics import CONTENT_TYPE, Metrics
from nystrom_demo.serving.places import Streams, find_room
from nystrom_demo.serving.request_bodies import (
    TOKEN,
    check_call,
    check_cancel,
    check_reset,
    check_tool_call,
    in_order,
    parse_json,
    refuse_files,
)
from nystrom_demo.serving.routes import API, HEALTH, MCP_ROUTES, METRICS, ROUTES, WEB, Denied, find_route
from nystrom_demo.serving.settings import LOOPBACK, Settings
from nystrom_demo.serving.web_files import web_files

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LARGE_BODY = 65_536  # bytes
FAILED = "The server failed on this request."


class Guard:
    """An ASGI middleware around the gradio app of `demo`. See `routes` for what it lets through.

    `files` are the page's own, by the names under /web/ that they are served as.
    """

    def __init__(
        self,
        app: Callable,
        demo: gr.Blocks,
        settings: Settings,
        readiness: Readiness | None = None,
        metrics: Metrics | None = None,
        files: Mapping[str, bytes] | None = None,
    ):
        self.app, self.demo, self.settings, self.readiness, self.metrics = app, demo, settings, readiness, metrics
        self.headers = security_headers(settings)
        self.routes = ROUTES + (MCP_ROUTES if settings.mcp else ())
        self.files = web_files(files or {})
        self.streams, self.ended = Streams(settings), EndedStreams()
        self.api: dict[str, Any] | None = None  # made when first asked for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _Exchange(self, scope, receive, send).serve()
        else:
            await send({"type": "websocket.close", "code": 1008})

    def refuse_foreigners(self, scope: Scope) -> None:
        """Refuse pages of other sites, which a visitor's browser would let call a server that only he can reach."""
        if self.settings.loopback_only and hostname(scope) not in LOOPBACK:
            raise Denied(403, "This server answers only to the machine it runs on.")
        if is_foreign(scope, self.settings.origins):
            raise Denied(403, "Pages of other origins may not call this server.")

    def public_names(self) -> set[str]:
        return {str(fn.api_name) for fn in self.demo.fns.values() if fn.api_name and fn.api_visibility == "public"}

    def find_room(self, client: str, session: str | None) -> None:
        """Refuse a request for whose answer there is no place."""
        find_room(requests_waiting(self.demo), self.settings, client, session)
        if must_read_first(self.demo, session):
            raise Denied(503, "This page has not read its last answers; reload the page.")

    def parameters_of(self, name: str) -> list[dict[str, Any]]:
        """An endpoint's parameters as gradio's documentation of it has them."""
        if self.api is None:
            self.api = self.demo.get_api_info()["named_endpoints"]
        return self.api[f"/{name}"]["parameters"]

    def own_answer(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of what is not gradio's: health, readiness, metrics, the page's own files."""
        if scope["path"] in HEALTH:
            ready = scope["path"] == "/health" or (self.readiness is not None and self.readiness.ready)
            return answer_of(200 if ready else 503, {"status": "ok" if ready else "not ready"})
        if scope["path"] == METRICS and self.metrics is not None and self.settings.metrics:
            return 200, [(b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store")], self.metrics.text()
        name = scope["path"].removeprefix(WEB)
        if name not in self.files:
            raise Denied(404, "There is no such address.")
        file = self.files[name]
        if file.etag in [tag.strip() for tag in ",".join(header_values(scope, b"if-none-match")).split(",")]:
            return 304, [header for header in file.headers() if header[0] != b"content-length"], b""
        return 200, file.headers(), file.body


class _Exchange:
    """One request on its way through the guard."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send):
        self.guard, self.receive, self.send = guard, receive, send
        self.client = client_address(scope, guard.settings.proxy_hops)
        self.scope = {**scope, CLIENT: self.client, "headers": trusted_headers(scope, guard.settings.proxy_hops)}
        self.status: int | None = None
        self.kind, self.session = "none", ""
        self.asked: dict[str, str] = {}
        self.replaced = self.complete = False
        self.body = b""

    async def serve(self) -> None:
        began = time.monotonic()
        try:
            receive = await self._checked()
            if self.kind == "own":
                await self._answer(*self.guard.own_answer(self.scope))
            else:
                with self.guard.streams.counted(self.client) if self.kind == "stream" else nullcontext():
                    await self.guard.app(self.scope, receive, self._send)
        except Denied as denied:
            await self._tell(denied.status, denied.message)
        except UserError as refusal:
            # What refuses a place in the queue is drawn by the page.
            await self._tell(400, as_text(str(refusal)) if self.kind == "join" else str(refusal))
        except Exception as error:  # gradio's own; its trace belongs in the log, not in an answer
            log("failure", route=self.kind, trace=trace_of(error))
            await self._fail()
        finally:
            if (self.status or 0) >= 400:  # what was let through has its line from its handler
                ms = round((time.monotonic() - began) * 1e3, 1)
                if self.guard.metrics is not None:
                    self.guard.metrics.note_refusal(f"http {self.status}")
                log("http", route=self.kind, status=self.status, client=client_tag(self.client), ms=ms)

    async def _checked(self) -> Receive:
        """The stream to hand on, once route, origin, size and content have passed."""
        self.scope["path"] = self.scope["path"].removeprefix(self.guard.settings.root_path) or "/"
        if self.scope["path"] not in HEALTH:  # which a platform asks by whatever name it has for this machine
            self.guard.refuse_foreigners(self.scope)
        self.kind, name = find_route(self.scope, self.guard.routes)
        self.asked = parameters(self.scope)
        if self.kind == "page":
            self.scope["query_string"] = b""  # gradio would look for kept states and other pages by it
        if self.kind == "stream":
            self.guard.streams.find_one(self.client)
        if name is not None and name not in self.guard.public_names():
            raise Denied(404, "There is no such endpoint.")
        if self.scope["path"] == API + "/queue/data" and not TOKEN.match(self.asked.get("session_hash", "")):
            raise UserError("session_hash must be 1 to 64 letters, digits, - or _.")
        if self.scope["method"] != "POST":
            return self.receive
        body = await self._body()
        # A large one by a thread, so that others' requests go on meanwhile.
        value = await asyncio.to_thread(parse_json, body) if len(body) > LARGE_BODY else parse_json(body)
        return self._replay(self._check_body(body, value, name))

    def _check_body(self, body: bytes, value: Any, name: str | None) -> bytes:
        """The body to hand on."""
        if self.kind == "mcp":  # a tool's call comes back as a call of the endpoint, which is checked then
            check_tool_call(value)
            return body
        refuse_files(value)
        demo = self.guard.demo
        if self.kind == "named":
            value = in_order(self.guard.parameters_of(str(name)), value)
            body = json.dumps(value).encode()
            self.scope["path"] = f"{API}/call/{name}"
        if self.kind == "cancel":
            check_cancel(demo, value)
        elif self.kind == "reset":
            check_reset(demo, value)
        else:
            check_call(demo, value, self.guard.settings.text_chars, api_name=name)
            if self.kind != "run":
                self.session = value.get("session_hash") or ""
                self.guard.find_room(self.client, self.session)
        return body

    async def _body(self) -> bytes:
        limit = self.guard.settings.body_kb * 1024
        too_long = Denied(413, f"The body must have at most {self.guard.settings.body_kb} kB.")
        declared = "".join(header_values(self.scope, b"content-length"))
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise too_long
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":  # which it is, too, where its time is over
                raise Denied(400, "The body ended early.")
            body += message.get("body", b"")
            if len(body) > limit:
                raise too_long
            if not message.get("more_body", False):
                return bytes(body)

    def _replay(self, body: bytes) -> Receive:
        # The body was checked as JSON, so it is JSON whatever its sender called it.
        named = (b"content-type", b"content-length", b"transfer-encoding")
        others = [(key, value) for key, value in self.scope["headers"] if key.lower() not in named]
        length = (b"content-length", str(len(body)).encode())
        self.scope = {**self.scope, "headers": [*others, (b"content-type", b"application/json"), length]}
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
                await self._tell(status, FAILED if status == 500 else "The server does not take this.")
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
                self.guard.ended.note(self.asked, message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self.send(message)

    async def _answer_for_handler(self, message: dict[str, Any]) -> None:
        """The sentence with which the edge ended a direct call; without one, the failure is gradio's."""
        self.body += message.get("body", b"")
        if message.get("more_body", False):
            return
        said = json.loads(self.body).get("error")
        await self._tell(400 if said else 500, said or FAILED)

    async def _tell(self, status: int, message: str) -> None:
        """A refusal where gradio's page and clients look for it: under "error" after a direct call, else "detail"."""
        await self._answer(*answer_of(status, {"detail": message, "error": message}))

    async def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self.status is not None:
            return
        self.status = status
        await self.send({"type": "http.response.start", "status": status, "headers": headers + self.guard.headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})
        self.complete = True

    async def _fail(self) -> None:
        if self.status is None:
            await self._tell(500, FAILED)
        elif not self.complete:  # an event stream that broke off after it began
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
            self.complete = True


def answer_of(status: int, value: dict[str, str]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an answer in JSON."""
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    return status, headers + [(b"retry-after", b"3")] * (status == 503), body
