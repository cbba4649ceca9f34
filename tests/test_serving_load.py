"""The scripts of tests/load in a short form: each must end with status 0."""

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
        ("hostile.py", "--count", "300", "--app", "small"),
    ],
    ids=lambda command: command[0],
)
def test_the_script_finds_nothing_wrong(command):
    done = subprocess.run([sys.executable, str(LOAD / command[0]), *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
