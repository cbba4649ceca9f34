"""What the error of an attention map is to be read against."""

import torch

from nystrom_demo.analysis import best_rank_errors
from nystrom_demo.lessons.case import relative_error
from nystrom_demo.lessons.scene import Yardstick, Yardsticks


def yardsticks(exact: torch.Tensor, rank: int, own: list[Yardstick], *, secret: bool) -> Yardsticks:
    """The errors `own` between those of zeros and of 1/n, which anyone can have, and the least of any matrix of `rank`.

    exact: (n, n), the map that all of them are compared with.
    """
    sticks = [
        Yardstick("neutral", "all zeros", 1.0),
        Yardstick("peer", "every weight 1/n", uniform_error(exact)),
        *own,
        Yardstick("best_rank", f"best of rank {rank}", best_rank_errors(torch.linalg.svdvals(exact), rank)[0]),
    ]
    return Yardsticks("error relative to S", sticks, secret)


def uniform_error(exact: torch.Tensor) -> float:
    """Of the map that gives all n tokens the same weight."""
    return relative_error(torch.full_like(exact, 1 / len(exact)), exact)
