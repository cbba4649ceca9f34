"""The page: header, bench and tabs, and the rule that a change of the bench refreshes the open tab only."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.figures.roles import css_variables
from nystrom_demo.ui import attention_tab, error_tab, learn_tab, tasks_tab, time_tab
from nystrom_demo.ui.api import Endpoints
from nystrom_demo.ui.bench import Bench, BenchValues, Refresh, build_bench, describe
from nystrom_demo.ui.share import Share, build_share, wire_share


class Tab(NamedTuple):
    id: str
    label: str
    build: Callable[[Bench, dict[str, Checkpoint]], Refresh]


TABS = (
    Tab("learn", "Learn", learn_tab.build),
    Tab("tasks", "Tasks", tasks_tab.build),
    Tab("attention", "Attention", attention_tab.build),
    Tab("error", "Error", error_tab.build),
    Tab("time", "Time", time_tab.build),
)
OPENING_TAB = "learn"
ASSETS = Path(__file__).parents[2] / "assets"
HEADER = """<h1>Nyström attention</h1>
<p>Softmax attention compares every token with every other. Landmark attention compares them through <i>m</i> averages.
See what that changes, on your own text.</p>"""

# gradio's semibold cuts of these fonts lack most letters, its bold ones are whole.
FONTS = {
    "font": [gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"],
    "font_mono": [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
}
# A phone begins with the bench's sections folded; a wide page has room for them.
FOLD_ON_PHONES = """() => {
  if (window.innerWidth >= 900) return;
  for (const button of document.querySelectorAll('#bench button.label-wrap')) button.click();
}"""

# What `launch` is told about looks; all else about launching is serving's.
LOOK = {
    "theme": gr.themes.Base(primary_hue="blue", secondary_hue="blue", neutral_hue="zinc", **FONTS),
    "css": css_variables(),
    "css_paths": [ASSETS / "app.css"],
}


def build_app(checkpoints: dict[str, Checkpoint]) -> gr.Blocks:
    """The whole page over these checkpoints (by task; a second device's as "task@device"), ready to launch."""
    with gr.Blocks(
        title="Nyström attention", analytics_enabled=False, delete_cache=(600, 3600), fill_width=True
    ) as app:
        gr.HTML(HEADER, elem_id="masthead")
        with gr.Row(elem_id="page", equal_height=False):
            with gr.Column(elem_id="bench", scale=0, min_width=300):
                bench = build_bench(checkpoints)
                share = build_share()
            with gr.Column(elem_id="views", scale=1, min_width=320):
                all_tabs, tabs, refreshes = _build_tabs(bench, checkpoints)
        _wire(app, bench, share, checkpoints, all_tabs, tabs, refreshes)
        Endpoints(checkpoints).publish()
    return app


def _build_tabs(bench: Bench, checkpoints: dict[str, Checkpoint]) -> tuple[gr.Tabs, list[gr.Tab], list[Refresh]]:
    tabs, refreshes = [], []
    with gr.Tabs(selected=OPENING_TAB, elem_id="tabs") as all_tabs:
        for tab in TABS:
            with gr.Tab(tab.label, id=tab.id, elem_id=f"tab-{tab.id}") as view:
                tabs.append(view)
                refreshes.append(tab.build(bench, checkpoints))
    return all_tabs, tabs, refreshes


def _wire(
    app: gr.Blocks,
    bench: Bench,
    share: Share,
    checkpoints: dict[str, Checkpoint],
    all_tabs: gr.Tabs,
    tabs: list[gr.Tab],
    refreshes: list[Refresh],
) -> None:
    # A tab's stamp is the bench that it shows. Only the open tab's is brought up to date, and only a stamp that
    # changed refreshes its tab, so that a tab reopened on the same bench computes nothing.
    # Stamps are hidden text boxes, since a gr.State that changes outside the queue triggers nothing.
    open_tab = gr.State(OPENING_TAB)
    first = fingerprint(tuple(component.value for component in (*bench.inputs, bench.layer, bench.head)))
    stamps = [
        gr.Textbox(
            first if tab.id == OPENING_TAB else "",  # the opening tab is built with what it shows
            visible="hidden",
            label=f"Stamp of {tab.label}",
            elem_id=f"stamp-{tab.id}",
        )
        for tab in TABS
    ]
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    max_tokens = next(iter(checkpoints.values())).max_tokens
    stamping = (
        functools.partial(stamp, max_tokens),
        [*bench.inputs, bench.layer, bench.head, bench.num_tokens, open_tab, *stamps],
        [bench.readout, *stamps],
    )
    gr.on([component.change for component in (bench.settled, *bench.inputs[1:])], *stamping, **quiet)
    restored = wire_share(app, share, bench, checkpoints, all_tabs, open_tab)
    restored.then(*stamping, **quiet)
    app.load(None, js=FOLD_ON_PHONES, api_visibility="private")
    for tab, view, mark, refresh in zip(TABS, tabs, stamps, refreshes, strict=True):
        shown = [*bench.inputs, bench.layer, bench.head]
        view.select(functools.partial(select, tab.id), shown, [open_tab, mark], **quiet)
        refreshed = mark.change(
            refresh.fn,
            refresh.inputs,
            refresh.outputs,
            show_progress="minimal",
            show_progress_on=refresh.busy,
            api_visibility="private",
        )
        if refresh.then:
            fn, inputs, outputs = refresh.then
            later = refreshed.then(fn, inputs, outputs, show_progress="hidden", api_visibility="private")
            mark.change(None, cancels=[later], api_visibility="private")  # what it shows would be out of date


def stamp(max_tokens: int, *args: Any) -> tuple[Any, ...]:
    """The readout, and the tabs' stamps with the open one's brought up to date."""
    count = len(fields(BenchValues)) + 2  # layer and head
    values, (num_tokens, open_tab, *stamps) = args[:count], args[count:]
    readout = describe(num_tokens, BenchValues(*values[:-2]).num_landmarks, max_tokens)
    return readout, *(fingerprint(values) if tab.id == open_tab else old for tab, old in zip(TABS, stamps, strict=True))


def select(tab_id: str, *values: Any) -> tuple[str, str]:
    """The tab now open and its stamp."""
    return tab_id, fingerprint(values)


def fingerprint(values: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()
