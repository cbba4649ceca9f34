"""The tour in a real Chromium: every step with every example, two-way highlighting, predictions, exports, links."""

import json
import re
from pathlib import Path

import pytest
from browser import PHONE, WIDE, serving
from playwright.sync_api import expect
from waiting import in_time

from acceptance.visitor import free_port
from nystrom_demo.lessons import load_lessons
from nystrom_demo.serving.settings import Settings
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.page import LOOK, build_app

pytestmark = pytest.mark.browser

LESSONS = load_lessons()
HOSTILE = "<img src=x onerror=alert(1)> {{constructor}} ${alert(2)} </script><script>alert(3)</script> a film"


def open_step(page, index: int) -> None:
    """Go to a step, from 0, and wait for its picture."""
    page.click(f"#learn-text .learn-steps [data-step='{index}']")
    wait_for_step(page, index)


def wait_for_step(page, index: int) -> None:
    name = json.dumps(LESSONS[index].title)
    page.wait_for_function(f"document.querySelector('#learn-text h2')?.textContent === {name}")
    page.wait_for_selector(f"#learn-picture svg.picture[data-step='{index}']")


def reveal(page) -> None:
    if page.locator("#learn-text .learn-show").count():
        page.click("#learn-text .learn-show")


def lit(page, part: str) -> set[str]:
    """The keys that are lit in the text or in the picture."""
    found = page.eval_on_selector_all(f"#learn-{part} .lit", "parts => parts.map(part => part.dataset.key)")
    return set(found)


def expect_lit(page, part: str, keys: set[str]) -> None:
    assert in_time(lambda: lit(page, part), keys) == keys


def test_the_page_opens_on_a_whole_first_step(open_page):
    page = open_page()
    wait_for_step(page, 0)
    assert page.locator("#learn-picture .block").count() >= 3
    expect(page.locator("#learn-text .learn-steps button")).to_have_count(len(LESSONS))


def test_every_step_is_drawn_with_every_example(open_page):
    page = open_page()
    for place, name in enumerate(load_examples()):
        page.locator(f"#sidebar-example input[value='{name}']").check(force=True)
        # Each example goes through a third of the steps here; test_lessons computes every pair.
        for index in range(place % 3, len(LESSONS), 3):
            open_step(page, index)
            reveal(page)
            assert page.locator("#learn-picture .block").count() > 0
            for said in ("#learn-picture .learn-summary", "#learn-text .learn-verdict"):
                # A wait, since the example that was just picked may be on its way to the step that is shown.
                page.locator(said, has_text=re.compile(r"\S")).wait_for()


def test_pointing_lights_both_ways(open_page):
    page = open_page()
    open_step(page, 5)
    page.hover("#learn-text .learn-formula [data-key='kernel_1']")
    expect_lit(page, "picture", {"kernel_1"})
    page.hover("#learn-picture .block[data-key='kernel_3'] image")
    expect_lit(page, "text", {"kernel_3"})
    expect(page.locator(".learn-tip")).to_have_text(re.compile("^B: "))
    page.hover("#learn-picture .block[data-key='kernel_3'] image", position={"x": 1, "y": 1})
    expect(page.locator(".learn-tip")).to_contain_text(
        re.compile(r"row: landmark 1 “.*\n+column: tokens? 1 "), use_inner_text=True
    )
    page.hover("h2#learn-title")
    expect_lit(page, "picture", set())


def test_focus_lights_both_ways_and_keys_hold_it(open_page):
    page = open_page()
    open_step(page, 5)
    page.focus("#learn-text .learn-formula [data-key='landmark']")
    page.keyboard.press("Tab")
    expect_lit(page, "picture", {"kernel_1"})
    page.keyboard.press("Enter")
    page.focus("#learn-text .learn-options button")
    expect_lit(page, "picture", {"kernel_1"})
    page.keyboard.press("Escape")
    expect_lit(page, "picture", set())
    page.focus("#learn-picture .block[data-key='kernel_2']")
    expect_lit(page, "text", {"kernel_2"})


def test_a_result_waits_for_the_prediction_which_outlives_a_reload(open_page):
    page = open_page()
    open_step(page, 5)
    expect(page.locator("#learn-picture .chart.secret")).to_be_hidden()
    page.click("#learn-text .learn-options button[data-option='far']")
    expect(page.locator("#learn-picture .chart.secret")).to_be_visible()
    expect(page.locator("#learn-text .learn-verdict")).to_have_text(re.compile(r"^(Right\.|Not on this text\.)"))
    expect(page.locator(".learn-progress")).to_contain_text("1 predictions")
    page.reload()
    wait_for_step(page, 0)
    expect(page.locator(".learn-progress")).to_contain_text("1 predictions")
    open_step(page, 5)
    expect(page.locator("#learn-picture .chart.secret")).to_be_visible()


def test_a_verdict_stands_when_the_settings_move(open_page):
    page = open_page()
    open_step(page, 11)
    page.click("#learn-text .learn-options button[data-option='over']")
    said = page.inner_text("#learn-text .learn-verdict b")
    held = page.get_attribute("#learn-text .learn-options .holds", "data-option")
    page.locator("#learn-sharpness input[type=number]").fill("0")
    page.locator("#learn-sharpness input[type=number]").press("Tab")
    expect(page.locator("#learn-text .learn-verdict")).to_contain_text("With what is set now it is")
    expect(page.locator("#learn-text .learn-verdict b")).to_have_text(said.strip())
    expect(page.locator("#learn-text .learn-options .holds")).to_have_attribute("data-option", held)


def test_a_task_is_given_once_it_can_be_done(open_page):
    page = open_page()
    for index in (4, 5, 11):  # whose curves wait for the prediction
        open_step(page, index)
        expect(page.locator("#learn-text .learn-do")).to_be_hidden()
        reveal(page)
        expect(page.locator("#learn-text .learn-do")).to_be_visible()
        expect(page.locator("#learn-picture .chart").first).to_be_visible()


def test_a_word_darkens_its_own_segment_alone(open_page):
    page = open_page()
    open_step(page, 2)
    page.hover("#learn-picture .word[data-segment='1'] .word-text")
    shade = "boxes => [...new Set(boxes.map(box => getComputedStyle(box).opacity))]"
    own = page.eval_on_selector_all("#learn-picture .word[data-segment='1'] .word-box", shade)
    others = page.eval_on_selector_all("#learn-picture .word:not([data-segment='1']) .word-box", shade)
    assert len(own) == len(others) == 1
    assert float(own[0]) > 2 * float(others[0])


def test_a_click_on_a_heads_picture_chooses_it_for_this_step_and_pins_nothing(open_page):
    page = open_page()
    wait_for_step(page, 0)
    page.locator("#learn-picture .choice").nth(1).click()
    expect(page.locator("#learn-head input[type=number]")).to_have_value("2")
    expect(page.locator("#learn-picture .learn-summary")).to_contain_text("head 2", use_inner_text=False)
    page.hover("h2#learn-title")
    expect_lit(page, "picture", set())
    page.click("#learn-text .learn-next")
    wait_for_step(page, 1)
    expect(page.locator("#learn-head input[type=number]")).to_have_value("1")


def test_what_a_click_keeps_lit_ends_with_the_step(open_page):
    page = open_page()
    open_step(page, 0)
    page.click("#learn-text .learn-formula [data-key='query']")
    page.hover("h2#learn-title")
    expect_lit(page, "picture", {"query"})
    open_step(page, 2)
    page.hover("h2#learn-title")
    expect_lit(page, "picture", set())


def test_yardsticks_are_drawn_and_saved(open_page):
    page = open_page()
    open_step(page, 1)
    names = page.eval_on_selector_all(".yardsticks .stick text:first-child", "all => all.map(one => one.textContent)")
    assert names[:3] == ["all zeros", "every weight 1/n", "C W⁺ R"]
    assert names[3].startswith("best of rank ")
    with page.expect_download() as taken:
        page.click("#learn-picture [data-save=csv]")
    assert "error relative to S,all zeros,,1" in Path(taken.value.path()).read_text()


def test_a_result_is_not_spoken_before_the_prediction(open_page):
    page = open_page()
    open_step(page, 5)
    expect(page.locator("#learn-picture .learn-summary span")).to_be_hidden()
    assert page.get_attribute("#learn-picture svg.picture", "aria-label") == f"Picture: {LESSONS[5].title}"


def test_predictions_and_links_outlive_a_restart_of_the_server(chromium, tiny_checkpoints):
    settings = Settings(port=free_port())

    def show(link: str) -> None:
        page.goto(link)
        wait_for_step(page, 5)

    context = chromium.new_context()
    page = context.new_page()
    with serving(build_app(tiny_checkpoints), settings, **LOOK) as demo:
        link = f"{demo.local_url}?step=6&m=7&text=A%20great%20film."
        show(link)
        page.click("#learn-text .learn-options button[data-option='far']")
    with serving(build_app(tiny_checkpoints), settings, **LOOK):
        show(link)
        expect(page.locator(".learn-progress")).to_contain_text("1 predictions")
        expect(page.locator("#learn-text [data-option='far']")).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#sidebar-text textarea")).to_have_value("A great film.")
        context.close()


def test_controls_change_the_picture(open_page):
    page = open_page("&m=3&text=A%20great%20film.")  # short, for the page holds only the code's lines in sight
    open_step(page, 4)
    page.locator("#learn-pinv-step input[type=number]").fill("0")
    expect(page.locator("#learn-picture svg.picture")).to_contain_text("Z after 0")
    page.locator("#learn-head input[type=number]").fill("2")
    page.locator("#learn-head input[type=number]").press("Tab")
    page.click("#learn-code-section button.label-wrap")
    page.get_by_text("layer, head, m, step = 0, 1").wait_for()


@pytest.mark.parametrize(
    ("form", "opening"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("csv", b"part,row,column,value")]
)
def test_a_picture_is_taken_away(form, opening, open_page):
    page = open_page()
    open_step(page, 5)
    reveal(page)
    with page.expect_download() as taken:
        page.click(f"#learn-picture [data-save={form}]")
    content = Path(taken.value.path()).read_bytes()
    assert taken.value.suggested_filename == f"nystrom-together.{form}"
    assert content.startswith(opening)
    assert b"var(--" not in content
    if form == "csv":
        assert b"error against m: landmarks" in content


def test_a_copied_link_restores_the_view_in_a_new_browser(open_page):
    page = open_page("&step=5&m=7&steps=9&estimate=own&layer=2&head=3&text=A%20great%20film%20by%20the%20river.")
    wait_for_step(page, 4)
    page.click("#permalink-copy")
    page.wait_for_function(
        "document.querySelector('#permalink-link textarea, #permalink-link input')?.value.includes('step=5')"
    )
    link = page.input_value("#permalink-link textarea, #permalink-link input")
    other = open_page("#" + link.partition("#")[2])
    wait_for_step(other, 4)
    expect(other.locator("#sidebar-text textarea")).to_have_value("A great film by the river.")
    numbers = [("sidebar-landmarks", "7"), ("sidebar-pinv-iterations", "9"), ("learn-layer", "2"), ("learn-head", "3")]
    other.click("#sidebar-model-section > button")
    for name, value in numbers:
        expect(other.locator(f"#{name} input[type=number]")).to_have_value(value)


def test_a_link_opens_its_tab_and_pinned_cell(open_page):
    page = open_page("&tab=attention&layer=2&head=2&cell=3,9&example=news")
    page.wait_for_selector("#attention-viewer [data-held='3,9']")
    expect(page.locator("#tab-attention-button")).to_have_attribute("aria-selected", "true")


def test_hostile_text_in_a_link_is_inert(open_page):
    from urllib.parse import quote

    page = open_page("&text=" + quote(HOSTILE) + "&tab=<script>alert(4)</script>")
    wait_for_step(page, 0)
    expect(page.locator("#sidebar-text textarea")).to_have_value(HOSTILE)
    expect(page.locator("#permalink-note")).to_contain_text("The link's tab must be one of")
    for index in (2, 7):
        open_step(page, index)
        reveal(page)
    assert page.locator("#learn img").count() == 0  # a dialog would fail the page too


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_step_is_wider_than_the_page(viewport, theme, open_page):
    page = open_page(viewport=viewport, theme=theme)
    for index in (3, 4, 9):
        open_step(page, index)
        assert in_time(lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"), True)
    assert "1024" in page.locator("#learn-picture .tick").all_text_contents()  # a length is not rounded


def test_a_phone_has_the_steps_in_two_even_lines(open_page):
    page = open_page(viewport=PHONE)
    wait_for_step(page, 0)
    tops = "all => all.map((one) => one.getBoundingClientRect().top)"

    def lines() -> list[int]:
        found = page.eval_on_selector_all(".learn-steps button", tops)
        return [found.count(top) for top in sorted(set(found))]

    assert in_time(lines, [6, 6]) == [6, 6]


def test_a_phone_turns_pages_below_the_picture(open_page):
    page = open_page(viewport=PHONE)
    wait_for_step(page, 0)
    page.click("#learn-picture .learn-next")
    wait_for_step(page, 1)
