"""What the running server lets in and what its answers say, over real HTTP, around the small app."""

import json
import threading
import time

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from small_app import build_app
from waiting import wait_until

from acceptance.visitor import free_port
from nystrom_demo.errors import UserError
from nystrom_demo.serving.launch import start
from nystrom_demo.serving.log import logger
from nystrom_demo.serving.request_bodies import parse_json
from nystrom_demo.serving.settings import Settings

API = "/gradio_api"


class Server:
    """The small app behind gate and guard, in this process."""

    def __init__(self, ready_check=lambda: None, files=None, **settings):
        self.demo = build_app()
        self.settings = Settings(port=free_port(), **settings)
        self.gate, self.readiness = start(self.demo, self.settings, ready_check=ready_check, files=files)
        self.url = self.demo.local_url.rstrip("/")
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def index(self, name):
        """The fn_index of an event's function or an endpoint."""
        return next(i for i, fn in self.demo.fns.items() if fn.api_name == name)

    def join(self, name, data, session="s1", **more):
        body = {"fn_index": self.index(name), "data": data, "session_hash": session, **more}
        return self.http.post(f"{API}/queue/join", json=body)

    def events(self, session="s1", limit=200):
        """The messages of a session's stream to its end."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as response:
            lines = (line for line in response.iter_lines() if line.startswith("data: "))
            return [json.loads(line[6:]) for line, _ in zip(lines, range(limit), strict=False)]

    def close(self):
        self.readiness.stop()
        self.http.close()
        self.demo.close(verbose=False)
        wait_until(lambda: not self.gate.running and not self.gate.waiting())


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


def test_health_tells_that_the_process_lives_and_ready_that_a_pass_succeeded(server):
    wait_until(lambda: server.readiness.ready)
    assert server.http.get("/health").json() == {"status": "ok"}
    assert server.http.get("/ready").json() == {"status": "ok"}


def test_not_ready_is_a_503_while_the_process_is_healthy():
    def fail():
        raise RuntimeError("no model")

    server = Server(ready_check=fail)
    try:
        assert server.http.get("/health").status_code == 200
        answer = server.http.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    finally:
        server.close()


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1:1/x", "/gradio_api/file=https%3A%2F%2F127.0.0.1/", "/gradio_api/file=app.py",
        "/gradio_api/file/app.py", "/gradio_api/stream/a", "/gradio_api/runs/", "/agents.md", "/gradio_api/agents.md",
        "/web/missing.js", "/web/../app.py", "/web/%2e%2e/app.py", "/web//etc/passwd", "/web/http://127.0.0.1/",
        "/web/", "/gradio_api/custom_component/a/client/b/c", "/svelte/../routes.py", "/gradio_api/user",
        "/gradio_api/login_check", "/monitoring", "/monitoring/summary", "/openapi.json", "/docs", "/login",
        "/pwa_icon/8000", "/gradio_api/token",
        "/gradio_api/deep_link", "/gradio_api/openapi.json", "/gradio_api/upload_progress", "/gradio_api/dev/reload",
        "/gradio_api/runs", "/gradio_api/proxy=http://127.0.0.1/", "/gradio_api/stream/a/b/0/playlist.m3u8",
        "/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/mcp/http", "/gradio_api/mcp/sse",
        "/static/../routes.py", "/static/%2e%2e/routes.py", "/assets/a%00b", "/" + "a" * 900,
        "/static/" + "a/" * 99 + "b" * 260,
    ],
)  # fmt: skip
def test_a_route_that_the_page_does_not_need_is_not_there(server, path):
    answer = server.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"] in ("There is no such address.", "The server does not take this.")


@pytest.mark.parametrize(
    "path",
    [
        "/upload",
        "/stream/a",
        "/stream/a/close",
        "/component_server",
        "/process_recording",
        "/vibe-edit",
        "/run/count",
        "/api/count",
    ],
)
def test_posting_to_a_route_that_the_page_does_not_need_is_refused(server, path):
    assert server.http.post(API + path, json={"data": ["a", "words", 5]}).status_code == 404


def test_a_known_address_by_another_method_is_a_405(server):
    answer = server.http.request("DELETE", "/config")
    assert (answer.status_code, answer.json()["detail"]) == (405, "This address takes GET, HEAD.")


def test_every_answer_forbids_framing_sniffing_and_other_hosts(server):
    for answer in (server.http.get("/"), server.http.get("/nowhere"), server.http.get("/health")):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example", "http://[", ""]
)
def test_pages_of_other_origins_are_refused(server, origin):
    answer = server.http.post(f"{API}/queue/join", json={}, headers={"origin": origin})
    assert (answer.status_code, answer.json()["detail"]) == (403, "Pages of other origins may not call this server.")


def test_the_pages_own_origin_is_served(server):
    assert server.http.get("/config", headers={"origin": server.url}).status_code == 200


def test_a_foreign_host_name_is_refused_where_only_this_machine_is_served(server):
    answer = server.http.get("/config", headers={"host": "rebound.example"})
    assert (answer.status_code, answer.json()["detail"]) == (403, "This server answers only to the machine it runs on.")


def test_a_body_over_the_limit_is_a_413_declared_or_not(server):
    big = b'{"data": ["' + b"a" * (600 * 1024) + b'"]}'
    assert server.http.post(f"{API}/queue/join", content=big).status_code == 413
    chunks = (big[i : i + 65536] for i in range(0, len(big), 65536))
    assert server.http.post(f"{API}/queue/join", content=chunks).status_code == 413


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"data": [NaN]}', "finite numbers only, got NaN"),
        (b'{"data": [-Infinity]}', "finite numbers only"),
        (b'{"data": [1e999]}', "finite numbers only"),
        (b'{"data": ["\\ud800"]}', "without lone surrogates"),
        (b'{"data": ["\xff"]}', "UTF-8"),
        (b"[" * 5000, "JSON, at most 32 levels deep"),
        (b'{"data": ' + b"[" * 40 + b"]" * 40 + b"}", "JSON, at most 32 levels deep"),
        (b"1" * 5000, "The body must be JSON"),
        (b"", "The body must be JSON"),
        (b"[]", "The body must be a JSON object, got []"),
        (b"{}", "session_hash must be 1 to 64 letters"),
        (b'{"session_hash": "a b"}', "session_hash must be 1 to 64 letters"),
        (b'{"session_hash": "a", "data": {}}', "data must be a list, got {}"),
        (b'{"session_hash": "a", "data": [], "fn_index": 999}', "fn_index must be that of one of the page's handlers"),
        (b'{"session_hash": "a", "data": [], "fn_index": true}', "fn_index must be a whole number"),
        (b'{"session_hash": "a", "data": [], "fn_index": -1}', "fn_index must be a whole number"),
        (b'{"session_hash": "a", "data": [], "fn_index": 0}', "data must have 4 values, got 0"),
        (b'{"session_hash": "a", "data": [], "fn_index": 0, "batched": true}', "batched is not taken here"),
        (b'{"session_hash": "a", "data": [], "fn_index": 0, "trigger_id": "x"}', "trigger_id must be a whole number"),
    ],
)  # fmt: skip
def test_a_body_that_no_page_of_ours_sends_is_refused_in_one_sentence(server, body, words):
    answer = server.http.post(f"{API}/queue/join", content=body)
    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert words in detail and detail.endswith(".") and len(detail) < 500


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, "words", 5, True], "Text must be a text, got 1."),
        (["t" * 2001, "words", 5, True], "Text must have at most 2,000 characters, got 2,001."),
        (["t", ["words"], 5, True], "Task must be one of words, letters, got ['words']."),
        (["t", None, 5, True], "Task must be one of words, letters, got None."),
        (["t", "words", True, True], "Top k must be a number from 1 to 11, got True."),
        (["t", "words", 12, True], "Top k must be a number from 1 to 11, got 12."),
        (["t", "words", "5", True], "Top k must be a number from 1 to 11, got '5'."),
        (["t", "words", 5, 1], "Switch must be true or false, got 1."),
    ],
)
def test_a_value_that_its_component_cannot_have_is_refused(server, data, words):
    answer = server.join("echo", data)
    assert (answer.status_code, answer.json()["detail"]) == (400, words)


def test_what_a_page_draws_of_a_refusal_is_text_and_what_a_program_reads_is_what_came(server):
    drawn = server.join("echo", ["t", "<b>", 5, True]).json()["detail"]
    assert drawn == "Task must be one of words, letters, got '&lt;b&gt;'."
    with pytest.raises(AppError, match="task must be one of words, letters, got '<b>'"):
        Client(server.url, verbose=False).predict("one", "<b>", 5, api_name="/count")


def test_a_huge_value_is_not_sent_back(server):
    answer = server.join("echo", ["t", "x" * 300_000, 5, True])
    assert answer.status_code == 400 and len(answer.content) < 1_000


FILE = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
SIGHTS = [
    FILE,
    {"url": "http://127.0.0.1:1/"},
    {"path": 1},
    {"meta": None},
    {"_type": "gradio.FileData"},
    [[{"a": FILE}]],
]


@pytest.mark.parametrize("value", SIGHTS, ids=str)
def test_what_could_stand_for_a_file_is_refused_wherever_it_stands(server, value):
    good, tried = ["t", "words", 5, True], []
    for place in range(4):
        tried.append(server.join("echo", [*good[:place], value, *good[place + 1 :]]))
    tried.append(server.join("echo", good, event_data={"value": [value]}))
    tried.append(server.join("echo", good, **{"more": value}))
    for place in range(3):
        data = ["t", "words", 5]
        data[place] = value
        tried.append(server.http.post(f"{API}/call/count", json={"data": data}))
    tried.append(server.http.post(f"{API}/call/v2/count", json={"text": value, "task": "words", "top_k": 5}))
    body = {"fn_index": server.index("light"), "data": [value, value], "session_hash": "direct"}
    tried.append(server.http.post(f"{API}/run/predict", json=body))
    for path in ("/cancel", "/reset"):
        tried.append(server.http.post(API + path, json={"event_id": value, "fn_index": 0, "session_hash": "a"}))
    for answer in tried:
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("The server takes no files and no addresses, so ")


def test_the_pages_own_files_are_an_exact_list():
    server = Server(files={"a.js": b"import './lib/b.js'", "lib/b.js": b""})
    try:
        answer = server.http.get("/web/a.js")
        assert (answer.status_code, answer.text) == (200, "import './lib/b.js'")
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff" and "immutable" in answer.headers["cache-control"]
        again = server.http.get("/web/a.js", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert server.http.head("/web/a.js").headers["content-length"] == "19"
        names = (
            "lib/b.js",
            "a.js",
            "new.js",
            "lib/b.test.js",
            "secret.txt",
            "lib",
            "/a.js",
            "lib//b.js",
            "lib/%2e%2e/a.js",
        )
        answers = [server.http.get(f"/web/{name}") for name in names]
        assert [answer.status_code for answer in answers] == [200, 200] + 7 * [404]
        assert answers[1].text.startswith("import")  # as it was at the start
    finally:
        server.close()


@pytest.mark.parametrize("query", ["session_hash=a&session_hash=b", "session_hash=a&session%5Fhash=a"])
def test_a_parameter_that_comes_twice_is_refused(server, query):
    answer = server.http.get(f"{API}/queue/data?{query}")
    assert answer.status_code == 400 and "may come once" in answer.json()["detail"]


def test_a_name_that_comes_twice_in_a_body_is_refused(server):
    answer = server.http.post(f"{API}/queue/join", content=b'{"session_hash": "a", "session_hash": "b"}')
    assert (answer.status_code, answer.json()["detail"]) == (400, "Each name may come once in an object of the body.")


@pytest.mark.parametrize("body", [b"[" + b"[]," * 170_000 + b"1]", b"[" + b"{}," * 100_000 + b"1]",
                                  b'{"data": [' + b'"",' * 100_000 + b'""]}', b"{" + b'"a":1,' * 80_000 + b"}",
                                  b"[" + b"1," * 250_000 + b"1]", b'"' * 500_000, b":" * 500_000])  # fmt: skip
def test_what_would_take_long_to_parse_is_refused_by_a_count(body):
    began = time.process_time()
    with pytest.raises(UserError, match="at most 10,000 values"):
        parse_json(body)
    assert time.process_time() - began < 0.02


def test_a_text_of_brackets_is_a_text():
    text = "[{,:" * 12_000 + '"' * 9_000 + "\\"
    assert parse_json(json.dumps({"data": [text, 1.5, None]}).encode()) == {"data": [text, 1.5, None]}


def test_parameters_by_name_are_taken_as_those_by_place(server):
    def ask(**body):
        joined = server.http.post(f"{API}/call/v2/count", json=body)
        if joined.status_code != 200:
            return joined.status_code, joined.json()["detail"]
        return server.http.get(f"{API}/call/v2/count/{joined.json()['event_id']}").text

    assert '{"count": 2, "top_k": 5}' in ask(text="one two", task="words", top_k=5)
    assert '{"count": 7, "top_k": 3}' in ask(text="one two", task="letters")  # top_k as its default is
    assert ask(task="words") == (400, "The endpoint needs a value for text.")
    assert ask(text="a", other=1) == (400, "The endpoint's parameters are text, task, top_k, got 'other'.")
    assert server.http.post(f"{API}/call/v2/echo", json={}).status_code == 404


def test_forged_headers_do_not_change_the_pages_own_address(server):
    plain = server.http.get("/config").json()["root"]
    forged = {
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
        "x-gradio-server": "http://evil.example",
    }
    assert server.http.get("/config", headers=forged).json()["root"] == plain == server.url
    assert server.http.get("/config?deep_link=../x&page=y").json()["root"] == plain


def test_a_private_endpoint_cannot_be_called_by_name(server):
    assert server.http.post(f"{API}/call/echo", json={"data": ["t", "words", 5, True]}).status_code == 404
    assert server.http.post(f"{API}/call/nowhere", json={"data": []}).status_code == 404
    answer = server.http.post(f"{API}/call/count", json={"data": ["t", "words"]})
    assert (answer.status_code, answer.json()["detail"]) == (400, "data must have 3 values, got 2.")


def test_a_page_and_a_client_get_their_answers(server):
    assert server.join("echo", ["one two", "words", 5, True], session="page").status_code == 200
    assert server.events("page")[-2]["output"]["data"] == ["one two", "words 5 True"]
    client = Client(server.url, verbose=False)
    assert client.predict("one two", "words", 5, api_name="/count") == {"count": 2, "top_k": 5}
    assert list(client.submit(3, api_name="/sweep")) == ["step 0", "step 1", "step 2"]


@pytest.mark.parametrize("kind", ["exit", "interrupt", "memory", "secret"])
def test_whatever_a_handler_raises_the_client_gets_one_sentence(server, kind):
    client = Client(server.url, verbose=False)
    with pytest.raises(AppError) as caught:
        client.predict(kind, api_name="/fail")
    message = str(caught.value)
    assert message.startswith(("The server failed on this request", "The server has not enough memory"))
    assert "secret" not in message and "Traceback" not in message
    assert client.predict("one", "words", 5, api_name="/count")["count"] == 1


def test_a_direct_calls_refusal_is_its_handlers_sentence(server):
    body = {"fn_index": server.index("light"), "data": [True, " "], "session_hash": "direct"}
    answer = server.http.post(f"{API}/run/predict", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "text must not be empty, got ' '.")
    assert server.http.post(f"{API}/run/predict", json=body | {"data": [True, "a"]}).json()["data"] == ["on"]


def test_cancelled_requests_never_run_more_than_the_workers(server):
    index, most = server.index("sweep"), 0
    for i in range(12):
        event = server.join("sweep", [40], session=f"c{i}").json()["event_id"]
        time.sleep(0.02)
        server.http.post(f"{API}/cancel", json={"session_hash": f"c{i}", "fn_index": index, "event_id": event})
        most = max(most, server.gate.running)
    assert most <= server.settings.workers and server.gate.most_at_once <= server.settings.workers
    wait_until(lambda: server.gate.running == 0 and server.gate.waiting() == 0)


def test_a_sweep_stops_soon_after_its_reader_left(server):
    server.join("sweep", [1000], session="leaver")
    with server.http.stream("GET", f"{API}/queue/data", params={"session_hash": "leaver"}) as response:
        next(line for line in response.iter_lines() if "step 1" in line)
    wait_until(
        lambda: server.gate.running == 0 and not server.demo._queue.event_ids_to_events, 20
    )  # of 50 that it takes


def test_a_full_queue_is_a_503_for_each_client_in_its_part_and_for_all_in_the_whole():
    server = Server(workers=1, queue=7, queue_per_client=5, queue_per_session=3, proxy_hops=1)
    blocked = threading.Event()
    try:
        server.gate.submit("blocker", blocked.wait)

        def say(session, address):
            body = {"fn_index": server.index("say"), "data": ["a"], "session_hash": session}
            return server.http.post(f"{API}/queue/join", json=body, headers={"x-forwarded-for": address})

        answers = [say("a", "1.1.1.1") for _ in range(4)] + [say(f"b{i}", "1.1.1.1") for i in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 503, 200, 200, 503]
        assert answers[3].json()["detail"] == "This page has 3 requests waiting; wait for their answers."
        assert answers[6].json()["detail"] == "Your address has 5 requests waiting; wait for their answers."
        answers = [say(f"c{i}", "2.2.2.2") for i in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert answers[2].json()["detail"].startswith("The server is busy with 7 requests")
        assert answers[2].headers["retry-after"] == "3"
    finally:
        blocked.set()
        server.close()


def test_too_many_open_streams_of_one_client_and_of_all_are_refused():
    server = Server(streams=3, streams_per_client=2, proxy_hops=1)
    first, second = {"x-forwarded-for": "1.1.1.1"}, {"x-forwarded-for": "2.2.2.2"}

    def open_stream(name, headers):
        return server.http.stream("GET", f"{API}/heartbeat/{name}", headers=headers)

    try:
        with open_stream("one", first), open_stream("two", first):
            refused = server.http.get(f"{API}/heartbeat/three", headers=first)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
            assert refused.json()["detail"].startswith("Your address has 2 open event streams; close pages")
            with open_stream("three", second) as taken:
                assert taken.status_code == 200
                refused = server.http.get(f"{API}/heartbeat/four", headers=second)
                assert refused.json()["detail"].startswith("The server has too many open pages")

        def one_is_taken():
            with open_stream("five", first) as taken:
                return taken.status_code == 200

        wait_until(one_is_taken)  # what has ended counts no more
    finally:
        server.close()


def test_a_page_that_never_reads_is_refused_within_its_bound_until_it_reads():
    server, data = Server(unread_mb=1), ["a" * 2_000, "words", 5, True]
    kept = server.demo._queue.pending_messages_per_session

    def is_refused() -> bool:
        answer = server.join("echo", data, "deaf")
        return answer.status_code == 503 and "has not read its last answers" in answer.json()["detail"]

    try:
        wait_until(is_refused)
        assert server.join("echo", data, "other").status_code == 200
        assert 0 < kept.bytes <= 1 << 20
        wait_until(lambda: not server.demo._queue.event_ids_to_events)
        assert [event["msg"] for event in server.events("deaf")].count("process_completed") > 1
        assert server.join("echo", data, "deaf").status_code == 200
        assert server.events("deaf")[-2]["output"]["data"][0] == data[0]
    finally:
        server.close()


def test_a_page_that_the_server_has_forgotten_is_told_to_reload_and_no_other():
    server, shown = Server(sessions=2), ["a", "words", 5, False]
    try:
        for session in ("first", "second", "first", "third"):
            assert server.join("echo", shown, session).status_code == 200
            assert server.events(session)[-1]["msg"] == "close_stream"
        refused = server.join("echo", shown, "second")
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("The server keeps the settings of the last 2 pages, and this one is")
        assert [server.join("echo", shown, session).status_code for session in ("first", "third")] == [200, 200]
        assert server.join("say", ["a"], "second").status_code == 200  # an endpoint goes by what it is sent alone
    finally:
        server.close()


@pytest.mark.parametrize(("accepted", "chosen"), [("gzip", "gzip"), ("gzip, br", "br")])
def test_the_page_and_its_configuration_come_compressed_where_the_client_unpacks(server, accepted, chosen):
    for path in ("/", "/config"):
        plain = server.http.get(path, headers={"accept-encoding": "identity"})
        packed = server.http.get(path, headers={"accept-encoding": accepted})
        assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == chosen
        assert packed.num_bytes_downloaded < len(plain.content) / 2
        assert len(packed.content) == pytest.approx(len(plain.content), rel=0.01)  # it says when it was made
        assert packed.headers["x-content-type-options"] == "nosniff"


def test_an_event_stream_is_neither_packed_nor_held_back(server):
    server.join("sweep", [1000], session="stream")
    packed = {"accept-encoding": "gzip, br"}
    with server.http.stream("GET", f"{API}/queue/data", params={"session_hash": "stream"}, headers=packed) as response:
        assert "content-encoding" not in response.headers
        next(line for line in response.iter_lines() if "step 1" in line)
        assert server.demo._queue.event_ids_to_events  # it still runs


def test_the_log_has_one_line_a_request_and_no_visitors_words(server, caplog):
    logger.addHandler(caplog.handler)
    try:
        with pytest.raises(AppError):
            Client(server.url, verbose=False).predict("xylophone", "xylophone", 5, api_name="/count")
    finally:
        logger.removeHandler(caplog.handler)
    lines = [json.loads(record.message) for record in caplog.records]
    ends = [(line["handler"], line["outcome"]) for line in lines if line["event"] == "request"]
    assert [end for end in ends if end[0] != "sweep"] == [("count", "refused")]  # a test before may end its sweep now
    assert "xylophone" not in caplog.text and "127.0.0.1" not in caplog.text
