"""What the browser's modules are held to is what the package computes now; run tests/web_golden.py where it is not."""

import json
import math
from typing import Any

import pytest
from web_golden import FOLDER, GOLDEN


def same(found: Any, written: Any) -> bool:
    """Alike, numbers within a millionth of the largest beside them."""
    if isinstance(written, dict):
        return found.keys() == written.keys() and all(same(found[name], written[name]) for name in written)
    if isinstance(written, list):
        if written and all(isinstance(x, float) for x in written):
            size = max(1.0, *map(abs, written))
            return len(found) == len(written) and all(
                abs(a - b) <= 1e-6 * size for a, b in zip(found, written, strict=True)
            )
        return len(found) == len(written) and all(map(same, found, written))
    if isinstance(written, float):
        return math.isclose(found, written, rel_tol=1e-6, abs_tol=1e-6)
    return found == written


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_written_is_what_the_package_computes(name):
    written = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = GOLDEN[name]()
    assert found.keys() == written.keys()
    for part, wanted in written.items():
        if isinstance(wanted, list):
            assert len(found[part]) == len(wanted)
            for ours, theirs in zip(found[part], wanted, strict=True):
                assert same(json.loads(json.dumps(ours)), theirs), f"{ours} is not what is written"
        else:
            assert same(json.loads(json.dumps(found[part])), wanted)
