"""The errors of one head, block of rows by block of rows: beyond a few thousand tokens no n×n matrix is ever held.

‖·‖_F is Frobenius' norm, ‖·‖₂ the spectral norm. All errors are relative: ‖Ŝ − S‖/‖S‖, and of what attention puts
out, ‖(Ŝ − S) V‖_F/‖S V‖_F.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from nystrom_demo.analysis.layers import LayerInputs, check_head, landmarks_of
from nystrom_demo.analysis.maps import HeadFactors, head_factors
from nystrom_demo.analysis.spectra import largest_singular_value
from nystrom_demo.config import AttentionSettings
from nystrom_demo.pauses import pause

_BLOCK_BYTES = 4 * 2**20  # of each of the few blocks of rows held at once: up to n = 1,024 a block is the whole map


def block_rows(n: int) -> int:
    """How many rows of an n×n map in float32 are held at once."""
    return min(n, max(1, _BLOCK_BYTES // (4 * n)))


class BlockedErrors(NamedTuple):
    """How far one head's landmark attention is from its exact attention.

    frobenius, spectral (None where it was not asked for), output: relative errors. negative: how many of the n² entries
    of the landmark map are below zero. row_sum_error: the largest distance of one of its rows' sums from one.
    """

    num_tokens: int
    num_landmarks: int
    frobenius: float
    spectral: float | None
    output: float
    negative: int
    row_sum_error: float


class _Head:
    """One head of one text: v (n, head_dim), its factors, and the exact map's rows block by block."""

    def __init__(self, text: LayerInputs, head: int, factors: HeadFactors, progress):
        self.q, self.k, self.v = (x[0, head] for x in (text.q, text.k, text.v))
        self.scale = text.q.shape[-1] ** -0.5 if text.scale is None else text.scale
        self.factors = factors
        self.progress = progress
        self.block = block_rows(len(self.q))
        self.whole = self._exact(slice(None)) if self.block == len(self.q) else None

    def rows(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """(rows, these rows of the exact map), made anew at each pass unless one block holds them all."""
        n = len(self.q)
        for start in range(0, n, self.block):
            rows = slice(start, min(start + self.block, n))
            yield rows, self._exact(rows) if self.whole is None else self.whole
            pause()
            if self.progress is not None:
                self.progress(rows.stop / n)

    def _exact(self, rows: slice) -> torch.Tensor:
        return (self.q[rows] @ self.k.mT).mul_(self.scale).softmax(-1)


def blocked_errors(
    layer_inputs: LayerInputs,
    head: int,
    settings: AttentionSettings,
    *,
    spectral: bool = True,
    row: int = 0,
    progress: Callable[[float], None] | None = None,
) -> BlockedErrors:
    """The errors of one head against exact attention in O(n (m + block)) memory and O(n²) time, at any length.

    The spectral error takes about half a dozen passes more than the others. `progress` is called with the done share
    of each pass, and may raise to stop the work. ValueError for a head that is not there.
    """
    check_head(layer_inputs, head)
    text = layer_inputs.text(row)
    n, m = text.num_tokens, landmarks_of(settings, text.num_tokens)
    factors = head_factors(text, head, settings) if m < n else None
    return errors_of_factors(text, head, factors, spectral=spectral, progress=progress)


def errors_of_factors(
    text: LayerInputs,
    head: int,
    factors: HeadFactors | None,
    *,
    spectral: bool = True,
    progress: Callable[[float], None] | None = None,
) -> BlockedErrors:
    """`blocked_errors` of a single text's head whose factors are known; None where attention is exact."""
    n = text.num_tokens
    if factors is None:
        return BlockedErrors(n, n, 0.0, 0.0 if spectral else None, 0.0, 0, 0.0)
    this = _Head(text, head, factors, progress)
    frobenius, output, negative, row_sum_error = _sums_over_rows(this)
    ratio = _spectral_ratio(this) if spectral else None
    return BlockedErrors(n, factors.kernel_3.shape[0], frobenius, ratio, output, negative, row_sum_error)


def _sums_over_rows(this: _Head) -> tuple[float, float, int, float]:
    """Relative Frobenius and output error, negative entries, largest row sum error, in one pass."""
    squares = torch.zeros(4, dtype=torch.float64, device=this.q.device)  # of Ŝ − S, S, (Ŝ − S) V, S V
    negative, row_sum_error = 0, 0.0
    for rows, exact in this.rows():
        landmark = this.factors.readers[rows] @ this.factors.kernel_3
        negative += int((landmark < 0).count_nonzero())  # `sum` would widen it to int64
        row_sum_error = max(row_sum_error, float((landmark.sum(-1) - 1).abs().max()))
        difference = landmark.sub_(exact)
        parts = (difference, exact, difference @ this.v, exact @ this.v)
        squares += torch.stack([torch.linalg.vector_norm(x).double().square() for x in parts])
    frobenius, output = (squares[0] / squares[1]).sqrt(), (squares[2] / squares[3]).sqrt()
    return float(frobenius), float(output), negative, row_sum_error


def _spectral_ratio(this: _Head) -> float:
    """‖Ŝ − S‖₂/‖S‖₂, both norms from the same passes."""

    def gram(x: torch.Tensor) -> torch.Tensor:  # (2, n, block): for S and for Ŝ − S
        gathered = this.factors.kernel_3 @ x[1]
        both, width = torch.cat([x[0], x[1]], -1), x.shape[-1]
        result = torch.zeros_like(both)  # Sᵀ of both images
        back = torch.zeros_like(gathered)  # readersᵀ of the differences
        for rows, exact in this.rows():
            readers = this.factors.readers[rows]
            images = exact @ both  # (rows, 2 · block), one reading of S for the two
            images[:, width:] = readers @ gathered - images[:, width:]
            back += readers.mT @ images[:, width:]
            result += exact.mT @ images
        of_exact, of_difference = result.chunk(2, -1)
        return torch.stack([of_exact, this.factors.kernel_3.mT @ back - of_difference])

    exact, difference = largest_singular_value(gram, 2, len(this.q), device=this.q.device)
    return float(difference / exact)
