"""A checkpoint from the Hub, against a server on this machine that speaks the Hub's protocol."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from nystrom_demo.checkpoints.hub import is_hub_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OFFERED = "89abcdef0123456789abcdef0123456789abcdef"  # the head of pull request 1, where a repository has one
LOAD = """
import sys
from nystrom_demo.checkpoints import CheckpointError, load_checkpoint
from nystrom_demo.tasks import fill_mask
for source in sys.argv[1:]:
    try:
        checkpoint = load_checkpoint(source, "masked-lm", device="cpu")
    except CheckpointError as refusal:
        print("refused:", refusal)
    else:
        fill = fill_mask(checkpoint, "the [MASK] sat").masks[0].candidates[0]
        print(checkpoint.name, checkpoint.source, checkpoint.new_head, fill.token)
"""


class Hub(ThreadingHTTPServer):
    """Repositories by id: name of a file → its bytes. `asked` collects the paths of all requests.

    offers: by id, who opened pull request 1, and the files that it has.
    """

    def __init__(self, repositories: dict[str, dict[str, bytes]], offers: dict[str, tuple[str, dict[str, bytes]]]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.offers, self.sizes, self.asked = repositories, offers, {}, []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        for repo_id, files in self.server.repositories.items():
            author, offered = self.server.offers.get(repo_id, ("", {}))
            if path == f"/api/models/{repo_id}/discussions" and offered:
                self._json({"count": 1, "start": 0, "discussions": [_discussion(repo_id, author)]})
                return
            revisions = {"": (COMMIT, files), "/revision/main": (COMMIT, files)}
            revisions |= {"/revision/refs%2Fpr%2F1": (OFFERED, offered)} if offered else {}
            if self._answers(path, repo_id, revisions):
                return
        self._reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _answers(self, path: str, repo_id: str, revisions: dict[str, tuple[str, dict[str, bytes]]]) -> bool:
        for route, (commit, files) in revisions.items():
            name = path.removeprefix(f"/{repo_id}/resolve/{commit}/")
            if path == f"/api/models/{repo_id}{route}":
                self._json({"id": repo_id, "sha": commit, "siblings": [self._sibling(*file) for file in files.items()]})
            elif path == f"/api/models/{repo_id}/tree/{commit}":
                self._json([self._entry(*file) for file in files.items()])
            elif name in files:
                self._reply(200, files[name], {"ETag": f'"{_digest(files[name])}"', "X-Repo-Commit": commit})
            else:
                continue
            return True
        return False

    def _sibling(self, name: str, data: bytes) -> dict:
        return {"rfilename": name, "size": self.server.sizes.get(name, len(data)), "blobId": _digest(data)}

    def _entry(self, name: str, data: bytes) -> dict:
        return {"type": "file", "path": name, "size": len(data), "oid": _digest(data)}

    def _json(self, content) -> None:
        self._reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args) -> None:
        """Nothing: the test looks at `asked`."""


def _discussion(repo_id: str, author: str) -> dict:
    kept = {"title": "Adding `safetensors` variant of this model", "num": 1, "status": "open", "isPullRequest": True}
    repo = {"name": repo_id, "type": "model"}
    return kept | {"author": {"name": author}, "createdAt": "2023-03-01T10:00:00.000Z", "repo": repo}


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture(scope="module")
def hub(tiny_checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "checkpoint"
    checkpoint = tiny_checkpoints["masked-lm"]
    checkpoint.model.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    good |= {"pytorch_model.bin": b"\x80\x04N.", "own.py": b"raise SystemExit", "README.md": b"# tiny"}
    pickled = {name: data for name, data in good.items() if not name.endswith(".safetensors")}
    stored = io.BytesIO()
    torch.save(checkpoint.model.state_dict() | {"nystromformer.embeddings.position_ids": torch.arange(9)}, stored)
    old = pickled | {"pytorch_model.bin": stored.getvalue()}
    server = Hub(
        {
            "someone/tiny": good,
            "someone/pickled": pickled,
            "someone/large": good | {"model-1-of-1.safetensors": b""},
            "authors/old": old,
            "authors/offered": old,
            "authors/misled": old,
        },
        {"authors/offered": ("SFconvertbot", good), "authors/misled": ("stranger", good)},
    )
    server.sizes["model-1-of-1.safetensors"] = 3 * 1024**3
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def load_from(hub: Hub, home: Path, *repo_ids: str, **environment: str) -> list[str]:
    """What LOAD prints in a process of its own, since the Hub's address is read when its library is imported."""
    variables = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "*",
        **environment,
    }
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(
        [sys.executable, "-c", LOAD, *repo_ids],
        env={**os.environ, **variables, "PYTHONPATH": str(root)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.slow
def test_a_repository_is_fetched_and_vetted_and_then_read_from_the_cache(hub, tmp_path):
    tiny, pickled, large, none = load_from(
        hub, tmp_path, "someone/tiny", "someone/pickled", "someone/large", "someone/none"
    )
    assert tiny.startswith("tiny someone/tiny False ")
    assert pickled.startswith("refused: The checkpoint has no model.safetensors")
    assert large.startswith("refused: A checkpoint may have at most 2,147,483,648 bytes of files, got 3,22")
    assert none == "refused: 'someone/none' could not be fetched from the Hub."
    fetched = {path.rpartition("/")[2] for path in hub.asked if "someone/tiny/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert not any("someone/large/resolve/" in path for path in hub.asked)

    hub.asked.clear()
    cached, never = load_from(hub, tmp_path, "someone/tiny", "someone/else", HF_HUB_OFFLINE="1")
    assert cached == tiny
    assert never == "refused: 'someone/else' could not be fetched from the Hub."
    assert hub.asked == []


@pytest.mark.slow
def test_old_repositories_give_the_converters_safetensors_or_else_their_pickle(hub, tmp_path):
    hub.asked.clear()
    tiny, *others = load_from(hub, tmp_path, "someone/tiny", "authors/old", "authors/offered", "authors/misled")
    answer = tiny.rpartition(" ")[2]
    assert [line.split() for line in others] == [
        [name, f"authors/{name}", "False", answer] for name in ("old", "offered", "misled")
    ]
    assert f"/authors/offered/resolve/{OFFERED}/model.safetensors" in hub.asked
    assert not any("pytorch_model.bin" in path for path in hub.asked if "someone/tiny" in path or "offered" in path)
    assert not any(OFFERED in path for path in hub.asked if "misled" in path)

    hub.asked.clear()
    assert load_from(hub, tmp_path, "authors/offered", "authors/old", HF_HUB_OFFLINE="1") == [others[1], others[0]]
    assert hub.asked == []


@pytest.mark.parametrize("good", ["bert-base-uncased", "uw-madison/nystromformer-512", "a/b_c.d-e"])
def test_hub_ids_are_names_or_owner_and_name(good):
    assert is_hub_id(good)


@pytest.mark.parametrize(
    "bad",
    ["", "/etc/passwd", "../x", "a/b/c", "a/..", "a b", "https://x.org/a", "a/b\n", "-a/b", "a--b/c", "é/a", "a" * 97],
)
def test_nothing_else_is_a_hub_id(bad):
    assert not is_hub_id(bad)
