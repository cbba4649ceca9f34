"""Methods against one another: every round times each of them once, so that their ratio outlives a noisy machine."""

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nystrom_demo.benchmark.measure import peak_bytes, time_in_turn
from nystrom_demo.benchmark.methods import Method, Workload
from nystrom_demo.benchmark.sweep import Measurement, Run


class Ratio(NamedTuple):
    """How many times as long one method takes as another: the median over rounds, the smallest and the largest."""

    median: float
    low: float
    high: float


def compare(
    workload: Workload,
    lengths: Sequence[int],
    methods: Sequence[Method],
    *,
    repeats: int = 5,
    budget_seconds: float = 30.0,
    budget_bytes: int = 4 * 2**30,
) -> Iterator[Measurement]:
    """Measurements of each method at each length; repeat i of all methods at one length was timed in one round.

    The budgets are those of `time_attention`, for each method and length.
    """
    runs = [Run(method, workload, repeats, budget_seconds, budget_bytes) for method in methods]
    for n in lengths:
        declined = {run.method.name: run.declined(n) for run in runs}
        calls = {run.method.name: run.method.prepare(workload, n) for run in runs if declined[run.method.name] is None}
        memory = {name: peak_bytes(call, workload.device) for name, call in calls.items()}  # and warms up
        budget = budget_seconds * len(calls)
        seconds = time_in_turn(calls, workload.device, repeats=repeats, warm_up=0, budget_seconds=budget)
        for run in runs:
            name = run.method.name
            point = declined[name] or Measurement(name, n, seconds[name], memory[name])
            if point.measured:
                run.known.append(point)
            yield point


def ratio(slower: Measurement, faster: Measurement) -> Ratio | None:
    """slower / faster, round by round; None where either was not measured."""
    if not (slower.measured and faster.measured):
        return None
    ratios = [a / b for a, b in zip(slower.seconds, faster.seconds, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
