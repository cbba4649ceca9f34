"""What a method makes in place of S: something that multiplies values, and can be looked at as a matrix.

x is (heads, n, width). Nothing of size n × n is held unless `map` is asked for.
"""

from collections.abc import Sequence

import torch

BLOCK = 4_000_000  # gathered numbers held at once where each row reads tokens of its own


class Operator:
    """A matrix Ŝ (heads, n, n), known by what it does to x. `held`: how many numbers of one head stand for it."""

    held: int

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Ŝ x, (heads, n, width)."""
        raise NotImplementedError

    def attend(self, v: torch.Tensor) -> torch.Tensor:
        """What attention puts out; Ŝ v unless a method says otherwise."""
        return self.apply(v)

    def map(self) -> torch.Tensor:
        """Ŝ itself, (heads, n, n), for looking at."""
        raise NotImplementedError

    def of_heads(self, heads: Sequence[int]) -> "Operator":
        """The same of these heads alone."""
        raise NotImplementedError


class Product(Operator):
    """The product of factors (heads, rows, columns), multiplied with x from the right, so that it costs O(n m)."""

    def __init__(self, *factors: torch.Tensor):
        self.factors = factors
        self.held = sum(factor[0].numel() for factor in factors)  # none of a product of none, which changes nothing

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        for factor in reversed(self.factors):
            x = factor @ x
        return x

    def map(self) -> torch.Tensor:
        return Product(*self.factors[:-1]).apply(self.factors[-1])

    def of_heads(self, heads: Sequence[int]) -> "Product":
        return type(self)(*(factor[list(heads)] for factor in self.factors))


class Columns(Operator):
    """weights (heads, n, m) over the tokens of index (heads, m): all rows read the same few tokens."""

    def __init__(self, weights: torch.Tensor, index: torch.Tensor):
        self.weights, self.index = weights, index
        self.held = weights[0].numel()

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return self.weights @ take(x, self.index)

    def map(self) -> torch.Tensor:
        return _scatter(self.weights, self.index.unsqueeze(1).expand_as(self.weights), self.weights.shape[1])

    def of_heads(self, heads: Sequence[int]) -> "Columns":
        return Columns(self.weights[list(heads)], self.index[list(heads)])


class Groups(Operator):
    """rows (heads, m, n), and group (heads, n): which of them each token takes for its own."""

    def __init__(self, rows: torch.Tensor, group: torch.Tensor):
        self.rows, self.group = rows, group
        self.held = rows[0].numel()

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return take(self.rows @ x, self.group)

    def map(self) -> torch.Tensor:
        return take(self.rows, self.group)

    def of_heads(self, heads: Sequence[int]) -> "Groups":
        return Groups(self.rows[list(heads)], self.group[list(heads)])


class SparseRows(Operator):
    """weights (heads, n, w) over the tokens of index (heads, n, w): each row reads tokens of its own."""

    def __init__(self, weights: torch.Tensor, index: torch.Tensor):
        self.weights, self.index = weights, index
        self.held = weights[0].numel()

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        blocks = _row_blocks(self.index, x.shape[-1])
        parts = [(self.weights[:, b].unsqueeze(2) @ take(x, self.index[:, b])).squeeze(2) for b in blocks]
        return torch.cat(parts, 1)

    def map(self) -> torch.Tensor:
        return _scatter(self.weights, self.index, self.weights.shape[1])

    def of_heads(self, heads: Sequence[int]) -> "SparseRows":
        return SparseRows(self.weights[list(heads)], self.index[list(heads)])


class Sum(Operator):
    """The sum of operators."""

    def __init__(self, *parts: Operator):
        self.parts = parts
        self.held = sum(part.held for part in parts)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return sum(part.apply(x) for part in self.parts)

    def map(self) -> torch.Tensor:
        return sum(part.map() for part in self.parts)

    def of_heads(self, heads: Sequence[int]) -> "Sum":
        return Sum(*(part.of_heads(heads) for part in self.parts))


def take(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """x (heads, n, width) at the tokens of index (heads, …): (heads, …, width)."""
    heads = torch.arange(len(x), device=x.device).view(-1, *[1] * (index.dim() - 1))
    return x[heads, index]


def gathered_scores(q: torch.Tensor, k: torch.Tensor, index: torch.Tensor, scale: float) -> torch.Tensor:
    """Each query's scores with the keys of index (heads, n, w) alone: (heads, n, w)."""
    blocks = _row_blocks(index, k.shape[-1])
    return torch.cat([(take(k, index[:, b]) @ q[:, b].unsqueeze(3)).squeeze(3) for b in blocks], 1) * scale


def softmax_kernel(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    """softmax(queries keysᵀ · scale) over the keys, (heads, queries, keys)."""
    return (queries @ keys.mT * scale).softmax(-1)


def rows_to_one(left: torch.Tensor, right: torch.Tensor) -> Product:
    """left · right, each row divided by its sum. A row that is zero throughout, by underflow, stays so."""
    sums = left @ right.sum(-1, keepdim=True)  # (heads, n, 1)
    return Product(left / torch.where(sums == 0, 1, sums), right)


def _row_blocks(index: torch.Tensor, width: int) -> list[slice]:
    heads, n, w = index.shape
    rows = max(1, BLOCK // max(1, heads * w * width))
    return [slice(start, start + rows) for start in range(0, n, rows)]


def _scatter(weights: torch.Tensor, index: torch.Tensor, n: int) -> torch.Tensor:
    """(heads, n, n): each row's weights at its tokens; what falls on one token is summed."""
    return weights.new_zeros(*weights.shape[:2], n).scatter_add(2, index, weights)
