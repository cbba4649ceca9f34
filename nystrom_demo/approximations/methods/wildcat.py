"""WildCat: a few keys, drawn by randomly pivoted Cholesky and weighted so that all queries see them as they see all."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.methods.skyformer import gaussian_kernel
from nystrom_demo.approximations.operators import Product, rows_to_one, take

RHO = 3.94582  # ρ² of the temperature that the published code uses


class WeightedCoreset(Product):
    """The product, whose output is held within the range of v, where exact attention lies, as the paper does."""

    def attend(self, v: torch.Tensor) -> torch.Tensor:
        return self.apply(v).clamp(v.amin(1, keepdim=True), v.amax(1, keepdim=True))


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> WeightedCoreset:
    k = k - k.mean(1, keepdim=True)  # changes no softmax
    longest_q, longest_k = (x.norm(dim=-1).amax(-1)[:, None, None].clamp(min=1e-12) for x in (q, k))
    temperature = (RHO * longest_k / longest_q).sqrt()
    x = k * scale**0.5 / temperature
    coreset, weights = cholesky_coreset(x, m, generator)  # of the Gaussian kernel of x
    squares = x.square().sum(-1, keepdim=True) / 2
    # W of exp(x·x) is that of the Gaussian kernel times exp(‖x_l‖²/2 − ‖x_s‖²/2), of which each side takes its part.
    weights = weights * (squares - squares.amax(1, keepdim=True)).exp().mT
    scores = q @ take(k, coreset).mT * scale - take(squares, coreset).mT  # (heads, n, m)
    return WeightedCoreset(*rows_to_one((scores - scores.amax(-1, keepdim=True)).exp(), weights).factors)


def cholesky_coreset(x: torch.Tensor, m: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """m rows of x (heads, n, width) and weights W = K_SS⁻¹ K_S· (heads, m, n), K the Gaussian kernel of x.

    Each row is drawn by what those before leave of its exp(x·x), the diagonal of the softmax's own kernel.
    """
    heads = torch.arange(len(x), device=x.device)
    squares = x.square().sum(-1)
    left = torch.ones_like(squares)  # the diagonal of K − G Gᵀ
    tiny = torch.finfo(x.dtype).eps * x.shape[1]
    factor = x.new_zeros(*x.shape[:2], 0)  # G, K ≈ G Gᵀ, a column a step
    chosen, pivots = [], []
    for _ in range(m):
        noise = -torch.rand(left.shape, generator=generator).clamp(min=1e-30).log().neg().log().to(x)
        pick = (left.detach().log() + squares + noise).argmax(-1)  # Gumbel's way to draw
        pivot = left[heads, pick].unsqueeze(-1)
        kernel = gaussian_kernel(x, x[heads, pick].unsqueeze(1)).squeeze(-1)  # (heads, n)
        column = kernel - (factor @ factor[heads, pick].unsqueeze(-1)).squeeze(-1)
        column = torch.where(pivot > tiny, column / pivot.clamp(min=tiny).sqrt(), 0)  # a row like another adds nothing
        factor = torch.cat([factor, column.unsqueeze(-1)], -1)
        left = (left - column.square()).clamp(min=0).scatter(1, pick.unsqueeze(1), 0)
        chosen.append(pick)
        pivots.append((pivot > tiny).squeeze(-1))
    coreset = torch.stack(chosen, 1)  # (heads, m)
    triangle = take(factor, coreset) + torch.diag_embed((~torch.stack(pivots, 1)).to(x.dtype))  # L, K_SS = L Lᵀ
    return coreset, torch.linalg.solve_triangular(triangle.tril().mT, factor.mT, upper=True)


METHODS = (
    Approximation(
        name="wildcat",
        label="WildCat",
        formula="exp(Q K_Sᵀ/√d) W with each row divided by its sum, W = K_SS⁻¹ K_S· of the keys' kernel",
        guarantee="error O(n^−√(log log n)) in time n^(1 + o(1)) for bounded q, k, v",
        source="Schröder and Mackey 2026, arXiv 2602.10056; github.com/microsoft/wildcat",
        build=build,
        cost=lambda n, m, d: Cost(4 * n * m * d + n * m * (m - 1) // 2 + n * m * m // 2 + n * m, 2 * n * m),
        exact_at_full=True,
        random=True,
    ),
)
