"""The app as a Space with lent GPUs starts it: its files in a folder, a Space's variables, `spaces` at hand.

    python tests/acceptance/space.py

`spaces` is a stand-in that lends no GPU but writes down each call it was asked for. Prints what was found; status 1
where the front matter lacks a field, the app does not become ready, no answer comes, or no GPU was asked for it.
Its checkpoints are tiny random ones unless NYSTROM_DEMO_CHECKPOINTS names others.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "load")]

from serving_process import START_SECONDS, free_port, is_ready, tiny_box  # noqa: E402

FIELDS = (
    "title",
    "sdk",
    "sdk_version",
    "python_version",
    "app_file",
    "license",
    "header",
    "thumbnail",
    "models",
    "tags",
)
STAND_IN = '''"""Stands in for the package `spaces`: lends no GPU, and notes each call that asked for one."""

import functools
import inspect
import os


def GPU(*, duration):
    def decorate(fn):
        def note(*args, **kwargs):
            with open(os.environ["SPACES_NOTES"], "a") as notes:
                notes.write(f"{fn.__name__} {duration(*args, **kwargs)}\\n")

        @functools.wraps(fn)
        def call(*args, **kwargs):
            note(*args, **kwargs)
            return fn(*args, **kwargs)

        @functools.wraps(fn)
        def steps(*args, **kwargs):
            note(*args, **kwargs)
            yield from fn(*args, **kwargs)

        return steps if inspect.isgeneratorfunction(fn) else call

    return decorate
'''


def lay_out(folder: Path) -> Path:
    """The files of the repository, weights apart, as a Space has them, and the stand-in beside."""
    space = folder / "space"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.endswith(".safetensors") and (ROOT / name).is_file():
            (space / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, space / name)
    (folder / "packages" / "spaces").mkdir(parents=True)
    (folder / "packages" / "spaces" / "__init__.py").write_text(STAND_IN)
    return space


def missing_fields(space: Path) -> list[str]:
    """The fields that the README's front matter has not."""
    _, front, _ = (space / "README.md").read_text("utf-8").split("---\n", 2)
    present = {line.split(":")[0] for line in front.splitlines() if ":" in line}
    return [field for field in FIELDS if field not in present]


def start(space: Path, folder: Path, port: int) -> subprocess.Popen:
    """`python app.py` in the Space's folder."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SPACE_ID")}
    environment |= {
        "SPACE_ID": "owner/nystrom",
        "SPACE_HOST": "owner-nystrom.hf.space",
        "SPACES_ZERO_GPU": "true",
        "SPACES_NOTES": str(folder / "notes"),
        "PYTHONPATH": str(folder / "packages"),
        "NYSTROM_DEMO_PORT": str(port),
        "HF_HUB_OFFLINE": "1",
    }
    environment.setdefault("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box(folder)))
    return subprocess.Popen([sys.executable, "app.py"], cwd=space, env=environment, stdout=sys.stderr)


def classify(url: str) -> str:
    """What the endpoint says of a text, its event's last lines."""
    headers = {"x-forwarded-for": "203.0.113.7"}
    with httpx.Client(base_url=url, timeout=60, headers=headers) as http:
        joined = http.post("/gradio_api/call/classify", json={"data": ["A wonderful film."]}).raise_for_status()
        return http.get(f"/gradio_api/call/classify/{joined.json()['event_id']}").text


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        space, url = lay_out(folder), f"http://127.0.0.1:{port}"
        lacking, process = missing_fields(space), start(space, folder, port)
        try:
            end = time.monotonic() + START_SECONDS
            while not (ready := is_ready(url)) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.5)
            answer = classify(url) if ready else ""
            notes = (folder / "notes").read_text() if (folder / "notes").exists() else ""
        finally:
            process.terminate()
            process.wait(30)
    print(f"front matter lacks: {', '.join(lacking) or 'nothing'}")
    print(f"ready: {ready}\nanswer: {answer.strip()[:200]}\nGPU asked for: {notes.strip() or 'never'}")
    return 0 if ready and not lacking and "event: complete" in answer and "classify" in notes else 1


if __name__ == "__main__":
    sys.exit(main())
