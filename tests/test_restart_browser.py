"""A page left open in a real browser says that the server has gone, and that it has restarted."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "load"))
from browser import TIMEOUT_MS
from serving_process import start_app

pytestmark = pytest.mark.browser

LOOK_NOW = "document.dispatchEvent(new Event('visibilitychange'))"  # as when its tab comes to the front


def look_now(page) -> None:
    """Have the page ask for the server's id, and wait until it has read it."""
    with page.expect_response("**/app_id") as answer:
        page.evaluate(LOOK_NOW)
    answer.value.finished()


def test_a_page_left_open_says_that_the_server_restarted(chromium, tmp_path):
    app = start_app("small", tmp_path)
    page = chromium.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    try:
        page.goto(app.url)
        page.wait_for_selector("#go")
        look_now(page)
        assert page.locator("#server-note").count() == 0
        app.process.kill()
        app.process.wait()
        for _ in range(2):
            with page.expect_event("requestfailed"):
                page.evaluate(LOOK_NOW)
        page.get_by_text("The server does not answer.").wait_for()
        app = start_app("small", tmp_path, int(app.url.rpartition(":")[2]))
        page.evaluate(LOOK_NOW)
        page.get_by_text("The server has restarted since this page was opened.").wait_for()
        with page.expect_event("load"):
            page.get_by_role("button", name="Reload the page").click()
        page.wait_for_selector("#go")
        look_now(page)
        page.get_by_role("button", name="Go").click()
        page.wait_for_function("document.querySelector('#answer textarea').value === 'one two'")
        assert page.locator("#server-note").count() == 0
    finally:
        page.close()
        app.process.kill()
        app.process.wait()
