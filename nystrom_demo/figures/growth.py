"""What attention costs against n, log-log: measured, with each method's fitted law dotted, and counted by formula."""

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo.benchmark import Measurement, PowerLaw, law_of, to_frame
from nystrom_demo.figures import summaries
from nystrom_demo.figures.roles import METHOD_ROLES, ROLES
from nystrom_demo.figures.style import styled
from nystrom_demo.formatting import duration, memory

_SYMBOLS = ("circle", "square", "diamond", "x", "triangle-up")
_TITLES = {"median": "time of one call", "peak_bytes": "peak memory of one call"}
_COUNTED = {"multiply_adds": "multiply-adds of one head", "weights": "stored weights of one head"}


def timing(
    measurements: Sequence[Measurement], quantity: str = "median", *, until: int | None = None, height: int = 420
) -> go.Figure:
    """Measured points with their spread (`benchmark.time_attention`), and dotted the power law fitted to each method.

    quantity: "median" for seconds or "peak_bytes". until: how far to draw the laws; the longest length unless told.
    Lengths that a method did not run, because they would have exceeded its budget, are on its law alone.
    """
    if quantity not in _TITLES:
        raise ValueError(f'quantity must be "median" or "peak_bytes", got "{quantity}".')
    figure = go.Figure()
    end = until or max((m.n for m in measurements), default=1)
    for index, method in enumerate(dict.fromkeys(m.method for m in measurements)):
        points = [m for m in measurements if m.method == method and m.measured and getattr(m, quantity)]
        colour = ROLES[METHOD_ROLES[method]].colour
        figure.add_trace(_points(points, method, quantity, colour, _SYMBOLS[index % len(_SYMBOLS)]))
        law = law_of(measurements, method, quantity)
        if law is not None:
            figure.add_trace(_law(law, points, end, method, quantity, colour))
    _length_axis(figure, end)
    figure.update_yaxes(title=_TITLES[quantity], type="log")
    _unit_ticks(figure, quantity)
    return styled(figure, summaries.timing(measurements, quantity), height=height, table=to_frame(measurements))


def counted_costs(costs: pd.DataFrame, quantity: str = "multiply_adds", *, height: int = 420) -> go.Figure:
    """Exact attention and landmarks by formula (`benchmark.count_costs`): "multiply_adds", or stored "weights"."""
    if quantity not in _COUNTED:
        raise ValueError(f'quantity must be "multiply_adds" or "weights", got "{quantity}".')
    figure = go.Figure()
    for way, role, dash in (("exact", "exact", "solid"), ("landmarks", "landmark", "dash")):
        label = ROLES[role].label
        figure.add_scatter(
            x=costs.n,
            y=costs[f"{quantity}_{way}"],
            mode="lines",
            line={"color": ROLES[role].colour, "width": 2, "dash": dash},
            name=label,
            hovertemplate=f"{label}, n = %{{x:,}}: %{{y:,}}<extra></extra>",
        )
    _length_axis(figure, max(costs.n))
    figure.update_yaxes(title=_COUNTED[quantity], type="log", dtick=3, exponentformat="power")
    return styled(figure, summaries.counted_costs(costs, quantity), height=height, table=costs)


def _length_axis(figure: go.Figure, longest: float) -> None:
    step = 16 if longest > 100_000 else 4  # of the lengths that are powers of two, as many as have room on a phone
    figure.update_xaxes(title="tokens n", type="log", tick0=math.log10(256), dtick=math.log10(step), tickformat=",")
    figure.update_xaxes(tickangle=0)


def _points(points: Sequence[Measurement], method: str, quantity: str, colour: str, symbol: str) -> go.Scatter:
    values = [getattr(m, quantity) for m in points]
    spread = None
    if quantity == "median":
        above = [max(m.seconds) - m.median for m in points]
        below = [m.median - min(m.seconds) for m in points]
        spread = {"array": above, "arrayminus": below, "symmetric": False, "thickness": 1.5}
    return go.Scatter(
        x=[m.n for m in points],
        y=values,
        error_y=spread,
        customdata=[_said(value, quantity) for value in values],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 9},
        name=method,
        legendgroup=method,
        hovertemplate=f"{method}, n = %{{x:,}}: %{{customdata}}<extra></extra>",
    )


def _law(law: PowerLaw, points: Sequence[Measurement], end: int, method: str, quantity: str, colour: str) -> go.Scatter:
    start = min(m.n for m in points)
    lengths = [start * (max(end, start + 1) / start) ** (i / 16) for i in range(17)]
    values = [law.at(n) for n in lengths]
    return go.Scatter(
        x=lengths,
        y=values,
        customdata=[_said(value, quantity) for value in values],
        mode="lines",
        line={"color": colour, "width": 2, "dash": "dot"},
        name=f"{method} ∝ n^{law.exponent:.2f}",
        legendgroup=method,
        showlegend=False,
        hovertemplate=f"{method} by its law, n ≈ %{{x:,.0f}}: %{{customdata}}<extra></extra>",
    )


def _unit_ticks(figure: go.Figure, quantity: str) -> None:
    """Ticks at round numbers of milliseconds, seconds, hours or mebibytes instead of powers of ten of one unit."""
    values = [y for trace in figure.data for y in trace.y]
    if not values:
        return
    if quantity == "median":
        ticks = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 60, 600, 3600, 86400, 864000, 8640000]
    else:
        ticks = [2.0**power for power in range(0, 61, 5)]
    inside = [tick for tick in ticks if min(values) / 10 <= tick <= max(values) * 10]
    figure.update_yaxes(tickvals=inside, ticktext=[_said(tick, quantity) for tick in inside])


def _said(value: float, quantity: str) -> str:
    return (memory if quantity == "peak_bytes" else duration)(value)
