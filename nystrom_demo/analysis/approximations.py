"""Many ways to approximate one head: their errors beside the best of rank m, their costs, and how sure all that is."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from nystrom_demo.analysis.layers import LayerInputs, check_head
from nystrom_demo.analysis.maps import Maps, exact_map
from nystrom_demo.analysis.spectra import best_rank_errors
from nystrom_demo.approximations import APPROXIMATIONS, Approximation, get
from nystrom_demo.approximations.method import check_budget, check_seed
from nystrom_demo.attention import softmax_attention_map

RESAMPLES = 2000  # of the bootstrap
CONFIDENCE = 0.95


class _Exact(NamedTuple):
    """Some heads of one layer on a text: their exact maps (heads, n, n), outputs, and singular values."""

    text: LayerInputs
    heads: list[int]
    map: torch.Tensor
    output: torch.Tensor
    values: torch.Tensor


def approximation_errors(
    layers: Sequence[LayerInputs],
    budgets: Sequence[int],
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    *,
    head: int | None = None,
    row: int = 0,
) -> Iterator[pd.DataFrame]:
    """The errors of each method on every head of these layers, one table a method as soon as it is known.

    methods: names of `APPROXIMATIONS`, all unless told. seeds: a method without chance has the first alone. head: this
    one alone; its numbers are those it has among all.
    Columns: method, layer, head, num_tokens, budget, seed; frobenius ‖Ŝ − S‖_F/‖S‖_F; output ‖(Ŝ − S)V‖_F/‖SV‖_F, of
    what attention puts out; best_frobenius, the least that any matrix of rank `budget` has; negative, how many of the
    n² entries are below zero; row_sum_error, the largest distance of a row's sum from one; multiply_adds and
    numbers_held of one head. ValueError for a method, a budget, a seed or a head that there is not.
    """
    chosen = [get(name) for name in (APPROXIMATIONS if methods is None else methods)]
    for budget, seed in product(budgets, seeds):
        check_budget(budget)
        check_seed(seed)
    exact = [_exact(layer_inputs, head, row) for layer_inputs in layers]
    for method in chosen:
        used = seeds if method.random else seeds[:1]
        lines = [_errors(method, of_layer, budget, seed) for of_layer, budget, seed in product(exact, budgets, used)]
        yield pd.concat(lines, ignore_index=True)


def approximation_maps(
    layer_inputs: LayerInputs, head: int, method: str, budget: int, *, seed: int = 0, row: int = 0
) -> Maps:
    """Exact attention of one head, what a method makes of it, and their difference: three (n, n) maps.

    ValueError for a method, a budget, a seed or a head that there is not.
    """
    check_budget(budget)
    check_seed(seed)
    exact = exact_map(layer_inputs, head, row=row)
    text = layer_inputs.text(row)
    operator = get(method).operator(text.q[0], text.k[0], text.v[0], budget, seed=seed, scale=text.scale)
    made = operator.of_heads([head]).map()[0]
    return Maps(exact, made, made - exact)


def method_facts(methods: Sequence[str] | None = None) -> pd.DataFrame:
    """What each method says of itself, a line a method: name, label, formula, guarantee, source, what it promises."""
    fields = ("name", "label", "formula", "guarantee", "source", "exact_at_full", "random", "low_rank", "oracle")
    chosen = [get(name) for name in (APPROXIMATIONS if methods is None else methods)]
    return pd.DataFrame([{field: getattr(method, field) for field in fields} for method in chosen])


def spread_over_texts(errors: pd.DataFrame, measure: str = "frobenius") -> pd.DataFrame:
    """The median head's error for each method and budget, over texts and seeds, with an interval.

    errors: tables of `approximation_errors` with a column text. For each text and seed the median over its heads is
    taken; median is the median of these, low and high its 95 % interval, by drawing texts anew with all their seeds.
    Columns: method, budget, median, low, high, texts, seeds.
    """
    medians = errors.groupby(["method", "budget", "text", "seed"], sort=False)[measure].median().reset_index()
    lines = []
    for (method, budget), own in medians.groupby(["method", "budget"], sort=False):
        table = own.pivot(index="text", columns="seed", values=measure).to_numpy()  # (texts, seeds)
        low, high = _interval(table)
        line = {"method": method, "budget": budget, "median": float(np.median(table)), "low": low, "high": high}
        lines.append(line | {"texts": table.shape[0], "seeds": table.shape[1]})
    return pd.DataFrame(lines)


def pareto_front(points: pd.DataFrame, cost: str, error: str) -> pd.DataFrame:
    """The lines of `points` that no other beats in both columns, cheapest first: less cost and no more error."""
    ordered = points.sort_values([cost, error], kind="stable")
    best_so_far = ordered[error].cummin().shift(fill_value=np.inf)
    return ordered[ordered[error] < best_so_far]


def _exact(layer_inputs: LayerInputs, head: int | None, row: int) -> _Exact:
    text = layer_inputs.text(row)
    if head is not None:
        check_head(layer_inputs, head)
    heads = list(range(text.num_heads)) if head is None else [head]
    exact = softmax_attention_map(text.q[:, heads], text.k[:, heads], scale=text.scale)[0]  # (heads, n, n)
    return _Exact(text, heads, exact, exact @ text.v[0, heads], torch.linalg.svdvals(exact))


@torch.no_grad()
def _errors(method: Approximation, exact: _Exact, budget: int, seed: int) -> pd.DataFrame:
    text, n = exact.text, exact.text.num_tokens
    operator = method.operator(text.q[0], text.k[0], text.v[0], budget, seed=seed, scale=text.scale)
    operator = operator.of_heads(exact.heads)
    made, output = operator.map(), operator.attend(text.v[0, exact.heads])
    cost = method.cost(n, min(budget, n), text.q.shape[-1])
    return pd.DataFrame(
        {
            "method": method.name,
            "layer": text.layer,
            "head": exact.heads,
            "num_tokens": n,
            "budget": budget,
            "seed": seed,
            "frobenius": _relative(made, exact.map),
            "output": _relative(output, exact.output),
            "best_frobenius": [best_rank_errors(values, budget)[0] for values in exact.values],
            "negative": (made < 0).sum((-2, -1)).tolist(),
            "row_sum_error": (made.sum(-1) - 1).abs().amax(-1).tolist(),
            "multiply_adds": cost.multiply_adds,
            "numbers_held": cost.numbers_held,
        }
    )


def _relative(approximate: torch.Tensor, exact: torch.Tensor) -> list[float]:
    """Of each head, in Frobenius' norm."""
    return ((approximate - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)).tolist()


def _interval(table: np.ndarray) -> tuple[float, float]:
    draws = np.random.default_rng(0).integers(len(table), size=(RESAMPLES, len(table)))
    medians = np.median(table[draws].reshape(RESAMPLES, -1), axis=1)
    rest = (1 - CONFIDENCE) / 2
    return tuple(float(x) for x in np.quantile(medians, [rest, 1 - rest]))
