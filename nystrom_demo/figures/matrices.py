"""Matrices as plotly heat maps: exact, landmark and difference side by side, the factors, the mosaic of heads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from nystrom_demo.analysis import HeadFactors, Maps
from nystrom_demo.figures import summaries
from nystrom_demo.figures.roles import ROLES, SEQUENTIAL
from nystrom_demo.figures.scales import (
    WeightLimits,
    as_arrays,
    difference_limit,
    difference_scale,
    pooled,
    weight_limits,
    weight_scale,
)
from nystrom_demo.figures.style import plain, styled
from nystrom_demo.figures.words import MEASURES

_MOST_LABELS = 24  # tokens written along an axis; more would overlap


def attention_maps(maps: Maps, tokens: Sequence[str] | None = None, *, height: int = 420) -> go.Figure:
    """Exact and landmark attention on one scale, and their signed difference on one centred on zero.

    tokens: labels of rows and columns, written where they fit and always on hover. Maps larger than
    `scales.MAX_CELLS` are averaged in blocks, which the titles say.
    """
    exact, landmark, difference = (pooled(x) for x in as_arrays(maps))
    limits, limit = weight_limits(exact[0], landmark[0]), difference_limit(difference[0])
    titles = [ROLES[role].label + _pooling(exact[1]) for role in Maps._fields]
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.04, shared_yaxes=True)
    labels = _labels(tokens, len(maps.exact), exact[1])
    for column, values in enumerate((exact[0], landmark[0]), start=1):
        bar = {"title": "weight", "x": 1.01, "len": 0.95} if column == 2 else None
        figure.add_trace(_weights(values, limits, labels, labels, bar), 1, column)
    figure.add_trace(_differences(difference[0], limit, labels), 1, 3)
    _square(figure, len(labels), 3)
    figure.update_xaxes(title="read from")
    figure.update_yaxes(title="reading token", col=1)
    return styled(figure, summaries.attention_maps(maps), height=height).update_layout(margin_r=150)


def matrix(
    values: np.ndarray,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    signed: bool = False,
    title: str = "",
    height: int = 360,
) -> go.Figure:
    """Any one matrix; `signed` centres its scale on zero, otherwise it is drawn as weights."""
    values = np.asarray(values)
    drawn, step_rows, step_columns = pooled(values)
    row_labels, column_labels = (
        _labels(names, size, step)
        for names, size, step in zip((rows, columns), values.shape, (step_rows, step_columns), strict=True)
    )
    if signed:
        limit = difference_limit(drawn)
        trace = _heat(drawn, row_labels, column_labels, difference_scale(), -limit, limit, {"title": ""})
    else:
        trace = _weights(drawn, weight_limits(drawn), row_labels, column_labels, {"title": ""})
    figure = go.Figure(trace)
    figure.update_layout(title=plain(title + _pooling(max(step_rows, step_columns))))
    _square(figure, max(drawn.shape), 1)
    if max(drawn.shape) > 2 * min(drawn.shape):
        figure.update_layout(yaxis_scaleanchor=None)  # square cells would leave a long matrix a thread
    return styled(figure, summaries.matrix(values, title), height=height)


def factors(head_factors: HeadFactors, *, height: int = 360) -> go.Figure:
    """kernel_1, kernel_2⁺ and kernel_3 side by side: the outer two on one scale of weights, the middle one signed."""
    parts = (head_factors.kernel_1, head_factors.kernel_2_inv, head_factors.kernel_3)
    kernel_1, inverse, kernel_3 = (pooled(x.detach().cpu().numpy())[0] for x in parts)
    limits, limit = weight_limits(kernel_1, kernel_3), difference_limit(inverse)
    titles = ("kernel_1: tokens × landmarks", "kernel_2⁺: landmarks × landmarks", "kernel_3: landmarks × tokens")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.08)
    names = [[str(i) for i in range(side)] for side in (kernel_1.shape[0], kernel_1.shape[1], kernel_3.shape[1])]
    tokens, landmarks, keys = names
    figure.add_trace(_weights(kernel_1, limits, tokens, landmarks, None), 1, 1)
    bar = {"title": "kernel_2⁺", "x": 1.01, "len": 0.95}
    figure.add_trace(_heat(inverse, landmarks, landmarks, difference_scale(), -limit, limit, bar), 1, 2)
    bar = {"title": "kernel_1, kernel_3", "x": 1.16, "len": 0.95}
    figure.add_trace(_weights(kernel_3, limits, landmarks, keys, bar), 1, 3)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(nticks=5)
    figure.update_yaxes(nticks=5)
    return styled(figure, summaries.factors(head_factors), height=height).update_layout(margin_r=260)


def mosaic(
    errors: pd.DataFrame, measure: str = "frobenius", *, chosen: tuple[int, int] | None = None, height: int = 340
) -> go.Figure:
    """One error of every layer × head (`analysis.head_errors`), which are drawn counted from 1.

    chosen: (layer, head) to frame, counted from 0 as in `errors`.
    """
    shown = errors.assign(layer=errors["layer"] + 1, head=errors["head"] + 1)
    table = shown.pivot(index="layer", columns="head", values=measure)
    title = MEASURES[measure]
    trace = go.Heatmap(
        z=table.to_numpy(),
        x=list(table.columns),
        y=list(table.index),
        colorscale=[(i / (len(SEQUENTIAL) - 1), colour) for i, colour in enumerate(SEQUENTIAL)],
        zmin=0,
        xgap=2,
        ygap=2,
        colorbar={"title": title},
        hovertemplate="layer %{y}, head %{x}: %{z:.4g}<extra></extra>",
    )
    figure = go.Figure(trace)
    if chosen is not None:
        layer, head = (place + 1 for place in chosen)
        frame = {"line": {"color": ROLES["landmark"].colour, "width": 3}}
        figure.add_shape(type="rect", x0=head - 0.5, x1=head + 0.5, y0=layer - 0.5, y1=layer + 0.5, **frame)
    figure.update_xaxes(title="head", dtick=1, showgrid=False, constrain="domain")
    figure.update_yaxes(title="layer", dtick=1, showgrid=False)
    figure.update_yaxes(autorange="reversed", scaleanchor="x", constrain="domain")
    return styled(figure, summaries.mosaic(shown, measure), height=height, table=shown)


def _weights(values, limits: WeightLimits, rows, columns, colorbar) -> go.Heatmap:
    return _heat(values, rows, columns, weight_scale(limits), limits.low, limits.high, colorbar)


def _differences(values, limit: float, labels) -> go.Heatmap:
    bar = {"title": "difference", "x": 1.12, "len": 0.95}
    return _heat(values, labels, labels, difference_scale(), -limit, limit, bar)


def _heat(values, rows, columns, scale, low: float, high: float, colorbar: dict | None) -> go.Heatmap:
    return go.Heatmap(
        z=values,
        x=columns,
        y=rows,
        colorscale=scale,
        zmin=low,
        zmax=high,
        showscale=colorbar is not None,
        colorbar=colorbar,
        hovertemplate="%{y} → %{x}<br>%{z:.4g}<extra></extra>",
    )


def _square(figure: go.Figure, size: int, panels: int) -> None:
    """Square cells, the first row on top, every token written where they all fit."""
    figure.update_yaxes(autorange="reversed", constrain="domain")
    figure.update_xaxes(constrain="domain")
    figure.update_layout(yaxis_scaleanchor="x")
    if panels > 1:  # all panels zoom together
        figure.update_xaxes(matches="x")
        figure.update_yaxes(matches="y")
        figure.update_layout(xaxis_matches=None, yaxis_matches=None)
    every = {"dtick": 1} if size <= _MOST_LABELS else {"nticks": 9}
    figure.update_xaxes(showgrid=False, **every)
    figure.update_yaxes(showgrid=False, **every)


def _labels(names: Sequence[str] | None, size: int, step: int) -> list[str]:
    """What each row or column is called: its place and token, which no two share, or the places of a block."""
    if names is not None and len(names) != size:
        raise ValueError(f"There must be one label a row or column, {size}, got {len(names)}.")
    if step == 1:
        return [str(i) if names is None else f"{i} {plain(names[i], 24)}" for i in range(size)]
    return [f"{start}–{min(start + step, size) - 1}" for start in range(0, size, step)]


def _pooling(step: int) -> str:
    return "" if step == 1 else f" (means of {step}×{step})"
