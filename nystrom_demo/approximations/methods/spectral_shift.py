"""Spectral shifting: Nyström for the large singular values of the landmarks' kernel, δ I in place of the others."""

import torch

from nystrom_demo.approximations.landmarks import SVD_MULTIPLY_ADDS, kernels
from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Product, SparseRows, Sum, softmax_kernel
from nystrom_demo.attention import segment_means


def build(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator) -> Sum:
    q_landmarks, k_landmarks = (segment_means(x[None], m)[0][0] for x in (q, k))
    core, delta = shifted_core(softmax_kernel(q_landmarks, k_landmarks, scale), kept_rank(m))
    product = Product(softmax_kernel(q, k_landmarks, scale), core, softmax_kernel(q_landmarks, k, scale))
    n = q.shape[1]
    diagonal = torch.arange(n, device=q.device)[:, None].expand(len(q), n, 1)
    return Sum(product, SparseRows(delta[:, None, None].expand(-1, n, 1), diagonal))


def kept_rank(m: int) -> int:
    """How many singular values of the landmarks' kernel are kept; with all of them δ would be 0/0."""
    return -(-m // 2)


def shifted_core(kernel_2: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A_r⁺ − δ (A_r²)⁺ and δ (heads,) of A (heads, m, m); δ = (tr A − tr A_r)/(m − r), 0 where nothing is left out."""
    m = kernel_2.shape[-1]
    left, values, right = torch.linalg.svd(kernel_2)
    left, values, right = left[..., :rank], values[..., :rank], right[..., :rank, :]
    trace = kernel_2.diagonal(dim1=-2, dim2=-1).sum(-1)
    kept = ((left * values.unsqueeze(-2)) @ right).diagonal(dim1=-2, dim2=-1).sum(-1)
    delta = (trace - kept) / max(m - rank, 1) if rank < m else torch.zeros_like(trace)
    negligible = values <= torch.finfo(values.dtype).eps * m * values[:, :1]  # of a kernel whose rank is below r
    inverse = (right.mT * torch.where(negligible, 0, 1 / values).unsqueeze(-2)) @ left.mT  # A_r⁺
    return inverse - delta[:, None, None] * (inverse @ inverse), delta


METHODS = (
    Approximation(
        name="spectral-shift",
        label="spectral shifting",
        formula="softmax(Q K̃ᵀ/√d) (A_r⁺ − δ (A_r²)⁺) softmax(Q̃ Kᵀ/√d) + δ I, δ the mean of A's values beyond r = m/2",
        guarantee="claimed stronger than Nyström's where a positive semidefinite matrix has a flat tail; S is none",
        source="Verma 2021, arXiv 2103.05638, after Wang et al. 2014, doi 10.1145/2623330.2623614; no published code",
        build=build,
        cost=lambda n, m, d: Cost(kernels(n, m, d) + (SVD_MULTIPLY_ADDS + 2) * m**3 + n * d, 2 * n * m + m * m + n),
        exact_at_full=True,
        low_rank=False,
    ),
)
