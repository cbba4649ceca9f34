"""Many approximations of one head in one picture: error against budget, and error against cost with its front."""

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo.analysis import pareto_front
from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.figures import summaries
from nystrom_demo.figures.roles import ROLES, SEGMENTS
from nystrom_demo.figures.style import error_axis, landmark_axis, styled
from nystrom_demo.figures.words import MEASURES

COSTS = {
    "multiply_adds": "multiply-adds of one head",
    "numbers_held": "numbers held for one head",
    "seconds": "seconds of one layer on this device",
}
BEST = "best-rank"
_MARKERS = ("circle", "square", "triangle-up", "cross", "star", "hexagon", "pentagon")


def error_against_budget(errors: pd.DataFrame, measure: str = "frobenius", *, height: int = 380) -> go.Figure:
    """Each method's median error against the budget m, from the least to the greatest over heads and seeds as a bar.

    errors: tables of `analysis.approximation_errors`, put one below the other. The best of rank m stands beside the
    errors of maps, once. Logarithmic both ways; an error of zero, which m = n has, is off such an axis.
    """
    figure = go.Figure()
    for method in dict.fromkeys(errors.method):
        own = errors[errors.method == method].groupby("budget")[measure]
        middle, low, high = own.median(), own.min(), own.max()
        middle = middle[middle > 0]
        bars = {"array": (high - middle)[middle.index], "arrayminus": (middle - low)[middle.index], "symmetric": False}
        _line(figure, middle, _name(method), _look(method), bars if errors.groupby("budget").size().max() > 1 else None)
    if measure == "frobenius" and BEST not in set(errors.method):
        best = errors.groupby("budget").best_frobenius.median()
        _line(figure, best[best > 0], ROLES["best_rank"].label, _look(BEST), None)
    landmark_axis(figure, sorted(errors.budget.unique()), "budget m")
    error_axis(figure, MEASURES[measure])
    return styled(figure, summaries.approximations(errors, measure), height=height, table=errors)


def error_against_cost(
    errors: pd.DataFrame, cost: str = "multiply_adds", measure: str = "frobenius", *, height: int = 380
) -> go.Figure:
    """Each method's median error against what it costs, a point a budget; the front is what nothing beats in both.

    cost: a column of COSTS; seconds are joined from `benchmark.approximations.approximation_times`. Oracles, which save
    nothing, are left out of the front.
    """
    points = errors.groupby(["method", "budget"], sort=False)[[cost, measure]].median().reset_index()
    points = points[points[measure] > 0]
    figure = go.Figure()
    for method in dict.fromkeys(points.method):
        own = points[points.method == method]
        line = own.set_index(cost)[measure]
        _line(figure, line, _name(method), _look(method), None, [f"m = {m}" for m in own.budget])
    front = pareto_front(points[~points.method.map(lambda name: APPROXIMATIONS[name].oracle)], cost, measure)
    figure.add_scatter(
        x=front[cost],
        y=front[measure],
        mode="lines",
        line={"color": ROLES["neutral"].colour, "width": 6, "shape": "hv"},
        opacity=0.35,
        name="what nothing beats in both",
        hoverinfo="skip",
    )
    wide = len(points) and points[cost].max() >= 100 * points[cost].min()  # then whole decades are ticks enough
    ticks = {"dtick": 1} if wide else {}
    figure.update_xaxes(type="log", title=COSTS[cost], showgrid=False, exponentformat="power", **ticks)
    error_axis(figure, MEASURES[measure])
    return styled(figure, summaries.approximations(errors, measure), height=height, table=points)


def _name(method: str) -> str:
    return APPROXIMATIONS[method].label


def _look(method: str) -> dict[str, str]:
    """The same for a method in every figure, whatever stands beside it."""
    if method == "nystrom":
        return {"colour": ROLES["landmark"].colour, "symbol": "circle", "dash": "solid"}
    if method == BEST:
        return {"colour": ROLES["best_rank"].colour, "symbol": "diamond", "dash": "dash"}
    place = list(APPROXIMATIONS).index(method)
    dash = "dot" if APPROXIMATIONS[method].oracle else "solid"
    return {"colour": SEGMENTS[place % len(SEGMENTS)], "symbol": _MARKERS[place % len(_MARKERS)], "dash": dash}


def _line(figure, values: pd.Series, name: str, look: dict[str, str], bars, notes: list[str] | None = None) -> None:
    where = "%{customdata}" if notes else "m = %{x}"
    figure.add_scatter(
        x=values.index,
        y=values,
        customdata=notes,
        mode="lines+markers",
        line={"color": look["colour"], "width": 2, "dash": look["dash"]},
        marker={"symbol": look["symbol"], "size": 8},
        error_y=None if bars is None else bars | {"thickness": 1, "width": 3},
        name=name,
        hovertemplate=f"{name}, {where}: %{{y:.3%}}<extra></extra>",
    )
