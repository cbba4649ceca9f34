"""A place for one figure: a caption that says what it is, the figure, and the sentence that its data make."""

from html import escape
from typing import Any, NamedTuple

import gradio as gr
import plotly.graph_objects as go

from nystrom_demo.figures.style import summary_of


class Slot(NamedTuple):
    plot: gr.Plot
    note: gr.HTML


def figure_slot(title: str, elem_id: str) -> Slot:
    """The slot's components in a column of their own."""
    with gr.Column(elem_id=f"{elem_id}-slot", elem_classes="slot", min_width=300):
        gr.HTML(f'<h3 class="caption">{escape(title)}</h3>')
        plot = gr.Plot(elem_id=elem_id, show_label=False, visible=False)
        return Slot(plot, gr.HTML(elem_id=f"{elem_id}-note"))


def filled(figure: go.Figure, more: str = "") -> tuple[Any, str]:
    """A figure with its sentence, and perhaps one more, for a slot."""
    return gr.update(value=figure, visible=True), note(f"{summary_of(figure)} {more}".strip())


def emptied(sentence: str = "") -> tuple[Any, str]:
    """No figure, and why."""
    return gr.update(visible=False), note(sentence)


def note(sentence: str) -> str:
    sentence = escape(sentence).replace(" %", "\N{NO-BREAK SPACE}%")
    return f'<p class="note">{sentence}</p>' if sentence else ""
