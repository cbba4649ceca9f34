"""Landmarks that are tokens themselves, evenly spaced along the text."""

import torch

from nystrom_demo.approximations.landmarks import Landmarks, at_tokens, nystrom_methods


def find(q: torch.Tensor, k: torch.Tensor, m: int, scale: float, generator: torch.Generator) -> Landmarks:
    return at_tokens(q, k, strided_tokens(q.shape[1], m).to(q.device).expand(len(q), -1))


def strided_tokens(n: int, m: int) -> torch.Tensor:
    """(m,): the middle token of each of m equal stretches of n."""
    return (2 * torch.arange(m) + 1) * n // (2 * m)


METHODS = nystrom_methods(
    "nystrom-strided",
    "landmarks: strided tokens",
    "Q̃, K̃ the middle tokens of m equal stretches",
    "the plainest column sampling of Williams and Seeger 2001, without chance",
    find,
)
