"""What a host may set, all by environment variables, with defaults for a laptop and for a Space."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from nystrom_demo.checkpoints.bundled import BOX_VARIABLE
from nystrom_demo.errors import UserError
from nystrom_demo.limits.budget import TEXT_CHARS, TEXT_TOKENS

PREFIX = "NYSTROM_DEMO_"
DEVICES = ("auto", "cpu", "cuda", "mps")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HUB_PAGES = "https://huggingface.co"  # shows a Space in a frame


def _number(kind: type, low: float, high: float) -> Callable[[str, str], float]:
    def parse(name: str, text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            raise UserError(f"{name} must be {noun} from {low} to {high}, got {text[:200]!r}.")
        return value

    return parse


def _switch(name: str, text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise UserError(f"{name} must be on or off, got {text[:200]!r}.")
    return words[text.lower()]


def _names(name: str, text: str) -> tuple[str, ...]:
    names = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for part in names:
        if not part.startswith(("http://", "https://")) or any(c.isspace() or c in ";'\"" for c in part):
            raise UserError(f"{name} must list origins such as https://example.org, got {part[:200]!r}.")
    return names


def _device(name: str, text: str) -> str:
    kind, colon, number = text.partition(":")
    if kind not in DEVICES or (colon and (kind != "cuda" or not number.isdecimal())):
        raise UserError(f"{name} must be one of {', '.join(DEVICES)}, or as cuda:1, got {text[:200]!r}.")
    return text


def _folder(name: str, text: str) -> str:
    if not Path(text).is_dir():
        raise UserError(f"{name} must be a folder, got {text[:200]!r}.")
    return text


def _host(name: str, text: str) -> str:
    """A name or address, of IPv6 without the brackets that stand around it in a URL."""
    host = text.removeprefix("[").removesuffix("]")
    if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:.]+(%\w+)?", host, re.ASCII):
        raise UserError(f"{name} must be a host name or an address such as 0.0.0.0 or ::1, got {text[:200]!r}.")
    return host


def _path(name: str, text: str) -> str:
    path = "/" + text.strip("/")
    if path == "/":
        return ""
    if not re.fullmatch(r"(/[\w.~-]+)+", path, re.ASCII) or "/.." in path:
        raise UserError(f"{name} must be a path such as /attention, got {text[:200]!r}.")
    return path


def _setting(default: Any, parse: Callable[[str, str], Any], meaning: str, shown: str = "") -> Any:
    """A field with what reads its variable, what it sets, and how its default is written where that is not as it is."""
    return field(default=default, metadata={"parse": parse, "meaning": meaning, "shown": shown})


@dataclass(frozen=True)
class Settings:
    """Every limit and switch of the server. `Settings.from_env()` reads NYSTROM_DEMO_<FIELD>, e.g. NYSTROM_DEMO_PORT;
    `settings_table()` says what each sets."""

    host: str = _setting("127.0.0.1", _host, "address to listen at", "127.0.0.1, or GRADIO_SERVER_NAME [0.0.0.0]")
    port: int | None = _setting(None, _number(int, 1, 65_535), "port", "first free from 7860 [7860]")
    root_path: str = _setting("", _path, "path at which a proxy in front serves the app, as `/attention`", "none")
    device: str = _setting("auto", _device, "`auto` (cuda where there is one, else cpu), `cpu`, `cuda`, `mps`")
    threads: int = _setting(0, _number(int, 0, 1_024), "torch threads", "one a core [at most 2]")
    workers: int = _setting(2, _number(int, 1, 64), "heavy requests that run at once")
    queue: int = _setting(96, _number(int, 1, 10_000), "requests that run or wait; more get 503")
    queue_per_client: int = _setting(64, _number(int, 1, 10_000), "of those, one address")
    queue_per_session: int = _setting(16, _number(int, 1, 10_000), "of those, one open page")
    memory_gb: float = _setting(
        0.0,
        _number(float, 0, 65_536),
        "what all requests may take together (container, RAM or GPU memory)",
        "80 % of what is free",
    )
    request_seconds: float = _setting(
        10.0,
        _number(float, 0, 86_400),
        "seconds of a worker that one step of a request may be estimated at; more is refused, 0 for no limit",
    )
    deadline_seconds: float = _setting(
        300.0, _number(float, 0, 86_400), "seconds that a whole request may take; it is ended between steps then"
    )
    text_chars: int = _setting(TEXT_CHARS, _number(int, 1, 10_000_000), "longest text in characters")
    text_tokens: int = _setting(TEXT_TOKENS, _number(int, 1, 10_000_000), "longest text in word pieces")
    body_kb: int = _setting(512, _number(int, 1, 1_048_576), "largest request body; more gets 413")
    sessions: int = _setting(
        1_000,
        _number(int, 1, 1_000_000),
        "pages whose controls' last values are kept; the one unused longest is forgotten first, and told to reload",
    )
    unread_mb: int = _setting(
        64,
        _number(int, 1, 65_536),
        "what all pages' answers may take until they are read, an eighth of it one page's; what pages that left did not"
        " read goes first, and a page that does not read is refused",
    )
    streams: int = _setting(1_000, _number(int, 1, 1_000_000), "open event streams; more get 503")
    streams_per_client: int = _setting(400, _number(int, 1, 1_000_000), "of those, one address")
    connections: int = _setting(
        2_000,
        _number(int, 1, 1_000_000),
        "open connections, or fewer where the process may have few files open; the oldest that waits for a request "
        "makes room",
    )
    connections_per_client: int = _setting(
        512, _number(int, 1, 1_000_000), "of those, one address; where a proxy is in front, it sees to that"
    )
    proxy_hops: int = _setting(0, _number(int, 0, 16), "proxies in front that append to `X-Forwarded-For`", "0 [1]")
    origins: tuple[str, ...] = _setting(
        (), _names, "further origins whose pages may call the server, comma-separated", "none [the Space's]"
    )
    frame_ancestors: tuple[str, ...] = _setting(
        (), _names, "pages that may show the app in a frame", "none [the Space's own and huggingface.co]"
    )
    hub: bool = _setting(
        True,
        _switch,
        "whether visitors may name a checkpoint on the Hub",
        "on where this machine only is served, else off",
    )
    pickles: bool = _setting(
        False, _switch, "whether weights that are only there as `pytorch_model.bin` are read", "off"
    )
    checkpoint_root: str = _setting("", _folder, "folder whose own folders visitors may choose as checkpoints", "none")
    mcp: bool = _setting(False, _switch, "whether the named endpoints are MCP tools too (needs `gradio[mcp]`)", "off")
    metrics: bool = _setting(
        True, _switch, "whether `/metrics` tells Prometheus", "on where this machine only is served, else off"
    )
    space: bool = False  # whether this is a Space; read from SPACE_ID, which Spaces set

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that the environment asks for. UserError, naming the variable, for one that makes no sense."""
        variables = {PREFIX + each.name.upper(): each for each in fields(cls) if each.metadata}
        known = {*variables, BOX_VARIABLE}
        unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
        if unknown:
            raise UserError(f"{unknown[0]} is no setting. Settings are {', '.join(sorted(known))}.")
        space = bool(environment.get("SPACE_ID"))
        values: dict[str, Any] = dict(_space_defaults(environment)) if space else {}
        if host := environment.get("GRADIO_SERVER_NAME", "").strip():  # gradio's own, as containers set it
            values["host"] = _host("GRADIO_SERVER_NAME", host)
        for name, each in variables.items():
            if text := environment.get(name, "").strip():
                values[each.name] = each.metadata["parse"](name, text)
        settings = cls(**values, space=space)
        hub = values.get("hub", settings.loopback_only)
        metrics = values.get("metrics", settings.loopback_only)
        per_client = min(settings.queue_per_client, settings.queue)
        return replace(settings, hub=hub, metrics=metrics, queue_per_client=per_client)

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine reaches the server, so that any other Host header is a rebinding trick."""
        return self.host in LOOPBACK and not self.origins and not self.proxy_hops


def settings_table() -> str:
    """The settings as a table in Markdown: variable, default, what it sets."""
    rows = [f"| `{BOX_VARIABLE}` | the bundled ones | folder with one checkpoint a task |"]
    for each in fields(Settings):
        if each.metadata:
            default = each.metadata["shown"] or each.default
            rows.append(f"| `{PREFIX}{each.name.upper()}` | {default} | {each.metadata['meaning']} |")
    return "\n".join(["| variable | default [Space] | what it sets |", "|---|---|---|", *rows])


def _space_defaults(environment: Mapping[str, str]) -> dict[str, Any]:
    host = environment.get("SPACE_HOST", "")
    return {
        "host": "0.0.0.0",
        "port": 7860,
        "proxy_hops": 1,
        "origins": (f"https://{host}",) if host else (),
        "frame_ancestors": (HUB_PAGES, *((f"https://{host}",) if host else ())),
    }
