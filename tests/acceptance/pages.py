"""A page in a real Chromium: what it transfers until it is at rest, and how long a click takes to be drawn.

Needs playwright and a chromium on the path, which the tests bring and the app does without.
"""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

PATIENCE_MS = 600_000
REST_MS = 2_500  # a page that asked for nothing for so long is at rest
VIEWER = "#attention-viewer [data-part=viewer]"
AT_REST = "() => !window.pageState.busy()"
# Clicks a head of the mosaic and waits for two frames after the viewer took up that head's numbers: it is drawn then.
REDRAW = """(head) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error(`Head ${head} was not drawn.`)), 60000);
  const viewer = document.querySelector('#attention-viewer [data-part=viewer]');
  const shown = viewer.dataset.shown;
  const began = performance.now();
  new MutationObserver((_, observer) => {
    if (viewer.dataset.shown === shown) return;
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done((performance.now() - began) / 1000)));
  }).observe(viewer, { attributes: true });
  document.querySelector(`#attention-mosaic .cell[data-head='${head}']`).click();
})"""

# Notes how long each move of a slider takes: from the page's first hearing of it until the frame that shows it is made.
NOTE_MOVES = """() => {
  window.moves = [];
  const made = new MessageChannel();
  made.port1.onmessage = ({ data }) => window.moves.push((performance.now() - data) / 1000);
  window.addEventListener('input', () => {
    const began = performance.now();
    requestAnimationFrame(() => made.port2.postMessage(began));
  }, { capture: true });
}"""


class Load(NamedTuple):
    """Seconds from the address to the page's own text field, and the bytes on the wire until it is at rest."""

    seconds: float
    num_bytes: int


def chromium_path() -> str | None:
    """Where chromium is; None where it or playwright is missing."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # only who measures pages loads it

    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=quiet)
        yield browser
        browser.close()


def load(browser: Any, url: str) -> Load:
    """One visit with an empty cache."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    received: list[int] = []
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda said: received.append(round(said["encodedDataLength"])))
    page.goto(url)
    page.wait_for_selector("textarea")
    seconds = page.evaluate("performance.now() / 1000")
    known = -1
    while known != len(received):
        known = len(received)
        page.wait_for_timeout(REST_MS)
    context.close()
    return Load(seconds, sum(received))


def redraws(browser: Any, url: str, text: str, repeats: int) -> list[float]:
    """Seconds from the click on another head of `text` to its drawn maps, the first click left out."""
    page = _open_maps(browser, url, text=text)
    heads = page.eval_on_selector_all("#attention-mosaic .cell", "cells => cells.map((cell) => cell.dataset.head)")
    order = [heads[(turn + 1) % len(heads)] for turn in range(repeats + 1)]  # the first head is shown
    seconds = []
    for head in order:
        seconds.append(page.evaluate(REDRAW, head))
        page.wait_for_function(AT_REST)
    page.context.close()
    return seconds[1:]


def dial(browser: Any, url: str, text: str, m: int, repeats: int) -> list[float]:
    """Seconds from a move of the slider of landmarks, about m, to its drawn maps, the first few moves left out."""
    page = _open_maps(browser, url, text=text, m=m)
    page.evaluate(NOTE_MOVES)
    page.locator("#sidebar-landmarks input[type=range]").focus()
    for turn in range(repeats + 3):
        page.keyboard.press("ArrowLeft" if turn % 2 else "ArrowRight")
        page.wait_for_function(f"window.moves.length === {turn + 1}")
    seconds = page.evaluate("window.moves")
    page.context.close()
    return seconds[3:]


def _open_maps(browser: Any, url: str, **link: Any) -> Any:
    """A page that a link opened on the Attention tab, its maps and its mosaic drawn."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}#{urlencode({'tab': 'attention'} | link)}")
    page.wait_for_selector(f"{VIEWER}[data-shown]")
    page.wait_for_selector("#attention-mosaic .cell[aria-busy=false]")
    page.wait_for_function(AT_REST)
    return page
