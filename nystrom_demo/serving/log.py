"""The server's log: one JSON object a line on standard error, and never a visitor's words in it."""

import hashlib
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

_SALT = os.urandom(16)  # new with each process, so that a log can tell clients apart and nobody can tell who they were

logger = logging.getLogger("nystrom_demo.serving")


def start_logging() -> None:
    """Send the server's lines to standard error, once."""
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def log(event: str, **values: Any) -> None:
    """One line: the time, the event's name and its values. Values are numbers, names of ours, and statuses."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **values}
    logger.info(json.dumps(line, ensure_ascii=True, default=str))


def client_tag(address: str) -> str:
    """Eight letters that stand for a client's address in this process's log."""
    return hashlib.blake2s(address.encode(errors="replace"), key=_SALT, digest_size=4).hexdigest()


def trace_of(error: BaseException) -> list[str]:
    """Where an error came from: its types and the frames, without its message, which may quote a visitor."""
    lines = []
    while error is not None:
        lines.append(type(error).__name__)
        frames = traceback.extract_tb(error.__traceback__)[-12:]
        lines += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or error.__context__
    return lines[:60]
