"""The viewer's two gradio components, drawn by the modules of ui/web/viewer."""

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from nystrom_demo.ui import web


def head_viewer(elem_id: str) -> gr.HTML:
    """The maps, factors and text of one head; its value is a `head_payload`, or {"message": why there is none}."""
    return _component("viewer", elem_id)


def mosaic(elem_id: str) -> gr.HTML:
    """All heads as a mosaic; its value is a `mosaic_payload`. Fires "choose" once one is chosen: see `chosen_head`."""
    return _component("mosaic", elem_id, ["choose"])


def chosen_head(elem_id: str) -> str:
    """JavaScript for the event "choose": the layer and head that the mosaic has chosen, from 0, without a request."""
    return f"() => document.querySelector('#{elem_id} .cell[aria-pressed=true]').dataset.head.split(',').map(Number)"


def _component(name: str, elem_id: str, events: Sequence[str] = ()) -> gr.HTML:
    component = gr.HTML(
        value=None,
        html_template=web.template(f"viewer/{name}.html"),
        css_template=web.style("menu", name),
        js_on_load=web.starting(f"viewer/{name}.js", events),
        apply_default_css=False,
        elem_id=elem_id,
    )
    component.postprocess = as_json  # a subclass would have gradio write a stub file beside this one
    return component


def as_json(value: Any) -> str | None:
    """A component's value as one JSON string; one that is a string is left alone.

    The page keeps a value behind proxies and copies it at every event: thousands of small objects would cost it a
    second where a string costs nothing. Without "<", so that gradio takes no text of the visitor's for a script tag.
    """
    return value if value is None or isinstance(value, str) else json.dumps(value).replace("<", "\\u003c")
