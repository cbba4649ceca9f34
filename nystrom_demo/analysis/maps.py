"""One head's attention as matrices: exact, over landmarks, their difference, the factors, a cell's sum, a landmark.

All take the head's `LayerInputs` and drop its padding first: n is the number of real tokens of the text `row`.
"""

from typing import NamedTuple

import pandas as pd
import torch

from nystrom_demo.analysis.layers import LayerInputs, check_head, landmarks_of
from nystrom_demo.attention import NystromFactors, nystrom_factors, segment_means, softmax_attention_map
from nystrom_demo.config import AttentionSettings


class Maps(NamedTuple):
    """Attention of one head, (n, n) float32, rows read from columns. difference = landmark − exact."""

    exact: torch.Tensor
    landmark: torch.Tensor
    difference: torch.Tensor


class HeadFactors(NamedTuple):
    """The factors of one head: landmark map = kernel_1 · kernel_2_inv · kernel_3 = readers · kernel_3.

    kernel_1 (n, m), kernel_2 and kernel_2_inv (m, m), kernel_3 (m, n), readers = kernel_1 · kernel_2_inv (n, m),
    segments (n,): the landmark that each token is averaged into.
    """

    kernel_1: torch.Tensor
    kernel_2: torch.Tensor
    kernel_2_inv: torch.Tensor
    kernel_3: torch.Tensor
    readers: torch.Tensor
    segments: torch.Tensor


class LandmarkLens(NamedTuple):
    """One landmark of a head: the tokens it averages, what it gathers, and who reads it.

    start, end: its segment is tokens start … end − 1. gathers (n,): its row of kernel_3, which sums to one.
    read_by (n,): its column of kernel_1, each token's share of attention for it. weight (n,): its column of
    kernel_1 · kernel_2⁺, with which the tokens' outputs take what it gathers; can be negative.
    """

    start: int
    end: int
    gathers: torch.Tensor
    read_by: torch.Tensor
    weight: torch.Tensor


def attention_maps(layer_inputs: LayerInputs, head: int, settings: AttentionSettings, *, row: int = 0) -> Maps:
    """Exact attention of one head, its landmark approximation, and landmark − exact: three (n, n) maps.

    At m ≥ n landmark attention is defined as exact attention, so the difference is zero.
    ValueError for a head that is not there.
    """
    exact = exact_map(layer_inputs, head, row=row)
    if landmarks_of(settings, len(exact)) == len(exact):
        return Maps(exact, exact, torch.zeros_like(exact))
    factors = head_factors(layer_inputs, head, settings, row=row)
    landmark = factors.kernel_1 @ (factors.kernel_2_inv @ factors.kernel_3)
    return Maps(exact, landmark, landmark - exact)


def exact_map(layer_inputs: LayerInputs, head: int, *, row: int = 0) -> torch.Tensor:
    """softmax(q kᵀ/√d) of one head, (n, n) float32."""
    check_head(layer_inputs, head)
    text = layer_inputs.text(row)
    return softmax_attention_map(text.q[:, [head]], text.k[:, [head]], scale=text.scale)[0, 0]


def head_factors(layer_inputs: LayerInputs, head: int, settings: AttentionSettings, *, row: int = 0) -> HeadFactors:
    """The factors of one head's landmark attention, in O(n m) memory. ValueError for a head that is not there.

    The first estimate of the pseudo-inverse may share its divisor over the heads (`inv_coeff_init_option` false). So
    the head is computed together with the one that sets the divisor: the result is that of all heads together.
    """
    check_head(layer_inputs, head)
    text = layer_inputs.text(row)
    m = landmarks_of(settings, text.num_tokens)
    landmarks = (segment_means(x, m)[0] for x in (text.q, text.k))
    columns = softmax_attention_map(*landmarks, scale=text.scale)[0].sum(-2).amax(-1)  # ‖kernel_2‖₁, (heads,)
    pair = [head, int(columns.argmax())]
    # At m ≥ n the identity stands for kernel_2 and its inverse: no step is needed.
    options = settings.pinv_options() | ({"pinv_iterations": 0} if m == text.num_tokens else {})
    return of_head(nystrom_factors(text.q[:, pair], text.k[:, pair], m, scale=text.scale, **options), 0)


def of_head(factors: NystromFactors, head: int) -> HeadFactors:
    """The factors of one head, from those of all heads of a single text."""
    kernel_1, kernel_2, kernel_2_inv, kernel_3 = (x[0, head] for x in factors[:4])
    return HeadFactors(kernel_1, kernel_2, kernel_2_inv, kernel_3, kernel_1 @ kernel_2_inv, factors.segments[0])


def cell_recipe(factors: HeadFactors, i: int, j: int) -> pd.DataFrame:
    """How the landmark map's entry (i, j) comes about: one line a landmark, whose terms add up to the entry.

    Columns: landmark; weight = (kernel_1 kernel_2⁺)[i, landmark]; gathered = kernel_3[landmark, j];
    term = weight · gathered. ValueError for a cell outside the map.
    """
    n = len(factors.segments)
    for name, index in (("i", i), ("j", j)):
        if not 0 <= index < n:
            raise ValueError(f"{name} must be from 0 to {n - 1}, got {index!r}.")
    weight, gathered = factors.readers[i], factors.kernel_3[:, j]
    columns = {"weight": weight, "gathered": gathered, "term": weight * gathered}
    return pd.DataFrame({"landmark": range(len(weight)), **{name: x.tolist() for name, x in columns.items()}})


def landmark_lens(factors: HeadFactors, landmark: int) -> LandmarkLens:
    """What one landmark averages, gathers, and who reads it. ValueError for a landmark that is not there."""
    m = factors.kernel_3.shape[0]
    if not 0 <= landmark < m:
        raise ValueError(f"landmark must be from 0 to {m - 1}, got {landmark!r}.")
    own = (factors.segments == landmark).nonzero().flatten()
    start, end = int(own[0]), int(own[-1]) + 1
    return LandmarkLens(
        start, end, factors.kernel_3[landmark], factors.kernel_1[:, landmark], factors.readers[:, landmark]
    )


def segment_table(factors: HeadFactors) -> pd.DataFrame:
    """Each landmark's segment: columns landmark, start, end (one past its last token), tokens."""
    lengths = torch.bincount(factors.segments, minlength=factors.kernel_3.shape[0])
    ends = lengths.cumsum(0)
    columns = {"start": ends - lengths, "end": ends, "tokens": lengths}
    return pd.DataFrame({"landmark": range(len(lengths)), **{name: x.tolist() for name, x in columns.items()}})
