"""The error of landmark attention against the length of a text."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo.analysis.lengths import LengthPoint
from nystrom_demo.figures.roles import ROLES
from nystrom_demo.figures.style import error_axis, styled
from nystrom_demo.figures.words import MEASURES
from nystrom_demo.formatting import percent

_RULES = {"fixed": ("the same m at every n", "solid", "circle"), "growing": ("m growing as n", "dash", "diamond")}


def error_against_length(points: Sequence[LengthPoint], measure: str = "frobenius", *, height: int = 340) -> go.Figure:
    """The error (`analysis.lengths.error_against_length`) at each n for both rules of choosing m; log-log."""
    figure = go.Figure()
    for rule, (name, dash, symbol) in _RULES.items():
        line = [point for point in points if point.rule == rule and getattr(point, measure) > 0]
        figure.add_scatter(
            x=[point.num_tokens for point in line],
            y=[getattr(point, measure) for point in line],
            customdata=[point.num_landmarks for point in line],
            mode="lines+markers",
            line={"color": ROLES["landmark"].colour, "width": 2, "dash": dash},
            marker={"symbol": symbol, "size": 9},
            name=name,
            hovertemplate="n = %{x:,}, m = %{customdata:,}: %{y:.3%}<extra></extra>",
        )
    lengths = sorted({point.num_tokens for point in points})
    figure.update_xaxes(
        type="log", title="tokens n", tickvals=lengths, ticktext=[f"{n:,}" for n in lengths], showgrid=False
    )
    error_axis(figure, MEASURES[measure])
    return styled(figure, _summary(points, measure), height=height, table=pd.DataFrame(points))


def _summary(points: Sequence[LengthPoint], measure: str) -> str:
    said = []
    for rule, (name, _, _) in _RULES.items():
        line = [point for point in points if point.rule == rule]
        if line:
            first, last = line[0], line[-1]
            said.append(
                f"with {name} ({last.num_landmarks:,} at n = {last.num_tokens:,}) the error goes from "
                f"{percent(getattr(first, measure))} at n = {first.num_tokens:,} to {percent(getattr(last, measure))}"
            )
    sentence = "; ".join(said) or "nothing has been measured yet"
    return f"{sentence[0].upper()}{sentence[1:]}."
