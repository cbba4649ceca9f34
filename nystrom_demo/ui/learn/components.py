"""The tour's two gradio components, made of the HTML, CSS and JavaScript files in this folder."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from nystrom_demo.figures.roles import DIVERGING, SEGMENTS, SEQUENTIAL, colour_table
from nystrom_demo.ui.export import MENU_CSS, SAVING_JS, with_buttons

FOLDER = Path(__file__).parent
# gradio runs js_on_load as a function's body: the files share its scope, and the last one starts them.
TEXT_SCRIPTS = ("page.js", "progress.js", "text.js")
PICTURE_SCRIPTS = ("page.js", "cells.js", "chart.js", "words.js", "takeaway.js", "picture.js")
TEXT_HTML = '<div class="learn-text"></div>'


def text_view(elem_id: str) -> gr.HTML:
    """Steps, prose, formula and prediction; its value is a `text_payload`. Fires "go" with {step}, counted from 0."""
    return _component(TEXT_HTML, "text.css", TEXT_SCRIPTS, elem_id)


def picture_view(elem_id: str) -> gr.HTML:
    """The picture with its readings and exports; its value is a `picture_payload`."""
    return _component(with_buttons(FOLDER / "picture.html"), "picture.css", PICTURE_SCRIPTS, elem_id)


def palette() -> dict[str, Any]:
    """What the scripts need of figures/roles.py; the roles' own colours they take from its CSS variables."""
    return {
        "sequential": colour_table(SEQUENTIAL),
        "diverging": colour_table(DIVERGING),
        "segments": len(SEGMENTS),
    }


def _component(template: str, style: str, scripts: tuple[str, ...], elem_id: str) -> gr.HTML:
    source = "\n".join((FOLDER / script).read_text(encoding="utf-8") for script in scripts)
    return gr.HTML(
        value=None,
        html_template=template,
        css_template=MENU_CSS + (FOLDER / style).read_text(encoding="utf-8"),
        js_on_load=f"const PALETTE = {json.dumps(palette())};\n{SAVING_JS}\n{source}",
        apply_default_css=False,
        elem_id=elem_id,
    )
