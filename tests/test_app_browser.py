"""Walks through the app in a real Chromium: every tab, by mouse and keyboard, wide and on a phone, light and dark.

No page may call out or log an error. Walks that leave the page as they found it, or need none in particular, share one.
"""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import PHONE, Watch, go_to, new_page
from playwright.sync_api import expect
from waiting import in_time

pytestmark = pytest.mark.browser

SHOWN = {
    "Learn": "#learn-text h2, #learn-text h3",
    "Tasks": "#tasks-curve .js-plotly-plot",
    "Attention": "#attention-mosaic .cell[aria-busy=false]",
    "Error": "#error-against .js-plotly-plot",
    "Compare": "#compare-answers table",
    "Time": "#time-lead p",
}
HEADS = {  # and the example that each brings
    "Masked words": "Sentences",
    "Sentiment": "Film review",
    "Entities": "News",
    "Answers": "Passage",
    "Choices": "Dialogue",
}
# gradio fades what it fetches anew, and colours change by transition: contrast is judged once both are over.
AT_REST = """() => !document.querySelector('#views .pending, #views[data-stale]')
  && !document.getAnimations().some((each) => each instanceof CSSTransition)"""


@pytest.fixture(scope="module")
def page(chromium, app_url):
    """One wide, light page for the walks that can share it."""
    watch = Watch(app_url)
    page = new_page(chromium, app_url, watch)
    yield page
    page.context.close()
    assert watch.external == watch.errors == []


@pytest.fixture
def tasks(page):
    """The shared page on its Tasks tab, the mouse and the focus nowhere."""
    page.mouse.move(1, 1)
    page.evaluate("document.activeElement.blur()")
    go_to(page, "Tasks", "#tasks-answer p")
    return page


def choose_head(page, name: str) -> None:
    """Choose a head and wait until it answers the example that it brings."""
    page.locator(f"#tasks-head label:has-text('{name}')").click()
    expect(page.locator("#tasks-head label.selected")).to_have_text(name)
    expect(page.locator("#sidebar-example label.selected")).to_have_text(HEADS[name])
    page.wait_for_selector("#tasks-cost .cost b")


def set_landmarks(page, m: int, said: str) -> None:
    """One of the quick choices; 0 is exact."""
    page.locator(f"#sidebar-quick label:has(input[value='{m}'])").click()
    page.wait_for_selector(f"#tasks-answer h3:has-text('{said}')")


def ground(page) -> str:
    """Whether the page's ground is dark, light, or neither."""
    lightness = max(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]))
    return "dark" if lightness < 60 else "light" if lightness > 200 else "neither"


def serious_violations(page) -> list[str]:
    page.wait_for_function(AT_REST)
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_the_page_opens_on_a_complete_example(page):
    page.wait_for_selector(SHOWN["Learn"])
    said = re.compile(r"\d+ tokens, 16 landmarks: one for [\d.]+ tokens")
    expect(page.locator("#sidebar-readout")).to_contain_text(said)
    expect(page.locator("#sidebar-example label.selected")).to_have_text("Film review")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_tab_has_a_serious_barrier(open_page, theme):
    page = open_page(theme=theme)
    assert in_time(lambda: ground(page), theme) == theme
    for tab, shown in SHOWN.items():
        go_to(page, tab, shown)
        assert serious_violations(page) == [], tab


def test_a_phone_shows_every_tab_without_scrolling_sideways(open_page):
    page = open_page(viewport=PHONE)
    expect(page.locator("#sidebar-landmarks")).to_be_visible()
    expect(page.locator("#sidebar-text textarea")).to_be_hidden()
    for tab, shown in SHOWN.items():
        go_to(page, tab, shown)
        assert in_time(lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"), True), tab
    page.click("#sidebar-text-section > button")
    page.wait_for_selector("#sidebar-text textarea", state="visible")
    low = """() => [...document.querySelectorAll('#sidebar button, #sidebar label:has(> input), #tabs [role=tab]')]
        .filter((each) => each.offsetParent && each.getBoundingClientRect().height < 40)
        .map((each) => each.outerHTML.slice(0, 120))"""
    assert in_time(lambda: page.evaluate(low), []) == []  # a finger needs about 40 pixels


def test_every_part_of_the_sidebar_is_within_the_window_s_reach(page):
    """What is taller than the window scrolls; nothing of it lies beside the sidebar, where no one sees it."""
    outside = """() => {
      const sidebar = document.querySelector('#sidebar').getBoundingClientRect();
      return [...document.querySelectorAll('#sidebar > *')].filter((part) => part.offsetParent)
        .filter((part) => part.getBoundingClientRect().left > sidebar.right).map((part) => part.id);
    }"""
    assert in_time(lambda: page.evaluate(outside), []) == []


def test_m_changes_the_answer_and_m_of_n_is_exact(tasks):
    choose_head(tasks, "Sentiment")
    set_landmarks(tasks, 4, "4 landmarks")
    four = tasks.inner_text("#tasks-answer .landmark")
    set_landmarks(tasks, 64, "64 landmarks")
    assert tasks.inner_text("#tasks-answer .landmark") != four
    set_landmarks(tasks, 0, "exact as well")
    exact, landmark = (tasks.inner_text(f"#tasks-answer .{side} .bars") for side in ("exact", "landmark"))
    assert exact == landmark
    expect(tasks.locator("#sidebar-readout")).to_contain_text("attended exactly")
    set_landmarks(tasks, 16, "16 landmarks")


def test_the_slider_moves_by_keyboard(tasks):
    tasks.focus("#sidebar-landmarks input[type=range]")
    tasks.keyboard.press("ArrowRight")
    tasks.wait_for_selector("#tasks-answer h3:has-text('17 landmarks')")


def test_every_head_answers_its_own_example(tasks):
    for head in HEADS:
        choose_head(tasks, head)
        expect(tasks.locator("#tasks-answer .verdict")).to_have_text(re.compile(r"\S"))


def test_words_are_masked_by_mouse_and_by_keyboard(tasks):
    choose_head(tasks, "Masked words")
    pressed = "#tasks-board button[aria-pressed=true]"
    tasks.wait_for_selector(pressed)
    gaps = tasks.locator(pressed).count()
    answered = "#tasks-answer .exact h4:nth-of-type({})"
    tasks.wait_for_selector(answered.format(gaps))
    tasks.locator("#tasks-board button[aria-pressed=false]").first.click()
    tasks.wait_for_selector(answered.format(gaps + 1))
    expect(tasks.locator(pressed)).to_have_count(gaps + 1)
    tasks.wait_for_function("document.activeElement.dataset.token !== undefined")  # the focus stays on the board
    while tasks.evaluate("document.activeElement.ariaPressed") == "true":  # past the example's own mask
        tasks.keyboard.press("ArrowRight")
    tasks.keyboard.press("Enter")
    tasks.wait_for_selector(answered.format(gaps + 2))
    expect(tasks.locator(pressed)).to_have_count(gaps + 2)
    tasks.wait_for_function("document.activeElement.dataset.token !== undefined")
    tasks.keyboard.press("Enter")
    tasks.wait_for_selector(answered.format(gaps + 2), state="detached")
    expect(tasks.locator(pressed)).to_have_count(gaps + 1)


def test_a_question_of_the_visitor_s_own(tasks):
    choose_head(tasks, "Choices")
    tasks.wait_for_selector("#tasks-answer .exact .bars li:nth-child(4) .name:text('4. ')")  # of the example's options
    tasks.fill("#tasks-options textarea", "yes\nno")
    tasks.locator("#tasks-choices-question textarea, #tasks-choices-question input").focus()
    tasks.wait_for_selector("#tasks-answer .exact .bars li:nth-child(2) .name:text-is('2. no')")
    expect(tasks.locator("#tasks-answer .exact .bars li")).to_have_count(2)


def test_an_empty_text_teaches(tasks):
    choose_head(tasks, "Sentiment")
    tasks.wait_for_selector("#tasks-answer .exact .bars li:nth-child(2)")
    tasks.fill("#sidebar-text textarea", "")
    tasks.wait_for_selector("#tasks-answer .teach:has-text('There is no text yet')")
    tasks.locator("#sidebar-example input[value='review']").check(force=True)
    tasks.wait_for_selector("#tasks-answer .exact .bars li:nth-child(2)")


def test_a_sweep_streams_a_table_stops_and_can_be_downloaded(page):
    go_to(page, "Time", SHOWN["Time"])
    for field, value in (("heads", "2"), ("head-dim", "8"), ("repeats", "1"), ("budget", "0.1")):
        page.fill(f"#time-{field} input", value)
    page.click("#time-start")
    page.wait_for_selector("#time-table td >> nth=3")
    page.wait_for_selector("#time-start:not([disabled])")
    page.wait_for_selector("#time-clock .js-plotly-plot")
    expect(page.locator("#time-stop")).to_be_hidden()
    with page.expect_download() as download:
        page.click("#time-clock-slot [data-save=csv]")
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("method,") and len(lines) > 4
    expect(page.locator("#time-words")).to_contain_text("1,000,000 tokens would take")


def test_every_control_is_reached_by_keyboard(tasks):
    """Tab alone comes to the sidebar's controls, the tabs and the heads, and what holds the focus shows it."""
    sidebar = {f"sidebar-{name}" for name in ("landmarks", "quick", "example", "text", "model-section")}
    wanted = {*sidebar, "permalink-copy", "tasks-head"}
    reached, ringless = set(), []
    for _ in range(60):
        tasks.keyboard.press("Tab")
        focused = tasks.evaluate(
            """() => {
              const at = document.activeElement;
              const style = (node) => getComputedStyle(node);
              const ring = (node) => node && (style(node).outlineStyle !== 'none' || style(node).boxShadow !== 'none');
              return {
                ids: [...document.querySelectorAll('[id]')].filter((node) => node.contains(at)).map((node) => node.id),
                tab: at.getAttribute('role') === 'tab',
                ringed: at === document.body || ring(at) || ring(at.closest('label')) || ring(at.closest('.wrap')),
                html: at.outerHTML.slice(0, 120),
              };
            }"""
        )
        reached |= wanted.intersection(focused["ids"]) | ({"a tab"} if focused["tab"] else set())
        if not focused["ringed"]:
            ringless.append(focused["html"])
        if reached == wanted | {"a tab"}:
            break
    assert reached == wanted | {"a tab"}
    assert ringless == []
