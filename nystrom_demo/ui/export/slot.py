"""A place for one figure: caption, figure, the sentence that its data make, ways to take it away, and its code."""

from html import escape
from typing import Any, NamedTuple

import gradio as gr
import plotly.graph_objects as go

from nystrom_demo.figures.style import summary_of
from nystrom_demo.ui import web


class Slot(NamedTuple):
    """The components that a figure fills, in the order of `filled` and `emptied`."""

    plot: gr.Plot
    note: gr.HTML
    code: gr.Code


SKIPPED = (gr.skip(),) * len(Slot._fields)  # a slot that stays as it is


def figure_slot(title: str, elem_id: str, hint: str = "") -> Slot:
    """The slot's components in a column of their own.

    Figure, menu and code are there all the time, and the style sheet hides them until there is a figure: a component
    that is made visible by one of several answers in quick succession may stay away (gradio 6.31).
    """
    with gr.Column(elem_id=f"{elem_id}-slot", elem_classes="slot", min_width=300):
        small = f" <small>({escape(hint)})</small>" if hint else ""
        gr.HTML(f'<h3 class="caption">{escape(title)}{small}</h3>')
        plot = gr.Plot(elem_id=elem_id, show_label=False, elem_classes="with-figure")
        sentence = gr.HTML(elem_id=f"{elem_id}-note")
        with gr.Column(elem_classes="with-figure"):
            _menu(f"{elem_id}-menu", "menu", "the figure")
            code = code_section(f"{elem_id}-code")
        return Slot(plot, sentence, code)


def code_section(elem_id: str) -> gr.Code:
    """ "Code for this view", folded: the same on every tab. Its editor, 130 kB, is loaded when it is first unfolded."""
    with gr.Accordion("Code for this view", open=False, elem_id=f"{elem_id}-section") as section:
        code = gr.Code(
            language="python",
            show_label=False,
            interactive=False,
            wrap_lines=True,
            max_lines=24,
            visible=False,
            elem_id=elem_id,
        )
    show_when_unfolded(section, code)
    return code


def show_when_unfolded(section: gr.Accordion, part: gr.components.Component) -> None:
    """Make `part`, built with visible=False, visible when `section` is unfolded, and its scripts loaded then only."""
    section.expand(None, None, part, js="() => ({ __type__: 'update', visible: true })", api_visibility="private")


def filled(figure: go.Figure, code: str, more: str = "") -> tuple[Any, ...]:
    """A figure with its sentence, perhaps one more, and the code that computes it, for a slot."""
    sentence = note(f"{summary_of(figure)} {more}".strip())
    return figure, sentence, code


def emptied(sentence: str = "") -> tuple[Any, ...]:
    """No figure, and why."""
    return None, note(sentence), ""


def note(sentence: str) -> str:
    sentence = escape(sentence).replace(" %", "\N{NO-BREAK SPACE}%")
    return f'<p class="note">{sentence}</p>' if sentence else ""


def answer_menu(elem_id: str) -> None:
    """Ways to take away the markup `.answer` in the same `.answer-slot`; its data-csv holds its numbers."""
    _menu(elem_id, "answer", "the answer")


def _menu(elem_id: str, module: str, what: str) -> None:
    gr.HTML(
        value=None,
        html_template=web.template("export/menu.html").format(what=what),
        css_template=web.style("menu"),
        js_on_load=web.starting(f"export/{module}.js"),
        apply_default_css=False,
        elem_id=elem_id,
    )
