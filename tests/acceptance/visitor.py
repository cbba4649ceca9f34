"""A server in a process of its own, and one open page of it, which asks over HTTP as page_state.js does."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from gradio_client.utils import apply_diff

APP = Path(__file__).parents[2] / "app.py"
API = "/gradio_api"
PATIENCE = 600.0  # seconds; past it a server or an answer is given up
BEGINS = "window.pageState = makePageState("  # what the page's script calls with all that the page begins with


class Server:
    """A process that serves a page, started on entering the context and ended on leaving it."""

    def __init__(self, command: Sequence[str], port: int, **environment: str):
        self.command, self.environment = list(command), {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> "Server":
        self._said = tempfile.TemporaryFile("w+")
        self.began = time.perf_counter()
        self._process = subprocess.Popen(self.command, env=self.environment, stdout=self._said, stderr=self._said)
        return self

    def __exit__(self, *error: Any) -> None:
        self._process.terminate()
        self._process.wait()
        self._said.close()

    def wait(self, path: str) -> float:
        """Seconds from the process's start until `path` was answered with status 200."""
        while time.perf_counter() - self.began < PATIENCE and self._process.poll() is None:
            try:
                if httpx.get(self.url + path, timeout=PATIENCE).status_code == 200:
                    return time.perf_counter() - self.began
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.02)
        self._said.seek(0)
        raise RuntimeError(f"{' '.join(self.command)} does not answer {path}: {self._said.read()[-2_000:]}")


def this_app() -> Server:
    """The app as app.py starts it, on a free port."""
    port = free_port()
    return Server([sys.executable, str(APP)], port, NYSTROM_DEMO_PORT=str(port))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Answer(NamedTuple):
    """How long a request took from sending it to the answer, and the bytes of all that came back."""

    seconds: float
    num_bytes: int


class Page:
    """One open page: its state, the same as PageState's fields, and the one event that brings a tab up to date.

    shown: what the components hold after the last answer, by elem_id.
    """

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=url, timeout=PATIENCE)
        self.session = secrets.token_hex(8)
        config = self.http.get("/config").raise_for_status().json()
        names = {part["id"]: part["props"].get("elem_id") or part["id"] for part in config["components"]}
        store = store_of(config)
        self.event, begins = event_of(config, store, "ask"), begins_with(store)
        self.outputs = [names[part] for part in self.event["outputs"]]
        self.state, self.served, self.held = begins["state"], begins["served"], begins["held"]
        self.shows = begins["shows"]
        self.done: dict[str, dict[str, Any]] = {}  # the state that each tab shows
        self.stamp, self.shown = 0, {}

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *error: Any) -> None:
        self.http.close()

    def set(self, **fields: Any) -> None:
        """What the visitor changes; nothing is asked yet."""
        self.state |= fields

    def type(self, text: str) -> None:
        self.served["example"] = None
        self.set(text=text, example=None, masks=None)

    def ask(self, **fields: Any) -> Answer:
        """Seconds until the open tab shows its answer to the changed state; what follows, such as a curve, is read to
        its end. RuntimeError where the server refuses."""
        self.set(**fields)
        body = {"fn_index": self.event["id"], "data": [self.request(), None], "session_hash": self.session}
        began = time.perf_counter()
        self.http.post(f"{API}/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            filled, data = _read(stream)
        self._take(data)
        return Answer(filled - began, stream.num_bytes_downloaded)

    def request(self) -> str:
        """As JSON. Where a tab shows this state already it is asked anew, as a page just opened does."""
        self.stamp += 1
        tab = self.state["tab"]
        before = self.done.get(tab, {})
        changed = [name for name in self.shows[tab] if name not in before or before[name] != self.state[name]]
        asked = {"stamp": self.stamp, "state": self.state, "served": self.served, "held": self.held}
        return json.dumps(asked | {"changed": changed or self.shows[tab]})

    def _take(self, data: list[Any]) -> None:
        answer = json.loads(data[0])
        self.state |= answer["state"]
        self.served = answer["served"]
        self.held |= {name: update["value"] for name, update in answer["inputs"].items() if "value" in update}
        self.done[self.state["tab"]] = dict(self.state)
        for name, value in zip(self.outputs, data, strict=True):
            if not (isinstance(value, dict) and value.get("__type__") == "update"):
                self.shown[name] = value
            elif "value" in value:
                self.shown[name] = value["value"]


def store_of(config: dict[str, Any]) -> dict[str, Any] | None:
    """The component that holds the page's state, in a page's configuration; None where there is none."""
    return next((part for part in config["components"] if part["props"].get("elem_id") == "page-state"), None)


def event_of(config: dict[str, Any], component: dict[str, Any], trigger: str) -> dict[str, Any]:
    """A component's event by its name."""
    return next(event for event in config["dependencies"] if [component["id"], trigger] in event["targets"])


def begins_with(store: dict[str, Any]) -> dict[str, Any]:
    """What the page's script begins with: {state, served, held, shows, ...}."""
    script = store["props"]["js_on_load"]
    return json.JSONDecoder().raw_decode(script, script.index(BEGINS) + len(BEGINS))[0]


def _read(stream: httpx.Response) -> tuple[float, list[Any]]:
    """(when the open tab was filled, the outputs at the end)."""
    filled, store = None, None
    for line in stream.iter_lines():
        said = json.loads(line.removeprefix("data: ")) if line else {}
        if said.get("msg") not in ("process_generating", "process_completed"):
            continue
        if not said["success"]:
            raise RuntimeError(said["output"].get("error") or "The server gave no reason.")
        data = said["output"]["data"]
        ended = said["msg"] == "process_completed"
        store = data[0] if store is None or ended else apply_diff(store, data[0])  # gradio sends differences between
        if filled is None and json.loads(store)["filled"]:
            filled = time.perf_counter()
        if ended:
            if filled is None or not json.loads(store)["done"]:
                raise RuntimeError("The server's answer ended before its tab was filled.")
            return filled, data
    raise RuntimeError("The server's stream ended without an answer.")
