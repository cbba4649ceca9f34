"""What a host may set, all by environment variables, with defaults for a laptop and for a Space."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from nystrom_demo.checkpoints.bundled import BOX_VARIABLE
from nystrom_demo.limits.budget import TEXT_CHARS, TEXT_TOKENS

PREFIX = "NYSTROM_DEMO_"
DEVICES = ("auto", "cpu", "cuda", "mps")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SPACES_FRAMES = ("https://huggingface.co", "https://*.hf.space")


@dataclass(frozen=True)
class Settings:
    """Every limit and switch of the server. `Settings.from_env()` reads NYSTROM_DEMO_<FIELD>, e.g. NYSTROM_DEMO_PORT.

    host, port: where to listen; port None takes the first free one from 7860.
    device: "auto" is cuda where there is one, else cpu.
    threads: torch threads; 0 for one a core, at most two on a Space's processor.
    workers: heavy requests that run at once.
    queue: requests that run or wait; more are refused with 503.
    queue_per_client, queue_per_session: how many of those one address and one open page may have.
    memory_gb: what all workers' requests may take together; 0 for what the machine has free, less a reserve.
    text_chars, text_tokens: the longest text, in characters and in word pieces.
    body_kb: the largest request body.
    sessions: pages whose last values are kept; one that is no longer among them is told to reload.
    streams, streams_per_client: open event streams, of which a page has one or two, in all and of one address; more are
    refused with 503.
    proxy_hops: proxies in front that append to X-Forwarded-For; the client is that many entries from its right end.
    origins: further origins whose pages may call the server, comma-separated, as `https://example.org`.
    frame_ancestors: pages that may show the app in a frame; none by default, those of Spaces on a Space.
    hub: whether a visitor may name a checkpoint on the Hub; by default where this machine only is served.
    pickles: whether such a checkpoint's weights are read where they are only there as pytorch_model.bin.
    checkpoint_root: the folder under which a visitor may name a checkpoint; empty for none.
    mcp: whether the named endpoints are also MCP tools (needs `gradio[mcp]`).
    space: whether this is a Space; read from SPACE_ID, which Spaces set.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    device: str = "auto"
    threads: int = 0
    workers: int = 2
    queue: int = 96
    queue_per_client: int = 64
    queue_per_session: int = 16
    memory_gb: float = 0.0
    text_chars: int = TEXT_CHARS
    text_tokens: int = TEXT_TOKENS
    body_kb: int = 512
    sessions: int = 1_000
    streams: int = 1_000
    streams_per_client: int = 400
    proxy_hops: int = 0
    origins: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()
    hub: bool = True
    pickles: bool = False
    checkpoint_root: str = ""
    mcp: bool = False
    space: bool = False

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that the environment asks for. ValueError, naming the variable, for one that makes no sense."""
        known = {PREFIX + field.name.upper() for field in fields(cls)} | {BOX_VARIABLE}
        unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
        if unknown:
            raise ValueError(f"{unknown[0]} is no setting. Settings are {', '.join(sorted(known))}.")
        space = bool(environment.get("SPACE_ID"))
        values: dict[str, Any] = dict(_space_defaults(environment)) if space else {}
        for field in fields(cls):
            text = environment.get(PREFIX + field.name.upper(), "").strip()
            if text and field.name != "space":
                values[field.name] = _PARSERS[field.name](PREFIX + field.name.upper(), text)
        settings = cls(**values, space=space)
        hub = values.get("hub", settings.loopback_only)
        return replace(settings, hub=hub, queue_per_client=min(settings.queue_per_client, settings.queue))

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine reaches the server, so that any other Host header is a rebinding trick."""
        return self.host in LOOPBACK and not self.origins and not self.proxy_hops


def _space_defaults(environment: Mapping[str, str]) -> dict[str, Any]:
    host = environment.get("SPACE_HOST", "")
    return {
        "host": "0.0.0.0",
        "port": 7860,
        "proxy_hops": 1,
        "origins": (f"https://{host}",) if host else (),
        "frame_ancestors": SPACES_FRAMES,
    }


def _number(kind: type, low: float, high: float) -> Callable[[str, str], float]:
    def parse(name: str, text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            raise ValueError(f"{name} must be {noun} from {low} to {high}, got {text[:200]!r}.")
        return value

    return parse


def _switch(name: str, text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f"{name} must be on or off, got {text[:200]!r}.")
    return words[text.lower()]


def _names(name: str, text: str) -> tuple[str, ...]:
    names = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for part in names:
        if not part.startswith(("http://", "https://")) or any(c.isspace() or c in ";'\"" for c in part):
            raise ValueError(f"{name} must list origins such as https://example.org, got {part[:200]!r}.")
    return names


def _device(name: str, text: str) -> str:
    kind, colon, number = text.partition(":")
    if kind not in DEVICES or (colon and (kind != "cuda" or not number.isdecimal())):
        raise ValueError(f"{name} must be one of {', '.join(DEVICES)}, or as cuda:1, got {text[:200]!r}.")
    return text


def _folder(name: str, text: str) -> str:
    if not Path(text).is_dir():
        raise ValueError(f"{name} must be a folder, got {text[:200]!r}.")
    return text


def _string(name: str, text: str) -> str:
    return text


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "host": _string,
    "port": _number(int, 1, 65_535),
    "device": _device,
    "threads": _number(int, 0, 1_024),
    "workers": _number(int, 1, 64),
    "queue": _number(int, 1, 10_000),
    "queue_per_client": _number(int, 1, 10_000),
    "queue_per_session": _number(int, 1, 10_000),
    "memory_gb": _number(float, 0, 65_536),
    "text_chars": _number(int, 1, 10_000_000),
    "text_tokens": _number(int, 1, 10_000_000),
    "body_kb": _number(int, 1, 1_048_576),
    "sessions": _number(int, 1, 1_000_000),
    "streams": _number(int, 1, 1_000_000),
    "streams_per_client": _number(int, 1, 1_000_000),
    "proxy_hops": _number(int, 0, 16),
    "origins": _names,
    "frame_ancestors": _names,
    "hub": _switch,
    "pickles": _switch,
    "checkpoint_root": _folder,
    "mcp": _switch,
}
