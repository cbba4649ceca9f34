"""Landmarks that are tokens drawn by their ridge leverage scores in [q; k]: the more alone a token, the likelier."""

import torch

from nystrom_demo.approximations.landmarks import Landmarks, at_tokens, nystrom_methods, pairs


def find(q: torch.Tensor, k: torch.Tensor, m: int, scale: float, generator: torch.Generator) -> Landmarks:
    scores = ridge_leverage_scores(pairs(q, k), m)
    # The m largest of log(score) + Gumbel noise are m draws without replacement, likely as their scores.
    noise = -torch.rand(scores.shape, generator=generator).clamp(min=1e-30).log().neg().log()
    index = (scores.clamp(min=1e-30).log() + noise.to(scores)).topk(m).indices.sort().values
    return at_tokens(q, k, index)


@torch.no_grad()
def ridge_leverage_scores(points: torch.Tensor, m: int) -> torch.Tensor:
    """xᵢᵀ (XᵀX + λ I)⁻¹ xᵢ of points X (heads, n, width), (heads, n); λ = Σ_{j > m} σⱼ²/m as for a rank of m."""
    values, vectors = torch.linalg.eigh(points.mT @ points)  # ascending σ²
    rest = values[:, : max(values.shape[1] - m, 0)].clamp(min=0).sum(-1, keepdim=True) / m
    ridge = rest + torch.finfo(points.dtype).eps * values[:, -1:]  # never zero
    along = points @ vectors  # (heads, n, width)
    return (along.square() / (values.clamp(min=0) + ridge).unsqueeze(1)).sum(-1)


METHODS = nystrom_methods(
    "nystrom-leverage",
    "landmarks: leverage scores",
    "Q̃, K̃ m tokens drawn by their ridge leverage scores in [q; k]",
    "Alaoui and Mahoney 2015, arXiv 1411.0306; with linear scores of [q; k] in place of the kernel's",
    find,
    lambda n, m, d: 2 * n * (2 * d) ** 2 + 9 * (2 * d) ** 3,
    random=True,
)
