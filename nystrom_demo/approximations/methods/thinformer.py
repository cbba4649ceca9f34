"""Thinformer: keys and values thinned by kernel halving, so that what is left sums to nearly what there was."""

import math

import torch

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.methods.nystrom_strided import strided_tokens
from nystrom_demo.approximations.operators import Columns, softmax_kernel, take

FAILURE = 0.5  # δ, the probability that the bound does not hold, as in the published code


def build(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, scale: float, generator: torch.Generator
) -> Columns:
    kept = thinned_tokens(k * scale**0.5, v, m, generator)
    return Columns(softmax_kernel(q, take(k, kept), scale), kept)


def halvings(n: int, m: int) -> int:
    """How often m · 2^h ≤ n tokens can be halved down to m."""
    return (n // m).bit_length() - 1


@torch.no_grad()
def thinned_tokens(k: torch.Tensor, v: torch.Tensor, m: int, generator: torch.Generator) -> torch.Tensor:
    """(heads, m): m · 2^h evenly spaced tokens, then h rounds that halve groups of 2m and join them in pairs."""
    heads, n, _ = k.shape
    rounds = halvings(n, m)
    kept = strided_tokens(n, m << rounds).to(k.device).expand(heads, -1)
    shift = k.square().sum(-1).amax(-1)[:, None, None, None]  # so that no exponential overflows
    largest_v = v.abs().amax((1, 2))[:, None, None, None].square()
    for _ in range(rounds):
        groups = kept.unflatten(1, (-1, 2 * m))  # (heads, groups, 2m)
        keys, values = take(k, groups), take(v, groups)
        kernel = (keys @ keys.mT - shift).exp() * (values @ values.mT + largest_v)
        chosen = halve(kernel, 2 * m * FAILURE / (rounds * (m << rounds)), generator)
        kept = groups.gather(2, chosen).flatten(1)
    return kept


def halve(kernel: torch.Tensor, failure: float, generator: torch.Generator) -> torch.Tensor:
    """One of each pair of neighbours by kernel halving, (…, s/2) places out of s, kernel (…, s, s).

    Pair by pair, the one is taken that keeps the sum over the taken near the sum over the left out, with a little
    chance; in the end either half, at random (Dwivedi and Mackey 2021; Thinformer, algorithm B.2).
    """
    pairs = kernel.shape[-1] // 2
    differences = kernel[..., ::2] - kernel[..., 1::2]
    differences = differences[..., ::2, :] - differences[..., 1::2, :]  # of pairs with pairs, (…, s/2, s/2)
    size = differences.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    drawn = 2 * torch.rand(size.shape, generator=generator).to(kernel) - 1
    threshold = drawn * (0.5 + math.log(4 * pairs / failure)) * size * size.cummax(-1).values
    taken = torch.zeros_like(size, dtype=torch.bool)  # true: the second of a pair
    balance = differences[..., 0, :].clone()
    for i in range(1, pairs):
        taken[..., i] = threshold[..., i] <= balance[..., i]
        balance += torch.where(taken[..., i, None], -1, 1) * differences[..., i, :]
    either = torch.rand(taken.shape[:-1], generator=generator).to(kernel.device) < 0.5
    return (taken ^ either.unsqueeze(-1)) + torch.arange(0, 2 * pairs, 2, device=kernel.device)


def cost(n: int, m: int, d: int) -> Cost:
    groups = (1 << halvings(n, m)) - 1  # of all rounds
    return Cost(groups * (2 * m) ** 2 * 2 * d + 2 * n * m * d, n * m)


METHODS = (
    Approximation(
        name="thinformer",
        label="Thinformer",
        formula="softmax over m keys, thinned by halving with the kernel exp(k·k'/√d)(v·v' + max |v|²)",
        guarantee="with high probability its error falls nearly as 1/m, where that of m random keys falls as 1/√m",
        source="Carrell et al. 2025, arXiv 2502.12063; github.com/microsoft/thinformer",
        build=build,
        cost=cost,
        exact_at_full=True,
        random=True,
    ),
)
