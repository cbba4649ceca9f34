"""What is pinned: the lock file holds each requirement at its version, and a hash for all that is installed."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.M)


def pins(*names: str) -> dict[str, str]:
    return {
        package.lower().replace("_", "-"): version
        for name in names
        for package, version in PIN.findall((ROOT / name).read_text())
    }


def test_the_lock_file_holds_each_requirement_at_its_version():
    locked, asked = pins("tests/requirements.lock"), pins("requirements.txt", "tests/requirements.txt")
    assert len(asked) > 10 and len(locked) > 80
    assert {name: locked.get(name) for name in asked} == asked


def test_all_that_the_lock_file_installs_has_a_hash():
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / "tests/requirements.lock").read_text())[1:]
    assert len(entries) == len(pins("tests/requirements.lock"))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
