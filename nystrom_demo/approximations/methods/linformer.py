"""Linformer with projections along the sequence that are drawn at random, since nobody trained them for this model."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Product, softmax_kernel


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> Product:
    heads, n, _ = q.shape
    projection = (torch.randn(heads, m, n, generator=generator) / m**0.5).to(q)  # of mean square such that EᵀE ≈ I
    return Product(softmax_kernel(q, projection @ k, scale), projection)


METHODS = (
    Approximation(
        name="linformer",
        label="Linformer, random projections",
        formula="softmax(Q (E K)ᵀ/√d) · E, E m × n of independent normal entries of variance 1/m",
        guarantee="none with one random E; the paper trains its own, and its theorem scales E and F apart",
        source="Wang et al. 2020, arXiv 2006.04768; github.com/mlpen/Nystromformer, attention_linformer.py",
        build=build,
        cost=lambda n, m, d: Cost(4 * n * m * d, 2 * n * m),
        exact_at_full=False,
        random=True,
    ),
)
