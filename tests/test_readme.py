"""What README.md shows runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "load_bundled" in block])
def test_a_block_on_the_bundled_checkpoints_runs(block, monkeypatch):
    monkeypatch.chdir(README.parent)
    exec(compile(block, "README.md", "exec"), {})


def test_the_landmark_block_runs_up_to_the_model_that_is_not_here(monkeypatch):
    monkeypatch.chdir(README.parent)
    block = next(block for block in BLOCKS if "nystrom_factors" in block)
    here, _, elsewhere = block.partition("bert = ")
    assert "path/to/a/bert" in elsewhere
    scope = {}
    exec(compile(here, "README.md", "exec"), scope)
    assert scope["output"].shape == (1, 12, 4096, 64)
    assert scope["model"].config.num_landmarks == 32


def test_the_two_commands_are_there_and_ci_calls_the_second():
    text = README.read_text()
    assert "pip install -r requirements.txt && .venv/bin/python app.py" in text
    commands = re.findall(r"^python3 -m venv .* -m pytest$", text, re.M)
    assert len(commands) == 1
