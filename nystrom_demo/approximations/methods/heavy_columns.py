"""The m keys that get most attention of all queries together: an oracle of what eviction by weight can keep."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Columns, softmax_kernel, take


def build(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator) -> Columns:
    heaviest = softmax_kernel(q, k, scale).sum(1).topk(m).indices.sort().values  # (heads, m)
    return Columns(softmax_kernel(q, take(k, heaviest), scale), heaviest)


METHODS = (
    Approximation(
        name="heavy-columns",
        label="m heaviest columns (oracle)",
        formula="softmax over the m keys with the largest column sums of S",
        guarantee="none",
        source="the heavy hitters of Zhang et al. 2023, arXiv 2306.14048 (H2O), chosen here from all of S",
        build=build,
        cost=lambda n, m, d: Cost(n * n * d + 2 * n * m * d, n * n + n * m),
        exact_at_full=True,
        oracle=True,
    ),
)
