"""What every answer carries, so that no other site frames, sniffs or feeds the page."""

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
