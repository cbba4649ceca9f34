"""What every plotly figure here has in common: no ground of its own, one grey that reads on light and dark pages."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

TEXT = "#828282"  # as far from white as from a near-black page, 3.9 to 1
GRID = "rgba(130,130,130,0.25)"
CLEAR = "rgba(0,0,0,0)"


def styled(figure: go.Figure, summary: str, *, height: int) -> go.Figure:
    """The figure on a transparent ground with neutral text; its one-sentence summary lies in `layout.meta`."""
    figure.update_layout(
        height=height,
        margin={"l": 64, "r": 16, "t": 36, "b": 52},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"color": TEXT, "size": 13},
        hoverlabel={"namelength": -1},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
        meta={"summary": summary},
    )
    figure.update_xaxes(gridcolor=GRID, linecolor=TEXT, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, linecolor=TEXT, zeroline=False)
    return figure


def summary_of(figure: go.Figure) -> str:
    """The sentence that says what a figure of this package shows, for people who do not see it."""
    return figure.layout.meta["summary"]


def landmark_axis(figure: go.Figure, landmarks: Sequence[int], title: str = "landmarks m") -> None:
    """A logarithmic x axis ticked at the numbers of landmarks themselves, where a number has room before the next."""
    landmarks = list(landmarks)
    followed = zip(landmarks, [*landmarks[1:], math.inf], strict=True)
    ticks = [m for m, following in followed if following >= 1.4 * m]
    names = [str(m) for m in ticks]
    figure.update_xaxes(type="log", title=title, tickvals=ticks, ticktext=names, tickangle=0, showgrid=False)


def mark_x(figure: go.Figure, x: float, colour: str, text: str = "", *, log: bool = False, dash: str = "solid") -> None:
    """A vertical line at x with a word at its top. On a logarithmic axis plotly wants the word's place as log10 x."""
    figure.add_vline(x=x, line={"color": colour, "width": 1.5, "dash": dash})
    if text:
        place = math.log10(x) if log else x
        figure.add_annotation(
            x=place, y=1, xref="x", yref="paper", text=text, showarrow=False, xanchor="left", yanchor="top", xshift=4
        )


def plain(text: str, length: int = 60) -> str:
    """A visitor's text for a label: shortened, and without the marks that plotly would read as markup."""
    text = text if len(text) <= length else text[: length - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
