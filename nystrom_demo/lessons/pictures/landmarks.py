"""Landmarks as averages over segments of the text, and the three kernels that they make."""

import torch

from nystrom_demo.attention import segment_means
from nystrom_demo.formatting import count, number
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.scene import (
    CHANNELS,
    LANDMARKS,
    TOKENS,
    Block,
    Matrix,
    Reading,
    Scene,
    Sign,
    Words,
    scale_end,
)


def landmarks(case: Case) -> Scene:
    """The text's segments, and the queries and keys that they average to."""
    m = case.m
    q_landmarks, k_landmarks = (segment_means(x[None, None], m)[0][0, 0] for x in (case.q, case.k))
    token_length, landmark_length = (float(x.norm(dim=1).mean()) for x in (case.q, q_landmarks))
    ratio = landmark_length / token_length
    longest = max(last - first + 1 for first, last in case.segments)
    readings = (
        Reading("landmarks m", m),
        Reading("tokens in the longest segment", longest),
        Reading("mean length of a query", token_length, ".4f", secret=True),
        Reading("mean length of a query landmark", landmark_length, ".4f", secret=True),
    )
    outcome = "under_half" if ratio < 0.5 else "most" if ratio < 0.9 else "nearly"
    facts = {"m": count(m), "n": count(case.n), "length_ratio": number(ratio)}
    summary = (
        f"{count(case.n)} tokens in {count(m)} segments of at most {longest}; a query landmark is on average "
        f"{number(ratio)} times as long as a token's query."
    )
    segments = Words("segment", "neutral", "segments", case.words, case.factors.segments.tolist())
    rows = ((segments,), _averages(case.q, q_landmarks, k_landmarks))
    return case.scene(rows, readings, summary, outcome, facts)


def _averages(q: torch.Tensor, q_landmarks: torch.Tensor, k_landmarks: torch.Tensor) -> tuple[Block, ...]:
    limit = scale_end(q)
    return (
        Matrix("query", "query", "q", q, (TOKENS, CHANNELS), "signed", limit),
        Sign("→"),
        Matrix("landmark", "query", "q̃", q_landmarks, (LANDMARKS, CHANNELS), "signed", limit),
        Matrix("", "key", "k̃", k_landmarks, (LANDMARKS, CHANNELS), "signed"),
    )


def kernels(case: Case) -> Scene:
    """The three kernels in the shape of their product, and S for its size."""
    n, m = case.n, case.m
    held, whole = 2 * n * m + m * m, n * n
    readings = (
        Reading("numbers in F", n * m, secret=True),
        Reading("numbers in A", m * m, secret=True),
        Reading("numbers in B", m * n, secret=True),
        Reading("together", held, secret=True),
        Reading("numbers in S", whole, secret=True),
    )
    outcome = "under_half" if 2 * held < whole else "under_all" if held <= whole else "more"
    facts = {
        "n": count(n),
        "kernel_entries": count(held),
        "weights": count(whole),
        "break_even": f"{(2**0.5 - 1) * n:.1f}",  # the root m of 2 n m + m² = n²
    }
    summary = (
        f"F, A and B of {count(m)} landmarks hold {count(held)} numbers, {number(held / whole)} times the "
        f"{count(whole)} of exact attention."
    )
    exact = (Sign("in place of"), Matrix("", "exact", "S", case.maps.exact, (TOKENS, TOKENS)))
    middle = Matrix("kernel_2", "kernel_2", "A", case.factors.kernel_2, (LANDMARKS, LANDMARKS))
    return case.scene((between_kernels(case, middle), exact), readings, summary, outcome, facts)


def between_kernels(case: Case, middle: Matrix) -> tuple[Block, ...]:
    """F, then `middle`, then B."""
    factors = case.factors
    return (
        Matrix("kernel_1", "kernel_1", "F", factors.kernel_1, (TOKENS, LANDMARKS)),
        middle,
        Matrix("kernel_3", "kernel_3", "B", factors.kernel_3, (LANDMARKS, TOKENS)),
    )


def product_blocks(case: Case) -> tuple[Block, ...]:
    """F, Z and B, whose product is landmark attention."""
    Z = Matrix("kernel_2", "kernel_2", "Z", case.factors.kernel_2_inv, (LANDMARKS, LANDMARKS), "signed")
    return between_kernels(case, Z)
