"""The app as a process of its own, for the scripts that press on it: the real one, or the small one of the tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
PROGRAMS = {"app": ROOT / "app.py", "small": ROOT / "tests" / "small_app.py"}
QUESTIONS = {"app": "classify", "small": "say"}  # the endpoint of a text that visitors ask
START_SECONDS = 300


class App(NamedTuple):
    url: str
    process: subprocess.Popen
    log: Path

    def resident_mb(self) -> float:
        """Resident memory of the process, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def stop(self, seconds: float = 15) -> tuple[int, float]:
        """SIGTERM; (exit status, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds), time.monotonic() - began


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_app(program: str, folder: Path, port: int | None = None, **settings: object) -> App:
    """`program` ("app" or "small") with NYSTROM_DEMO_<setting> set, once /ready says so. Its checkpoints are tiny
    random ones in `folder`, made there if they are missing, unless the environment names others."""
    port = port or free_port()
    environment = dict(os.environ) | {f"NYSTROM_DEMO_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"NYSTROM_DEMO_PORT": str(port), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    if program == "app":
        environment.setdefault("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box(folder)))
    log = folder / f"{program}-{port}.log"
    with log.open("ab") as sink:
        process = subprocess.Popen([sys.executable, str(PROGRAMS[program])], env=environment, stdout=sink, stderr=sink)
    app = App(f"http://127.0.0.1:{port}", process, log)
    end = time.monotonic() + START_SECONDS
    while not is_ready(app.url):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError(f"The app did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    return app


def tiny_box(folder: Path) -> Path:
    """The folder of tiny random checkpoints, one a task."""
    from tiny_checkpoints import make_tiny_box

    box = folder / "checkpoints"
    if not box.exists():
        make_tiny_box(box)
    return box


def arguments(api: str, text: str) -> list[object]:
    """What such an endpoint takes: of the app's the text, 16 landmarks and the bundled checkpoint."""
    return [text, 16, "bundled"] if api == "classify" else [text]


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def running(program: str = "app", **settings: object) -> Iterator[App]:
    """The app for a while; its log is shown if the block fails."""
    with tempfile.TemporaryDirectory() as folder:
        app = start_app(program, Path(folder), **settings)
        try:
            yield app
        except BaseException:
            print(app.log.read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            app.process.kill()
            app.process.wait()
