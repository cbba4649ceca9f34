"""The Dockerfile's copies are there, .dockerignore lets them in, and it listens where it is asked for its health."""

import re
from pathlib import Path

from nystrom_demo.serving.routes import HEALTH
from nystrom_demo.serving.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]


def test_what_is_copied_is_there_and_let_in():
    copied = {source for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M) for source in line.split()}
    assert copied == {line[1:] for line in IGNORED if line[0] == "!"}
    assert all((ROOT / source).exists() for source in copied)
    assert IGNORED[0] == "*"


def test_it_serves_all_addresses_as_a_user_without_rights_and_its_health_is_asked_there():
    variables = dict(re.findall(r"(NYSTROM_DEMO_\w+)=(\S+)", DOCKERFILE))
    settings = Settings.from_env(variables)
    assert not settings.loopback_only
    ((port, path),) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", DOCKERFILE)
    assert int(port) == settings.port and path in HEALTH
    assert re.search(r"^EXPOSE (\d+)$", DOCKERFILE, re.M)[1] == port
    assert re.search(r"^USER (?!root)\w+$", DOCKERFILE, re.M)
