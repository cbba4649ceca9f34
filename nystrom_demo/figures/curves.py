"""Errors as plotly curves: against m, along the spectrum, step by step, layer by layer, and with padding."""

import math

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo.figures import summaries
from nystrom_demo.figures.roles import ROLES
from nystrom_demo.figures.style import error_axis, landmark_axis, mark_x, styled
from nystrom_demo.figures.words import MEASURES

_ESTIMATES = {  # first estimate of the pseudo-inverse: colour, dash, marker
    "largest of the heads": (ROLES["kernel_2"].colour, "solid", "circle"),
    "own norms": (ROLES["kernel_3"].colour, "solid", "square"),
    "torch.linalg.pinv": (ROLES["exact"].colour, "dot", None),
}


def error_against_landmarks(
    errors: pd.DataFrame, measure: str = "frobenius", *, chosen: int | None = None, height: int = 340
) -> go.Figure:
    """A head's error against m beside the best of rank m (`analysis.error_against_landmarks`); `chosen` m is marked.

    Logarithmic both ways. An error of zero, which m = n has, is off such an axis and written at its head instead.
    """
    figure = go.Figure()
    _against_landmarks(figure, errors, measure, ROLES["landmark"].label, ROLES["landmark"].colour, "circle")
    best = f"best_{measure}"
    if best in errors:
        _against_landmarks(figure, errors, best, ROLES["best_rank"].label, ROLES["best_rank"].colour, "diamond", "dash")
    _mark_zeros(figure, errors, measure)
    if chosen is not None:
        mark_x(figure, chosen, ROLES["neutral"].colour)
    landmark_axis(figure, errors.num_landmarks)
    error_axis(figure, MEASURES[measure])
    return styled(figure, summaries.error_against_landmarks(errors, measure), height=height, table=errors)


def errors_over_heads(
    errors: pd.DataFrame, measure: str = "frobenius", *, chosen: int | None = None, height: int = 340
) -> go.Figure:
    """The errors of all heads against m: their median, from the least to the greatest, and the middle half of them.

    errors: those of `analysis.head_errors` at several m, put one below the other, with a column num_landmarks. In the
    figure's own table heads and layers are counted from 1.
    """
    spread = errors.groupby("num_landmarks")[measure].quantile([0, 0.25, 0.5, 0.75, 1]).unstack()
    spread = spread[spread[0] > 0]  # an error of zero, which m = n has, is off a logarithmic axis
    figure = go.Figure()
    for low, high, name, opacity in ((0, 1, "all heads", 0.15), (0.25, 0.75, "the middle half", 0.3)):
        _band(figure, spread[low], spread[high], name, opacity)
    figure.add_scatter(
        x=spread.index,
        y=spread[0.5],
        mode="lines+markers",
        line={"color": ROLES["landmark"].colour, "width": 2},
        marker={"size": 8},
        name="median",
        hovertemplate="median, m = %{x}: %{y:.3%}<extra></extra>",
    )
    if chosen is not None:
        mark_x(figure, chosen, ROLES["neutral"].colour)
    landmark_axis(figure, sorted(errors.num_landmarks.unique()))
    error_axis(figure, MEASURES[measure])
    shown = errors.assign(layer=errors["layer"] + 1, head=errors["head"] + 1)
    return styled(figure, summaries.errors_over_heads(errors, measure, chosen), height=height, table=shown)


def singular_values(values: pd.DataFrame, *, num_landmarks: int | None = None, height: int = 320) -> go.Figure:
    """The singular values of exact attention, and of the landmark map where they were asked for; a line at m.

    values: of `analysis.singular_values`. To the left of the line lies what a matrix of rank m can keep.
    """
    long = len(values) > 64
    mode = "lines" if long else "lines+markers"
    figure = go.Figure()
    figure.add_scatter(
        x=values["index"],
        y=values.value.where(values.value > 0),
        customdata=values.share,
        mode=mode,
        line={"color": ROLES["exact"].colour, "width": 2},
        name="singular values of S",
        hovertemplate="σ%{x} = %{y:.4g}<br>first %{x}: %{customdata:.2%} of ‖S‖²F<extra></extra>",
    )
    if "landmark" in values:
        figure.add_scatter(
            x=values["index"],
            y=values.landmark.where(values.landmark > 0),
            mode=mode,
            line={"color": ROLES["landmark"].colour, "width": 2, "dash": "dash"},
            name="singular values of Ŝ",
            hovertemplate="σ%{x} of Ŝ = %{y:.4g}<extra></extra>",
        )
    if num_landmarks is not None and num_landmarks < len(values):
        mark_x(figure, num_landmarks, ROLES["neutral"].colour, f"m = {num_landmarks}", log=long)
    figure.update_xaxes(title="index i", **({"type": "log", "dtick": "D2", "tickformat": ","} if long else {}))
    error_axis(figure, "σᵢ", as_percent=False)
    return styled(figure, summaries.singular_values(values, num_landmarks), height=height, table=values)


def pinv_residuals(residuals: pd.DataFrame, *, steps: int = 6, height: int = 320) -> go.Figure:
    """The pseudo-inverse's residual per step for each first estimate (`analysis.pinv_residuals`); `steps` is marked."""
    figure = go.Figure()
    for name, lines in residuals.groupby("first_estimate", sort=False):
        colour, dash, marker = _ESTIMATES[name]
        figure.add_scatter(
            x=lines.step,
            y=lines.residual.where(lines.residual > 0),
            mode="lines+markers" if marker else "lines",
            line={"color": colour, "width": 2, "dash": dash},
            marker={"symbol": marker, "size": 8},
            name=name,
            hovertemplate=f"{name}, step %{{x}}: %{{y:.3g}}<extra></extra>",
        )
    mark_x(figure, steps, ROLES["neutral"].colour)
    figure.update_xaxes(title="steps", dtick=1, showgrid=False)
    error_axis(figure, "‖A Z A − A‖ / ‖A‖", as_percent=False)
    return styled(figure, summaries.pinv_residuals(residuals, steps), height=height, table=residuals)


def hidden_state_errors(errors: pd.DataFrame, *, height: int = 300) -> go.Figure:
    """How far hidden states are from the exact ones after each layer (`analysis.hidden_state_errors`)."""
    figure = go.Figure()
    figure.add_scatter(
        x=errors.layer,
        y=errors.accumulated,
        mode="lines+markers",
        line={"color": ROLES["landmark"].colour, "width": 2},
        marker={"size": 8},
        name="all layers so far over landmarks",
        hovertemplate="after layer %{x}: %{y:.2%}<extra></extra>",
    )
    own = errors[errors.layer > 0]
    figure.add_bar(
        x=own.layer,
        y=own.local,
        marker={"color": ROLES["difference"].colour, "opacity": 0.6},
        name="this layer alone",
        hovertemplate="layer %{x} alone: %{y:.2%}<extra></extra>",
    )
    figure.update_xaxes(title="after layer", dtick=1, showgrid=False)
    figure.update_yaxes(title="‖Δh‖F / ‖h‖F", tickformat=".0%", rangemode="tozero")
    return styled(figure, summaries.hidden_state_errors(errors), height=height, table=errors)


def padding_errors(errors: pd.DataFrame, *, height: int = 300) -> go.Figure:
    """The output error against the amount of padding, with landmarks that average it and with ours."""
    figure = go.Figure()
    named = {
        "naive": ("landmarks average padding", ROLES["negative"].colour, "x"),
        "ours": ("landmarks of real tokens", ROLES["landmark"].colour, "circle"),
    }
    for column, (name, colour, marker) in named.items():
        figure.add_scatter(
            x=errors.padding,
            y=errors[column],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"symbol": marker, "size": 9},
            name=name,
            hovertemplate=f"{name}, %{{x}} of padding: %{{y:.2%}}<extra></extra>",
        )
    figure.update_xaxes(title="tokens of padding", showgrid=False)
    figure.update_yaxes(title=MEASURES["output"], tickformat=".0%", rangemode="tozero")
    return styled(figure, summaries.padding_errors(errors), height=height, table=errors)


def _against_landmarks(figure, errors, column, name, colour, marker, dash="solid") -> None:
    values = errors[column]
    figure.add_scatter(
        x=errors.num_landmarks,
        y=values.where(values > 0),
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"symbol": marker, "size": 8},
        name=name,
        hovertemplate=f"{name}, m = %{{x}}: %{{y:.3%}}<extra></extra>",
    )


def _band(figure: go.Figure, low: pd.Series, high: pd.Series, name: str, opacity: float) -> None:
    """The ground between two curves, in one trace that goes out along one and back along the other."""
    figure.add_scatter(
        x=[*low.index, *high.index[::-1]],
        y=[*low, *high[::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=ROLES["landmark"].colour,
        opacity=opacity,
        name=name,
        hoverinfo="skip",
    )


def _mark_zeros(figure: go.Figure, errors: pd.DataFrame, measure: str) -> None:
    for m in errors.num_landmarks[errors[measure] == 0]:
        note = {"text": f"m = {m}: 0", "x": math.log10(m), "xref": "x", "y": 1, "yref": "paper"}
        figure.add_annotation(**note, showarrow=False, xanchor="right", yanchor="top")
