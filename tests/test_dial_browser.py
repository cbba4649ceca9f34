"""The dial in a real Chromium: while m is dragged the view follows in the browser, by the package's numbers."""

import re

import pytest
from browser import NEXT_FRAME
from playwright.sync_api import expect

from nystrom_demo.analysis import attention_maps, cell_recipe, head_factors
from nystrom_demo.config import AttentionSettings
from nystrom_demo.ui.tabs.attention import read_text
from nystrom_demo.ui.viewer.words import head_words

pytestmark = pytest.mark.browser

TEXT = "The great film was unhappy, and Mary walked by the river in Paris to see another great film."
VIEWER = "#attention-viewer [data-part=viewer]"
SLIDER = "#sidebar-landmarks input[type=range]"


class Dial:
    """The Attention tab with a text, its slider, and the requests that the page makes."""

    def __init__(self, page, url: str):
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: request.url.endswith("/app_id") or self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{url}?tab=attention&m=5&text={TEXT}")
        page.wait_for_selector(f"{VIEWER}[data-shown]")
        page.wait_for_selector("#attention-mosaic .cell[aria-busy=false]")
        self.n = int(page.get_attribute(VIEWER, "data-size"))
        self.box = page.locator(SLIDER).bounding_box()

    def part(self, name: str) -> str:
        return self.page.locator(f"{VIEWER} [data-part={name}]").inner_text()

    def move(self, m: int) -> int:
        """Drag the slider's thumb, which is held, to where m is or near; what m it came to."""
        share = (m - 1) / (self.n - 1)
        thumb = 16
        x = self.box["x"] + thumb / 2 + share * (self.box["width"] - thumb)
        self.page.mouse.move(x, self.box["y"] + self.box["height"] / 2)
        self.page.evaluate(NEXT_FRAME)
        return int(self.page.locator(SLIDER).input_value())


@pytest.fixture
def dial(chromium, app_url):
    page = chromium.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(60_000)
    yield Dial(page, app_url)
    page.close()


@pytest.fixture(scope="module")
def text(tiny_checkpoints):
    return read_text(tiny_checkpoints["sequence-classification"], TEXT)


def test_a_drag_from_1_to_n_shows_the_package_s_numbers_and_asks_nothing_until_the_hand_rests(dial, text):
    page, layer, labels = dial.page, text.layers[0], [token.label for token in text.tokens]
    assert dial.n == text.num_tokens
    dial.move(5)
    page.mouse.down()
    asked, stops = len(dial.requests), set()
    for m in [1 + round(i * (dial.n - 1) / 9) for i in range(10)]:
        m = dial.move(m)
        if page.get_attribute(VIEWER, "data-live") is None:  # where it began
            continue
        stops.add(m)
        settings = AttentionSettings(num_landmarks=m)
        maps = attention_maps(layer, 0, settings)
        words = head_words(maps, 0, 0, m, labels)
        assert page.get_attribute(VIEWER, "data-live") == f"{m},6"
        assert page.locator("#sidebar-landmarks input[type=number]").input_value() == str(m)
        for part, name in (("lead", "lead"), ("negativeNote", "negative"), ("rowSumNote", "row_sums")):
            assert dial.part(part) == words[name]
        row, column = map(int, page.get_attribute(VIEWER, "data-pinned").split(","))
        value = page.get_attribute(f"{VIEWER} [data-part=readout] .number.landmark", "data-value")
        assert float(value) == pytest.approx(float(maps.landmark[row, column]), abs=1.1e-5)
        terms = [float(cell.get_attribute("data-term")) for cell in page.locator(f"{VIEWER} td.term").all()]
        if 1 < m < dial.n:
            recipe = cell_recipe(head_factors(layer, 0, settings), row, column)["term"]
            assert max(map(abs, terms)) == pytest.approx(recipe.abs().max(), abs=1.1e-5)
    assert len(stops) >= 9 and {1, dial.n} <= stops
    assert len(dial.requests) == asked

    dial.move(7)
    before = page.get_attribute(VIEWER, "data-shown")
    page.mouse.up()
    expect(page.locator(VIEWER)).not_to_have_attribute("data-shown", before)
    assert len(dial.requests) > asked
    assert re.match(r"\d+ landmarks? for", dial.part("lead"))
    assert dial.complaints == []


def test_keys_move_the_dial_and_the_server_hears_of_the_last(dial):
    page = dial.page
    page.locator(SLIDER).focus()
    asked = len(dial.requests)
    before = page.get_attribute(VIEWER, "data-shown")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.evaluate(NEXT_FRAME)
    assert page.get_attribute(VIEWER, "data-live") == "8,6"
    assert dial.part("lead").startswith("8 landmarks for")
    assert len(dial.requests) == asked
    expect(page.locator(VIEWER)).not_to_have_attribute("data-shown", before)
    page.wait_for_selector("#attention-mosaic .cell[aria-busy=false]")
    assert dial.part("lead").startswith("8 landmarks for")
    assert page.locator("#sidebar-landmarks input[type=number]").input_value() == "8"


def test_the_pseudo_inverse_s_steps_are_a_dial_too(dial, text):
    page = dial.page
    page.locator("#sidebar-model-section button.label-wrap").click()
    slider = page.locator("#sidebar-pinv-iterations input[type=range]")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.evaluate(NEXT_FRAME)
    assert page.get_attribute(VIEWER, "data-live") == "5,1"
    settings = AttentionSettings(num_landmarks=5, pinv_iterations=1)
    labels = [token.label for token in text.tokens]
    assert dial.part("lead") == head_words(attention_maps(text.layers[0], 0, settings), 0, 0, 5, labels)["lead"]
