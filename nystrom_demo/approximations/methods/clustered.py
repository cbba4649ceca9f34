"""Clustered attention: queries that hash alike share the attention of their mean."""

import torch

from nystrom_demo.approximations.hashing import HAMMING_STEPS, HASH_BITS, query_clusters
from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Groups, softmax_kernel


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> Groups:
    cluster, centroids = query_clusters(q, m, generator)
    return Groups(softmax_kernel(centroids, k, scale), cluster)


def clustering(n: int, m: int, d: int) -> int:
    """Multiply-adds of hashes, Hamming k-means and centroids."""
    return n * d * HASH_BITS + (2 * HAMMING_STEPS + 1) * n * m * HASH_BITS + n * m * d


METHODS = (
    Approximation(
        name="clustered",
        label="clustered queries",
        formula="row i is softmax(q̄_c Kᵀ/√d), q̄_c the mean of the queries in i's cluster c, of m clusters",
        guarantee="a row errs by at most its query's distance from q̄_c times ‖K‖₂/√d (proposition 1)",
        source="Vyas, Katharopoulos and Fleuret 2020, arXiv 2007.04825; github.com/idiap/fast-transformers",
        build=build,
        cost=lambda n, m, d: Cost(2 * n * m * d + clustering(n, m, d), n * m),
        exact_at_full=True,
        random=True,
    ),
)
