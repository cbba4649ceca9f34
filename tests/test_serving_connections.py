"""What may arrive, how long it may take, and how many may come, over real sockets."""

import contextlib
import socket
import time
from types import SimpleNamespace

import httpx
import pytest
from test_serving_http import Server

from nystrom_demo.serving import connections
from nystrom_demo.serving.connections import BoundedProtocol, Connections, most_connections

API = "/gradio_api"


@pytest.fixture(scope="module")
def server():
    """One whose requests have a second to arrive, so that a test need not wait for twenty."""
    patch = pytest.MonkeyPatch()
    patch.setitem(BoundedProtocol.__init__.__kwdefaults__, "seconds", 1.0)
    server = Server(connections=40, connections_per_client=30, body_kb=64)
    yield server
    server.close()
    patch.undo()


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.settings.port), 30)


def answer(line: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionError):  # it closed with some of ours unread
        while part := line.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def send(server, data: bytes) -> bytes:
    """What the server answers to bytes, sent until it closes."""
    with connect(server) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(data)
        return answer(line)


def test_a_request_has_twenty_seconds():
    assert connections.REQUEST_SECONDS == 20


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 3_000_000,
        b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /" + b"a" * 3_000_000,
        b"POST /gradio_api/cancel HTTP/1.1\r\nhost: localhost\r\n" + b"a: " + b"b" * 66_000 + b"\r\n\r\n{}",
    ],
    ids=["one header", "an endless header", "many headers", "line", "an endless line", "of a POST"],
)
def test_a_head_of_more_than_64_kb_or_128_lines_is_refused(server, head):
    assert send(server, head)[:40] in (b"", b"HTTP/1.1 431 Request Header Fields Too L")


def test_a_head_within_the_bounds_is_served(server):
    head = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: " + b"y" * 60_000
    assert send(server, head + b"\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("trailer", [b"x: " + b"y" * 3_000_000, b"x: " + b"y" * 70_000 + b"\r\n\r\n"])
def test_what_comes_after_a_body_counts_too(server, trailer):
    head = b"POST /gradio_api/cancel HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    assert b" 200 " not in send(server, head + trailer)[:15]


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nhost: loc", b"\r\n\r\n",
     b"POST /gradio_api/cancel HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{}",
     b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /hea"],
)  # fmt: skip
def test_a_request_that_is_not_whole_in_time_is_closed(server, begun):
    began = time.monotonic()
    told = send(server, begun)
    assert 0.9 < time.monotonic() - began < 20
    assert b"408" in told


def test_a_request_that_comes_a_byte_at_a_time_is_closed_all_the_same(server):
    with connect(server) as line:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 1_000:
                line.sendall(bytes([byte]))
                time.sleep(0.1)
        assert time.monotonic() - began < 20


def test_a_connection_that_was_answered_stays_open_and_has_its_time_anew(server):
    with connect(server) as line:
        for _ in range(3):
            line.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert line.recv(4_096).startswith(b"HTTP/1.1 200")
            time.sleep(0.6)


def test_an_answer_may_take_longer_than_its_request():
    patch = pytest.MonkeyPatch()
    patch.setitem(BoundedProtocol.__init__.__kwdefaults__, "seconds", 0.3)
    server = Server()
    try:
        server.join("sweep", [20], session="long")
        assert server.events("long")[-1]["msg"] == "close_stream"
    finally:
        patch.undo()
        server.close()


def test_garbage_in_the_midst_of_an_answer_does_not_write_another_into_it(server):
    server.join("sweep", [1_000], session="garbage")
    with connect(server) as line:
        line.sendall(f"GET {API}/queue/data?session_hash=garbage HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        first = line.recv(4_096)
        line.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b"HTTP/1.1 400" not in first + answer(line)


def test_silent_connections_make_room_for_those_that_ask(server):
    silent = [connect(server) for _ in range(100)]
    try:
        began = time.monotonic()
        assert httpx.get(f"{server.url}/health", timeout=30).status_code == 200
        assert time.monotonic() - began < 20
    finally:
        for line in silent:
            line.close()


class Line:
    """A connection as `Connections` sees it."""

    def __init__(self, waits: bool = True):
        self.is_waiting, self.closed = waits, False
        self.transport = self

    def abort(self) -> None:
        self.closed = True


def test_the_oldest_that_waits_makes_room_and_one_that_is_answered_does_not():
    lines, all_ = [Line(False), Line(), Line()], Connections(3, None)
    assert all(all_.enter(line, str(i)) for i, line in enumerate(lines))
    new = Line(False)
    assert all_.enter(new, "new")
    assert [line.closed for line in lines] == [False, True, False] and len(all_) == 3
    lines[2].is_waiting = False
    assert not all_.enter(Line(), "late") and len(all_) == 3
    all_.leave(new)
    assert all_.enter(Line(), "late")


def test_one_address_closes_its_own_only():
    ours, theirs, all_ = [Line(), Line()], Line(), Connections(10, 2)
    all_.enter(theirs, "theirs")
    for line in [*ours, Line()]:
        assert all_.enter(line, "ours")
    assert (theirs.closed, ours[0].closed, ours[1].closed) == (False, True, False)


def test_there_are_fewer_connections_than_files_that_may_be_open(monkeypatch):
    asked = []
    system = SimpleNamespace(
        RLIMIT_NOFILE=7, RLIM_INFINITY=-1, getrlimit=lambda _: (200, 256), setrlimit=lambda *limit: asked.append(limit)
    )
    monkeypatch.setattr(connections, "resource", system)
    assert 8 <= most_connections(2_000) < 256 - connections.BACKLOG and most_connections(5) == 5
    assert asked[0] == (7, (256, 256))
    monkeypatch.setattr(connections, "resource", None)
    assert most_connections(2_000) == 2_000
