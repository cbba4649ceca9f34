"""The page: header, bench and tabs, and the rule that a change of the bench refreshes the open tab only."""

from collections.abc import Callable
from typing import NamedTuple

import gradio as gr

from nystrom_demo.checkpoints import Library
from nystrom_demo.figures.roles import css_variables
from nystrom_demo.ui import web
from nystrom_demo.ui.api import Endpoints
from nystrom_demo.ui.events import EACH
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.permalink import Share, build_share, wire_share
from nystrom_demo.ui.refresh import fingerprint, wire_changes
from nystrom_demo.ui.sidebar import Bench, Refresh, build_bench
from nystrom_demo.ui.tabs import attention as attention_tab
from nystrom_demo.ui.tabs import error as error_tab
from nystrom_demo.ui.tabs import learn as learn_tab
from nystrom_demo.ui.tabs import tasks as tasks_tab
from nystrom_demo.ui.tabs import time as time_tab


class Tab(NamedTuple):
    id: str
    label: str
    build: Callable[[Bench, Library], Refresh]


TABS = (
    Tab("learn", "Learn", learn_tab.build),
    Tab("tasks", "Tasks", tasks_tab.build),
    Tab("attention", "Attention", attention_tab.build),
    Tab("error", "Error", error_tab.build),
    Tab("time", "Time", time_tab.build),
)
OPENING_TAB = "learn"
HEADER = """<h1>Nyström attention</h1>
<p>Softmax attention compares every token with every other. Landmark attention compares them through <i>m</i> averages.
See what that changes, on your own text.</p>"""

# gradio's semibold cuts of this font lack most letters, its bold ones are whole.
FONTS = {
    "font": [gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"],
    "font_mono": ["ui-monospace", "monospace"],  # the visitor's own, for little text
}
# A phone begins with the bench's sections folded; a wide page has room for them.
FOLD_ON_PHONES = """() => {
  if (window.innerWidth >= 900) return;
  for (const button of document.querySelectorAll('#bench button.label-wrap')) button.click();
}"""

STYLES = ("page", "controls", "bench", "answers", "figures")
# What `launch` is told about looks; all else about launching is serving's.
LOOK = {
    "theme": gr.themes.Base(primary_hue="blue", secondary_hue="blue", neutral_hue="zinc", **FONTS),
    "css": css_variables(),
    "css_paths": [web.FOLDER / "css" / f"{part}.css" for part in STYLES],
}


def build_app(library: Library) -> gr.Blocks:
    """The whole page over these checkpoints, ready to launch."""
    with gr.Blocks(
        title="Nyström attention", analytics_enabled=False, delete_cache=(600, 3600), fill_width=True
    ) as app:
        gr.HTML(HEADER, elem_id="masthead")
        with gr.Row(elem_id="page", equal_height=False):
            with gr.Column(elem_id="bench", scale=0, min_width=300):
                bench = build_bench(library)
                share = build_share()
            with gr.Column(elem_id="views", scale=1, min_width=320):
                bench.notice.render()
                all_tabs, tabs, refreshes = _build_tabs(bench, library)
        _wire(app, bench, share, library, all_tabs, tabs, refreshes)
        Endpoints(library).publish()
    return app


def _build_tabs(bench: Bench, library: Library) -> tuple[gr.Tabs, list[gr.Tab], list[Refresh]]:
    tabs, refreshes = [], []
    with gr.Tabs(selected=OPENING_TAB, elem_id="tabs") as all_tabs:
        for tab in TABS:
            with gr.Tab(tab.label, id=tab.id, elem_id=f"tab-{tab.id}") as view:
                tabs.append(view)
                refreshes.append(tab.build(bench, library))
    return all_tabs, tabs, refreshes


def _wire(
    app: gr.Blocks,
    bench: Bench,
    share: Share,
    library: Library,
    all_tabs: gr.Tabs,
    tabs: list[gr.Tab],
    refreshes: list[Refresh],
) -> None:
    open_tab = gr.Textbox(OPENING_TAB, visible="hidden", label="Open tab", elem_id="open-tab")
    stamps = _build_stamps(bench)
    restored = wire_share(app, share, bench, library, all_tabs, open_tab)
    wire_changes(bench, library, load_examples(), open_tab, stamps, [restored.change])
    app.load(None, js=FOLD_ON_PHONES, api_visibility="private")
    for tab, view, refresh in zip(TABS, tabs, refreshes, strict=True):
        view.select(None, None, open_tab, js=f"() => '{tab.id}'", api_visibility="private")
        _refresh_on_change(stamps[tab.id], refresh)


def _build_stamps(bench: Bench) -> dict[str, gr.Textbox]:
    """Each tab's stamp. Hidden text boxes, since a gr.State that changes outside the queue triggers nothing."""
    first = fingerprint([component.value for component in (*bench.inputs, bench.layer, bench.head)])
    return {
        tab.id: gr.Textbox(
            first if tab.id == OPENING_TAB else "",  # the opening tab is built with what it shows
            visible="hidden",
            label=f"Stamp of {tab.label}",
            elem_id=f"stamp-{tab.id}",
        )
        for tab in TABS
    }


def _refresh_on_change(stamp: gr.Textbox, refresh: Refresh) -> None:
    refreshed = stamp.change(
        refresh.fn,
        refresh.inputs,
        refresh.outputs,
        show_progress="minimal",
        show_progress_on=refresh.busy,
        api_visibility="private",
    )
    if refresh.then:
        fn, inputs, outputs = refresh.then
        later = refreshed.then(fn, inputs, outputs, **EACH)  # even while the one before is being cancelled
        stamp.change(None, cancels=[later], api_visibility="private")  # what it shows would be out of date
