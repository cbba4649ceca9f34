"""Hostile requests over every route and every input: what the server answers, and whether it lives on.

    python tests/load/hostile.py [--count 5000] [--app small] [--seed 7]

Prints how many requests were refused and accepted, the slowest terminal message, and every breach: a 5xx but 503, a
trace, path or package name in a refusal, an accepted request without exactly one terminal message within ten seconds
(of its last step, for a sweep), a dead process. Status 1 when there is a breach. Requests go to 127.0.0.1 only.
"""

import argparse
import asyncio
import collections
import contextlib
import itertools
import json
import math
import random
import re
import sys
import time
from typing import Any, NamedTuple

import httpx
from hostile_inputs import HEADERS, METHODS, ODD, PATHS, RAW, TEXTS, WIRE
from serving_process import running

from acceptance.visitor import begins_with, event_of, store_of

API = "/gradio_api"
TERMINAL_SECONDS = 10.0
SWEEP_SECONDS = 1.0  # a sweep that goes on is read for so long, then cancelled
AT_ONCE = 16
FIELDS = ("fn_index", "session_hash", "event_data", "trigger_id", "batched", "event_id", "data")
LEAK = re.compile(  # "transformers landmarks" is one of the ways to attend that the Time tab offers
    r"Traceback|File \\?\"|site-packages|/usr/|/home/|/root|/tmp|\.py\b|\bgradio\b|\btorch\b|"
    r"\btransformers\b(?! landmarks)|uvicorn|starlette|fastapi|pydantic|\bnumpy\b|\bpandas\b|\bhttpx\b"
)


class Endpoint(NamedTuple):
    """One of the page's handlers: its number, its inputs' first values, and its public name if it has one.

    sweep: whether it goes on step by step until it is cancelled; what fills a tab ends soon of itself.
    """

    index: int
    values: list[Any]
    name: str | None
    sweep: bool


class Attack:
    """Draws requests from a seeded generator, sends them, and keeps the score."""

    def __init__(self, url: str, seed: int):
        self.url, self.random = url, random.Random(seed)
        self.http = httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=4 * AT_ONCE))
        self.statuses, self.kinds = collections.Counter(), collections.Counter()
        self.breaches: list[str] = []
        self.slowest, self.accepted, self.sessions = 0.0, 0, itertools.count()
        self.health: list[float] = []  # seconds that /health took
        self.page: str | None = None  # the page's own request, where it makes one

    async def find_endpoints(self) -> None:
        config = (await self.http.get("/config")).json()
        values = {component["id"]: component["props"].get("value") for component in config["components"]}
        asks = None
        if store := store_of(config):  # the small app has none
            asks = event_of(config, store, "ask")["id"]
            begins = begins_with(store)
            self.tabs = list(begins["shows"])
            asked = {name: begins[name] for name in ("state", "served", "held")}
            self.page = json.dumps({"stamp": 1, "link": "", "restored": False, "changed": []} | asked)
            values[store["id"]] = self.page
        self.endpoints = [
            Endpoint(
                each["id"],
                [values.get(i) for i in each["inputs"]],
                each["api_name"] if each["api_visibility"] == "public" else None,
                each["types"]["generator"] and each["id"] != asks,
            )
            for each in config["dependencies"]
            if each["backend_fn"]
        ]

    async def watch_health(self) -> None:
        """Ask ten times a second whether the process lives, by a connection of its own."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            while True:
                began = time.monotonic()
                with contextlib.suppress(httpx.TransportError):  # closed to make room; the next asks anew
                    await http.get("/health")
                    self.health.append(time.monotonic() - began)
                await asyncio.sleep(0.1)

    async def strike(self) -> None:
        """One request of a kind drawn at random."""
        kind = self.random.choices(
            (self.join, self.call, self.raw_body, self.route, self.wire, self.control, self.unread),
            (38, 19, 12, 16, 4, 8, 3),
        )[0]
        self.kinds[kind.__name__] += 1
        try:
            await asyncio.wait_for(kind(), 60)
        except TimeoutError:
            self.breaches.append(f"{kind.__name__}: no answer in 60 s")
        except httpx.TransportError as error:
            self.breaches.append(f"{kind.__name__}: {type(error).__name__}")

    def value(self) -> Any:
        return self.random.choice(TEXTS if self.random.random() < 0.5 else ODD)

    def asked(self) -> str:
        """The page's own request on one of its tabs, with up to three of its parts gone wrong."""
        asked = json.loads(self.page)
        asked["state"]["tab"] = self.random.choice(self.tabs)
        parts = [asked, asked["state"], asked["served"], asked["held"]]
        for _ in range(self.random.randint(0, 3)):
            part = self.random.choice(parts)
            part[self.random.choice([*part, "other"])] = self.value()
        return json.dumps(asked)

    def data(self, values: list[Any]) -> list[Any]:
        """The handler's first values, one or two of them, or their number, gone wrong."""
        data = [self.asked() if self.page and value == self.page else value for value in values]
        for _ in range(self.random.randint(0, 2)):
            if data:
                data[self.random.randrange(len(data))] = self.value()
        if self.random.random() < 0.1:
            data = data[:-1] if self.random.random() < 0.5 else [*data, self.value()]
        return data

    async def join(self) -> None:
        endpoint = self.random.choice(self.endpoints)
        session = f"join{next(self.sessions)}"
        body = {"fn_index": endpoint.index, "data": self.data(endpoint.values), "session_hash": session}
        if self.random.random() < 0.25:
            body[self.random.choice(FIELDS)] = self.value()
        path = self.random.choice(("/queue/join", "/queue/join", "/queue/join", "/run/predict"))
        answer = await self.post(path, body)
        if body.get("session_hash") != session:
            return  # its answer, if any, is left unread
        if answer is not None and answer.status_code == 200 and path == "/queue/join":
            event = answer.json()["event_id"]
            await self.read(f"{API}/queue/data?session_hash={session}", endpoint, session, event)

    async def call(self) -> None:
        public = [endpoint for endpoint in self.endpoints if endpoint.name]
        endpoint = self.random.choice(public)
        values = [self.random.choice(("a good text", 2, 5, 0, [64, 128], ["a", "b"])) for _ in endpoint.values]
        body: dict[str, Any] = {"data": self.data(values)}
        own = f"call{next(self.sessions)}"
        if self.random.random() < 0.1:
            body["session_hash"] = self.random.choice((own, self.value()))
        answer = await self.post(f"/call/{endpoint.name}", body)
        if answer is not None and answer.status_code == 200:
            event = answer.json()["event_id"]
            session = body.get("session_hash") or event
            if session not in (event, own):
                return
            await self.read(f"{API}/call/{endpoint.name}/{event}", endpoint, session, event)

    async def raw_body(self) -> None:
        body = self.random.choice(RAW)
        if self.random.random() < 0.5:
            endpoint = self.random.choice(self.endpoints)
            good = json.dumps({"fn_index": endpoint.index, "data": endpoint.values, "session_hash": "raw"}).encode()
            mutable = bytearray(good)
            for _ in range(self.random.randint(1, 5)):
                mutable[self.random.randrange(len(mutable))] = self.random.randrange(256)
            body = bytes(mutable)
        path = self.random.choice(("/queue/join", "/cancel", "/reset", "/run/predict", "/call/classify", "/upload"))
        kind = self.random.choice(
            ("application/json", "text/plain", "multipart/form-data; boundary=x", "", "application/xml")
        )
        await self.request("POST", API + path, content=body, headers={"content-type": kind})

    async def route(self) -> None:
        headers = {}
        if self.random.random() < 0.2:
            headers = self.random.choice(HEADERS)
        method, path = self.random.choice(METHODS), self.random.choice(PATHS)
        async with self.http.stream(method, path, headers={k: v.encode("utf-8") for k, v in headers.items()}) as answer:
            await self.judge(answer, f"{method} {path[:60]}", stream=True)

    async def wire(self) -> None:
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(self.random.choice(WIRE))
            await writer.drain()
            head = await asyncio.wait_for(reader.read(4_096), 5)
            if match := re.match(rb"HTTP/1\.\d (\d+)", head):
                refusal = head.decode("latin-1").partition("\r\n\r\n")[2] if int(match[1]) >= 400 else ""
                self.note(int(match[1]), "wire", refusal)
        except (TimeoutError, ConnectionError):
            self.statuses["closed or silent"] += 1
        finally:
            writer.close()

    async def unread(self) -> None:
        """One page's requests, again and again, of which it reads no answer."""
        endpoint = self.random.choice([each for each in self.endpoints if not each.sweep])
        body = {
            "fn_index": endpoint.index,
            "data": endpoint.values,
            "session_hash": f"unread{self.random.randrange(3)}",
        }
        for _ in range(4):
            await self.post("/queue/join", body)

    async def control(self) -> None:
        path = self.random.choice(("/cancel", "/reset", "/heartbeat", "/component_server"))
        if path == "/heartbeat":
            address = f"{API}/heartbeat/{self.random.choice(('a', 'b' * 64, 'c%20d', '..', 'e' * 65))}"
            async with self.http.stream("GET", address) as answer:
                await self.judge(answer, "heartbeat", stream=True)
            return
        body = {"session_hash": self.value(), "fn_index": self.value(), "event_id": self.value(), "component_id": 1}
        await self.post(path, body | {"fn_name": "load", "data": self.value()})

    async def post(self, path: str, body: Any) -> httpx.Response | None:
        try:
            content = json.dumps(body).encode()
        except ValueError:  # an integer of more digits than Python prints
            return None
        return await self.request("POST", API + path, content=content, headers={"content-type": "application/json"})

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self.http.request(method, path, **options)
        await self.judge(answer, f"{method} {path[:60]}")
        return answer

    async def judge(self, answer: httpx.Response, what: str, *, stream: bool = False) -> None:
        text = ""
        if answer.status_code >= 400:
            text = (await answer.aread()).decode("utf-8", "replace") if stream else answer.text
        self.note(answer.status_code, what, text)

    def note(self, status: int, what: str, text: str) -> None:
        self.statuses[status] += 1
        if status >= 500 and status != 503:
            self.breaches.append(f"{status} from {what}: {text[:200]}")
        if says_too_much(text):
            self.breaches.append(f"{status} from {what} says too much: {text[:300]}")

    async def read(self, address: str, endpoint: Endpoint, session: str, event: str) -> None:
        """Read an accepted request to its end."""
        self.accepted += 1
        began = last = time.monotonic()
        ends, cancelled = 0, False
        async with self.http.stream("GET", address) as answer:
            lines, named = answer.aiter_lines(), ""
            while True:
                try:
                    line = await asyncio.wait_for(anext(lines), TERMINAL_SECONDS)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    self.breaches.append(f"handler {endpoint.index}: silent for {TERMINAL_SECONDS:.0f} s")
                    return
                named = line[7:] if line.startswith("event: ") else named
                if not line.startswith("data: "):
                    continue
                message = json.loads(line[6:])
                kind = message.get("msg", "") if isinstance(message, dict) and "msg" in message else named
                if kind in ("process_completed", "complete", "error"):
                    ends += 1
                    self.end(endpoint, message, time.monotonic() - last)
                elif kind in ("process_generating", "generating"):
                    last = time.monotonic()
                    if last - began > SWEEP_SECONDS and not cancelled and endpoint.sweep:
                        cancelled = True
                        await self.post(
                            "/cancel", {"session_hash": session, "fn_index": endpoint.index, "event_id": event}
                        )
        if ends != 1 and not cancelled:
            self.breaches.append(f"handler {endpoint.index}: {ends} terminal messages")

    def end(self, endpoint: Endpoint, message: Any, seconds: float) -> None:
        self.slowest = max(self.slowest, seconds)
        if seconds > TERMINAL_SECONDS:
            self.breaches.append(f"handler {endpoint.index}: terminal message after {seconds:.1f} s")
        if not isinstance(message, dict) or message.get("success"):
            return
        output = message.get("output", message) if isinstance(message, dict) else message
        text = json.dumps(output.get("error", output) if isinstance(output, dict) else output, ensure_ascii=False)
        if says_too_much(text):
            self.breaches.append(f"handler {endpoint.index} says too much: {text[:300]}")


def says_too_much(refusal: str) -> bool:
    """Whether a refusal is long or holds a trace, a path or a package's name, what it quotes of the request aside."""
    return len(refusal) > 1_000 or bool(LEAK.search(refusal.partition(", got ")[0]))


async def attack(url: str, count: int, seed: int) -> Attack:
    this = Attack(url, seed)
    await this.find_endpoints()
    slots = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with slots:
            await this.strike()

    watch = asyncio.create_task(this.watch_health())
    await asyncio.gather(*(one() for _ in range(count)))
    watch.cancel()
    await this.http.aclose()
    return this


def main(count: int, program: str, seed: int) -> int:
    with running(program) as app:
        before, began = app.resident_mb(), time.monotonic()
        score = asyncio.run(attack(app.url, count, seed))
        seconds = time.monotonic() - began
        alive = app.process.poll() is None and httpx.get(f"{app.url}/health", timeout=30).status_code == 200
        ready = httpx.get(f"{app.url}/ready", timeout=30).status_code == 200
        print(f"{count} hostile requests in {seconds:.0f} s: {dict(score.kinds)}")
        print(f"statuses {dict(score.statuses)}")
        print(f"{score.accepted} accepted, slowest terminal message {score.slowest:.2f} s")
        health = [round(seconds * 1e3) for seconds in sorted(score.health)] or [math.nan]
        print(f"/health: 95th percentile {health[len(health) * 95 // 100]} ms, slowest {health[-1]} ms")
        print(f"memory {before:.0f} MB before, {app.resident_mb():.0f} MB after; alive {alive}, ready {ready}")
        print(f"breaches: {len(score.breaches)}", *score.breaches[:20], sep="\n  ")
        failures = [line for line in app.log.read_text().splitlines() if '"event": "failure"' in line]
        print(f"failures in the log: {len(failures)}", *(line[:1_000] for line in failures[:5]), sep="\n  ")
    return 0 if alive and ready and not score.breaches else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--app", choices=("app", "small"), default="app")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    sys.exit(main(arguments.count, arguments.app, arguments.seed))
