"""Who sends a request: the client's address, the host it asks, the origin of the page that made it, its parameters.

The guard reads them once and writes the client into the request's scope. Gate, queue and log take it from there, so
that no two of them can read a header differently.
"""

import ipaddress
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from nystrom_demo.errors import UserError

Scope = dict[str, Any]
CLIENT = "nystrom_demo.client"
UNKNOWN = "unknown"
ENTRY_CHARS = 64  # of an entry of X-Forwarded-For that is no address
IPV6_NETWORK = 64  # bits; whoever has an IPv6 address has a network of so many


def header_values(scope: Scope, name: bytes) -> list[str]:
    """A header's values, a line each, in the order they came; [] where it is missing."""
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def client_address(scope: Scope, proxy_hops: int) -> str:
    """The address a request came from: the peer, or the entry that the outermost of our own proxies appended.

    Lines of X-Forwarded-For are one list, in the order they came, without its empty members (RFC 9110, 5.2 and 5.6.1).
    """
    peer = scope.get("client")
    if proxy_hops:
        entries = ",".join(header_values(scope, b"x-forwarded-for")).split(",")
        forwarded = [entry.strip() for entry in entries if entry.strip()]
        if forwarded:
            return _same_for_one_client(forwarded[-min(proxy_hops, len(forwarded))])
    return _same_for_one_client(peer[0]) if peer and peer[0] else UNKNOWN


def client_of(request: Any) -> str:
    """The client of a request that came through the guard: a gr.Request, gradio's of an event, or None."""
    scope = getattr(getattr(request, "request", None) or request, "scope", None)
    return scope.get(CLIENT, UNKNOWN) if isinstance(scope, dict) else UNKNOWN


def parameters(scope: Scope) -> dict[str, str]:
    """The query's parameters. UserError for one that comes twice, of which others might read another."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise UserError(f"Each parameter of an address may come once, got {len(repeated)} that came more often.")
    return dict(pairs)


def hostname(scope: Scope) -> str:
    """The name of the one host that is asked, without its port; "" where none, several or no proper one is."""
    hosts = header_values(scope, b"host")
    return _parts(f"//{hosts[0]}")[1] if len(hosts) == 1 else ""


def is_foreign(scope: Scope, allowed: tuple[str, ...]) -> bool:
    """Whether a page of another origin sent this: one that is neither the host asked for nor `allowed`."""
    origins, hosts = header_values(scope, b"origin"), header_values(scope, b"host")
    if not origins:
        return False
    if len(origins) > 1 or len(hosts) != 1:
        return True
    netloc, name = _parts(origins[0])
    own = bool(name) and netloc.lower() == hosts[0].lower()
    return not own and origins[0] not in allowed


def _parts(address: str) -> tuple[str, str]:
    """(network location, host name) of an address; empty ones where it is none."""
    try:
        parts = urlsplit(address)
        return parts.netloc, parts.hostname or ""
    except ValueError:  # as http://[ is
        return "", ""


def _same_for_one_client(entry: str) -> str:
    """One text for each client: an address without its port, of IPv6 the network; what is no address, shortened."""
    host = _parts(f"//{entry}")[1] if entry.startswith("[") or entry.count(":") == 1 else entry
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return entry[:ENTRY_CHARS]
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    if address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((int(address), IPV6_NETWORK), strict=False))
