"""FAVOR+ of the Performer: exp(q·k) as the mean of products of positive features, drawn orthogonal to one another."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Product, rows_to_one


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> Product:
    directions = orthogonal_directions(len(q), m, q.shape[-1], generator).to(q)
    # What is the same for all features of a query, or for all keys, goes with the division by the rows' sums.
    q_features = log_features(q * scale**0.5, directions)
    q_features = (q_features - q_features.amax(-1, keepdim=True)).exp()
    k_features = log_features(k * scale**0.5, directions)
    k_features = (k_features - k_features.amax((1, 2), keepdim=True)).exp()
    return rows_to_one(q_features, k_features.mT)


def log_features(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """log of φ(x) = exp(ω x − ‖x‖²/2), (heads, n, m): the mean of φ(q) φ(k) over normal ω is exp(q·k)."""
    return x @ directions.mT - x.square().sum(-1, keepdim=True) / 2


def orthogonal_directions(heads: int, m: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """(heads, m, width): normal directions, orthogonal within each block of `width`, their lengths drawn anew."""
    blocks = -(-m // width)
    normal = torch.randn(heads, blocks, width, width, generator=generator)
    rotations = torch.linalg.qr(normal).Q.mT.reshape(heads, -1, width)[:, :m]
    lengths = torch.randn(heads, m, width, generator=generator).norm(dim=-1, keepdim=True)
    return rotations * lengths


METHODS = (
    Approximation(
        name="favor",
        label="FAVOR+ (Performer)",
        formula="φ(Q) φ(K)ᵀ with each row divided by its sum, φ(x) = exp(Ω x − ‖x‖²/2) of m orthogonal features",
        guarantee="φ(q)·φ(k)/m is exp(q·k/√d) on average; its variance grows exponentially with ‖q + k‖²",
        source="Choromanski et al. 2021, arXiv 2009.14794; github.com/lucidrains/performer-pytorch",
        build=build,
        cost=lambda n, m, d: Cost(4 * n * m * d + n * m, 2 * n * m),
        exact_at_full=False,
        random=True,
    ),
)
