"""Whatever a visitor sends, the server opens no connection and writes no file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def has_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not has_namespaces(), reason="unshare -rn and ip, for a network of its own, are not permitted here")
def test_no_route_handler_endpoint_or_component_opens_a_connection_or_writes_a_file(tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "GRADIO_TEMP_DIR": str(tmp_path / "cache")}
    environment |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = ["unshare", "-rn", sys.executable, str(TESTS / "outgoing.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["bare calls"] >= 2 and seen["bare files"] >= 1  # gradio alone does both
    assert seen["calls"] == [] and seen["files"] == []
    assert sum(seen["statuses"].values()) > 500 and not {"500", "502"} & seen["statuses"].keys()
