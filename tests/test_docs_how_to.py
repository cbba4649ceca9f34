"""The code in docs/how-to.md runs as it stands, on the bundled checkpoints."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / "assets" / "checkpoints").is_dir(), reason="the checkpoints are not in assets/")
def test_the_guides_code_runs_in_one_go(monkeypatch):
    monkeypatch.chdir(ROOT)
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.S):
        exec(compile(block, "how-to.md", "exec"), scope)
    assert scope["maps"].difference.shape == scope["maps"].exact.shape
    assert scope["model"].config.max_position_embeddings == 8192


def test_each_place_that_the_guide_names_is_there():
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|\.toml|/))`", GUIDE):
        path = name.removeprefix("nystrom_demo/")
        assert (ROOT / "nystrom_demo" / path).exists(), name
