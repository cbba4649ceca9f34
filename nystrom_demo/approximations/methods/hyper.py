"""HyperAttention: half the budget for keys that hash like the query, half for drawn keys that stand for all others."""

import math

import torch

from nystrom_demo.approximations.hashing import gray_code_order, windows_in_order
from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.methods.nystrom_random import random_tokens
from nystrom_demo.approximations.methods.window import centred_windows
from nystrom_demo.approximations.operators import SparseRows, gathered_scores

BITS = 7  # of the published code


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> SparseRows:
    heads, n, _ = q.shape
    width = -(-m // 2)
    q_order, k_order = gray_code_order(q, k, BITS, generator)
    windows = centred_windows(n, n, width).to(q.device)
    near = windows_in_order(q_order, k_order, windows)  # (heads, n, width)
    drawn = random_tokens(heads, n, m - width, generator).to(q.device)  # the same for all queries
    first = windows[q_order.argsort(), :1]  # (heads, n, 1), where each query's window begins
    place = k_order.argsort().gather(1, drawn).unsqueeze(1)  # (heads, 1, m - width)
    is_near = (place >= first) & (place < first + width)  # counted once, among the near
    drawn = drawn.unsqueeze(1).expand(-1, n, -1)  # (heads, n, m - width)
    near_scores, drawn_scores = (gathered_scores(q, k, index, scale) for index in (near, drawn))
    share = math.log(n / max(m - width, 1))  # a drawn key stands for so many
    drawn_scores = (drawn_scores + share).masked_fill(is_near, -torch.inf)
    index = torch.cat([near, drawn], -1)
    return SparseRows(torch.cat([near_scores, drawn_scores], -1).softmax(-1), index)


METHODS = (
    Approximation(
        name="hyper",
        label="HyperAttention",
        formula="softmax over m/2 keys near in the order of a Gray-coded sign hash, and m/2 drawn, each for n/(m/2)",
        guarantee="spectral norm, where no column of S is heavy beyond those the hash finds",
        source="Han et al. 2024, arXiv 2310.05869; github.com/insuhan/hyper-attn",
        build=build,
        cost=lambda n, m, d: Cost(2 * n * m * d + 2 * n * d * BITS, n * m),
        exact_at_full=True,
        random=True,
        low_rank=False,
    ),
)
