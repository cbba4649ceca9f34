"""Landmarks that are centres of clusters of [q; k], found by a few Lloyd steps that start at the segment means."""

import torch

from nystrom_demo.approximations.landmarks import Landmarks, nystrom_methods, pairs
from nystrom_demo.attention import segment_means

STEPS = 5


def find(q: torch.Tensor, k: torch.Tensor, m: int, scale: float, generator: torch.Generator) -> Landmarks:
    points = pairs(q, k)
    centres = segment_means(points[None], m)[0][0]
    for _ in range(STEPS):
        centres = lloyd_step(points, centres)
    return centres.chunk(2, -1)


def lloyd_step(points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Each centre moved to the mean of the points (heads, n, width) nearest to it; without points it stays."""
    nearness = points @ centres.mT - centres.square().sum(-1).unsqueeze(1) / 2  # half the squared distance, turned
    member = torch.nn.functional.one_hot(nearness.argmax(-1), centres.shape[1]).to(points.dtype)  # (heads, n, m)
    size = member.sum(1).unsqueeze(-1)  # (heads, m, 1)
    return torch.where(size > 0, member.mT @ points / size.clamp(min=1), centres)


METHODS = nystrom_methods(
    "nystrom-kmeans",
    "landmarks: k-means",
    f"[Q̃; K̃] the centres of m clusters of [q; k], {STEPS} Lloyd steps from the segment means",
    "Zhang, Tsang and Kwok 2008, Improved Nyström low-rank approximation; for [q; k] here",
    find,
    lambda n, m, d: STEPS * 2 * n * m * 2 * d,
)
