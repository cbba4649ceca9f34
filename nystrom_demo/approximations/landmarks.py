"""What Nyström methods share: two kernels of landmarks around a pseudo-inverse, iterated or exact.

A method says how it finds its landmarks; the rest is here, so that methods differ in that alone.
"""

from collections.abc import Callable

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Product, softmax_kernel, take
from nystrom_demo.attention import PINV_ITERATIONS, iterative_pinv

Landmarks = tuple[torch.Tensor, torch.Tensor]  # of queries and of keys, (heads, m, head_dim) each
Find = Callable[[torch.Tensor, torch.Tensor, int, float, torch.Generator], Landmarks]

SVD_MULTIPLY_ADDS = 20  # of a singular value decomposition of (m, m), times m³: its usual estimate, not counted here
PINV_SUFFIX = "-pinv"


def nystrom_methods(
    name: str,
    label: str,
    landmarks: str,
    source: str,
    find: Find,
    finding: Callable[[int, int, int], int] = lambda n, m, d: 0,
    *,
    guarantee: str = "none for a softmax, whose kernel is not positive semidefinite",
    random: bool = False,
) -> tuple[Approximation, Approximation]:
    """One way to find landmarks as two methods: with the paper's iterative pseudo-inverse, and with the exact one.

    landmarks: the formula of Q̃, K̃. finding: (n, m, d) → the multiply-adds that finding them takes.
    """

    def with_inverse(invert: Callable[[torch.Tensor], torch.Tensor]):
        def build(q, k, v, m, scale, generator) -> Product:
            q_landmarks, k_landmarks = find(q, k, m, scale, generator)
            return nystrom_product(q, k, q_landmarks, k_landmarks, scale, invert)

        return build

    def method(suffix: str, inverse: str, invert, inverting: Callable[[int], int]) -> Approximation:
        return Approximation(
            name=name + suffix,
            label=label + inverse,
            formula=f"softmax(Q K̃ᵀ/√d) · softmax(Q̃ K̃ᵀ/√d)⁺ · softmax(Q̃ Kᵀ/√d), {landmarks}",
            guarantee=guarantee,
            source=source,
            build=with_inverse(invert),
            cost=lambda n, m, d: Cost(finding(n, m, d) + kernels(n, m, d) + inverting(m), 2 * n * m + m * m),
            exact_at_full=True,
            random=random,
        )

    return (
        method("", "", iterated_inverse, lambda m: (4 * PINV_ITERATIONS + 1) * m**3),
        method(PINV_SUFFIX, ", exact inverse", torch.linalg.pinv, lambda m: (SVD_MULTIPLY_ADDS + 1) * m**3),
    )


def kernels(n: int, m: int, d: int) -> int:
    """Multiply-adds of the three kernels and of their products with v from the right."""
    return 4 * n * m * d + 2 * m * m * d


def nystrom_product(
    q: torch.Tensor,
    k: torch.Tensor,
    q_landmarks: torch.Tensor,
    k_landmarks: torch.Tensor,
    scale: float,
    invert: Callable[[torch.Tensor], torch.Tensor],
) -> Product:
    """kernel_1 · invert(kernel_2) · kernel_3 of these landmarks."""
    kernel_1 = softmax_kernel(q, k_landmarks, scale)  # (heads, n, m)
    kernel_2 = softmax_kernel(q_landmarks, k_landmarks, scale)  # (heads, m, m)
    kernel_3 = softmax_kernel(q_landmarks, k, scale)  # (heads, m, n)
    return Product(kernel_1, invert(kernel_2), kernel_3)


def iterated_inverse(kernel_2: torch.Tensor) -> torch.Tensor:
    """The package's own pseudo-inverse with its default settings, all heads together as in `nystrom_attention`."""
    return iterative_pinv(kernel_2[None])[0]


def at_tokens(q: torch.Tensor, k: torch.Tensor, index: torch.Tensor) -> Landmarks:
    """The queries and keys of the tokens of index (heads, m)."""
    return take(q, index), take(k, index)


def pairs(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """[q; k], each token's query beside its key: (heads, n, 2 · head_dim)."""
    return torch.cat([q, k], -1)
