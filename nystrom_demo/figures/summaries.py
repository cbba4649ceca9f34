"""What each figure shows in one sentence, from its data, for people who see no pictures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nystrom_demo.analysis import HeadFactors, Maps
from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.benchmark import Measurement, crossover, law_of
from nystrom_demo.figures.words import SPOKEN
from nystrom_demo.formatting import counted, duration, memory, number, percent

EXACT_METHOD, LANDMARK_METHOD = "softmax (SDPA)", "landmarks"  # those whose laws are compared


def attention_maps(maps: Maps) -> str:
    n = len(maps.exact)
    largest = float(maps.difference.abs().max())
    if largest == 0:
        return f"Exact and landmark attention of {n} tokens are the same matrix: their difference is zero everywhere."
    negative = int((maps.landmark < 0).count_nonzero())
    i, j = divmod(int(maps.difference.abs().argmax()), n)
    error = float(maps.difference.norm() / maps.exact.norm())
    return (
        f"Landmark attention of {n} tokens differs from exact attention by {percent(error)} of its Frobenius norm, "
        f"most where token {i} reads from token {j} ({number(float(maps.difference[i, j]), sign=True)}), and has "
        f"{counted(negative, 'negative entry', 'negative entries')}."
    )


def matrix(values: np.ndarray, title: str = "") -> str:
    rows, columns = values.shape
    name = title or "The matrix"
    span = f"from {number(values.min())} to {number(values.max())}"
    return f"{name} has {rows} rows, {columns} columns and entries {span}."


def factors(head_factors: HeadFactors) -> str:
    n, m = head_factors.kernel_1.shape
    largest = number(float(head_factors.kernel_2_inv.abs().max()))
    return (
        f"{n} tokens attend to {m} landmarks (kernel_1), the landmarks' pseudo-inverse (kernel_2⁺) has entries of up "
        f"to {largest} in size, and each landmark attends to the {n} tokens (kernel_3)."
    )


def mosaic(errors: pd.DataFrame, measure: str) -> str:
    """Of errors whose layers and heads count from 1."""
    best, worst = errors.loc[errors[measure].idxmin()], errors.loc[errors[measure].idxmax()]
    return (
        f"Of {len(errors)} heads, the {SPOKEN[measure]} is least in layer {best.layer:.0f}, head {best['head']:.0f} "
        f"({number(best[measure])}) and greatest in layer {worst.layer:.0f}, head {worst['head']:.0f} "
        f"({number(worst[measure])}); the median is {number(errors[measure].median())}."
    )


def error_against_landmarks(errors: pd.DataFrame, measure: str) -> str:
    first, last = errors.iloc[0], errors.iloc[-1]
    sentence = (
        f"From m = {first.num_landmarks:.0f} to {last.num_landmarks:.0f} landmarks the "
        f"{SPOKEN[measure]} goes from {percent(first[measure])} to {percent(last[measure])}"
    )
    best = f"best_{measure}"
    if best not in errors:
        return sentence + "."
    return sentence + f", that of the best matrix of rank m from {percent(first[best])} to {percent(last[best])}."


def errors_over_heads(errors: pd.DataFrame, measure: str, chosen: int | None = None) -> str:
    m = errors.num_landmarks.max() if chosen not in set(errors.num_landmarks) else chosen
    here = errors[errors.num_landmarks == m][measure]
    landmarks = counted(m, "landmark", "landmarks")
    return (
        f"With {landmarks} the {SPOKEN[measure]} of the {len(here)} heads goes from {percent(here.min())} to "
        f"{percent(here.max())}, half of them below {percent(here.median())}."
    )


def approximations(errors: pd.DataFrame, measure: str = "frobenius") -> str:
    """What to look at: who comes nearest at the largest budget, how far the best of rank m is, what is cheapest."""
    m = errors.budget.max()
    here = errors[errors.budget == m]
    medians = here.groupby("method", sort=False)[measure].median()
    honest = medians[[name for name in medians.index if not APPROXIMATIONS[name].oracle]]
    if honest.empty:
        name = medians.idxmin()
        return f"At m = {m} {APPROXIMATIONS[name].label} has a {SPOKEN[measure]} of {percent(medians[name])}."
    nearest = honest.idxmin()
    sentence = (
        f"At m = {m} of {here.num_tokens.iloc[0]} tokens the nearest of {counted(len(honest), 'method', 'methods')} is "
        f"{APPROXIMATIONS[nearest].label}, with a {SPOKEN[measure]} of {percent(honest[nearest])}"
    )
    if measure == "frobenius":
        sentence += f"; the best of rank m has {percent(here.best_frobenius.median())}"
    costs = here.groupby("method").multiply_adds.first()[honest.index]
    cheapest = costs.idxmin()
    if cheapest == nearest:
        return f"{sentence}; none of them costs less."
    times = number(costs[nearest] / costs[cheapest])
    return (
        f"{sentence}. It takes {times} times the multiply-adds of {APPROXIMATIONS[cheapest].label}, which has "
        f"{percent(honest[cheapest])}."
    )


def singular_values(values: pd.DataFrame, num_landmarks: int | None = None) -> str:
    first, last = values.value.iloc[0], values.value.iloc[-1]
    sentence = f"The {len(values)} singular values of exact attention fall from {number(first)} to {number(last)}"
    if num_landmarks is None or num_landmarks >= len(values):
        return sentence + "."
    held = values.share.iloc[num_landmarks - 1]
    return sentence + f"; {percent(held)} of the squared Frobenius norm lies in the first {num_landmarks}."


def pinv_residuals(residuals: pd.DataFrame, steps: int) -> str:
    at = residuals[residuals.step == steps].set_index("first_estimate").residual
    said = ", ".join(f"{number(value)} ({name})" for name, value in at.items())
    return f"After {counted(steps, 'step', 'steps')} the relative residual of the pseudo-inverse is {said}."


def hidden_state_errors(errors: pd.DataFrame) -> str:
    after = errors[errors.layer > 0]
    worst = after.loc[after.local.idxmax()]
    layers = counted(len(after), "layer", "layers")
    return (
        f"After {layers} over landmarks the hidden states are {percent(after.accumulated.iloc[-1])} away from the "
        f"exact ones; alone, layer {worst.layer:.0f} adds most ({percent(worst.local)})."
    )


def padding_errors(errors: pd.DataFrame) -> str:
    first, last = errors.iloc[0], errors.iloc[-1]
    return (
        f"With {last.padding:.0f} tokens of padding the output error is {percent(last.naive)} when landmarks average "
        f"padding and {percent(last.ours)} when they do not; with {first.padding:.0f} it is {percent(first.naive)} and "
        f"{percent(first.ours)}."
    )


def counted_costs(costs: pd.DataFrame, quantity: str) -> str:
    """From which of the lengths on landmarks cost less, and how many times less at the last."""
    what = {"multiply_adds": "multiply-adds", "weights": "stored weights"}[quantity]
    exact, landmark = costs[f"{quantity}_exact"], costs[f"{quantity}_landmarks"]
    less = costs.n[landmark < exact]
    if less.empty:
        return f"Landmarks need no fewer {what} up to n = {costs.n.iloc[-1]:,}."
    ratio = exact.iloc[-1] / landmark.iloc[-1]
    return (
        f"Of the lengths drawn, landmarks need fewer {what} from n = {less.iloc[0]:,} on; at n = {costs.n.iloc[-1]:,} "
        f"exact attention needs {number(exact.iloc[-1])}, landmarks {number(landmark.iloc[-1])}, {number(ratio)} times "
        "fewer."
    )


def timing(measurements: Sequence[Measurement], quantity: str = "median") -> str:
    """The largest measured length, what each method took there, its growth, and where landmarks overtake exact."""
    said = []
    for method in dict.fromkeys(m.method for m in measurements):
        points = [m for m in measurements if m.method == method and m.measured and getattr(m, quantity)]
        if points:
            last = max(points, key=lambda m: m.n)
            law = law_of(measurements, method, quantity)
            growth = f", growing as n^{law.exponent:.2f}" if law else ""
            value = (memory if quantity == "peak_bytes" else duration)(getattr(last, quantity))
            said.append(f"{method} took {value} at n = {last.n:,}{growth}")
    if not said:
        return "Nothing has been measured yet."
    return "; ".join(said) + ". " + meeting(measurements, quantity)


def meeting(measurements: Sequence[Measurement], quantity: str = "median") -> str:
    """From which length on landmarks cost less than exact attention, by the fitted laws."""
    exact, landmark = (law_of(measurements, name, quantity) for name in (EXACT_METHOD, LANDMARK_METHOD))
    if exact is None or landmark is None:
        return "Two points of exact attention and of landmarks make a law."
    n = crossover(exact, landmark)
    first, last = min(point.n for point in measurements), max(point.n for point in measurements)
    if n is None or exact.exponent <= landmark.exponent:
        return "So far exact attention grows no faster than landmarks."
    if n < first:
        return f"Landmarks cost less at every length measured, from n = {first:,} on."
    if n > last:
        return f"Landmarks cost more up to n = {last:,}; by the laws they cost less from about n = {n:,.0f} on."
    return f"Landmarks cost less from about n = {n:,.0f} on."
