"""Every number as a person reads it: the one place in Python, and what the browser's lib/format.js says likewise.

No power of ten is written as e+03, halves are rounded up, a minus is a true minus, and a number keeps its unit on its
line (unbreakable space). tests/web_golden.py writes cases of every function here for the browser's tests.
"""

import math
from decimal import ROUND_HALF_UP, Decimal

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "−"
_RAISED = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TIMES = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
_SIZES = (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("bytes", 1.0))


def count(value: float) -> str:
    """33,000: a whole number with its thousands set apart."""
    return _signed(value, fixed(value, 0))


def counted(value: int, one: str, many: str) -> str:
    """1 token, 33,000 tokens: a count with its noun in the right number."""
    return f"{count(value)} {one if value == 1 else many}"


def number(value: float, *, sign: bool = False) -> str:
    """0.123, 12,300, 1.1 × 10¹²: three significant digits, with a power of ten where there would be many zeros."""
    if not math.isfinite(value):
        return "not a number" if value != value else _signed(value, "∞", sign)
    size = Decimal(significant(value, 3).replace(",", ""))
    if size == 0 or Decimal("0.0001") <= size < 1_000_000:
        return _signed(value, significant(value, 3), sign)
    power = size.adjusted()
    raised = _signed(power, str(abs(power))).translate(_RAISED)
    return _signed(value, f"{size.scaleb(-power).normalize():f} × 10{raised}", sign)


def percent(share: float) -> str:
    """48 %, 4.8 %, 0.048 %: a share with two significant digits, and none after the point from ten on."""
    value = Decimal(significant(100 * share, 2).replace(",", ""))
    if 0 < value < Decimal("0.001"):
        return f"under 0.001{SPACE}%"
    decimals = 0 if value == 0 else max(0, 1 - value.adjusted())
    return _signed(share, fixed(100 * share, decimals)) + f"{SPACE}%"


def as_probability(share: float) -> str:
    """93.1 %; < 0.1 and > 99.9 where a digit more would say 0 or 100."""
    value = 100 * share
    if 0 < value < 0.1:
        return f"<{SPACE}0.1{SPACE}%"
    if 99.9 < value < 100:
        return f">{SPACE}99.9{SPACE}%"
    return f"{fixed(value, 1)}{SPACE}%"


def duration(seconds: float) -> str:
    """20 µs, 12.3 ms, 4.85 s, 1.5 min, 2 h: seconds in the unit that fits, microseconds to days."""
    return _in_units(seconds, _TIMES)


def memory(size: float) -> str:
    """5 bytes, 2 KiB, 1.5 GiB: bytes in the unit that fits."""
    return _in_units(size, _SIZES)


def factor(ratio: float) -> str:
    """1.5×, 33,000×: how many times as much, with three significant digits."""
    return f"{number(ratio)}×"


def weight(value: float, *, sign: bool = False) -> str:
    """0.123, 0.0012: three decimals, two significant digits where those would show little, 0.000 below a millionth."""
    plain = significant(value, 2) if 1e-6 <= abs(value) < 0.01 else fixed(value, 3)
    return _signed(value, plain, sign)


def decimal(value: float, decimals: int, *, sign: bool = False) -> str:
    """0.12300: as many decimals as said; what rounds to zero has no sign."""
    return _signed(value, fixed(value, decimals), sign)


def distance(size: float) -> str:
    """0.12, or that it is under a thousandth: nobody reads 0.00001 in a sentence."""
    return significant(size, 2) if size == 0 or size >= 0.001 else "under 0.001"


def significant(value: float, digits: int) -> str:
    """The size of a number to so many significant digits, its thousands set apart, zeros at its end left out."""
    size = abs(Decimal(float(value)))
    if not size:
        return "0"
    rounded = size.quantize(Decimal(1).scaleb(size.adjusted() - digits + 1), ROUND_HALF_UP)
    return f"{rounded.normalize():,f}"


def fixed(value: float, decimals: int) -> str:
    """The size of a number to so many decimals, its thousands set apart."""
    return f"{abs(Decimal(float(value))).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):,f}"


def _signed(value: float, size: str, sign: bool = False) -> str:
    """The size with the number's sign; what rounds to zero has none."""
    if not size.strip("0.,"):
        return size
    return f"{MINUS if value < 0 else '+' if sign else ''}{size}"


def _in_units(value: float, units: tuple[tuple[str, float], ...]) -> str:
    """Three significant digits in the largest unit of which there is at least one, as rounded."""
    for unit, size in units[:-1]:
        if Decimal(significant(value / size, 3).replace(",", "")) >= 1:
            return f"{significant(value / size, 3)} {unit}"
    unit, size = units[-1]
    return f"{significant(value / size, 3)} {unit}"
