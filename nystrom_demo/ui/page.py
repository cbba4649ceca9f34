"""The page: header, sidebar and tabs, and the one event that brings the open tab up to date after any change."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gradio as gr

from nystrom_demo.checkpoints import Library
from nystrom_demo.figures.roles import css_variables
from nystrom_demo.ui import web
from nystrom_demo.ui.api import Endpoints
from nystrom_demo.ui.events import AT_ONCE, EACH, LAST
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.permalink import write_link
from nystrom_demo.ui.refresh import Latest, Page, refresh
from nystrom_demo.ui.request import Served, read_state
from nystrom_demo.ui.sidebar import Sidebar, build_sidebar
from nystrom_demo.ui.state import ENTRIES, TABS, PageState, checked
from nystrom_demo.ui.tabs import attention as attention_tab
from nystrom_demo.ui.tabs import compare as compare_tab
from nystrom_demo.ui.tabs import error as error_tab
from nystrom_demo.ui.tabs import learn as learn_tab
from nystrom_demo.ui.tabs import tasks as tasks_tab
from nystrom_demo.ui.tabs import time as time_tab
from nystrom_demo.ui.view import FIELD_OF, View

BUILDERS: dict[str, tuple[str, Callable[[Library, gr.HTML], View]]] = {
    "learn": ("Learn", learn_tab.build),
    "tasks": ("Tasks", tasks_tab.build),
    "attention": ("Attention", attention_tab.build),
    "error": ("Error", error_tab.build),
    "compare": ("Compare", compare_tab.build),
    "time": ("Time", time_tab.build),
}
PAGE_STATE_JS = (Path(__file__).parent / "page_state.js").read_text(encoding="utf-8")
HEADER = """<h1>Nyström attention</h1>
<p>Softmax attention compares every token with every other. Landmark attention compares them through <i>m</i> averages.
See what that changes, on your own text.</p>"""

# gradio's semibold cuts of this font lack most letters, its bold ones are whole.
FONTS = {
    "font": [gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"],
    "font_mono": ["ui-monospace", "monospace"],  # the visitor's own, for little text
}
# A phone begins with the text folded; a wide page has room for it. The page's state is there once it was drawn.
ON_LOAD = """async () => {
  if (window.innerWidth < 900) document.querySelector('#sidebar-text-section button.label-wrap')?.click();
  while (!window.pageState) await new Promise(requestAnimationFrame);
  window.pageState.load();
}"""
# The word on it may stand below the fold of a phone or of a low window: bring it up once it is drawn.
SHOW_NOTE = """async () => {
  for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
  document.querySelector('#permalink-note').scrollIntoView({ block: 'nearest' });
}"""
# What is typed is asked for once typing has paused.
TYPED = (
    "text",
    "question",
    "choices_question",
    "options",
    "num_heads",
    "head_dim",
    "batch",
    "num_layers",
    "repeats",
    "budget",
)

STYLES = ("page", "controls", "sidebar", "answers", "figures")
# What `launch` is told about looks; all else about launching is serving's.
LOOK = {
    "theme": gr.themes.Base(primary_hue="blue", secondary_hue="blue", neutral_hue="zinc", **FONTS),
    "css": css_variables(),
    "files": web.modules(),
    "css_paths": [web.FOLDER / "css" / f"{part}.css" for part in STYLES],
}


def build_app(library: Library) -> gr.Blocks:
    """The whole page over these checkpoints, ready to launch."""
    with gr.Blocks(
        title="Nyström attention", analytics_enabled=False, delete_cache=(600, 3600), fill_width=True
    ) as app:
        gr.HTML(HEADER, elem_id="masthead")
        store = gr.HTML(None, html_template="", elem_id="page-state", visible="hidden", apply_default_css=False)
        with gr.Row(elem_id="page", equal_height=False):
            with gr.Column(elem_id="sidebar", scale=0, min_width=300):
                sidebar = build_sidebar(library)
            with gr.Column(elem_id="views", scale=1, min_width=320):
                sidebar.notice.render()
                tabs, views = _build_tabs(library, store)
        _wire(app, tabs, build_page(library, sidebar, views, store))
        Endpoints(library).publish()
    return app


def _build_tabs(library: Library, store: gr.HTML) -> tuple[list[gr.Tab], dict[str, View]]:
    tabs, views = [], {}
    with gr.Tabs(selected=PageState().tab, elem_id="tabs"):
        for name in TABS:
            label, build = BUILDERS[name]
            with gr.Tab(label, id=name, elem_id=f"tab-{name}") as tab:
                tabs.append(tab)
                views[name] = build(library, store)
    return tabs, views


def build_page(library: Library, sidebar: Sidebar, views: dict[str, View], store: gr.HTML) -> Page:
    """The page's parts; `store` gets the script that holds its state in the browser."""
    page = Page(library, load_examples(), sidebar, views, store)
    store.js_on_load = f"{PAGE_STATE_JS}\n{start_script(page)}"
    return page


def start_script(page: Page) -> str:
    """The lines that start page_state.js with this page's inputs and first state."""
    state = replace(PageState(), device=page.library.devices[0])
    held = {name: each.value for name, each in page.inputs.items()}
    config = {
        "state": asdict(state),
        "held": held,
        "served": Served(state.source, state.task, page.sidebar.example.value)._asdict(),
        "fields": {name: FIELD_OF.get(name, name) for name in page.inputs},
        "typed": TYPED,
        "bounds": {
            name: [each.minimum, each.maximum] for name, each in page.inputs.items() if isinstance(each, gr.Number)
        },
        "shows": {tab: [name for name, entry in ENTRIES.items() if tab in entry.tabs] for tab in TABS},
        "links": [entry.link for entry in ENTRIES.values()],
        "seen": page.sidebar.num_landmarks.maximum,
    }
    return (
        f"window.pageState = makePageState({json.dumps(config)}, () => trigger('ask'), () => trigger('hold'));\n"
        "Object.assign(window.pageState, { hiddenWords, copyLink });\n"
        "watch('value', () => window.pageState.take(props.value));"
    )


def _wire(app: gr.Blocks, tabs: list[gr.Tab], page: Page) -> None:
    browser = {"api_visibility": "private", "trigger_mode": "multiple"}  # no request: the page's own doing
    latest = gr.State(Latest())

    def ask(request: str, latest: Latest):
        yield from refresh(page, request, latest)

    sidebar = page.sidebar
    outputs = [page.store, sidebar.readout, sidebar.notice, sidebar.permalink.note]
    outputs += [component for view in page.views.values() for component in view.outputs]
    asked = page.store.ask(
        ask,
        [page.store, latest],
        list(dict.fromkeys(outputs)),
        js="() => [pageState.request(), null]",
        show_progress_on=[view.busy for view in page.views.values()],
        **EACH | {"show_progress": "minimal"},
    )
    asked.failure(None, js="() => pageState.failed()", **browser)
    page.store.hold(None, None, list(page.inputs.values()), js="() => pageState.updates()", **browser)
    # change, not input, which a gr.Textbox leaves out for pasting and for the delete key
    changes = [component.change for component in page.inputs.values()]
    gr.on(changes, None, [*page.inputs.values(), page.store], None, js="pageState.gather", **browser)
    gr.on([tab.select for tab in tabs], None, js="() => pageState.tabOpened()", **browser)
    app.load(None, js=ON_LOAD, **browser)
    _wire_permalink(page)


def _wire_permalink(page: Page) -> None:
    button, link, note = page.sidebar.permalink

    def copy_link(request: str) -> tuple[Any, str]:
        fragment, said = write_link(checked(read_state(request)), page.examples)
        return gr.update(value=fragment, visible=True), said

    copied = button.click(copy_link, page.store, [link, note], js="() => pageState.current()", **LAST, **AT_ONCE)
    told = copied.then(
        None,
        [link, note],
        [link, note],
        js="(link, note) => pageState.copyLink(pageState, link, note)",
        api_visibility="private",
    )
    told.then(None, js=SHOW_NOTE, api_visibility="private")
