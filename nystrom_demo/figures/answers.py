"""How likely a head's exact answer stays as the number of landmarks grows."""

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo.figures.roles import ROLES
from nystrom_demo.figures.style import mark_x, plain, styled
from nystrom_demo.formatting import as_probability, counted


def answer_curve(points: pd.DataFrame, *, num_tokens: int, chosen: int | None = None, height: int = 300) -> go.Figure:
    """The probability of the exact answer against m, hollow where landmarks answer something else.

    points: the columns of `tasks.SweepPoint`, exact attention's line first under num_landmarks 0. chosen: the m to
    mark; 0 is exact attention, which stands at m = num_tokens.
    """
    exact, swept = points[points.num_landmarks == 0].iloc[0], points[points.num_landmarks > 0]
    figure = go.Figure([_exact_line(exact, num_tokens), _landmark_line(swept)])
    if chosen is not None:
        mark_x(figure, chosen or num_tokens, ROLES["neutral"].colour)
    ticks = [m for m in swept.num_landmarks if m.bit_length() % 2 and 2 * m < num_tokens] + [num_tokens]
    figure.update_xaxes(
        type="log", title="landmarks m", tickvals=ticks, ticktext=[f"{m:,}" for m in ticks], showgrid=False
    )
    top = 1.15 * max(points.probability.max(), 1e-6)
    figure.update_yaxes(title="probability", tickformat=".2~%", range=[0, min(1.05, top)])
    return styled(figure, _summary(exact, swept, num_tokens), height=height, table=points)


def _exact_line(exact: pd.Series, num_tokens: int) -> go.Scatter:
    return go.Scatter(
        x=[1, num_tokens],
        y=[exact.probability] * 2,
        mode="lines",
        line={"color": ROLES["exact"].colour, "width": 2, "dash": "dot"},
        name="exact",
        hovertemplate="exact: %{y:.1%}<extra></extra>",
    )


def _landmark_line(swept: pd.DataFrame) -> go.Scatter:
    colour = ROLES["landmark"].colour
    return go.Scatter(
        x=swept.num_landmarks,
        y=swept.probability,
        customdata=[plain(answer) for answer in swept.answer],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={
            "size": 9,
            "symbol": ["circle" if agrees else "circle-open" for agrees in swept.agrees],
            "color": colour,
            "line": {"width": 2, "color": colour},
        },
        name="landmarks",
        hovertemplate="m = %{x}: %{y:.1%}<br>says %{customdata}<extra></extra>",
    )


def _summary(exact: pd.Series, swept: pd.DataFrame, num_tokens: int) -> str:
    sentence = f"Exact attention gives its answer a probability of {as_probability(exact.probability)}"
    if swept.empty:
        return sentence + "."
    first, last = swept.iloc[0], swept.iloc[-1]
    differs = swept.num_landmarks[~swept.agrees.astype(bool)]
    agreement = f"they answer otherwise at m = {', '.join(f'{m:,}' for m in differs)}"
    if len(differs) in (0, len(swept)):
        agreement = f"they answer {'otherwise' if len(differs) else 'the same'} at each m"
    few = counted(first.num_landmarks, "landmark", "landmarks")
    return (
        f"{sentence}; with {few} it has {as_probability(first.probability)}, "
        f"with {last.num_landmarks:,} (of {num_tokens:,} tokens) {as_probability(last.probability)}, and {agreement}."
    )
