"""Two replicas behind a real nginx: clients keep to one, both are used, and one can go away."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from test_serving_http import API, Server
from waiting import wait_until

from acceptance.visitor import free_port

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
ADDRESSES = [f"127.0.0.{last}" for last in range(1, 12)]

pytestmark = pytest.mark.skipif(NGINX is None and not os.environ.get("CI"), reason="nginx is not installed")


@pytest.fixture(scope="module")
def replicas():
    servers = [Server(proxy_hops=1), Server(proxy_hops=1)]
    yield servers
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def proxy(replicas, tmp_path_factory):
    """The address of an nginx in front of both."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    text = (Path(__file__).parent / "nginx.conf").read_text()
    ports = {"FIRST": replicas[0].settings.port, "SECOND": replicas[1].settings.port, "PORT": port}
    for name, value in {"PREFIX": folder, **ports}.items():
        text = text.replace(name, str(value))
    (folder / "nginx.conf").write_text(text)
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/health"))
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def ask(url: str, address: str) -> list[str]:
    """The lines of an answer that a client of this address reads in two requests, as gradio's queue needs."""
    with httpx.Client(base_url=url, transport=httpx.HTTPTransport(local_address=address), timeout=60) as http:
        event = http.post(f"{API}/call/count", json={"data": ["one two", "words", 5]}).json()["event_id"]
        with http.stream("GET", f"{API}/call/count/{event}") as answer:
            return [line for line in answer.iter_lines() if line]


def test_a_client_of_gradios_own_works_through_the_proxy(proxy):
    client = Client(proxy, verbose=False)
    assert client.predict("one two", "words", 5, api_name="/count") == {"count": 2, "top_k": 5}
    assert list(client.submit(3, api_name="/sweep")) == ["step 0", "step 1", "step 2"]


def test_every_client_finds_its_answer_and_both_replicas_work(proxy, replicas):
    before = [server.demo._queue.events_recorded for server in replicas]
    for address in ADDRESSES:
        assert ask(proxy, address) == ["event: complete", 'data: [{"count": 2, "top_k": 5}]']
    done = [server.demo._queue.events_recorded - old for server, old in zip(replicas, before, strict=True)]
    assert sum(done) == len(ADDRESSES) and min(done) > 0


def test_the_guard_still_sees_who_is_who_behind_the_proxy(proxy):
    answer = httpx.get(f"{proxy}/config", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert httpx.get(f"{proxy}/config", headers={"origin": proxy}).status_code == 200


def test_the_other_replica_takes_over_when_one_goes_away(proxy, replicas):
    replicas[0].close()
    for address in ADDRESSES:
        assert ask(proxy, address)[0] == "event: complete"
