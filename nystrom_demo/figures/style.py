"""What every plotly figure here has in common: no ground of its own, one grey that reads on light and dark pages."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

TEXT = "#828282"  # as far from white as from a near-black page, 3.9 to 1
GRID = "rgba(130,130,130,0.25)"
CLEAR = "rgba(0,0,0,0)"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def styled(figure: go.Figure, summary: str, *, height: int, table: pd.DataFrame | None = None) -> go.Figure:
    """The figure on a transparent ground with neutral text.

    Its one-sentence summary lies in `layout.meta`, and beside it as CSV the table that it draws, where it has one.
    """
    figure.update_layout(
        height=height,
        margin={"l": 64, "r": 16, "t": 36, "b": 52},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"color": TEXT, "size": 13},
        hoverlabel={"namelength": -1},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
        meta={"summary": summary} if table is None else {"summary": summary, "csv": as_csv(table)},
    )
    figure.update_xaxes(gridcolor=GRID, linecolor=TEXT, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, linecolor=TEXT, zeroline=False)
    return figure


def summary_of(figure: go.Figure) -> str:
    """The sentence that says what a figure of this package shows, for people who do not see it."""
    return figure.layout.meta["summary"]


def csv_of(figure: go.Figure) -> str:
    """The numbers behind a figure as CSV, seven digits each. ValueError for a figure of whole matrices."""
    if "csv" not in figure.layout.meta:
        raise ValueError("This figure draws matrices, which are their own table: save the tensors.")
    return figure.layout.meta["csv"]


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV, seven digits a number, with nothing that a spreadsheet would run."""
    return table.map(_inert).to_csv(index=False, float_format="%.7g")


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula with an apostrophe before it; all else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def landmark_axis(figure: go.Figure, landmarks: Sequence[int], title: str = "landmarks m") -> None:
    """A logarithmic x axis ticked at the numbers of landmarks themselves, where one is no more than half of the next.

    So that the last ones, often a power of two and n just above it, do not overlap on a phone.
    """
    landmarks = list(landmarks)
    followed = zip(landmarks, [*landmarks[1:], math.inf], strict=True)
    ticks = [m for m, following in followed if following >= 2 * m]
    names = [str(m) for m in ticks]
    figure.update_xaxes(type="log", title=title, tickvals=ticks, ticktext=names, tickangle=0, showgrid=False)


def error_axis(figure: go.Figure, title: str, *, as_percent: bool = True) -> None:
    """A y axis for what the figure draws, logarithmic unless it all lies within a factor of three.

    Ticks are at 1, 2 and 5 of each decade where there are few, else at whole decades.
    """
    values = [y for trace in figure.data for y in trace.y if y is not None and y > 0]
    decades = math.log10(max(values) / min(values)) if values else 0
    look = {"tickformat": ".2~%"} if as_percent else {"exponentformat": "power"}
    if decades < math.log10(3):
        figure.update_yaxes(title=title, rangemode="tozero", **look)
    else:
        figure.update_yaxes(type="log", title=title, dtick="D2" if decades < 2 else max(1, round(decades / 5)), **look)


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
