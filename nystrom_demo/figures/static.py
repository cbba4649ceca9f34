"""The same figures in matplotlib, for papers and notebooks: each returns a Figure that belongs to no global state."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from nystrom_demo.analysis import Maps
from nystrom_demo.figures.roles import ROLES
from nystrom_demo.figures.scales import (
    Scale,
    as_arrays,
    difference_limit,
    difference_scale,
    weight_limits,
    weight_scale,
)
from nystrom_demo.figures.style import TEXT
from nystrom_demo.figures.words import MEASURES

_MOST_LABELS = 24


def attention_maps(maps: Maps, tokens: Sequence[str] | None = None) -> Figure:
    """Exact and landmark attention on one scale, and their signed difference on one centred on zero."""
    exact, landmark, difference = as_arrays(maps)
    limits, limit = weight_limits(exact, landmark), difference_limit(difference)
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    weights = {"cmap": _colours(weight_scale(limits)), "norm": Normalize(*limits)}
    signed = {"cmap": _colours(difference_scale()), "norm": Normalize(-limit, limit)}
    panels = ((exact, "exact", weights), (landmark, "landmark", weights), (difference, "difference", signed))
    for ax, (values, role, scale) in zip(axes, panels, strict=True):
        image = ax.imshow(values, interpolation="nearest", **scale)
        ax.set_title(ROLES[role].label)
        _labelled(ax, tokens, tokens)
        if role != "exact":
            _bar(figure, image, ax)
    axes[0].set_ylabel("reading token")
    return _clear(figure)


def matrix(
    values: np.ndarray,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    signed: bool = False,
    title: str = "",
) -> Figure:
    """Any one matrix; `signed` centres its scale on zero, otherwise it is drawn as weights."""
    values = np.asarray(values)
    low, high = (-difference_limit(values), difference_limit(values)) if signed else weight_limits(values)
    scale = difference_scale() if signed else weight_scale(weight_limits(values))
    figure = Figure(figsize=(5, 4), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(values, interpolation="nearest", cmap=_colours(scale), norm=Normalize(low, high))
    ax.set_title(title)
    _labelled(ax, rows, columns)
    _bar(figure, image, ax)
    return _clear(figure)


def error_against_landmarks(errors: pd.DataFrame, measure: str = "frobenius") -> Figure:
    """A head's error against m beside the best of rank m; errors of zero are off the logarithmic axis."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    for column, role, line in ((measure, "landmark", "o-"), (f"best_{measure}", "best_rank", "D--")):
        if column in errors:
            shown = errors[errors[column] > 0]
            ax.plot(shown.num_landmarks, shown[column], line, color=ROLES[role].colour, label=ROLES[role].label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("landmarks m")
    ax.set_ylabel(MEASURES[measure])
    ax.legend(frameon=False, labelcolor=TEXT)
    return _clear(figure)


def _colours(scale: Scale) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("weights", scale, N=1024)


def _bar(figure: Figure, image, ax) -> None:
    figure.colorbar(image, ax=ax, shrink=0.85)


def _labelled(ax, rows: Sequence[str] | None, columns: Sequence[str] | None) -> None:
    # A lone $ would start a formula in matplotlib.
    if rows is not None and len(rows) <= _MOST_LABELS:
        ax.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in rows])
    if columns is not None and len(columns) <= _MOST_LABELS:
        ax.set_xticks(range(len(columns)), [name.replace("$", r"\$") for name in columns], rotation=90)


def _clear(figure: Figure) -> Figure:
    """A transparent ground and neutral text on every axis, colour bars included."""
    figure.patch.set_alpha(0)
    for ax in figure.axes:
        ax.patch.set_alpha(0)
        ax.tick_params(colors=TEXT)
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            text.set_color(TEXT)
        for spine in ax.spines.values():
            spine.set_color(TEXT)
    return figure
