"""What every answer carries, so that no other site frames, sniffs or feeds the page; what of a request is believed."""

from nystrom_demo.serving.identity import Scope
from nystrom_demo.serving.settings import Settings


def security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """What every answer carries. Gradio's pages need inline scripts and `new Function`; nothing needs another host."""
    frames = " ".join(settings.frame_ancestors) or "'none'"
    policy = (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
        f"form-action 'self'; frame-ancestors {frames}"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
        "cross-origin-resource-policy": "same-origin",
    }
    if not settings.frame_ancestors:
        headers["x-frame-options"] = "DENY"
    return [(key.encode(), value.encode()) for key, value in headers.items()]


def trusted_headers(scope: Scope, proxy_hops: int) -> list[tuple[bytes, bytes]]:
    """A request's headers without those by which anyone could tell gradio another address for the page: its own, and
    those that only a proxy in front may set."""
    forged = (b"x-gradio-",) if proxy_hops else (b"x-gradio-", b"x-forwarded-", b"forwarded")
    return [(key, value) for key, value in scope["headers"] if not key.lower().startswith(forged)]
