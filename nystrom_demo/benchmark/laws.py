"""Power laws c · nᵖ: fitted to measurements, read at lengths that were not measured, and where two of them meet."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class PowerLaw(NamedTuple):
    """coefficient · n ** exponent."""

    coefficient: float
    exponent: float

    def at(self, n: float) -> float:
        return self.coefficient * n**self.exponent


def fit_power_law(lengths: Sequence[float], values: Sequence[float]) -> PowerLaw:
    """The straight line of least squares through (log n, log value): its slope is the exponent of growth.

    ValueError unless there are at least two different lengths and everything is positive.
    """
    if len(lengths) != len(values):
        raise ValueError(f"lengths and values must be as many, got {len(lengths)} and {len(values)}.")
    if min([*lengths, *values], default=1) <= 0:
        raise ValueError("lengths and values must be positive for a power law.")
    if len(set(lengths)) < 2:
        raise ValueError(f"A power law needs at least two different lengths, got {len(set(lengths))}.")
    x = [math.log(n) for n in lengths]
    y = [math.log(value) for value in values]
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    covariance = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    exponent = covariance / math.fsum((a - mean_x) ** 2 for a in x)
    return PowerLaw(math.exp(mean_y - exponent * mean_x), exponent)


def crossover(first: PowerLaw, second: PowerLaw) -> float | None:
    """The length n at which both laws give the same; None where they grow alike and so never meet.

    c₁ nᵖ = c₂ nᑫ at n = (c₂/c₁)^(1/(p − q)). Past it the law of the smaller exponent is the cheaper.
    """
    if math.isclose(first.exponent, second.exponent, abs_tol=1e-9):
        return None
    log_n = math.log(second.coefficient / first.coefficient) / (first.exponent - second.exponent)
    return math.exp(log_n) if log_n < 700 else None  # past e^700 a float ends, and so does any text
