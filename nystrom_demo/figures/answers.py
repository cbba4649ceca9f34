"""How likely a head's exact answer stays as the number of landmarks grows."""

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo.figures.roles import ROLES


def answer_curve(points: pd.DataFrame, *, num_tokens: int, chosen: int) -> go.Figure:
    """The probability of the exact answer against m, hollow where landmarks answer something else.

    points: the columns of `tasks.SweepPoint`, exact attention's line first under num_landmarks 0. chosen: the m to
    mark; 0 or num_tokens for exact attention, which stands at m = n.
    """
    exact, swept = points[points.num_landmarks == 0].iloc[0], points[points.num_landmarks > 0]
    level, colour = ROLES["exact"], ROLES["landmark"].colour
    figure = go.Figure()
    figure.add_scatter(
        x=[1, num_tokens],
        y=[exact.probability] * 2,
        mode="lines",
        line={"color": level.colour, "width": 2, "dash": "dot"},
        name="exact",
        hovertemplate="exact: %{y:.1%}<extra></extra>",
    )
    figure.add_scatter(
        x=swept.num_landmarks,
        y=swept.probability,
        customdata=[_short(answer) for answer in swept.answer],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={
            "size": 9,
            "symbol": ["circle" if agrees else "circle-open" for agrees in swept.agrees],
            "line": {"width": 2},
        },
        name="landmarks",
        hovertemplate="m = %{x}: %{y:.1%}<br>says %{customdata}<extra></extra>",
    )
    figure.add_vline(x=chosen or num_tokens, line={"color": ROLES["neutral"].colour, "width": 1})
    ticks = [*swept.num_landmarks, num_tokens]
    figure.update_xaxes(
        type="log",
        title="landmarks m",
        tickvals=ticks,
        ticktext=[*map(str, ticks[:-1]), f"{num_tokens}"],
        showgrid=False,
    )
    top = max(points.probability.max(), exact.probability)
    figure.update_yaxes(title="probability", tickformat=".0%", range=[0, min(1.05, 1.15 * top)], zeroline=False)
    figure.update_layout(
        height=300,
        margin={"l": 56, "r": 12, "t": 12, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ROLES["neutral"].colour, "size": 13},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
    )
    figure.update_yaxes(gridcolor="rgba(138,138,138,0.25)")
    return figure


def _short(answer: str, length: int = 60) -> str:
    # Plotly reads <b>, <i>, <a> and <br> in hover labels, so that a text's own marks must not pass as such.
    text = answer if len(answer) <= length else answer[: length - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
