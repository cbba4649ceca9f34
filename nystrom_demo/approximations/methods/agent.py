"""Agent attention: a few pooled queries gather from all keys, and every query reads from them."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Product, softmax_kernel
from nystrom_demo.attention import segment_means


def build(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator) -> Product:
    agents = segment_means(q[None], m)[0][0]  # (heads, m, head_dim)
    return Product(softmax_kernel(q, agents, scale), softmax_kernel(agents, k, scale))


METHODS = (
    Approximation(
        name="agent",
        label="agent attention",
        formula="softmax(Q Aᵀ/√d) · softmax(A Kᵀ/√d), A means of m consecutive segments of Q",
        guarantee="none; trained with biases and a convolution, which are left out here",
        source="Han et al. 2023, arXiv 2312.08874; github.com/LeapLabTHU/Agent-Attention",
        build=build,
        cost=lambda n, m, d: Cost(4 * n * m * d, 2 * n * m),
        exact_at_full=False,
    ),
)
