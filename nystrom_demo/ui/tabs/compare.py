"""The Compare tab's handlers: many approximations of one head against budget and cost, and what the answer notices."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from nystrom_demo import figures
from nystrom_demo.analysis import LayerInputs, approximation_errors, landmark_ladder
from nystrom_demo.approximations import get
from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.limits.admission import admit_approximation
from nystrom_demo.tasks import compare_approximations

METHODS = ("nystrom", "nystrom-kmeans", "nystrom-farthest", "wildcat", "favor", "window")  # shown unless chosen
LEAST_BUDGET = 4


class Comparison(NamedTuple):
    """What is known so far: the errors, two figures of them, and what to look at in one sentence."""

    errors: pd.DataFrame
    against_budget: go.Figure
    against_cost: go.Figure
    sentence: str


def budgets_of(num_tokens: int) -> list[int]:
    """The budgets that are compared on a text: powers of two from 4 up to its length."""
    return [m for m in landmark_ladder(num_tokens)[:-1] if m >= LEAST_BUDGET] or [1]


def compare_head(
    layer_inputs: LayerInputs,
    head: int,
    methods: Sequence[str] = METHODS,
    *,
    measure: str = "frobenius",
    cost: str = "multiply_adds",
    seeds: Sequence[int] = (0, 1, 2),
) -> Iterator[Comparison]:
    """The comparison so far, on a layer's first text: each method with the first seed, then chance with the others.

    UserError of a method that memory has no room for, before anything is computed.
    """
    text = layer_inputs.text()
    budgets = budgets_of(text.num_tokens)
    for name in methods:
        admit_approximation(name, text.num_heads, text.num_tokens, budgets[-1], text.q.shape[-1])
    tables: list[pd.DataFrame] = []
    for seed in seeds:
        wanted = [name for name in methods if seed == seeds[0] or get(name).random]
        for table in approximation_errors([text], budgets, wanted, [seed], head=head):
            tables.append(table)
            yield comparison_of(pd.concat(tables, ignore_index=True), measure, cost)


def comparison_of(errors: pd.DataFrame, measure: str = "frobenius", cost: str = "multiply_adds") -> Comparison:
    """The same errors drawn for another measure or another cost, without computing them anew."""
    against_budget = figures.error_against_budget(errors, measure)
    against_cost = figures.error_against_cost(errors, cost, measure)
    return Comparison(errors, against_budget, against_cost, figures.summary_of(against_budget))


def answers_under(
    checkpoint: Checkpoint, *inputs, methods: Sequence[str] = METHODS, num_landmarks: int = 64, seed: int = 0
) -> Iterator[pd.DataFrame]:
    """The head's answers so far, exact attention's first: columns method, answer, probability, agrees."""
    points = []
    for point in compare_approximations(checkpoint, *inputs, methods=methods, num_landmarks=num_landmarks, seed=seed):
        points.append(point)
        yield pd.DataFrame(points)
