"""Landmarks that are tokens drawn evenly, each head its own: the first way the Nyström method chose its columns."""

import torch

from nystrom_demo.approximations.landmarks import Landmarks, at_tokens, nystrom_methods


def find(q: torch.Tensor, k: torch.Tensor, m: int, scale: float, generator: torch.Generator) -> Landmarks:
    return at_tokens(q, k, random_tokens(*q.shape[:2], m, generator).to(q.device))


def random_tokens(heads: int, n: int, m: int, generator: torch.Generator) -> torch.Tensor:
    """(heads, m): m different tokens of n for each head, in their order."""
    return torch.rand(heads, n, generator=generator).topk(m).indices.sort().values


METHODS = nystrom_methods(
    "nystrom-random",
    "landmarks: random tokens",
    "Q̃, K̃ m tokens drawn evenly",
    "Williams and Seeger 2001, Using the Nyström method to speed up kernel machines",
    find,
    random=True,
)
