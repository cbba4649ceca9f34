"""Buckets of like queries and keys, as in the Reformer: each query reads the m keys that stand where it stands itself.

The Reformer makes queries and keys one and reads its own and the bucket before. Here both are hashed by the same
rotations and sorted, and a query reads the m sorted keys around its own place, so that the budget is met exactly.
"""

import torch

from nystrom_demo.approximations.hashing import rotation_order, windows_in_order
from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.methods.window import centred_windows
from nystrom_demo.approximations.operators import SparseRows, gathered_scores

MAX_BUCKETS = 64


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> SparseRows:
    n = q.shape[1]
    orders = rotation_order(q, k, num_buckets(n, m), generator)
    index = windows_in_order(*orders, centred_windows(n, n, m))
    return SparseRows(gathered_scores(q, k, index, scale).softmax(-1), index)


def num_buckets(n: int, m: int) -> int:
    """An even number of buckets that hold about m tokens each, up to MAX_BUCKETS, so that hashing costs O(n)."""
    return min(2 * max(1, n // (2 * m)), MAX_BUCKETS)


METHODS = (
    Approximation(
        name="lsh",
        label="LSH buckets (Reformer)",
        formula="softmax over the m keys around q's place in the order of the hash argmax [x R; −x R]",
        guarantee="none for one round",
        source="Kitaev et al. 2020, arXiv 2001.04451; github.com/idiap/fast-transformers, reformer_attention.py",
        build=build,
        cost=lambda n, m, d: Cost(2 * n * m * d + n * d * num_buckets(n, m), n * m),
        exact_at_full=True,
        random=True,
        low_rank=False,
    ),
)
