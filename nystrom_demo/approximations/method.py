"""What every method has in common: its signature, its facts, and the rules it keeps.

A method is given one row's real tokens and nothing else. So padding enters nothing and batch mates change nothing,
whatever the method does. Chance begins anew at each row, from the seed alone, so a row is the same in any batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from nystrom_demo.approximations.operators import Operator, Product, softmax_kernel
from nystrom_demo.attention import softmax_attention
from nystrom_demo.attention.checks import check_inputs

MAX_SEED = 2**63 - 1


class Cost(NamedTuple):
    """Of one head: multiply-adds from q, k, v to the output, and the numbers that stand for the n² of S, unfused."""

    multiply_adds: int
    numbers_held: int


Build = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int, float, torch.Generator], Operator]


@dataclass(frozen=True)
class Approximation:
    """A way to approximate softmax attention within a budget m; call it as a function of q, k, v.

    name: by which it is chosen. label: as figures call it. formula, guarantee, source: in a line each.
    build: (q, k, v, m, scale, generator) → Operator, where q, k, v are one row's real tokens (heads, n, head_dim) in
    float32 or wider, 1 ≤ m ≤ n, S = softmax(q kᵀ · scale), and generator is a CPU generator for whatever is drawn.
    cost: (n, m, head_dim) → Cost.
    exact_at_full: a budget of all tokens gives exact attention; nothing is then left to approximate, and S is used.
    random: the result depends on the seed.
    low_rank: the map's rank is at most m, so that the best of rank m bounds it.
    oracle: it looks at all of S to make its choice, so that it shows what a choice could do and saves nothing.
    """

    name: str
    label: str
    formula: str
    guarantee: str
    source: str
    build: Build
    cost: Callable[[int, int, int], Cost]
    exact_at_full: bool
    random: bool = False
    low_rank: bool = True
    oracle: bool = False

    def __call__(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        m: int,
        key_padding_mask: torch.Tensor | None = None,
        *,
        seed: int = 0,
        scale: float | None = None,
    ) -> torch.Tensor:
        """The output in place of softmax(q kᵀ/√d) v, (batch, heads, seq, head_dim); zero at padding.

        q, k, v: (batch, heads, seq, head_dim). m: the budget, what this method spends it on is its own. `scale`
        replaces 1/√d. ValueError for shapes, a mask, a budget or a seed that do not fit.
        """
        output = torch.zeros_like(v)
        for row, real, inputs in _rows(q, k, v, m, key_padding_mask, seed):
            if self.is_exact(inputs[0].shape[1], m):
                attended = softmax_attention(*(x[None] for x in inputs), scale=scale)[0]
            else:
                operator = self.operator(*inputs, m, seed=seed, scale=scale)
                with _full_precision(v):
                    attended = operator.attend(_wide(inputs[2]))
            output[row][:, real] = attended.to(v.dtype)
        return output

    def map(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        m: int,
        key_padding_mask: torch.Tensor | None = None,
        *,
        seed: int = 0,
        scale: float | None = None,
    ) -> torch.Tensor:
        """The matrix in place of softmax(q kᵀ/√d), (batch, heads, seq, seq), for looking at; zero at padding."""
        maps = q.new_zeros(*q.shape[:3], q.shape[2])
        for row, real, inputs in _rows(q, k, v, m, key_padding_mask, seed):
            places = torch.arange(q.shape[2], device=q.device)[real]
            operator = self.operator(*inputs, m, seed=seed, scale=scale)
            with _full_precision(v):
                made = operator.map()
            maps[row][:, places[:, None], places] = made.to(q.dtype)
        return maps

    def operator(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: int, *, seed: int = 0, scale: float | None = None
    ) -> Operator:
        """What stands for S on one text without padding: q, k, v are (heads, n, head_dim). Multiply, or look at it."""
        q, k, v = _wide(q), _wide(k), _wide(v)
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        with _full_precision(q):
            if self.is_exact(q.shape[1], m):
                return Product(softmax_kernel(q, k, scale))
            return self.build(q, k, v, min(m, q.shape[1]), scale, torch.Generator().manual_seed(seed))

    def is_exact(self, n: int, m: int) -> bool:
        """Whether a budget of m is exact attention on n tokens."""
        return self.exact_at_full and m >= n


def check_budget(m: int) -> None:
    """ValueError unless m is an integer of at least 1."""
    if isinstance(m, bool) or not isinstance(m, int) or m < 1:
        raise ValueError(f"The budget m must be an integer of at least 1, got {m!r}.")


def check_seed(seed: int) -> None:
    """ValueError unless seed is an integer that a generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be an integer from 0 to {MAX_SEED}, got {seed!r}.")


def _rows(q, k, v, m, key_padding_mask, seed) -> Iterator[tuple[int, slice | torch.Tensor, tuple[torch.Tensor, ...]]]:
    """(row, which of its tokens are real, its q, k, v of the real tokens) of a checked batch."""
    check_inputs(q, k, v, key_padding_mask)
    for name, x in (("k", k), ("v", v)):  # these are ways for self-attention
        if x.shape != q.shape:
            raise ValueError(f"{name} must have the shape of q, {tuple(q.shape)}, got {tuple(x.shape)}.")
    check_budget(m)
    check_seed(seed)
    for row in range(len(q)):
        real = slice(None) if key_padding_mask is None else key_padding_mask[row]
        yield row, real, tuple(x[row][:, real] for x in (q, k, v))


def _wide(x: torch.Tensor) -> torch.Tensor:
    """x in float32 or wider: methods invert, and sum many terms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _full_precision(x: torch.Tensor) -> torch.autocast:
    """Within, autocast narrows nothing, for the same reason."""
    return torch.autocast(x.device.type, enabled=False)
