"""Limits, scales and pooling of matrices, settled before anything is drawn."""

from typing import NamedTuple

import numpy as np

from nystrom_demo.analysis import Maps
from nystrom_demo.figures.roles import DIVERGING, ROLES, SEQUENTIAL, blend, colour_at

MAX_CELLS = 256  # a side of a drawn matrix: a plotly heat map of more cells takes seconds to appear
_STEPS = 32

Scale = list[tuple[float, str]]  # plotly's: (place from 0 to 1, colour), ascending


class WeightLimits(NamedTuple):
    """What exact and landmark maps are drawn between: their common lowest (at most 0) and highest entry."""

    low: float
    high: float


def weight_limits(*matrices: np.ndarray) -> WeightLimits:
    """The limits that several matrices of weights share."""
    low, high = min(float(x.min()) for x in matrices), max(float(x.max()) for x in matrices)
    return WeightLimits(min(low, 0.0), high if high > 0 else 1.0)


def weight_scale(limits: WeightLimits) -> Scale:
    """The sequential scale from zero to the highest weight, and below zero a red that grows with the entry's size.

    Colours follow the square root of the weight, so that the many small weights can be told apart; the numbers at the
    colour bar stay true.
    """
    span = limits.high - limits.low
    zero = -limits.low / span
    shares = [i / (_STEPS - 1) for i in range(_STEPS)]
    scale = [(min(1.0, zero + (1 - zero) * share**2), colour_at(SEQUENTIAL, share)) for share in shares]
    if zero == 0:
        return scale
    below = [(zero * (1 - share), _negative_colour(-limits.low * share / limits.high)) for share in reversed(shares)]
    return below + scale


def _negative_colour(share: float) -> str:
    """Red by the square root of its share of the highest weight; even the least is told from zero."""
    return blend(SEQUENTIAL[0], ROLES["negative"].colour, min(1.0, 0.3 + 0.7 * share**0.5))


def difference_scale() -> Scale:
    """The diverging scale, white at its middle."""
    return [(i / (len(DIVERGING) - 1), colour) for i, colour in enumerate(DIVERGING)]


def difference_limit(difference: np.ndarray) -> float:
    """The largest |difference|: the scale goes from minus it to plus it, so that zero is its middle."""
    return float(np.abs(difference).max()) or 1.0


def pooled(matrix: np.ndarray, max_cells: int = MAX_CELLS) -> tuple[np.ndarray, int, int]:
    """The matrix with blocks averaged so that no side has more than `max_cells`, and the blocks' rows and columns.

    Blocks at the end hold what is left over.
    """
    rows, columns = (max(1, -(-side // max_cells)) for side in matrix.shape)
    for axis, step in enumerate((rows, columns)):
        if step > 1:
            starts = np.arange(0, matrix.shape[axis], step)
            lengths = np.diff(np.append(starts, matrix.shape[axis]))
            sums = np.add.reduceat(matrix, starts, axis=axis)
            matrix = (sums / np.expand_dims(lengths, 1 - axis)).astype(np.float32)
    return matrix, rows, columns


def as_arrays(maps: Maps) -> Maps:
    """The maps as NumPy arrays."""
    return Maps(*(x.detach().cpu().numpy() for x in maps))
