"""The whole app in a real Chromium: fixtures that conftest.py takes up, and a watch on what a page must not do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from waiting import wait_until

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
TIMEOUT_MS = 60_000
NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclass
class Watch:
    """What a page did that it should not do."""

    origin: str
    external: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def follow(self, page) -> None:
        page.on("request", lambda request: self._note_request(request.url))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._note_dialog)

    def _note_request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.external.append(url)

    def _note_dialog(self, dialog) -> None:
        self.errors.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()


@contextmanager
def serving(demo, settings=None, ready_check: Callable[[], object] = lambda: None, **look) -> Iterator[Any]:
    """The demo while it serves; on leaving, its watch is stopped and what it still computes has ended.

    A thread that computes while the interpreter ends aborts the process.
    """
    from nystrom_demo.serving.launch import start
    from nystrom_demo.serving.settings import Settings

    gate, readiness = start(demo, settings or Settings(), ready_check=ready_check, **look)
    try:
        yield demo
    finally:
        readiness.stop()
        demo.close(verbose=False)
        wait_until(lambda: not gate.running and not gate.waiting())


@pytest.fixture(scope="session")
def app_url(tiny_checkpoints) -> Iterator[str]:
    """Address of the whole app on the tiny checkpoints, behind the guard that app.py launches it with."""
    from nystrom_demo.tasks import classify
    from nystrom_demo.ui.page import LOOK, build_app

    checkpoint = tiny_checkpoints["sequence-classification"]
    with serving(build_app(tiny_checkpoints), ready_check=lambda: classify(checkpoint, "x"), **LOOK) as demo:
        yield demo.local_url


def new_page(chromium, url: str, watch: Watch, query: str = "", viewport: dict = WIDE, theme: str = "light"):
    """A loaded page of the app in a fresh browser context, watched."""
    page = chromium.new_context(viewport=viewport, color_scheme=theme).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    watch.follow(page)
    page.goto(f"{url}?__theme={theme}{query}")
    page.wait_for_selector("#tabs [role=tab]")
    return page


@pytest.fixture
def open_page(chromium, app_url) -> Iterator:
    """open_page(query="", viewport=WIDE, theme="light") → a loaded page; none may call out or log an error."""
    watch = Watch(app_url)
    contexts = []

    def open_one(query: str = "", viewport: dict = WIDE, theme: str = "light"):
        page = new_page(chromium, app_url, watch, query, viewport, theme)
        contexts.append(page.context)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert watch.external == []
    assert watch.errors == []


def go_to(page, tab: str, shown: str) -> None:
    """Open a tab and wait until a selector shows that it is filled."""
    page.get_by_role("tab", name=tab, exact=True).click()
    page.wait_for_selector(shown)
