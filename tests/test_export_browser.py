"""Figures and answers are taken away in a real Chromium, by keyboard, as files that another program can read."""

import csv
import io
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser import PHONE, go_to
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"


def saved(page, place: str, name: str) -> tuple[ElementTree.Element, list[list[str]]]:
    """What the three buttons of a menu save: the picture as SVG, and the lines of the table. The PNG is looked at."""
    files = {}
    for form in ("png", "svg", "csv"):
        page.focus(f"{place} [data-save={form}]")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == f"{name}.{form}"
        files[form] = Path(download.value.path()).read_bytes()
    assert files["png"].startswith(b"\x89PNG")
    return ElementTree.fromstring(files["svg"]), list(csv.reader(io.StringIO(files["csv"].decode())))


def words_in(picture: ElementTree.Element) -> str:
    return " ".join(text.text for text in picture.iter(f"{SVG}text")).replace("\N{NO-BREAK SPACE}", " ")


def test_an_answer_and_its_curve_are_saved(open_page):
    page = open_page(viewport=PHONE)
    go_to(page, "Tasks", "#tasks-answer .answer")
    button = page.locator("#tasks-answer-menu button").first
    expect(button).to_be_visible()
    assert button.bounding_box()["height"] >= 40  # for fingers
    picture, table = saved(page, "#tasks-answer-menu", "nystrom-answer")
    words = page.inner_text("#tasks-answer .answer").replace("\N{NO-BREAK SPACE}", " ").split()
    assert words_in(picture).split() == words
    assert table[0] == ["attention", "label", "probability"]
    assert [line[0] for line in table[1:]] == ["exact", "exact", "landmarks", "landmarks"]
    page.wait_for_selector("#tasks-curve-note .note")
    picture, table = saved(page, "#tasks-curve-slot", "nystrom-tasks-curve")
    said = picture.find(f"{SVG}desc").text.replace("\N{NO-BREAK SPACE}", " ")
    assert said == page.inner_text("#tasks-curve-note .note").replace("\N{NO-BREAK SPACE}", " ")
    assert "The exact answer's probability as m grows" in words_in(picture)
    assert table[0] == ["num_landmarks", "answer", "probability", "agrees"]


def test_marked_words_are_drawn_where_they_stand(open_page):
    page = open_page("&task=token-classification&tab=tasks")
    page.wait_for_selector("#tasks-answer mark.entity")
    picture, table = saved(page, "#tasks-answer-menu", "nystrom-answer")
    marks = page.locator("#tasks-answer mark").count()
    assert len(table) == 1 + marks
    assert len(list(picture.iter(f"{SVG}line"))) >= 2 + marks  # one over each column, and one below each marked word
    # What is said to screen readers only is not drawn.
    assert "probability" in table[0] and "%" not in words_in(picture)


def test_factors_and_the_coloured_text_are_saved(open_page):
    page = open_page("&tab=attention&m=3&text=The%20=great%20film%20was%20long.")
    page.wait_for_selector("#attention-viewer [data-part=viewer][data-shown]")
    picture, table = saved(page, "#attention-viewer [data-menu=factors]", "nystrom-layer-1-head-1-m-3-factors")
    assert len(list(picture.iter(f"{SVG}image"))) == 4 and "the sum" in words_in(picture)
    n = sum(line[0] == "kernel_1" for line in table) // 3
    assert Counter(line[0] for line in table[1:]) == {"kernel_1": 3 * n, "kernel_2_inv": 9, "kernel_3": 3 * n}
    kernels = {(name, int(i), int(j)): float(value) for name, i, j, value in table[1:]}
    assert sum(kernels["kernel_1", 1, a] for a in (1, 2, 3)) == pytest.approx(1, abs=1e-5)

    picture, table = saved(page, "#attention-viewer [data-menu=text]", "nystrom-layer-1-head-1-m-3-text")
    assert picture.find(f"{SVG}desc").text == page.inner_text("#attention-viewer [data-part=lensWords]")
    assert table[0] == ["token", "label", "landmark", "gathered", "reads_it"] and len(table) == 1 + n
    assert [float(line[3]) for line in table[1:]] == [kernels["kernel_3", 1, t + 1] for t in range(n)]
    assert "'=" in [line[1] for line in table]  # what a spreadsheet would run is text

    page.locator("#sidebar-quick label:has-text('exact')").click()
    page.wait_for_selector("#attention-viewer [data-menu=factors]", state="hidden")


def test_what_takes_something_away_waits_for_it(open_page):
    page = open_page("&tab=tasks&task=masked-lm&text=A%20great%20film.")
    page.wait_for_selector("#tasks-answer .teach")
    expect(page.locator("#tasks-answer-menu .takeaway")).to_be_hidden()
    expect(page.locator("#tasks-answer-code-section")).to_be_hidden()
