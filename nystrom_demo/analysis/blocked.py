"""The error of landmark attention on long texts, block of rows by block of rows: no n×n matrix is ever held."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from nystrom_demo.analysis.layers import LayerInputs, landmarks_of
from nystrom_demo.analysis.maps import HeadFactors, head_factors
from nystrom_demo.analysis.spectra import largest_singular_value
from nystrom_demo.model import AttentionSettings

_BLOCK_BYTES = 16 * 2**20  # of each of the few blocks of rows that are held at once


class BlockedErrors(NamedTuple):
    """The errors of one head as in `head_errors`; spectral is None where it was not asked for."""

    num_tokens: int
    num_landmarks: int
    frobenius: float
    spectral: float | None
    output: float
    negative: int
    row_sum_error: float


class _Head(NamedTuple):
    """One head of one text: q, k, v (n, head_dim) and, unless it is exact, its factors."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    scale: float
    factors: HeadFactors | None

    def rows(self, progress: Callable[[float], None] | None) -> Iterator[tuple[slice, torch.Tensor]]:
        """(rows, the exact map's rows), block by block."""
        n = len(self.q)
        size = max(1, _BLOCK_BYTES // (4 * n))
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            yield rows, (self.q[rows] @ self.k.mT * self.scale).softmax(-1)
            if progress is not None:
                progress(rows.stop / n)


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
    text = layer_inputs.text(row)
    n, m = text.num_tokens, landmarks_of(settings, text.num_tokens)
    factors = head_factors(text, head, settings) if m < n else None
    scale = text.q.shape[-1] ** -0.5 if text.scale is None else text.scale
    this = _Head(text.q[0, head], text.k[0, head], text.v[0, head], scale, factors)
    if factors is None:
        return BlockedErrors(n, m, 0.0, 0.0 if spectral else None, 0.0, 0, 0.0)
    frobenius, output, negative, row_sum_error = _sums_over_rows(this, progress)
    ratio = _spectral_ratio(this, progress) if spectral else None
    return BlockedErrors(n, m, frobenius, ratio, output, negative, row_sum_error)


def _sums_over_rows(this: _Head, progress) -> tuple[float, float, int, float]:
    """Relative Frobenius and output error, negative entries, largest row sum error, in one pass."""
    squares = torch.zeros(4, dtype=torch.float64, device=this.q.device)  # of Ŝ − S, S, (Ŝ − S) V, S V
    negative, row_sum_error = 0, 0.0
    for rows, exact in this.rows(progress):
        landmark = this.factors.readers[rows] @ this.factors.kernel_3
        negative += int((landmark < 0).sum())
        row_sum_error = max(row_sum_error, float((landmark.sum(-1) - 1).abs().max()))
        difference = landmark.sub_(exact)
        parts = (difference, exact, difference @ this.v, exact @ this.v)
        squares += torch.stack([torch.linalg.vector_norm(x).double().square() for x in parts])
    frobenius, output = (squares[0] / squares[1]).sqrt(), (squares[2] / squares[3]).sqrt()
    return float(frobenius), float(output), negative, row_sum_error


def _spectral_ratio(this: _Head, progress) -> float:
    """‖Ŝ − S‖₂/‖S‖₂, both norms from the same passes."""

    def gram(x: torch.Tensor) -> torch.Tensor:  # (2, n, block): for S and for Ŝ − S
        gathered = this.factors.kernel_3 @ x[1]
        result = torch.zeros_like(x)
        back = torch.zeros_like(gathered)  # readersᵀ of the differences
        for rows, exact in this.rows(progress):
            readers = this.factors.readers[rows]
            both = exact @ torch.cat([x[0], x[1]], -1)  # one pass over the block of S for the two
            images = torch.stack(both.chunk(2, -1))  # (2, rows, block)
            images[1] = readers @ gathered - images[1]
            back += readers.mT @ images[1]
            result += exact.mT @ images
        result[1] = this.factors.kernel_3.mT @ back - result[1]
        return result

    exact, difference = largest_singular_value(gram, 2, len(this.q), device=this.q.device)
    return float(difference / exact)
