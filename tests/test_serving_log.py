"""The log of a server process: JSON lines only, one a request, and no word that a visitor sent."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.append(str(Path(__file__).parent / "load"))
from serving_process import start_app
from waiting import wait_until

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
