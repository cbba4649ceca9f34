"""Exact attention, and what it takes to rebuild it from some of its columns."""

import torch

from nystrom_demo.attention import softmax_attention_map
from nystrom_demo.formatting import count, percent, weight
from nystrom_demo.lessons.case import Case, relative_error
from nystrom_demo.lessons.scene import CHANNELS, TOKENS, Block, Matrix, Reading, Scene, Sign, Yardstick, scale_end
from nystrom_demo.lessons.yardsticks import uniform_error, yardsticks

PINV_CUTOFF = 0.05  # singular values of W below this share of the largest count as zero, or noise is what is inverted


def every_token(case: Case) -> Scene:
    """q and k of a head, the exact attention they make, and that of the layer's other heads."""
    exact, (n, d) = case.maps.exact, case.q.shape
    i, j = divmod(int(exact.argmax()), n)
    readings = (
        Reading("tokens n", n),
        Reading("width of a head d", d),
        Reading("weights in S", n * n),
        Reading("largest weight", float(exact.max()), ".4f"),
        Reading("its row", i + 1),
        Reading("its column", j + 1),
    )
    facts = {
        "n": count(n),
        "weights": count(n * n),
        "n_doubled": count(2 * n),
        "weights_doubled": count(4 * n * n),
    }
    giver, taker = (f"token {place + 1} “{case.words[place]}”" for place in (i, j))
    summary = (
        f"Exact attention of layer {case.inputs.layer + 1}, head {case.head + 1}: {count(n)} by {count(n)} weights; "
        f"the largest, {weight(exact.max())}, is what {giver} gives {taker}."
    )
    return case.scene((_one_head(case), _all_heads(case)), readings, summary, "four", facts)


def _one_head(case: Case) -> tuple[Block, ...]:
    return (
        Matrix("query", "query", "q", case.q, (TOKENS, CHANNELS), "signed"),
        Matrix("key", "key", "kᵀ", case.k.T, (CHANNELS, TOKENS), "signed"),
        Sign("→"),
        Matrix("exact", "exact", "S", case.maps.exact, (TOKENS, TOKENS)),
    )


def _all_heads(case: Case) -> tuple[Block, ...]:
    maps = softmax_attention_map(case.inputs.q.float(), case.inputs.k.float())[0]
    return tuple(
        Matrix("exact", "exact", f"head {h + 1}", S, (TOKENS, TOKENS), small=True, head=h) for h, S in enumerate(maps)
    )


def columns(case: Case) -> Scene:
    """S from m of its columns and rows, and the row sums that every one of its entries needs."""
    exact, n, m = case.maps.exact, case.n, case.m
    C, W_inv, R = kept_columns(case)
    rebuilt = C @ W_inv @ R
    error = relative_error(rebuilt, exact)
    readings = (
        Reading("columns kept m", m),
        Reading("weights in C", n * m),
        Reading("exponentials for C", n * n, secret=True),
        Reading("error of C W⁺ R", error, ".4f"),
    )
    facts = {"m": count(m), "n": count(n), "column_entries": count(n * m), "exponentials": count(n * n)}
    facts |= {"error": percent(error), "uniform": percent(uniform_error(exact))}
    summary = (
        f"{count(m)} columns and rows of S rebuild it with a relative error of {facts['error']}, where 1/n for every "
        f"weight has {facts['uniform']}; their softmax denominators needed all {count(n * n)} exponentials."
    )
    sticks = yardsticks(exact, m, [Yardstick("kernel_1", "C W⁺ R", error)], secret=False)
    rows = (_kept_blocks(case, C, W_inv, R), _rebuilt_blocks(exact, rebuilt), (sticks,))
    return case.scene(rows, readings, summary, "all", facts)


def kept_columns(case: Case) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(C, W⁺, R): the columns and rows of S at the middle token of each segment, and the block where they cross."""
    exact, kept = case.maps.exact, [(first + last) // 2 for first, last in case.segments]
    return exact[:, kept], torch.linalg.pinv(exact[kept][:, kept], rtol=PINV_CUTOFF), exact[kept]


def _kept_blocks(case: Case, C: torch.Tensor, W_inv: torch.Tensor, R: torch.Tensor) -> tuple[Block, ...]:
    sums = (case.q @ case.k.T / case.q.shape[1] ** 0.5).exp().sum(1, keepdim=True)
    top = scale_end(case.maps.exact)
    return (
        Matrix("denominator", "neutral", "row sums", sums, (TOKENS, "sum")),
        Matrix("kernel_1", "kernel_1", "C", C, (TOKENS, "kept column"), limit=top),
        Matrix("kernel_2", "kernel_2", "W⁺", W_inv, ("kept column", "kept row"), "signed"),
        Matrix("kernel_3", "kernel_3", "R", R, ("kept row", TOKENS), limit=top),
    )


def _rebuilt_blocks(exact: torch.Tensor, rebuilt: torch.Tensor) -> tuple[Block, ...]:
    top = scale_end(exact)
    return (
        Matrix("exact", "exact", "S", exact, (TOKENS, TOKENS), "signed", limit=top),  # as its likeness beside it
        Sign("≈"),
        Matrix("", "landmark", "C W⁺ R", rebuilt, (TOKENS, TOKENS), "signed", limit=top),
    )
