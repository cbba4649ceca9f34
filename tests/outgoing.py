"""Tries to have the server open a connection or write a file, in a network of its own, and prints what came of it.

    GRADIO_TEMP_DIR=FOLDER/cache unshare -rn python tests/outgoing.py

A public address is given to this machine's own interface, with a server behind it that notes who calls. The last
line printed is an object: calls and files of a bare gradio app, to show that they are seen; then of ours, over every
route, handler, endpoint and kind of component; and the statuses it answered.
"""

import contextlib
import inspect
import json
import os
import re
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import httpx
from browser import serving
from gradio.components.base import Component
from tiny_checkpoints import make_tiny_box

from nystrom_demo.checkpoints import Library, load_bundled
from nystrom_demo.serving.settings import Settings
from nystrom_demo.ui.page import build_app

CACHE = Path(os.environ["GRADIO_TEMP_DIR"])
PUBLIC, API = "93.184.215.14", "/gradio_api"
URL = f"http://{PUBLIC}/x.png"
CALLS: list[str] = []


class Canary(BaseHTTPRequestHandler):
    def do_GET(self):
        CALLS.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(b"canary")

    do_HEAD = do_POST = do_GET

    def log_message(self, *_):
        """Nothing: the list is the log."""


def start_canary() -> None:
    for command in ("ip link set lo up", f"ip addr add {PUBLIC}/32 dev lo"):
        subprocess.run(command.split(), check=True)
    threading.Thread(target=ThreadingHTTPServer((PUBLIC, 80), Canary).serve_forever, daemon=True).start()


def sights() -> list[object]:
    """Values that gradio, or one of its components, takes for a file."""
    meta = {"_type": "gradio.FileData"}
    file = {"path": URL, "meta": meta}
    return [file, {"a": [file]}, {"image": file, "text": "a", "files": [file]}, {"url": URL}, json.dumps(file)]


def bodies(dependency: dict, values: list[object], sights: list[object]) -> list[dict]:
    """A call of a handler for each place of its inputs, each with a sight, then with one in its event."""
    tried = []
    for sight in sights:
        for place in range(len(values)):
            tried.append({"data": [*values[:place], sight, *values[place + 1 :]]})
        tried.append({"data": values, "event_data": {"value": sight}})
    own = {"fn_index": dependency["id"], "trigger_id": None}
    return [own | body | {"session_hash": f"s{dependency['id']}n{i}"} for i, body in enumerate(tried)]


def attack(url: str, sights: list[object]) -> Counter:
    """Ask every handler and endpoint of a page in every way that a file could stand in; the statuses by number."""
    statuses: Counter = Counter()
    with httpx.Client(base_url=url, timeout=120) as http:
        config = http.get("/config").json()
        first = {each["id"]: each["props"].get("value") for each in config["components"]}
        for dependency in config["dependencies"]:
            values, name = [first.get(i) for i in dependency["inputs"]], dependency["api_name"]
            for body in bodies(dependency, values, sights):
                posts = [("/queue/join", body), ("/run/predict", body)]
                if dependency["api_visibility"] == "public":
                    posts.append((f"/call/{name}", {"data": body["data"]}))
                    posts += [(f"/call/v2/{name}", {"text": body["data"][0] if body["data"] else None})]
                for path, value in posts:
                    statuses[http.post(API + path, json=value).status_code] += 1
    return statuses


def try_routes(demo: gr.Blocks, url: str) -> Counter:
    """Ask every route that gradio has, with an address for each part of it that is free."""
    statuses: Counter = Counter()
    paths = {path for route in all_routes(demo.app.router.routes) for path in fill(route)}
    paths |= {
        f"{API}/file={URL}",
        f"{API}/proxy={URL}",
        f"/?url={URL}&deep_link={URL}&page={URL}",
        f"/config?deep_link={URL}",
    }
    with httpx.Client(base_url=url, timeout=120) as http:
        for path in sorted(paths):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
                body = {"json": {"data": sights()[0], "url": URL}} if method in ("POST", "PUT") else {}
                with http.stream(method, path, **body) as answer:
                    statuses[answer.status_code] += 1
        files = {"files": ("x.png", b"canary")}
        statuses[http.post(f"{API}/upload", files=files).status_code] += 1
    return statuses


def all_routes(routes):
    for route in routes:
        if getattr(route, "path", None):
            yield route.path
        yield from all_routes(
            getattr(route, "routes", None) or getattr(getattr(route, "router", None), "routes", None) or []
        )


def fill(path: str) -> list[str]:
    plain = [re.sub(r"\{[^}]*\}", lambda _, part=part: part, path) for part in (URL, "a", "..")]
    return [*plain, API + plain[0]]


def all_components() -> gr.Blocks:
    """A page with a handler that takes each kind of component that gradio has and that can be made from nothing."""
    with gr.Blocks(analytics_enabled=False) as demo:
        made = []
        kinds = {kind for _, kind in inspect.getmembers(gr.components, inspect.isclass) if issubclass(kind, Component)}
        for kind in kinds - {gr.LoginButton}:  # which needs authlib
            with contextlib.suppress(Exception):
                made.append(kind())
        for component in made:
            gr.Button().click(lambda value: None, component, None, api_visibility="private")
    return demo


def files() -> list[str]:
    return sorted(str(path.relative_to(CACHE)) for path in CACHE.rglob("*") if path.is_file())


def main() -> None:
    start_canary()
    with gr.Blocks() as bare:
        gr.Button().click(lambda value: None, gr.Image(), None, api_name="look")
    bare.launch(quiet=True, prevent_thread_lock=True)
    address = bare.local_url.rstrip("/")
    httpx.get(f"{address}{API}/file={URL}", timeout=120)
    event = httpx.post(f"{address}{API}/call/look", json={"data": [sights()[0]]}, timeout=120).json()["event_id"]
    httpx.get(f"{address}{API}/call/look/{event}", timeout=120)
    bare.close(verbose=False)
    seen = {"bare calls": len(CALLS), "bare files": len(files())}
    CALLS.clear()
    known = files()
    checkpoints = Library({"cpu": load_bundled("cpu", box=make_tiny_box(CACHE.parent / "checkpoints"))})
    statuses: Counter = Counter()
    # Texts that name a file are no files: they are tried where no model reads them.
    for page, tried in ((build_app(checkpoints), sights()[:1]), (all_components(), sights())):
        before = files()
        with serving(page, Settings(queue_per_client=96)) as demo:  # which waits for what was accepted
            statuses += attack(demo.local_url, tried)
            if len(tried) > 1:  # gradio's routes are the same for both
                statuses += try_routes(demo, demo.local_url)
        known += [name for name in before if name not in known]  # what building the page wrote
    seen |= {"calls": CALLS, "files": [name for name in files() if name not in known]}
    print(json.dumps(seen | {"statuses": dict(statuses)}))


if __name__ == "__main__":
    main()
