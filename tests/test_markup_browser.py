"""Two hundred strings of markup in every place where the page shows text, in a real Chromium: none becomes markup."""

from itertools import product
from urllib.parse import quote

import gradio as gr
import pytest
from browser import TIMEOUT_MS, Watch, new_page, serving
from playwright.sync_api import expect
from tiny_checkpoints import make_tiny_box

from nystrom_demo.checkpoints import Library, load_bundled
from nystrom_demo.errors import UserError
from nystrom_demo.ui.page import LOOK, build_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BREAKOUTS = ("", '">', "'>", "</textarea>", "</script>", "-->", "`}", "&quot;&gt;")
PAYLOADS = (
    "<img src=x onerror=ran=1>",
    "<svg onload=ran=1>",
    "<script>ran=1</script>",
    '<iframe srcdoc="<script>parent.ran=1</script>">',
    "<body onload=ran=1>",
    "<details open ontoggle=ran=1>",
    "<input autofocus onfocus=ran=1>",
    "<video><source onerror=ran=1></video>",
    "<audio src=x onerror=ran=1>",
    '<object data="data:text/html,<script>parent.ran=1</script>">',
    '<embed src="javascript:parent.ran=1">',
    "<style>@import '//evil.example/x'</style>",
    "<link rel=stylesheet href=//evil.example/x>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<marquee onstart=ran=1>",
    "<a href=javascript:ran=1>x</a>",
    "[x](javascript:ran=1)",
    "![x](//evil.example/x.png)",
    r"$\href{javascript:ran=1}{x}$",
    "{{constructor.constructor('ran=1')()}}",
    "${window.ran=1}",
    "<math><mtext><img src=x onerror=ran=1></math>",
    "<select autofocus onfocus=ran=1>",
    "<form><button formaction=javascript:ran=1>x",
)
MARKUP = [before + payload for before, payload in product(BREAKOUTS, PAYLOADS)]
ELEMENTS = (
    "[onerror], [onload], [ontoggle], [onfocus], [onstart], iframe, object, embed, marquee, "
    "meta[http-equiv=refresh], a[href^='javascript:'], [formaction], [href*='evil.example'], [src*='evil.example']"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The app over checkpoints whose labels and tokens are markup, beside folders that are named so."""
    boxes = {"cpu": load_bundled("cpu", box=make_tiny_box(tmp_path_factory.mktemp("box"), tokens=MARKUP))}
    for task in ("sequence-classification", "token-classification"):
        config = boxes["cpu"][task].model.config
        config.id2label = {i: ("", "B-", "I-")[i % 3] + PAYLOADS[i] for i in range(config.num_labels)}
    root = tmp_path_factory.mktemp("root")
    for name in (payload for payload in PAYLOADS if "/" not in payload):
        (root / name).mkdir()
        (root / name / "config.json").write_text(f'{{"model_type": "{name}"}}'.replace("\\", ""))
    with serving(build_app(Library(boxes, root=root, hub=True)), **LOOK) as demo:
        yield demo


def settle(page, demo) -> None:
    """Wait until what the last action asked for is answered and drawn; of a sweep, its first steps."""
    page.wait_for_timeout(150)
    quiet = 0
    while quiet < 3:
        asked = [event for event in demo._queue.event_ids_to_events.values() if event.fn.name != "run"]
        quiet = 0 if asked else quiet + 1
        page.wait_for_timeout(50)


def made_of_markup(page) -> list[str]:
    """What of the strings has become elements, or has run."""
    ran = page.evaluate("window.ran === undefined ? [] : ['ran']")
    return ran + page.evaluate("found => [...document.querySelectorAll(found)].map(each => each.outerHTML)", ELEMENTS)


def fill(page, box: str, text: str) -> None:
    page.fill(f"{box} textarea, {box} input", text)
    page.locator(f"{box} textarea, {box} input").blur()


def wait_for(page, strings: list[str]) -> None:
    """Wait until the open tab shows every one of the strings, as text."""
    page.wait_for_function(
        """strings => {
            const open = [...document.querySelectorAll("[role=tabpanel]")].filter((panel) => panel.checkVisibility());
            const shown = open.map((panel) => panel.innerText).join(" ");
            return strings.every((each) => shown.includes(each));
        }""",
        arg=strings,
    )


def type_text(page, demo, strings: list[str]) -> None:
    fill(page, "#sidebar-text", " ".join(strings))
    page.wait_for_timeout(500)  # typing counts after a pause
    settle(page, demo)


def ask_head(page, demo, head: str) -> None:
    page.locator("#tasks-head label", has_text=head).click()
    expect(page.locator("#tasks-head label.selected")).to_have_text(head)
    settle(page, demo)


def test_no_markup_is_taken_for_markup(chromium, demo):
    watch = Watch(demo.local_url)
    link = f"&text={quote(' '.join(PAYLOADS))}&checkpoint={quote(PAYLOADS[0])}&task={quote(PAYLOADS[1])}"
    page = new_page(chromium, demo.local_url, watch, link)
    settle(page, demo)
    type_text(page, demo, ["[MASK]", *MARKUP])
    page.get_by_role("tab", name="Tasks", exact=True).click()
    for head, shown in (("Masked words", []), ("Sentiment", PAYLOADS[:2]), ("Entities", MARKUP)):
        ask_head(page, demo, head)
        wait_for(page, shown)
        assert made_of_markup(page) == [], head
    ask_head(page, demo, "Choices")
    fill(page, "#tasks-choices-question", " ".join(MARKUP))
    fill(page, "#tasks-options", "\n".join(" ".join(MARKUP[i::2]) for i in range(2)))
    wait_for(page, MARKUP)
    assert made_of_markup(page) == [], "Choices"
    for tab, shown in (("Attention", MARKUP), ("Learn", []), ("Error", [])):
        page.get_by_role("tab", name=tab, exact=True).click()
        settle(page, demo)
        wait_for(page, shown)
        assert made_of_markup(page) == [], tab
    page.get_by_role("tab", name="Tasks", exact=True).click()
    ask_head(page, demo, "Answers")
    fill(page, "#tasks-question", " ".join(MARKUP))
    for part in (MARKUP[i::6] for i in range(6)):  # of a longer passage it shows an excerpt
        type_text(page, demo, part)
        wait_for(page, part)
        assert made_of_markup(page) == [], "Answers"
    page.context.close()
    assert watch.external == [] and watch.errors == []


def test_a_checkpoint_named_by_markup_is_refused_as_text(chromium, demo):
    watch = Watch(demo.local_url)
    page = new_page(chromium, demo.local_url, watch)
    page.click("#sidebar-model-section > button")
    for name in MARKUP[:: len(PAYLOADS) + 1]:
        page.fill("#sidebar-source input", name)
        page.keyboard.press("Enter")
        settle(page, demo)
        assert made_of_markup(page) == []
    page.context.close()
    assert watch.external == []


def test_a_refusal_that_quotes_markup_is_drawn_as_text(chromium):
    def refuse(text: str) -> str:
        raise UserError(f"text must be plain, got {text}.")

    with gr.Blocks() as demo:
        text, shown = gr.Textbox(" ".join(MARKUP), elem_id="text"), gr.Textbox()
        gr.Button("Go", elem_id="go").click(refuse, text, shown, api_visibility="private")
    with serving(demo):
        watch = Watch(demo.local_url)
        page = chromium.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        watch.follow(page)
        page.goto(demo.local_url)
        page.click("#go")
        toast = page.get_by_test_id("toast-text")
        expect(toast).to_contain_text(f"text must be plain, got {MARKUP[0]} {MARKUP[1]}")
        assert made_of_markup(page) == []
        page.close()
    assert watch.external == []
