"""A server in a process of its own, and one open page of it as the server knows it: values, and requests over HTTP."""

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

APP = Path(__file__).parents[2] / "app.py"
API = "/gradio_api"
PATIENCE = 600.0  # seconds; past it a server or an answer is given up


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
    """How long a request took from sending it to reading its end, and the bytes of what came back."""

    seconds: float
    num_bytes: int


class Visitor:
    """One open page. `values` are those of its components, by elem_id; an answer changes them as it does a page's."""

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=url, timeout=PATIENCE)
        self.session = secrets.token_hex(8)
        config = self.http.get("/config").raise_for_status().json()
        self.names = {part["id"]: part["props"].get("elem_id") or part["id"] for part in config["components"]}
        # What gr.State holds stays on the server, and a page sends null for it.
        self.values = {
            self.names[part["id"]]: None if part["type"] == "state" else part["props"].get("value")
            for part in config["components"]
        }
        self.events = config["dependencies"]

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *error: Any) -> None:
        self.http.close()

    def event(self, elem_id: str, trigger: str, output: str) -> dict[str, Any]:
        """The event of a component that has a component `output` among its outputs."""
        for event in self.events:
            targets = [(self.names.get(part), name) for part, name in event["targets"]]
            if (elem_id, trigger) in targets and output in self._outputs(event):
                return event
        raise LookupError(f"No event {trigger} of #{elem_id} changes #{output}.")

    def after(self, event: dict[str, Any], output: str) -> dict[str, Any]:
        """The event chained to `event` that has `output` among its outputs."""
        for later in self.events:
            if later["trigger_after"] == event["id"] and output in self._outputs(later):
                return later
        raise LookupError(f"No event after {event['api_name']} changes #{output}.")

    def fire(self, event: dict[str, Any]) -> Answer:
        """Send the event with the page's values, and take up what comes back. RuntimeError where the server refuses."""
        data = [self.values[self.names[part]] for part in event["inputs"]]
        body = {"fn_index": event["id"], "data": data, "session_hash": self.session, "event_data": None}
        began = time.perf_counter()
        output, num_bytes = self._run(body) if event["queue"] is False else self._join(body)
        seconds = time.perf_counter() - began
        self._take(self._outputs(event), output["data"])
        return Answer(seconds, num_bytes)

    def _outputs(self, event: dict[str, Any]) -> list[Any]:
        return [self.names[part] for part in event["outputs"]]

    def _run(self, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """An event outside gradio's queue."""
        answer = self.http.post(f"{API}/run/predict", json=body)
        if answer.is_error:
            raise RuntimeError(answer.text)
        return answer.json(), answer.num_bytes_downloaded

    def _join(self, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """An event in gradio's queue, whose answer comes in the session's stream."""
        joined = self.http.post(f"{API}/queue/join", json=body)
        if joined.is_error:
            raise RuntimeError(joined.text)
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                said = json.loads(line.removeprefix("data: ")) if line else {}
                if said.get("msg") == "process_completed":
                    if not said["success"]:
                        raise RuntimeError(said["output"].get("error") or "The server gave no reason.")
                    return said["output"], stream.num_bytes_downloaded
        raise RuntimeError("The server's stream ended without an answer.")

    def _take(self, names: Sequence[Any], data: Sequence[Any]) -> None:
        for name, value in zip(names, data, strict=True):
            if not (isinstance(value, dict) and value.get("__type__") == "update"):
                self.values[name] = value
            elif "value" in value:
                self.values[name] = value["value"]
