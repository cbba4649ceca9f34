"""The state of the page in a real Chromium: one request a change on every tab, links, reloads and Back, and what a
visitor typed or chose is never lost and never stands beside an answer to something else.
"""

import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from browser import NEXT_FRAME, go_to
from playwright.sync_api import expect
from waiting import in_time

pytestmark = pytest.mark.browser

LONG = "the old house by the river was long in the city where mary smith went to work " * 8
HEBREW = "שלום לכולם וברוכים הבאים"
HEBREW_FIRST = "() => getComputedStyle(document.querySelector('{}')).direction"
FILLED = {
    "Learn": "#learn-picture svg",
    "Tasks": "#tasks-answer .verdict",
    "Attention": "#attention-mosaic .cell[aria-busy=false]",
    "Error": "#error-mosaic .cell[aria-busy=false]",
    "Compare": "#compare-answers table",
    "Time": "#time-lead p",
}
SETTLED = "() => !window.pageState.busy() && !document.querySelector('#views').dataset.stale"


class Requests:
    """The page's requests for its tabs, as they are sent."""

    def __init__(self, page):
        self.page, self.sent, self.urls = page, [], []
        page.on("request", self._note)

    def _note(self, request) -> None:
        self.urls.append(request.url)
        if request.url.split("?")[0].endswith("/queue/join"):
            self.sent.append(json.loads(json.loads(request.post_data)["data"][0]))

    def of(self, change: Callable[[], object]) -> list[dict]:
        """What the page asks for after a change, once it is at rest."""
        at_rest(self.page)
        before = len(self.sent)
        change()
        self.page.wait_for_timeout(450)  # typing ends after 400 ms
        at_rest(self.page)
        return self.sent[before:]


def at_rest(page) -> None:
    page.wait_for_function(SETTLED)
    page.evaluate(NEXT_FRAME)
    page.wait_for_function(SETTLED)


def type_text(page, text: str) -> None:
    """Select all, and paste."""
    page.locator("#sidebar-text textarea").fill(text)


def quick(page, m: int) -> None:
    page.locator(f"#sidebar-quick input[value='{m}']").check(force=True)


def head(page, name: str) -> None:
    page.locator(f"#tasks-head label:has-text('{name}')").click()
    expect(page.locator("#tasks-head label.selected")).to_have_text(name)


def selected(page) -> str:
    return page.inner_text("#tabs [role=tab][aria-selected=true]").strip()


def test_a_change_is_one_request_on_each_tab(open_page):
    page = open_page()
    requests = Requests(page)
    text = page.locator("#sidebar-text textarea")
    for tab, filled in FILLED.items():
        go_to(page, tab, filled)
        sent = requests.of(lambda: text.press_sequentially(" so", delay=5))
        assert len(sent) == (0 if tab == "Time" else 1), (tab, [each["changed"] for each in sent])  # it reads no text
    assert len(requests.of(lambda: quick(page, 4))) == 1  # which it times
    go_to(page, "Tasks", FILLED["Tasks"])
    assert len(requests.of(lambda: page.locator("#sidebar-example input[value=news]").check(force=True))) == 1
    head(page, "Answers")
    assert len(requests.of(lambda: page.fill("#tasks-question textarea", "who went to work?"))) == 1
    go_to(page, "Attention", FILLED["Attention"])
    assert len(requests.of(page.locator("#attention-mosaic .cell").nth(4).click)) == 1
    go_to(page, "Error", FILLED["Error"])
    assert len(requests.of(page.locator("#error-measure label").nth(2).click)) == 1
    assert requests.of(lambda: go_to(page, "Attention", FILLED["Attention"])) == []  # it shows this state already
    assert not any("work" in url for url in requests.urls)


def test_the_chosen_m_survives_a_short_text(open_page):
    page = open_page("#tab=tasks&text=" + quote(LONG))
    at_rest(page)
    quick(page, 64)
    expect(page.locator("#sidebar-readout")).to_contain_text("64 landmarks")
    type_text(page, "")
    expect(page.locator("#sidebar-readout")).to_contain_text("exactly")
    expect(page.locator("#tasks-answer")).to_contain_text("There is no text yet")
    type_text(page, LONG)
    expect(page.locator("#sidebar-readout")).to_contain_text("64 landmarks")
    assert page.input_value("#sidebar-landmarks input[type=number]") == "64"
    assert page.locator("#sidebar-quick input:checked").get_attribute("value") == "64"


def test_a_reload_keeps_text_and_tab_and_back_leads_to_the_tab_before(open_page):
    page = open_page()
    go_to(page, "Tasks", FILLED["Tasks"])
    head(page, "Answers")
    type_text(page, "mary smith went to work by the river")
    page.fill("#tasks-question textarea", "who went?")
    go_to(page, "Attention", FILLED["Attention"])
    at_rest(page)
    page.reload()
    page.wait_for_selector(FILLED["Attention"])
    assert in_time(lambda: selected(page), "Attention") == "Attention"
    expect(page.locator("#sidebar-text textarea")).to_have_value("mary smith went to work by the river")
    page.go_back()
    assert in_time(lambda: selected(page), "Tasks") == "Tasks"
    expect(page.locator("#tasks-question textarea")).to_have_value("who went?")
    expect(page.locator("#tasks-head label.selected")).to_have_text("Answers")
    page.go_back()
    assert in_time(lambda: selected(page), "Learn") == "Learn"
    page.go_forward()
    assert in_time(lambda: selected(page), "Tasks") == "Tasks"


def test_a_copied_link_restores_every_heads_inputs(open_page):
    page = open_page()
    go_to(page, "Tasks", FILLED["Tasks"])
    type_text(page, "the cat sat by the river")
    head(page, "Answers")
    page.fill("#tasks-question textarea", "where?")
    head(page, "Choices")
    page.fill("#tasks-choices-question textarea", "what did it do?")
    page.fill("#tasks-options textarea", "it sat\nit ran")
    page.locator("#tasks-with-passage input").uncheck()
    head(page, "Masked words")
    page.locator("#tasks-board button", has_text="cat").click()
    page.wait_for_selector("#tasks-answer h4:has-text('cat')")
    quick(page, 0)
    at_rest(page)
    page.click("#permalink-copy")
    expect(page.locator("#permalink-note")).to_contain_text(re.compile("Copied|take the link from here"))
    link = page.input_value("#permalink-link input, #permalink-link textarea")
    other = open_page("#" + link.partition("#")[2])
    requests = Requests(other)
    other.wait_for_selector("#tasks-answer h4:has-text('cat')")
    expect(other.locator("#sidebar-readout")).to_contain_text("exactly")
    assert other.locator("#sidebar-quick input:checked").get_attribute("value") == "0"
    head(other, "Answers")
    expect(other.locator("#tasks-question textarea")).to_have_value("where?")
    head(other, "Choices")
    expect(other.locator("#tasks-choices-question textarea")).to_have_value("what did it do?")
    expect(other.locator("#tasks-options textarea")).to_have_value("it sat\nit ran")
    expect(other.locator("#tasks-with-passage input")).not_to_be_checked()
    assert "the%20cat" not in "".join(requests.urls)


def test_a_link_of_before_is_read_and_its_text_leaves_the_query(open_page):
    page = open_page("&tab=tasks&text=A+good+film.&m=3")
    page.wait_for_selector("#tasks-answer h3:has-text('3 landmarks')")
    expect(page.locator("#sidebar-text textarea")).to_have_value("A good film.")
    where = page.evaluate("({ search: location.search, hash: location.hash })")
    assert "text" not in where["search"] and "__theme" in where["search"] and "A+good+film." in where["hash"]
    quick(page, 0)
    assert in_time(lambda: page.evaluate("location.hash"), "") == ""  # it no longer says what the page shows


def test_a_question_is_answered_without_enter_and_the_old_verdict_is_gone_at_once(open_page):
    page = open_page("#tab=tasks&task=question-answering&example=passage")
    verdict = page.locator("#tasks-answer .verdict")
    expect(verdict).to_be_visible()
    requests = Requests(page)
    page.locator("#tasks-question textarea").press_sequentially("where", delay=5)
    expect(verdict).to_be_hidden(timeout=2_000)
    expect(verdict).to_be_visible()
    assert [each["state"]["question"][-5:] for each in requests.sent] == ["where"]
    page.fill("#tasks-question textarea", "")
    page.wait_for_selector("#tasks-answer .teach:has-text('Ask a question')")


def test_a_text_that_was_chosen_stays_when_the_head_changes_and_fields_are_its_own(open_page):
    page = open_page("#tab=tasks")
    at_rest(page)
    page.locator("#sidebar-example input[value='long']").check(force=True)
    head(page, "Choices")
    expect(page.locator("#sidebar-example label.selected")).to_have_text("Long story")
    expect(page.locator("#tasks-choices-question textarea")).to_have_value("Why had the old maps never agreed?")
    type_text(page, "the cat sat")
    expect(page.locator("#tasks-choices-question textarea")).to_have_value("")
    expect(page.locator("#tasks-options textarea")).to_have_value("")
    asking = "Type two options or more, one a line."
    expect(page.locator("#tasks-options textarea")).to_have_attribute("placeholder", asking)
    page.wait_for_selector("#tasks-answer .teach:has-text('Ask a question')")
    head(page, "Sentiment")
    expect(page.locator("#sidebar-text textarea")).to_have_value("the cat sat")


def test_heads_that_change_quickly_leave_the_last_ones_answer_and_curve(open_page):
    page = open_page("#tab=tasks")
    at_rest(page)
    for name in ("Entities", "Answers", "Masked words", "Choices", "Sentiment"):
        page.locator(f"#tasks-head label:has-text('{name}')").click()
    at_rest(page)
    assert set(page.locator("#tasks-answer .bars .name").all_inner_texts()) == {"negative", "positive"}
    page.wait_for_selector("#tasks-curve .js-plotly-plot")
    curve = page.evaluate("document.querySelector('#tasks-curve .js-plotly-plot').layout.meta.csv")
    assert all("negative" in line or "positive" in line for line in curve.splitlines()[1:])
    expect(page.locator("#tasks-board")).to_be_hidden()


def test_text_that_runs_from_right_to_left_is_laid_out_so_on_every_tab(open_page):
    page = open_page("#tab=tasks&task=masked-lm&text=" + quote(HEBREW))
    page.wait_for_selector("#tasks-board .board")
    direction = HEBREW_FIRST.format
    assert page.evaluate(direction("#tasks-board .board")) == "rtl"
    area = page.locator("#sidebar-text textarea")
    assert area.evaluate("each => getComputedStyle(each).unicodeBidi") == "plaintext"
    head(page, "Entities")
    page.wait_for_selector("#tasks-answer .reading")
    assert page.evaluate(direction("#tasks-answer .reading")) == "rtl"
    go_to(page, "Attention", FILLED["Attention"])
    assert page.evaluate(direction("#attention-viewer .token:not(.special)")) == "rtl"
