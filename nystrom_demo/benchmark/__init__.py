"""Time and memory of attention against the length of the text; also `python -m nystrom_demo.benchmark`.

`time_attention` measures one point at a time and yields it, so that a page or a terminal can draw it and stop there.
`fit_power_law` and `crossover` say how a method grows and where two methods cost the same. `count_costs` counts what
both must compute and store, without a clock.
"""

from nystrom_demo.benchmark.counts import HeadCounts, count_costs
from nystrom_demo.benchmark.laws import PowerLaw, crossover, fit_power_law
from nystrom_demo.benchmark.measure import peak_bytes, time_in_turn
from nystrom_demo.benchmark.methods import METHODS, Method, Workload
from nystrom_demo.benchmark.sweep import Measurement, law_of, time_attention, to_frame

__all__ = [
    "METHODS",
    "HeadCounts",
    "Measurement",
    "Method",
    "PowerLaw",
    "Workload",
    "count_costs",
    "crossover",
    "fit_power_law",
    "law_of",
    "peak_bytes",
    "time_attention",
    "time_in_turn",
    "to_frame",
]
