"""The Attention tab in a real Chromium: linked hover, recipes, keys, themes, widths, and that hovering asks nothing."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NEXT_FRAME
from playwright.sync_api import expect
from waiting import in_time

from nystrom_demo.analysis import attention_maps
from nystrom_demo.config import AttentionSettings
from nystrom_demo.ui.tabs.attention import read_text

pytestmark = pytest.mark.browser

TEXT = "The great film was unhappy, and <img src=x onerror=alert(1)> Mary walked by the river in Paris."
MAPS = ("exact", "landmark", "difference")
VIEWER = "#attention-viewer [data-part=viewer]"
# Colours change by transition: contrast is judged once all are over.
AT_REST = "() => !document.getAnimations().some((each) => each instanceof CSSTransition)"


class Tab:
    """The Attention tab of a page, the text filled in, with all that the page asked for and complained of."""

    def __init__(self, page, url: str):
        self.page, self.url = page, url
        self.complaints: list[str] = []
        self.requests: list[str] = []  # but the page's own look after the server, which comes every 15 seconds
        page.on("request", lambda request: request.url.endswith("/app_id") or self.requests.append(request.url))
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)
        page.get_by_role("tab", name="Attention").click()
        page.wait_for_selector(f"{VIEWER}[data-shown]")
        self.change(lambda: page.locator("#sidebar-text textarea").fill(TEXT))
        self.set_landmarks(5)

    def shown(self) -> str:
        return self.page.get_attribute(VIEWER, "data-shown")

    def change(self, act) -> None:
        """Do `act` and wait until the viewer shows something else and the mosaic is computed."""
        before = self.shown()
        act()
        expect(self.page.locator(VIEWER)).not_to_have_attribute("data-shown", before)
        self.page.wait_for_selector("#attention-mosaic .cell[aria-busy=false]")
        self.page.evaluate(NEXT_FRAME)

    def set_landmarks(self, m: int) -> None:
        field = self.page.locator("#sidebar-landmarks input[type=number]")
        if int(field.input_value()) != m:
            self.change(lambda: (field.fill(str(m)), field.press("Enter")))

    def release(self) -> None:
        """Nothing pointed at, nothing held by the visitor, the whole map."""
        self.page.mouse.move(1, 1)
        self.plot("exact").focus()
        for key in ("Escape", "0"):
            self.page.keyboard.press(key)
        self.page.evaluate(NEXT_FRAME)

    def plot(self, name: str):
        return self.page.locator(f"{VIEWER} [data-map={name}] .plot")

    def point(self, name: str, row: int, column: int, *, click: bool = False) -> None:
        """Move the mouse to the middle of a cell of the whole map."""
        size = int(self.page.get_attribute(VIEWER, "data-size"))
        self.plot(name).scroll_into_view_if_needed()
        box = self.plot(name).bounding_box()
        side = box["width"] - 58 - 16  # the gutters of maps.js
        x, y = (58 + (place + 0.5) / size * side for place in (column, row))
        self.page.mouse.move(box["x"] + x, box["y"] + y)
        if click:
            self.page.mouse.down()
            self.page.mouse.up()
        self.page.evaluate(NEXT_FRAME)

    def lit(self) -> list[tuple[str, str]]:
        marks = self.page.locator(f"{VIEWER} canvas.mark")
        return [tuple(mark.get_attribute(f"data-{way}") for way in ("row", "column")) for mark in marks.all()]

    def picture(self, name: str) -> str:
        return self.page.evaluate(f"document.querySelector('{VIEWER} [data-map={name}] canvas.base').toDataURL()")

    def value(self, name: str) -> float:
        return float(self.page.get_attribute(f"{VIEWER} [data-part=readout] .number.{name}", "data-value"))

    def part(self, name: str) -> str:
        return self.page.locator(f"{VIEWER} [data-part={name}]").inner_text()


@pytest.fixture(scope="module")
def tab(chromium, app_url):
    page = chromium.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light", accept_downloads=True)
    page.set_default_timeout(60_000)
    yield Tab(page, app_url)
    page.close()


@pytest.fixture
def fresh(tab) -> Tab:
    tab.release()
    return tab


@pytest.fixture(scope="module")
def text(tiny_checkpoints):
    return read_text(tiny_checkpoints["sequence-classification"], TEXT)


def test_a_hover_lights_its_row_and_column_in_all_three_maps_and_asks_the_server_nothing(fresh):
    asked = len(fresh.requests)
    for name, row, column in (("exact", 3, 7), ("landmark", 11, 2), ("difference", 5, 5)):
        fresh.point(name, row, column)
        assert fresh.lit() == [(str(row), str(column))] * 3
    assert len(fresh.requests) == asked


def test_a_pointer_move_is_drawn_on_the_very_next_frame(fresh):
    lit = fresh.page.evaluate(
        """() => new Promise((done) => {
          const marks = [...document.querySelectorAll('#attention-viewer canvas.mark')];
          const box = marks[1].getBoundingClientRect();
          const at = { clientX: box.left + 58 + 60, clientY: box.top + 58 + 60, bubbles: true };
          marks[1].dispatchEvent(new PointerEvent('pointermove', at));
          requestAnimationFrame(() => done(marks.map((mark) => [mark.dataset.row, mark.dataset.column])));
        })"""
    )
    assert lit[0] == lit[1] == lit[2]
    assert lit[0][0] != ""


def test_the_readout_is_the_model_s_own_cell(fresh, text):
    maps = attention_maps(text.layers[0], 0, AttentionSettings(num_landmarks=5))
    for row, column in ((2, 3), (13, 1), (7, 11)):
        fresh.point("landmark", row, column)
        assert fresh.value("exact") == pytest.approx(float(maps.exact[row, column]), abs=1.1e-5)
        assert fresh.value("landmark") == pytest.approx(float(maps.landmark[row, column]), abs=1.1e-5)
        assert fresh.value("difference") == pytest.approx(fresh.value("landmark") - fresh.value("exact"), abs=1e-9)


@pytest.mark.parametrize("m", [5, 13])
def test_the_recipe_s_printed_terms_add_up_to_the_printed_cell(fresh, m):
    fresh.set_landmarks(m)
    fresh.release()
    for row, column in ((0, 4), (9, 9)):
        fresh.point("landmark", row, column)
        terms = [float(cell.get_attribute("data-term")) for cell in fresh.page.locator(f"{VIEWER} td.term").all()]
        total = float(fresh.part("recipeTotal").replace("−", "-"))
        assert len(terms) == min(m, 7)
        assert round(sum(terms), 5) == total == fresh.value("landmark")


def test_a_held_cell_lights_its_row_of_kernel_1_and_its_column_of_kernel_3(fresh):
    size = int(fresh.page.get_attribute(VIEWER, "data-size"))
    fresh.point("landmark", 7, 3, click=True)
    fresh.page.mouse.move(1, 1)
    fresh.page.evaluate(NEXT_FRAME)
    assert fresh.page.get_attribute(VIEWER, "data-pinned") == "7,3"
    assert fresh.lit() == [("7", "3")] * 3
    lit = {name: fresh.page.locator(f"{VIEWER} [data-factor={name}]") for name in ("kernel_1", "kernel_3")}
    assert float(lit["kernel_1"].get_attribute("data-row")) == pytest.approx(7.5 / size, abs=1e-4)
    assert float(lit["kernel_3"].get_attribute("data-column")) == pytest.approx(3.5 / size, abs=1e-4)
    assert fresh.page.locator(f"{VIEWER} [data-part=segmentsText] .lit-row").count() == 1


def test_another_m_changes_the_landmark_map_and_not_the_exact_one(fresh):
    fresh.set_landmarks(5)
    before = {name: fresh.picture(name) for name in MAPS}
    fresh.page.locator(f"{VIEWER} [data-option=marks]").uncheck()
    fresh.set_landmarks(13)
    fresh.page.locator(f"{VIEWER} [data-option=marks]").check()
    fresh.page.evaluate(NEXT_FRAME)
    assert fresh.picture("landmark") != before["landmark"]
    assert fresh.picture("difference") != before["difference"]
    assert "13 landmarks for" in fresh.part("lead")


def test_with_a_landmark_a_token_the_difference_is_zero_and_the_view_says_so(fresh, text):
    fresh.set_landmarks(text.num_tokens)
    assert "the difference is zero everywhere" in fresh.part("lead")
    lead = fresh.page.locator("#attention-mosaic [data-part=lead]")
    expect(lead).to_contain_text("no head differs from exact attention")
    fresh.point("difference", 4, 9)
    assert fresh.value("difference") == 0
    colours = fresh.page.evaluate(
        """() => {
          const canvas = document.querySelector('#attention-viewer [data-map=difference] canvas.base');
          const side = canvas.width - 58 - 16;
          const { data } = canvas.getContext('2d').getImageData(60, 60, side - 4, side - 4);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert colours == 1
    assert "zero everywhere" in fresh.part("differenceWords")
    fresh.set_landmarks(5)


def test_keys_move_hold_zoom_and_let_go(fresh):
    page = fresh.page
    fresh.plot("landmark").focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.evaluate(NEXT_FRAME)
    assert fresh.lit() == [("2", "1")] * 3
    page.keyboard.press("Enter")
    assert page.get_attribute(VIEWER, "data-pinned") == "2,1"
    page.keyboard.press("+")
    page.evaluate(NEXT_FRAME)
    size = int(page.get_attribute(VIEWER, "data-size"))
    assert float(page.get_attribute(VIEWER, "data-span")) == pytest.approx(0.7 * size, abs=0.01)
    page.keyboard.press("0")
    page.keyboard.press("Escape")
    page.evaluate(NEXT_FRAME)
    assert float(page.get_attribute(VIEWER, "data-span")) == size
    assert page.get_attribute(VIEWER, "data-pinned") == ""


def test_the_mosaic_s_head_is_chosen_by_arrow_keys_and_enter(fresh):
    page = fresh.page
    page.locator("#attention-mosaic [data-head='0,0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    readout = page.locator("#attention-mosaic [data-part=readout]")
    expect(readout).to_contain_text("Layer 2, head 2: the landmark map is")
    fresh.change(lambda: page.keyboard.press("Enter"))
    assert fresh.part("title") == "Layer 2, head 2"
    fresh.change(lambda: page.locator("#attention-mosaic [data-head='0,0']").click())
    assert fresh.part("title") == "Layer 1, head 1"


def test_options_regroup_the_tokens_without_asking_the_server(fresh, text):
    page, n = fresh.page, text.num_tokens
    asked = len(fresh.requests)
    size = lambda: (page.evaluate(NEXT_FRAME), int(page.get_attribute(VIEWER, "data-size")))[1]  # noqa: E731
    page.locator(f"{VIEWER} [data-option=hide]").check()
    assert size() == n - 2
    page.locator(f"{VIEWER} [data-option=merge]").check()
    words = len({token.word for token in text.tokens if token.word is not None})
    assert size() == words < n - 2
    page.locator(f"{VIEWER} [data-option=hide]").uncheck()
    page.locator(f"{VIEWER} [data-option=merge]").uncheck()
    assert size() == n
    before = fresh.picture("exact")
    page.locator(f"{VIEWER} [data-option=top]").fill("50")
    page.evaluate(NEXT_FRAME)
    assert fresh.picture("exact") != before
    assert "together hold 50 %" in fresh.part("notes")
    page.locator(f"{VIEWER} [data-option=top]").fill("100")
    assert len(fresh.requests) == asked


def test_a_merged_word_reads_with_its_pieces_mean_and_is_read_with_their_sum(fresh, text):
    fresh.page.locator(f"{VIEWER} [data-option=merge]").check()
    fresh.page.evaluate(NEXT_FRAME)
    groups = [[0]]
    for t, token in enumerate(text.tokens[1:], start=1):
        previous = text.tokens[t - 1].word
        if token.word is not None and token.word == previous:
            groups[-1].append(t)
        else:
            groups.append([t])
    row = column = max(range(len(groups)), key=lambda i: len(groups[i]))
    maps = attention_maps(text.layers[0], 0, AttentionSettings(num_landmarks=5))
    fresh.point("exact", row, column)
    for name in ("exact", "landmark"):
        block = getattr(maps, name)[groups[row]][:, groups[column]]
        assert fresh.value(name) == pytest.approx(float(block.sum(1).mean()), abs=2e-5)
    fresh.page.locator(f"{VIEWER} [data-option=merge]").uncheck()


def test_the_lens_tells_what_a_landmark_gathers_and_what_a_token_reads(fresh, text):
    page = fresh.page
    page.locator(f"{VIEWER} [data-part=lensLandmark]").check()
    page.locator(f"{VIEWER} [data-part=chooser]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.evaluate(NEXT_FRAME)
    assert fresh.part("firstTitle") == "Landmark 2 gathers from (its row of kernel_3)"
    assert page.locator(f"{VIEWER} [data-part=segmentsText] .token.chosen").count() > 1
    page.locator(f"{VIEWER} [data-part=lensToken]").check()
    page.locator(f"{VIEWER} [data-part=segmentsText] .token").nth(4).click()
    page.evaluate(NEXT_FRAME)
    assert fresh.part("firstTitle") == f"‹{text.tokens[4].label}› reads, exactly"
    maps = attention_maps(text.layers[0], 0, AttentionSettings(num_landmarks=5))
    for part, row in (("firstText", maps.exact[4]), ("secondText", maps.landmark[4])):
        title = page.locator(f"{VIEWER} [data-part={part}] .token").nth(9).get_attribute("title")
        assert float(title.replace("−", "-")) == pytest.approx(float(row[9]), abs=1.1e-5)
    page.locator(f"{VIEWER} [data-part=lensLandmark]").check()


def test_the_visitor_s_markup_is_shown_as_text(fresh):
    assert fresh.page.locator("#attention-viewer img").count() == 0
    assert "<img src=x onerror=alert(1)>" in fresh.part("segmentsText")


def test_the_dark_theme_repaints_the_maps(fresh):
    before = fresh.picture("exact")
    fresh.page.evaluate("document.body.classList.add('dark')")
    fresh.page.evaluate(NEXT_FRAME)
    assert fresh.picture("exact") != before
    fresh.page.evaluate("document.body.classList.remove('dark')")
    assert in_time(lambda: fresh.picture("exact"), before) == before


def test_a_phone_shows_the_maps_one_below_the_other_within_its_width(fresh):
    page = fresh.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(NEXT_FRAME)

    def in_line() -> bool:
        boxes = [fresh.plot(name).bounding_box() for name in MAPS]
        within = all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
        return within and boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]

    assert in_time(in_line, True)
    too_wide = """() => [...document.querySelectorAll('#attention-viewer *')]
        .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.className || node.tagName)"""
    wide = in_time(lambda: page.evaluate(too_wide), [])
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.evaluate(NEXT_FRAME)
    assert wide == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(fresh, theme):
    fresh.page.evaluate(f"document.body.classList.toggle('dark', {str(theme == 'dark').lower()})")
    fresh.page.evaluate(NEXT_FRAME)
    fresh.page.wait_for_function(AT_REST)
    found = [
        (violation["id"], node["html"][:200])
        for selector in ("#attention-mosaic", "#attention-viewer")
        for violation in Axe().run(fresh.page, context=selector).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    fresh.page.evaluate("document.body.classList.remove('dark')")
    assert found == []


def test_nothing_left_the_machine_and_nothing_complained(tab):
    assert [url for url in tab.requests if not url.startswith((tab.url, "data:", "blob:"))] == []
    assert tab.complaints == []
