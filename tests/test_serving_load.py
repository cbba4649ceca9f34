"""The scripts of tests/load in a short form: each must end with status 0."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

sys.path.append(str(Path(__file__).parent / "load"))
from serving_process import QUESTIONS
from users import ask

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


def test_what_the_scripts_users_ask_is_answered(app_url):
    async def answer() -> float | int:
        async with httpx.AsyncClient(base_url=app_url, timeout=60) as http:
            return await ask(http, QUESTIONS["app"])

    assert isinstance(asyncio.run(answer()), float)  # seconds; a refusal is its status
