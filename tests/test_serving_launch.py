"""What a server does before it is ready, and where it can be had."""

import socket
import threading

import httpx
import matplotlib
import pytest
import torch
from matplotlib import rcsetup
from test_serving_http import API, Server

from nystrom_demo.limits.parallel import SideBySide
from nystrom_demo.serving import launch as launching
from nystrom_demo.serving.health import Readiness
from nystrom_demo.serving.worker_pool import WorkerPool


def test_the_first_event_finds_a_backend_for_figures():
    matplotlib.rcParams._set("backend", rcsetup._auto_backend_sentinel)  # as in a new process
    launching._warm_up(lambda: None)
    assert matplotlib.get_backend(auto_select=False) == "agg"


def test_both_halves_have_run_the_readiness_check(monkeypatch):
    before, halves, meeting = torch.get_num_threads(), SideBySide(), threading.Barrier(2)
    halves.split(2)
    torch.set_num_threads(before)
    monkeypatch.setattr(launching, "SIDE_BY_SIDE", halves)
    ran = set()

    def check() -> None:
        ran.add(threading.current_thread())
        meeting.wait(30)  # or one half might run both

    launching._warm_up(check)
    assert len(ran) == 2


def test_until_a_pass_succeeds_the_warm_up_is_run_and_then_the_small_check():
    ran = []

    def warm_up() -> None:
        ran.append("warm up")
        if len(ran) == 1:
            raise RuntimeError("not yet")

    readiness = Readiness(lambda: ran.append("check"), WorkerPool(1), warm_up=warm_up)
    seen = []
    for _ in range(4):
        readiness.look()
        seen.append(readiness.ready)
    assert ran == ["warm up", "warm up", "check", "check"] and seen == [False, True, True, True]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as line:
            line.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_a_server_listens_at_an_address_of_ipv6(host):
    server = Server(host=host)
    try:
        address = f"http://[::1]:{server.settings.port}"
        assert httpx.get(f"{address}/health").status_code == 200
        answer = httpx.post(
            f"{address}{API}/call/count", json={"data": ["a b", "words", 5]}, headers={"origin": address}
        )
        assert answer.status_code == 200
    finally:
        server.close()


@pytest.mark.parametrize("prefix", ["", "/lab/attention"], ids=["stripped", "left"])
def test_behind_a_sub_path_the_page_asks_under_it_whether_the_proxy_strips_it_or_not(prefix):
    server = Server(root_path="/lab/attention", proxy_hops=1)
    forwarded = {"x-forwarded-host": "a.example", "x-forwarded-proto": "https"}
    try:
        page = server.http.get(f"{prefix}/", headers=forwarded)
        config = server.http.get(f"{prefix}/config", headers=forwarded).json()
        assert config["root"] == "https://a.example/lab/attention" and config["root"] in page.text
        for path in ("/health", f"{API}/app_id", f"{API}/info", "/theme.css"):
            assert server.http.get(prefix + path).status_code == 200
        assert server.http.get("/lab/other/health").status_code == 404
        answer = server.http.post(f"{prefix}{API}/call/count", json={"data": ["a b", "words", 5]})
        said = server.http.get(f"{prefix}{API}/call/count/{answer.json()['event_id']}").text
        assert '"count": 2' in said
    finally:
        server.close()
