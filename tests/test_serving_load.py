"""The scripts of tests/load in a short form: each must end with status 0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = Path(__file__).parent / "load"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("memory_estimates.py",),
        ("hostile.py", "--count", "5000"),
    ],
    ids=lambda command: command[0],
)
def test_the_script_finds_nothing_wrong(command):
    environment = os.environ | {"PYTHONPATH": str(LOAD.parents[1])}
    script = [sys.executable, str(LOAD / command[0]), *command[1:]]
    done = subprocess.run(script, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
