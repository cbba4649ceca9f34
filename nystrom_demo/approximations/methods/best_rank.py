"""The best matrix of rank m there is, from the singular values of S itself: the bound, and no way to save anything."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Product, softmax_kernel


def build(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator) -> Product:
    exact = softmax_kernel(q, k, scale)
    # The right singular vectors of S are the eigenvectors of SᵀS: in float64 as good, and faster than an SVD.
    _, vectors = torch.linalg.eigh(exact.double().mT @ exact.double())
    right = vectors[..., -m:].to(exact.dtype)  # (heads, n, m), of the largest values
    return Product(exact @ right, right.mT)


METHODS = (
    Approximation(
        name="best-rank",
        label="best of rank m",
        formula="U_m Σ_m V_mᵀ of S = U Σ Vᵀ",
        guarantee="no matrix of rank m is nearer to S, in the Frobenius as in the spectral norm",
        source="Eckart and Young 1936",
        build=build,
        cost=lambda n, m, d: Cost(n * n * d + 10 * n**3 + n * n * m + 2 * n * m * d, 2 * n * m + n * n),
        exact_at_full=True,
        oracle=True,
    ),
)
