"""Numbers as people read them, and what the measures of error are called."""

import math

MEASURES = {
    "frobenius": "‖Ŝ − S‖F / ‖S‖F",
    "spectral": "‖Ŝ − S‖₂ / ‖S‖₂",
    "output": "‖(Ŝ − S)V‖F / ‖SV‖F",
    "negative": "negative entries",
    "row_sum_error": "largest |row sum − 1|",
}


SPOKEN = {
    "frobenius": "relative Frobenius error",
    "spectral": "relative spectral error",
    "output": "relative error of the output",
    "negative": "number of negative entries",
    "row_sum_error": "largest distance of a row's sum from one",
}

_RAISED = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, *, sign: bool = False) -> str:
    """Three significant digits, with a true minus sign and a power of ten where there would be many zeros."""
    digits, _, power = f"{float(value):{'+' if sign else ''}.3g}".replace("-", "−").partition("e")
    return f"{digits} × 10{power.lstrip('+0').replace('−0', '−').translate(_RAISED)}" if power else digits


def counted(count: int, one: str, many: str) -> str:
    """A count with its noun in the right number."""
    return f"{count:,} {one if count == 1 else many}"


def percent(share: float) -> str:
    """A share as per cent with two significant digits below ten, none after the point above."""
    value = 100 * float(share)
    digits = 0 if value >= 10 or value == 0 else min(8, 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f} %"


def as_probability(probability: float) -> str:
    """93.1 % with an unbreakable space; < 0.1 and > 99.9 where a digit more would say 0 or 100."""
    share = 100 * probability
    if 0 < share < 0.1:
        return "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%"
    if 99.9 < share < 100:
        return ">\N{NO-BREAK SPACE}99.9\N{NO-BREAK SPACE}%"
    return f"{share:.1f}\N{NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits, microseconds to days."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def memory(size: float) -> str:
    """Bytes in the unit that fits."""
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} bytes"
