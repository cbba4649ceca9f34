"""The sidebar in a real Chromium, above tabs that count how often they are refreshed: what refreshes, which checkpoint
answers, and what a shared link restores.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from urllib.parse import quote

import gradio as gr
import pytest
from browser import NEXT_FRAME, PHONE, TIMEOUT_MS, WIDE, Watch, serving
from playwright.sync_api import expect

from nystrom_demo.checkpoints import Library
from nystrom_demo.tasks import classify
from nystrom_demo.ui import page as app
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.view import View

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> {{constructor}} </script><script>alert(2)</script>"


class Served:
    """The app's page, the tabs' refreshes so far, and pages of fresh browsers."""

    def __init__(self, demo: gr.Blocks, calls: list[str], chromium):
        self.demo, self.url, self.calls, self.chromium, self.contexts = demo, demo.local_url, calls, chromium, []

    def open(self, query: str = "", viewport: dict = WIDE):
        self.contexts.append(self.chromium.new_context(viewport=viewport))
        page = self.contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.watch = Watch(self.url)
        page.watch.follow(page)
        page.goto(self.url + query)
        page.wait_for_selector("#tabs [role=tab]")
        return page


def counting_tab(tab: str, calls: list[str]):
    """Builds the tab with the page's state as all that it shows."""

    def build(library: Library, store: gr.HTML) -> View:
        shown = gr.HTML(elem_id=f"shown-{tab}")

        def show(state: PageState, changed: frozenset[str]):
            calls.append(tab)
            checkpoint = state.checkpoint(library)
            parts = (state.task, checkpoint.name, state.num_landmarks, state.pinv_iterations)
            more = (state.inv_coeff_init_option, state.layer, state.head, state.step, state.text)
            yield {shown: f"<p class='shown'>{escape(' | '.join(map(str, parts + more)))}</p>"}

        return View(show, lambda state, sentence: {shown: sentence}, [shown], {}, shown, needs_text=False)

    return build


@contextmanager
def counting(library: Library, chromium) -> Iterator[Served]:
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        counting = {tab: (label, counting_tab(tab, calls)) for tab, (label, _) in app.BUILDERS.items()}
        patch.setattr(app, "BUILDERS", counting)
        demo = app.build_app(library)
    with serving(demo, ready_check=lambda: classify(library["sequence-classification"], "x"), **app.LOOK):
        served = Served(demo, calls, chromium)
        yield served
        for context in served.contexts:
            context.close()


@pytest.fixture(scope="module")
def library(tiny_checkpoints, tmp_path_factory) -> Library:
    """The bundled box, and a root with a masked-word checkpoint, "mine", and a spoiled one."""
    root = tmp_path_factory.mktemp("root")
    tiny_checkpoints["masked-lm"].model.save_pretrained(root / "mine")
    tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(root / "mine")
    shutil.copytree(root / "mine", root / "spoiled")
    (root / "spoiled" / "model.safetensors").write_bytes(b"x" * 100)
    return Library(tiny_checkpoints.boxes, root=root, hub=True)


@pytest.fixture(scope="module")
def served(library, chromium) -> Iterator[Served]:
    with counting(library, chromium) as served:
        yield served


def shown(page, tab: str, *parts: str) -> str:
    """What the tab shows, once it shows all of `parts`."""
    selector = f"#shown-{tab} .shown" + "".join(f":has-text({part!r})" for part in parts)
    page.wait_for_selector(selector)
    return page.inner_text(f"#shown-{tab} .shown")


def calls_at_rest(served: Served, page) -> list[str]:
    """The refreshes since the last look, once no more come."""
    before = None
    while (seen := (len(served.calls), len(served.demo._queue.event_ids_to_events))) != before or seen[1]:
        before = seen
        page.wait_for_timeout(700)  # a page sends what was typed after 400 ms
    taken = served.calls[:]
    served.calls.clear()
    return taken


def quick(page, m: str) -> None:
    """Take one of the quick choices of m; 0 is exact."""
    page.locator(f"#sidebar-quick input[value='{m}']").check(force=True)


def unfold(page) -> None:
    """Open the folded part of the sidebar."""
    if page.locator("#sidebar-task").is_hidden():
        page.click("#sidebar-model-section > button")
        expect(page.locator("#sidebar-task")).to_be_visible()


def choose(page, name: str, typed: str) -> None:
    """Type into a dropdown of the sidebar and take it with Enter.

    The dropdown answers keys a moment later (gradio 6.31): what leaves it sooner takes the choice back.
    """
    unfold(page)
    field = page.locator(f"#sidebar-{name} input")
    field.fill(typed)
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("Enter")
    expect(field).to_have_attribute("aria-expanded", "false")


@pytest.mark.parametrize("box", ["landmarks", "pinv-iterations"])
def test_a_number_is_typed_anew_from_an_emptied_box_without_a_word(served, box):
    page = served.open()
    unfold(page)
    page.get_by_role("tab", name="Tasks", exact=True).click()
    shown(page, "tasks", "| 16 | 6 |")
    calls_at_rest(served, page)
    field = page.locator(f"#sidebar-{box} input[type=number]")
    field.fill("")
    assert calls_at_rest(served, page) == []
    field.fill("9")
    shown(page, "tasks", "| 9 | 6 |" if box == "landmarks" else "| 16 | 9 |")
    assert calls_at_rest(served, page) == ["tasks"]
    assert page.locator(".toast-body, .error").count() == 0 and page.watch.errors == []


def test_a_change_refreshes_the_open_tab_once_and_no_other(served):
    page = served.open()
    assert calls_at_rest(served, page) == []  # the opening tab is built with what it shows
    page.get_by_role("tab", name="Tasks", exact=True).click()
    shown(page, "tasks", "sequence-classification")
    assert calls_at_rest(served, page) == ["tasks"]
    quick(page, "4")
    shown(page, "tasks", "| 4 | 6 |")
    assert calls_at_rest(served, page) == ["tasks"]
    quick(page, "0")
    page.wait_for_selector("#sidebar-readout :text('exactly')")
    assert calls_at_rest(served, page) == ["tasks"]
    page.locator("#sidebar-example input[value='news']").check(force=True)
    shown(page, "tasks", load_examples()["news"].text[:30])
    assert calls_at_rest(served, page) == ["tasks"]  # although exact is another m on another text
    expect(page.locator("#sidebar-readout")).to_contain_text("exactly")
    choose(page, "task", "Answers")
    shown(page, "tasks", "question-answering", load_examples()["news"].text[:30])  # which was chosen, and stays
    assert calls_at_rest(served, page) == ["tasks"]
    page.get_by_role("tab", name="Error", exact=True).click()
    shown(page, "error", "question-answering")
    page.get_by_role("tab", name="Tasks", exact=True).click()
    assert calls_at_rest(served, page) == ["error"]  # Tasks shows this already
    assert page.watch.errors == page.watch.external == []


def test_another_checkpoint_answers_says_that_its_head_is_new_and_a_refused_one_leaves_it(served):
    page = served.open("?tab=tasks")
    first = shown(page, "tasks", "| sequence-classification |")
    choose(page, "source", "mine")
    mine = shown(page, "tasks", "| mine |")
    assert mine == first.replace("| sequence-classification |", "| mine |")
    expect(page.locator("#sidebar-notice")).to_contain_text("mine has no head for “Sentiment”")
    expect(page.locator("#sidebar-task")).to_contain_text("mine, ")
    calls_at_rest(served, page)
    choose(page, "source", "spoiled")
    page.wait_for_selector("[data-testid=toast-body]:has-text('model.safetensors is not a whole safetensors file.')")
    expect(page.locator("#sidebar-source input")).to_have_value("mine")
    calls_at_rest(served, page)
    assert page.inner_text("#shown-tasks .shown") == mine
    choose(page, "source", HOSTILE)
    page.wait_for_selector("[data-testid=toast-body]:has-text('A checkpoint on the Hub has an id such as')")
    expect(page.locator("#sidebar-source input")).to_have_value("mine")
    choose(page, "task", "Masked words")
    shown(page, "tasks", "masked-lm | mine |")
    page.wait_for_selector("#sidebar-notice", state="hidden")
    assert page.watch.errors == page.watch.external == []


COPIED = "#permalink-link input, #permalink-link textarea"
LINK = "#tab=learn&task=masked-lm&checkpoint=mine&text=A+good+film.&m=3&steps=2&estimate=own&layer=2&head=3&step=4"
RESTORED = "masked-lm | mine | 3 | 2 | True | 1 | 2 | 3 | A good film."


def test_a_link_restores_the_open_tab_too_in_a_fresh_browser_and_after_a_restart(served, library, chromium):
    served.calls.clear()
    page = served.open(LINK)
    assert shown(page, "learn", "A good film.") == RESTORED
    assert set(calls_at_rest(served, page)) == {"learn"}
    page.click("#permalink-copy")
    page.wait_for_function(
        "document.querySelector('#permalink-link input, #permalink-link textarea')?.value.includes('/#')"
    )
    copied = page.input_value("#permalink-link input, #permalink-link textarea")
    with counting(Library(library.boxes, root=library.root), chromium) as restarted:
        again = restarted.open("#" + copied.partition("#")[2])
        assert shown(again, "learn", "A good film.") == RESTORED
        other = restarted.open(LINK.replace("learn", "error"))
        assert shown(other, "error", "A good film.") == RESTORED
        assert set(calls_at_rest(restarted, other)) == {"learn", "error"}  # of the two pages
        expect(other.locator("#tab-error-button, [role=tab][aria-selected=true]").first).to_have_text("Error")
        assert again.watch.errors == other.watch.errors == []


def test_what_a_link_says_wrong_is_refused_in_words_and_the_rest_holds(served):
    page = served.open(f"#task=pickle&checkpoint={quote(HOSTILE)}&m=900&text={quote(HOSTILE)}&steps=99&tab=tasks")
    shown(page, "tasks", "sequence-classification", HOSTILE)
    note = page.locator("#permalink-note")
    for said in (
        "The link's task must be one of ",
        "The link's checkpoint is not among those that this server offers.",
        "The link's steps must be a whole number from 0 to 20.",
    ):
        expect(note).to_contain_text(said)
    expect(note).not_to_contain_text("onerror")
    page.wait_for_selector("#sidebar-readout :text('exactly')")  # no more landmarks than tokens
    page.wait_for_function("document.querySelector('#sidebar-landmarks input[type=range]').max < 100")
    assert page.watch.errors == []


def test_a_text_too_long_for_a_link_is_said_beside_the_button(served):
    page = served.open()
    page.locator("#sidebar-example input[value='long']").check(force=True)
    page.wait_for_selector("#sidebar-readout :text-matches('[1-9],[0-9]{3}')")
    page.fill("#sidebar-text textarea", "An edited film. " * 400)
    page.click("#permalink-copy")
    page.wait_for_selector("#permalink-note :text('a link carries 4,000')")


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 700}, PHONE], ids=["low", "phone"])
def test_that_a_link_was_copied_is_said_in_sight(served, viewport):
    page = served.open(viewport=viewport)
    page.locator("#permalink-copy").evaluate("(button) => button.scrollIntoView({ block: 'end' })")
    page.click("#permalink-copy")
    note = page.locator("#permalink-note")
    expect(note).to_contain_text(re.compile("Copied|take the link from here"))
    expect(note).to_be_in_viewport(ratio=0.9)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_count_of_tokens_is_always_in_sight(served, viewport):
    page = served.open(viewport=viewport)
    page.evaluate("document.querySelector('#views').style.minHeight = '5000px'")
    readout = page.locator("#sidebar-readout")
    expect(readout).to_contain_text(re.compile(r"\d+ tokens, 16 landmarks: one for [\d.]+ tokens"))
    for scroll in ("window.scrollTo(0, 3000)", "document.querySelector('#sidebar').scrollTo(0, 3000)"):
        page.evaluate(scroll)
        page.evaluate(NEXT_FRAME)
        box = readout.bounding_box()
        assert 0 <= box["y"] < viewport["height"] - box["height"]
        middle = f"{box['x'] + 40}, {box['y'] + box['height'] / 2}"
        assert page.evaluate(f"document.elementFromPoint({middle}).closest('#sidebar-readout') !== null")


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 500}, PHONE], ids=["low", "phone"])
def test_nothing_shows_through_the_count_of_tokens(served, viewport):
    page = served.open(viewport=viewport)
    page.wait_for_selector("#sidebar-readout :text('tokens')")
    unfold(page)  # so that there is enough to scroll
    page.evaluate("document.querySelector('#views').style.minHeight = '5000px'")
    covered = page.evaluate(
        """async () => {
          const readout = document.querySelector('#sidebar-readout');
          const label = document.querySelector('#sidebar-landmarks [data-testid="block-info"]');
          const scroller = innerWidth < 900 ? document.scrollingElement : document.querySelector('#sidebar');
          const top = (node) => node.getBoundingClientRect().top;
          for (let i = 0; i < 10; i++) {  // the first scrolls move the readout too, to where it sticks
            scroller.scrollTop += top(label) - top(readout.querySelector('p'));
            await new Promise(requestAnimationFrame);
          }
          const box = label.getBoundingClientRect();
          return {
            by: !!document.elementFromPoint(box.left + 4, box.top + box.height / 2)?.closest('#sidebar-readout'),
            apart: Math.abs(top(label) - top(readout.querySelector('p'))),
          };
        }"""
    )
    assert covered["by"] and covered["apart"] < 3
