"""The viewer's two gradio components, made of the HTML, CSS and JavaScript files in this folder."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from nystrom_demo.figures.roles import DARK_PAGE, DIVERGING, ROLES, SEGMENTS, SEQUENTIAL
from nystrom_demo.ui.export import DRAWING_JS, MENU_CSS, SAVING_JS, with_buttons

FOLDER = Path(__file__).parent
SHARED_SCRIPTS = ("elements.js", "colours.js")
VIEWER_SCRIPTS = (
    "kernels.js",
    "axes.js",
    "picture.js",
    "zoom.js",
    "maps.js",
    "pointing.js",
    "recipe.js",
    "factors.js",
    "lens.js",
    "words.js",
    "controls.js",
    "takeaway.js",
    "viewer.js",
)
# gradio runs js_on_load as a function's body: the files share its scope, and these lines start them.
START = """
const show = () => view.show(props.value ? JSON.parse(props.value) : null);
show();
watch('value', show);
"""
START_VIEWER = f"const view = makeViewer(element, PALETTE);{START}"
START_MOSAIC = f"const view = makeMosaic(element, PALETTE, () => trigger('choose'));{START}"


def head_viewer(elem_id: str) -> gr.HTML:
    """The maps, factors and text of one head; its value is a `head_payload`, or {"message": why there is none}."""
    return _component("viewer", (*SHARED_SCRIPTS, *VIEWER_SCRIPTS), START_VIEWER, elem_id)


def mosaic(elem_id: str) -> gr.HTML:
    """All heads as a mosaic; its value is a `mosaic_payload`. Fires "choose" once one is chosen: see `chosen_head`."""
    return _component("mosaic", (*SHARED_SCRIPTS, "mosaic.js", "mosaic_takeaway.js"), START_MOSAIC, elem_id)


def chosen_head(elem_id: str) -> str:
    """JavaScript for the event "choose": the layer and head that the mosaic has chosen, from 0, without a request."""
    return f"() => document.querySelector('#{elem_id} .cell[aria-pressed=true]').dataset.head.split(',').map(Number)"


def palette() -> dict[str, Any]:
    """The colours that the scripts draw with, from the one place where roles have colours."""
    return {
        "roles": {name: role.colour for name, role in ROLES.items()},
        "text": {name: {"light": role.on_light, "dark": role.on_dark} for name, role in ROLES.items()},
        "sequential": SEQUENTIAL,
        "diverging": DIVERGING,
        "segments": SEGMENTS,
        "ground": {"light": "#ffffff", "dark": DARK_PAGE},
    }


def _component(name: str, scripts: tuple[str, ...], start: str, elem_id: str) -> gr.HTML:
    source = "\n".join((FOLDER / script).read_text(encoding="utf-8") for script in scripts)
    component = gr.HTML(
        value=None,
        html_template=with_buttons(FOLDER / f"{name}.html"),
        css_template=MENU_CSS + (FOLDER / f"{name}.css").read_text(encoding="utf-8"),
        js_on_load=f"const PALETTE = {json.dumps(palette())};\n{SAVING_JS}\n{DRAWING_JS}\n{source}\n{start}",
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
