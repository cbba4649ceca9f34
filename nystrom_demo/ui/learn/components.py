"""The tour's two gradio components, drawn by the modules of ui/web/tour."""

import gradio as gr

from nystrom_demo.ui import web


def text_view(elem_id: str) -> gr.HTML:
    """Steps, prose, formula and prediction; its value is a `text_payload`. Fires "go" with {step}, counted from 0."""
    return _component('<div class="learn-text"></div>', "text", elem_id)


def picture_view(elem_id: str) -> gr.HTML:
    """The picture with its readings and exports; its value is a `picture_payload`."""
    return _component(web.template("tour/picture.html"), "picture", elem_id)


def _component(template: str, name: str, elem_id: str) -> gr.HTML:
    return gr.HTML(
        value=None,
        html_template=template,
        css_template=web.style("menu", f"tour_{name}"),
        js_on_load=web.starting(f"tour/{name}.js", ["go"]),
        apply_default_css=False,
        elem_id=elem_id,
    )
