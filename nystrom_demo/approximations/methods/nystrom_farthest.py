"""Landmarks that are tokens far from one another: each the farthest of all from those before it, in [q; k]."""

import torch

from nystrom_demo.approximations.landmarks import Landmarks, at_tokens, nystrom_methods, pairs


def find(q: torch.Tensor, k: torch.Tensor, m: int, scale: float, generator: torch.Generator) -> Landmarks:
    return at_tokens(q, k, farthest_tokens(pairs(q, k), m))


@torch.no_grad()
def farthest_tokens(points: torch.Tensor, m: int) -> torch.Tensor:
    """(heads, m) of points (heads, n, width): the farthest from their mean, then each farthest from those chosen."""
    squares = points.square().sum(-1)  # (heads, n)

    def squared_distance(x: torch.Tensor) -> torch.Tensor:  # to one point (heads, 1, width)
        return squares - 2 * (points @ x.mT).squeeze(-1) + x.square().sum(-1)

    heads = torch.arange(len(points), device=points.device)
    distance = squared_distance(points.mean(1, keepdim=True))
    distance_to_chosen = torch.full_like(squares, torch.inf)
    chosen = []
    for _ in range(m):
        chosen.append(distance.argmax(-1))
        newest = squared_distance(points[heads, chosen[-1]].unsqueeze(1))
        distance_to_chosen = distance_to_chosen.minimum(newest)
        distance_to_chosen[heads, chosen[-1]] = -torch.inf  # never twice, equal tokens or not
        distance = distance_to_chosen
    return torch.stack(chosen, 1)


METHODS = nystrom_methods(
    "nystrom-farthest",
    "landmarks: farthest tokens",
    "Q̃, K̃ the tokens of a farthest-point traversal of [q; k]",
    "Gonzalez 1985; for attention Fast Nyström Attention, github.com/Astro-85/fast_nystrom_attention",
    find,
    lambda n, m, d: (m + 1) * n * 2 * d,
)
