"""A sliding window, and the first token for all: each token reads its neighbours, and the first is read by all."""

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import SparseRows, gathered_scores


def build(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator) -> SparseRows:
    index = window_tokens(q.shape[1], m).to(q.device).expand(len(q), -1, -1)
    return SparseRows(gathered_scores(q, k, index, scale).softmax(-1), index)


def window_tokens(n: int, m: int) -> torch.Tensor:
    """(n, m): m different tokens for each of n, the first token and those nearest around."""
    if m == 1:
        return torch.arange(n)[:, None]
    return torch.cat([torch.zeros(n, 1, dtype=torch.long), 1 + centred_windows(n, n - 1, m - 1)], 1)


def centred_windows(rows: int, n: int, width: int) -> torch.Tensor:
    """(rows, width) of n tokens: the window around each row's place, moved inwards at the ends."""
    places = torch.arange(rows) - (rows - n)  # the last row stands at the last token
    starts = (places - (width - 1) // 2).clamp(0, n - width)
    return starts[:, None] + torch.arange(width)


METHODS = (
    Approximation(
        name="window",
        label="window and first token",
        formula="softmax over the first token and the m − 1 tokens nearest in the text",
        guarantee="exact where nothing farther is read",
        source="Beltagy et al. 2020, arXiv 2004.05150, with one global token that all read and that reads its window",
        build=build,
        cost=lambda n, m, d: Cost(2 * n * m * d, n * m),
        exact_at_full=True,
        low_rank=False,
    ),
)
