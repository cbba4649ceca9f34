"""Which addresses the server has, and by which methods; all others do not exist."""

import re
from typing import Any

API = "/gradio_api"
PATH_CHARS, PART_CHARS, QUERY_CHARS = 1_024, 250, 16_384
NAME = r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})"
ROUTES = tuple(
    (frozenset(methods.split()), re.compile(pattern, re.ASCII), kind)
    for methods, pattern, kind in (
        ("GET HEAD", r"/", "page"),
        ("GET HEAD", r"/(static|assets|svelte)/[\w./@+-]{1,255}", "page"),
        ("GET HEAD", r"(/gradio_api)?/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/config/?", "page"),
        ("GET HEAD", r"/web/[\w./-]{1,255}", "page"),
        ("GET HEAD", API + r"/(info/?|app_id|startup-events)", "page"),
        ("GET HEAD", API + r"/file=.{1,1000}", "page"),
        ("GET", API + r"/heartbeat/[\w-]{1,64}", "stream"),
        ("GET", API + r"/queue/data", "stream"),
        ("GET", API + rf"/call/{NAME}/[\w-]{{1,64}}", "stream"),
        ("POST", API + rf"/call/{NAME}/?", "call"),
        ("POST", API + r"/queue/join", "join"),
        ("POST", API + r"/run/predict/?", "run"),
        ("POST", API + r"/cancel", "cancel"),
        ("POST", API + r"/reset/?", "reset"),
    )
)
MCP = re.compile(API + r"/mcp(/http)?/?", re.ASCII)
MCP_ROUTES = ((frozenset(("GET",)), MCP, "stream"), (frozenset(("POST", "DELETE")), MCP, "mcp"))


class Denied(Exception):
    """An answer that the guard gives itself: a status and a sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def find_route(scope: dict[str, Any], routes: tuple) -> tuple[str, str | None]:
    """(kind of the request, name of the endpoint that its address holds); Denied where there is no such route."""
    path, method = scope["path"], scope["method"]
    if len(path) > PATH_CHARS or len(scope["query_string"]) > QUERY_CHARS:
        raise Denied(414, "The address is too long.")
    bad = not path.isprintable() or ".." in path or any(len(part) > PART_CHARS for part in path.split("/"))
    methods = set()
    for allowed, pattern, kind in () if bad else routes:
        match = pattern.fullmatch(path)
        if match and method in allowed:
            return kind, match.groupdict().get("name")
        if match:
            methods |= allowed
    if methods:
        raise Denied(405, f"This address takes {', '.join(sorted(methods))}.")
    raise Denied(404, "There is no such address.")
