"""Hashes that bring like queries and keys together: clusters of queries, and orders in which like stands near like."""

import torch

from nystrom_demo.approximations.operators import take

HASH_BITS = 63  # of clustered attention's published code, as are its ten steps
HAMMING_STEPS = 10


def query_clusters(q: torch.Tensor, m: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """m clusters of the queries (heads, n, head_dim): each query's cluster (heads, n), and the centroids (heads, m, d).

    Sign bits of random projections with a bias, k-means under Hamming distance from evenly spaced queries, and the
    means of the queries themselves (Vyas et al. 2020, section 3.2). A cluster may be empty; its centroid is then zero.
    """
    heads, n, d = q.shape
    planes = torch.randn(heads, d + 1, HASH_BITS, generator=generator).to(q)
    signs = torch.where(q.detach() @ planes[:, :d] + planes[:, d:] > 0, 1.0, -1.0).to(q.dtype)  # (heads, n, bits)
    centres = signs[:, torch.arange(m) * n // m]  # (heads, m, bits)
    for _ in range(HAMMING_STEPS):
        member = _members(signs, centres)
        votes = member.mT @ signs
        centres = torch.where(votes == 0, centres, votes.sign())  # a tie, or no member, changes nothing
    member = _members(signs, centres)
    return member.argmax(-1), member.mT @ q / member.sum(1).clamp(min=1).unsqueeze(-1)


def gray_code_order(
    q: torch.Tensor, k: torch.Tensor, bits: int, generator: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """The orders (heads, n) of queries and of keys by one sign hash of `bits` bits, read as a Gray code.

    Neighbouring hashes differ in one bit (HyperAttention's sortLSH). Tokens of one hash stay in the text's order.
    """
    directions = torch.randn(len(q), q.shape[-1], bits, generator=generator).to(q)
    orders = []
    for x in (q, k):
        orders.append(gray_place((x @ directions > 0).long()).argsort(stable=True))
    return tuple(orders)


def gray_place(code: torch.Tensor) -> torch.Tensor:
    """The place of a Gray code (…, bits), lowest bit first: a binary digit is the parity of its bit and those above."""
    digits = code.flip(-1).cumsum(-1).flip(-1) % 2
    return (digits * 2 ** torch.arange(code.shape[-1], device=code.device)).sum(-1)


def rotation_order(
    q: torch.Tensor, k: torch.Tensor, buckets: int, generator: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """The orders (heads, n) of queries and of keys by the Reformer's hash, argmax of [x R; −x R] over the buckets."""
    rotations = torch.randn(len(q), q.shape[-1], max(buckets // 2, 1), generator=generator).to(q)
    projected = (x @ rotations for x in (q, k))
    return tuple(torch.cat([x, -x], -1).argmax(-1).argsort(stable=True) for x in projected)


def windows_in_order(q_order: torch.Tensor, k_order: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """(heads, n, w): for each query, the keys that stand in the keys' order in the window of the query's own place."""
    heads = len(q_order)
    q_places = q_order.argsort()  # (heads, n)
    in_order = take(k_order.unsqueeze(-1), windows.to(k_order.device).expand(heads, -1, -1)).squeeze(-1)
    return take(in_order, q_places)


def _members(signs: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """(heads, n, m): one at the centre with the most bits in common."""
    nearest = (signs @ centres.mT).argmax(-1)
    return torch.nn.functional.one_hot(nearest, centres.shape[1]).to(signs.dtype)
