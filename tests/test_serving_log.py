"""The log of a server process: JSON lines only, one a request, and no word that a visitor sent."""

import io
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.append(str(Path(__file__).parent / "load"))
from serving_process import start_app
from waiting import wait_until

from nystrom_demo.serving.log import Lines, Printed, log, logger

API, WORD = "/gradio_api", "xylophone"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = start_app("small", tmp_path_factory.mktemp("log"))
    yield app
    app.process.kill()
    app.process.wait()


def call(http: httpx.Client, name: str, *data) -> str:
    """The last event of a call, "complete" or "error", or the status of a refusal."""
    joined = http.post(f"{API}/call/{name}", json={"data": list(data)}, headers={"user-agent": WORD})
    if joined.status_code != 200:
        return str(joined.status_code)
    answer = http.get(f"{API}/call/{name}/{joined.json()['event_id']}").text
    return [line[7:] for line in answer.splitlines() if line.startswith("event: ")][-1]


def read_log(app, begin: int = 0) -> list[dict[str, Any]]:
    """The whole lines of the log so far, from line `begin` on."""
    return [json.loads(line) for line in app.log.read_text().splitlines(keepends=True)[begin:] if line.endswith("\n")]


def requests_in(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["handler"], line["outcome"]) for line in lines if line["event"] == "request"]


def statuses_in(lines: list[dict[str, Any]]) -> list[int]:
    return [line["status"] for line in lines if line["event"] == "http"]


def test_each_request_has_one_line_and_no_line_has_a_visitors_word(app):
    with httpx.Client(base_url=app.url, timeout=60) as http:
        index = next(each["id"] for each in http.get("/config").json()["dependencies"] if each["targets"])
        before = len(app.log.read_text().splitlines())
        ends = [
            call(http, "count", WORD, "words", 5),
            call(http, "count", WORD, WORD, 5),  # refused by the handler
            call(http, "count", {WORD: WORD}, "words", 5),
            call(http, "fail", "secret"),  # fails in the handler
            call(http, "fail", "exit"),
            call(http, "sweep", 2),
            call(http, WORD),  # refused by the guard, as are those below
            call(http, "count", WORD),
        ]
        join = {"fn_index": index, "data": [WORD, WORD, WORD, WORD], "session_hash": WORD}
        statuses = [
            http.post(f"{API}/queue/join", json=join).status_code,
            http.post(f"{API}/queue/join", content=f'{{"{WORD}": NaN}}').status_code,
            http.post(f"{API}/queue/join", content=WORD).status_code,
            http.get(f"/{WORD}?{WORD}").status_code,
            http.get("/config", headers={"origin": f"https://{WORD}.example"}).status_code,
        ]
    assert ends == ["complete", "error", "error", "error", "error", "complete", "404", "400"]
    assert statuses == [400, 400, 400, 404, 403]
    # A refusal's line follows its answer, so this process may have the answer before the log has the line.
    wait_until(lambda: statuses_in(read_log(app, before))[-1:] == [403])
    lines = read_log(app, before)
    assert requests_in(lines) == [
        ("count", "done"), ("count", "refused"), ("count", "refused"),
        ("fail", "failed"), ("fail", "failed"), ("sweep", "done"),
    ]  # fmt: skip
    assert statuses_in(lines) == [404, 400, *statuses]
    failures = [line for line in lines if line["event"] == "failure"]
    assert [line["trace"][0] for line in failures] == ["OSError", "SystemExit"]
    assert all(line["time"].endswith("Z") for line in lines)
    text = json.dumps(lines)
    assert WORD not in text and "127.0.0.1" not in text


def test_what_breaks_the_protocol_has_lines_of_json_too(app):
    before = len(app.log.read_text().splitlines())
    port = int(app.url.rpartition(":")[2])
    for sent in (
        f"GET / {WORD}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {WORD}\r\nUpgrade: {WORD}\r\nConnection: Upgrade\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), 30) as line:
            line.sendall(sent.encode())
            line.recv(4_096)
    wait_until(lambda: len(read_log(app, before)) >= 3)
    lines = read_log(app, before)
    assert {line["logger"] for line in lines if line["event"] == "library"} == {"uvicorn.error"}
    assert WORD not in json.dumps(lines)


@pytest.mark.parametrize(
    "write",
    [
        lambda: logging.getLogger("safetensors").warning(f"weights {WORD}\n{{}} were not used"),
        lambda: logging.getLogger("uvicorn.error").warning("of %s\nand more", WORD),
        lambda: logging.getLogger("asyncio").error("failed", exc_info=ValueError(f"{WORD}\n")),
        lambda: log("event", **{"name": f"a{chr(10)}b{chr(0x2028)}{chr(0x85)}c"}),
    ],
    ids=["a library", "uvicorn", "an error", "a name of ours"],
)
def test_whatever_is_logged_is_one_line_of_json(write):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines("%(message)s"))
    loggers = [logging.getLogger(), logger]
    logger.setLevel(logging.INFO)
    for each in loggers:
        each.addHandler(handler)
    try:
        write()
    finally:
        for each in loggers:
            each.removeHandler(handler)
    said = stream.getvalue().splitlines()
    assert len(said) == 1 and WORD not in said[0] and json.loads(said[0])["time"].endswith("Z")


def test_what_is_printed_is_told_by_its_place():
    stream = io.StringIO()
    print(f"{WORD}\nand more", file=Printed(stream))
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["where"].startswith("test_serving_log.py:") and WORD not in line
