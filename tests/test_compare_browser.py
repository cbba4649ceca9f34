"""The Compare tab in a real Chromium: figure, sentence and answers, one request for a change, and what a key does."""

import pytest
from browser import go_to
from playwright.sync_api import expect
from waiting import in_time

pytestmark = pytest.mark.browser

ANSWERS = "#compare-answers tbody tr"


def test_the_tab_shows_its_comparison_and_a_change_is_one_request(open_page):
    page = open_page()
    go_to(page, "Compare", "#compare-answers table")
    expect(page.locator("#compare-lead .verdict")).to_contain_text("Layer 1, head 1. At m = ")
    expect(page.locator(ANSWERS)).to_have_count(7)  # exact attention and the six of the beginning
    for figure in ("budget", "cost"):
        expect(page.locator(f"#compare-{figure} .js-plotly-plot")).to_be_visible()
    in_time(lambda: page.evaluate("window.pageState.busy()"), False)
    asked = []
    page.on("request", lambda request: request.method == "POST" and "/queue/join" in request.url and asked.append(1))

    section = page.get_by_role("button", name="Choose among")
    section.focus()
    page.keyboard.press("Enter")
    agent = page.get_by_role("checkbox", name="agent attention")
    agent.focus()
    page.keyboard.press("Space")
    expect(page.locator(ANSWERS)).to_have_count(6)
    assert in_time(lambda: page.evaluate("window.pageState.busy()"), False) is False
    assert len(asked) == 1

    page.locator("#compare-error-choice label").nth(1).click()
    expect(page.locator("#compare-lead .verdict")).to_contain_text("relative error of the output")
    assert in_time(lambda: page.evaluate("window.pageState.busy()"), False) is False
    assert len(asked) == 2
