"""Walks through the app in a real Chromium: every tab, by mouse and keyboard, wide and on a phone, light and dark.

The `open_page` fixture asserts that no page called out or logged an error.
"""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import PHONE, go_to

pytestmark = pytest.mark.browser

SHOWN = {
    "Learn": "#learn-text h2, #learn-text h3",
    "Tasks": "#tasks-answer .verdict",
    "Attention": "#attention-viewer canvas",
    "Error": "#error-lead .verdict",
    "Time": "#time-lead p",
}


def set_landmarks(page, name: str, said: str) -> None:
    page.click(f"#bench-m-{name}")
    page.wait_for_selector(f"#tasks-answer h3:has-text('{said}')")


def serious_violations(page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_the_page_opens_on_a_complete_example(open_page):
    page = open_page()
    page.wait_for_selector(SHOWN["Learn"])
    assert re.search(r"\d+ tokens, 16 landmarks: one for [\d.]+ tokens", page.inner_text("#bench-readout"))
    assert page.locator("#bench-example label.selected").inner_text() == "Film review"


def violations_at_rest(page, tries: int = 10) -> list[str]:
    """What axe finds once the page rests: gradio fades a line for a moment while it fetches its successor."""
    found = serious_violations(page)
    for _ in range(tries):
        if not found:
            break
        page.wait_for_timeout(500)
        found = serious_violations(page)
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_tab_has_a_serious_barrier(open_page, theme):
    page = open_page(theme=theme)
    for tab, shown in SHOWN.items():
        go_to(page, tab, shown)
        if tab == "Tasks":  # gradio shows an empty figure without a name until plotly has come
            page.wait_for_selector("#tasks-curve .js-plotly-plot")
        if tab == "Error":
            page.wait_for_selector("#error-against .js-plotly-plot")
        assert violations_at_rest(page) == [], tab


def test_dark_mode_is_dark(open_page):
    page = open_page(theme="dark")
    channels = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert max(int(channel) for channel in channels[:3]) < 60


def test_a_phone_shows_every_tab_without_scrolling_sideways(open_page):
    page = open_page(viewport=PHONE)
    assert not page.locator("#bench-text textarea").is_visible()
    assert page.locator("#bench-landmarks").is_visible()
    for tab, shown in SHOWN.items():
        if not page.get_by_role("tab", name=tab, exact=True).is_visible():
            page.locator("#tabs .overflow-menu button").first.click()
        go_to(page, tab, shown)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], tab


def test_m_changes_the_answer_and_m_of_n_is_exact(open_page):
    page = open_page()
    go_to(page, "Tasks", SHOWN["Tasks"])
    set_landmarks(page, "4", "4 landmarks")
    four = page.inner_text("#tasks-answer .landmark")
    set_landmarks(page, "64", "64 landmarks")
    assert page.inner_text("#tasks-answer .landmark") != four
    set_landmarks(page, "exact", "exact as well")
    exact, landmark = (page.inner_text(f"#tasks-answer .{side} .bars") for side in ("exact", "landmark"))
    assert exact == landmark
    assert "attended exactly" in page.inner_text("#bench-readout")


def test_the_slider_moves_by_keyboard(open_page):
    page = open_page()
    go_to(page, "Tasks", SHOWN["Tasks"])
    page.focus("#bench-landmarks input[type=range]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tasks-answer h3:has-text('17 landmarks')")
