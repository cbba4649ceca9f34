"""The browser's modules, served from an exact list."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

FOREVER = {"cache-control": "public, max-age=31536000, immutable"}  # their names change with their content


class WebModules:
    """An ASGI middleware that answers /web/<name> for each name of `modules`; all else goes to `app`."""

    def __init__(self, app: Callable, modules: Mapping[str, bytes]):
        self.app = app
        self.answers = {
            f"/web/{name}": Response(content, media_type="text/javascript", headers=FOREVER)
            for name, content in modules.items()
        }

    async def __call__(self, scope: dict[str, Any], receive: Callable, send: Callable) -> None:
        answer = self.answers.get(scope["path"]) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)
