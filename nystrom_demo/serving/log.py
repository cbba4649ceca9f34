"""The server's log: one JSON object a line on standard error, and never a visitor's words in it."""

import hashlib
import json
import logging
import os
import sys
import time
import traceback
from typing import Any, TextIO

_SALT = os.urandom(16)  # new with each process, so that a log can tell clients apart and nobody can tell who they were

logger = logging.getLogger("nystrom_demo.serving")


class Lines(logging.Formatter):
    """A record as a line. Of what a library says only where it said it: its words may quote a visitor or a file."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == logger.name:
            return record.getMessage()
        values = {"logger": record.name, "level": record.levelname.lower(), "where": f"{record.module}:{record.lineno}"}
        if record.name.startswith("uvicorn") and not record.exc_info:
            values["message"] = str(record.msg)[:200]  # without its arguments
        if record.exc_info and record.exc_info[1] is not None:
            values["trace"] = trace_of(record.exc_info[1])
        return _line("library", values)


class Printed:
    """Standard error for those that print there: of a line that is none of ours it is told where it was printed."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        if text.strip():
            caller = sys._getframe(1)
            where = f"{os.path.basename(caller.f_code.co_filename)}:{caller.f_lineno}"
            self._stream.write(_line("printed", {"where": where}) + "\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def start_logging() -> None:
    """Send the server's lines to standard error, once, and what libraries log in lines of their own kind."""
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.captureWarnings(True)
    logging.getLogger().addHandler(handler)
    for name in ("transformers", "huggingface_hub"):  # which have handlers of their own, that write plain text
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True


def own_standard_error() -> None:
    """Let nothing that Python code prints into the log. For a process that is the server's alone."""
    if not isinstance(sys.stderr, Printed):
        sys.stderr = Printed(sys.stderr)


def log(event: str, **values: Any) -> None:
    """One line: the time, the event's name and its values. Values are numbers, names of ours, and statuses."""
    logger.info(_line(event, values))


def _line(event: str, values: dict[str, Any]) -> str:
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **values}
    return json.dumps(line, ensure_ascii=True, default=str)


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
