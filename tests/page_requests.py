"""The page's own requests, without a browser: what page_state.js sends, and what comes of it."""

import json
from dataclasses import asdict
from typing import Any

import gradio as gr

from nystrom_demo.checkpoints import BUNDLED, Library
from nystrom_demo.ui import page as app
from nystrom_demo.ui.refresh import Latest, Page, refresh
from nystrom_demo.ui.state import PageState


def make_page(library: Library) -> Page:
    """The page's parts, built but not launched."""
    with gr.Blocks():
        store = gr.HTML()
        sidebar = app.build_sidebar(library)
        sidebar.notice.render()
        _, views = app._build_tabs(library, store)
        return app.build_page(library, sidebar, views, store)


def request(state: PageState, stamp: int = 1, **more: Any) -> str:
    """A request of a page in this state that holds nothing of it yet."""
    served = {"source": BUNDLED, "task": "sequence-classification", "example": "review"}
    return json.dumps({"stamp": stamp, "state": asdict(state), "served": served, "held": {}} | more)


def answered(page: Page, state: PageState, **more: Any) -> tuple[dict[str, Any], dict[gr.components.Component, Any]]:
    """(the last answer to the page's state, what components show) of a request."""
    *_, values = refresh(page, request(state, **more), Latest())
    return json.loads(values[page.store]), values
