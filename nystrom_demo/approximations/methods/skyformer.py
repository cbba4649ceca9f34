"""Skyformer: Nyström of the Gaussian kernel of [Q; K], which is positive semidefinite as a softmax is not.

The Skyformer attends with the kernel itself in place of a softmax and is trained so. Here each column is weighted by
exp(‖k‖²/2√d) and each row divided by its sum, by which the Gaussian kernel becomes the softmax's, and stands for S.
"""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.methods.nystrom_random import random_tokens
from nystrom_demo.approximations.operators import Product, rows_to_one, take

RIDGE = 0.1  # γ, as in the published code


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> Product:
    heads, n, _ = q.shape
    q, k = q * scale**0.5, k * scale**0.5
    of_queries = random_tokens(heads, n, m // 2, generator).to(q.device)
    of_keys = random_tokens(heads, n, m - m // 2, generator).to(q.device)
    landmarks = torch.cat([take(q, of_queries), take(k, of_keys)], 1)  # (heads, m, head_dim)
    core = gaussian_kernel(landmarks, landmarks) + RIDGE * torch.eye(m).to(q)
    right = torch.cholesky_solve(gaussian_kernel(landmarks, k), torch.linalg.cholesky(core))  # (heads, m, n)
    squares = k.square().sum(-1) / 2
    right = right * (squares - squares.amax(-1, keepdim=True)).exp().unsqueeze(1)
    left = log_gaussian_kernel(q, landmarks)  # (heads, n, m), to a factor of each row that its sum takes away
    return rows_to_one((left - left.amax(-1, keepdim=True)).exp(), right)


def gaussian_kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """exp(−‖x − y‖²/2), (heads, rows of x, rows of y)."""
    return log_gaussian_kernel(x, y).exp()


def log_gaussian_kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    squares = x.square().sum(-1).unsqueeze(2) + y.square().sum(-1).unsqueeze(1)
    return (x @ y.mT - squares / 2).clamp(max=0)


METHODS = (
    Approximation(
        name="skyformer",
        label="Skyformer",
        formula="κ(Q, W) (κ(W, W) + γI)⁻¹ κ(W, K), κ Gaussian, W m random rows of [Q; K]; then to rows that sum to one",
        guarantee="spectral norm, with high probability, for the Gaussian kernel and not for S",
        source="Chen et al. 2021, arXiv 2111.00035; github.com/pkuzengqi/Skyformer",
        build=build,
        cost=lambda n, m, d: Cost(4 * n * m * d + m * m * d + m**3 // 3 + n * m * m + n * m, 2 * n * m),
        exact_at_full=False,
        random=True,
    ),
)
