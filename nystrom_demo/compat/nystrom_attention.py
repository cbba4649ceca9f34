"""Stands in for the package `nystrom_attention` 0.0.14: its classes, arguments, parameters and numbers.

    from nystrom_demo.compat.nystrom_attention import NystromAttention  # was: from nystrom_attention import …

Its checkpoints load unchanged. By default what it computes is that package's, to rounding: rows of zeros go in front of
the text and take part in landmarks and softmax (front_padding.py). `padding="none"` is this package's attention, with
segments of real tokens that no padding enters and exact attention where there are no more tokens than landmarks.
What it adds are `attention_row` and `attention_column_sums`, a row and the column sums of the map that is never made.

x is (batch, seq, dim); mask is (batch, seq), boolean, true at real tokens.
"""

from collections.abc import Callable

import torch
from torch import nn

from nystrom_demo.attention import PINV_ITERATIONS, depthwise_convolution, nystrom_attention, nystrom_factors
from nystrom_demo.attention.checks import check_num_landmarks
from nystrom_demo.compat.front_padding import front_padded_attention, front_padded_matrices, pad_in_front
from nystrom_demo.compat.streamed_maps import column_sums, map_row

PADDINGS = ("front", "none")


class HeadConvolution(nn.Conv2d):
    """One filter a head along the tokens: v (batch, heads, seq, head_dim) to the same shape."""

    def __init__(self, heads: int, kernel: int):
        super().__init__(heads, heads, (kernel, 1), padding=(kernel // 2, 0), groups=heads, bias=False)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return depthwise_convolution(v, self.weight)


class NystromAttention(nn.Module):
    """Multi-head landmark attention with the arguments and the parameters of `nystrom_attention.NystromAttention`.

    num_landmarks, pinv_iterations, eps and padding are read at each call and may be changed between calls.
    padding: "front" (that package's) or "none" (this package's; eps is not used).
    ValueError for an even residual_conv_kernel, fewer than one landmark, or another word for padding.
    """

    def __init__(
        self,
        dim: int,
        dim_head: int = 64,
        heads: int = 8,
        num_landmarks: int = 256,
        pinv_iterations: int = PINV_ITERATIONS,
        residual: bool = True,
        residual_conv_kernel: int = 33,
        eps: float = 1e-8,
        dropout: float = 0.0,
        *,
        padding: str = "front",
    ):
        super().__init__()
        check_num_landmarks(num_landmarks)
        if padding not in PADDINGS:
            raise ValueError(f'padding must be "front" or "none", got {padding!r}.')
        if residual and (residual_conv_kernel < 1 or residual_conv_kernel % 2 == 0):
            raise ValueError(f"residual_conv_kernel must be an odd number, got {residual_conv_kernel}.")
        self.eps = eps
        self.num_landmarks = num_landmarks
        self.pinv_iterations = pinv_iterations
        self.heads = heads
        self.scale = dim_head**-0.5
        self.padding = padding
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim), nn.Dropout(dropout))
        self.residual = residual
        if residual:
            self.res_conv = HeadConvolution(heads, residual_conv_kernel)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        return_attn: bool = False,
        return_attn_matrices: bool = False,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor] | tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """(batch, seq, dim); with return_attn also the map (batch, heads, seq, seq), O(n²) memory.

        With return_attn_matrices, which wins, also (kernel_1, kernel_2⁺, kernel_3), whose product the map is. Under
        padding "front" map and matrices keep the padded length. ValueError for an x or a mask of the wrong shape.
        """
        check_tokens(x, mask)
        n = x.shape[1]
        if self.padding == "front":
            x, mask = pad_in_front(x, mask, self.num_landmarks)
        q, k, v = self._project(x)  # (batch, heads, padded seq, head_dim)
        if mask is not None:
            q, k, v = (torch.where(mask[:, None, :, None], t, 0) for t in (q, k, v))

        matrices = self._matrices(q, k, mask) if return_attn or return_attn_matrices else None
        if matrices is None:
            context = self._attend(q, k, v, mask)
        else:
            kernel_1, kernel_2_inv, kernel_3 = matrices
            context = kernel_1 @ (kernel_2_inv @ (kernel_3 @ v))
        if self.residual:
            context = context + self.res_conv(v)
        # All of the padded text goes through dropout, so that a seed drops what it drops in the other package.
        out = self.to_out(context.transpose(1, 2).flatten(2))[:, -n:]
        if return_attn_matrices:
            return out, matrices
        return (out, kernel_1 @ kernel_2_inv @ kernel_3) if return_attn else out

    def attention_row(self, x: torch.Tensor, token: int = 0, mask: torch.Tensor | None = None) -> torch.Tensor:
        """How much one token takes from each: its row of the map, (batch, heads, seq), in O(n m) time.

        `token` counts the tokens of x, so that 0 is the first of them, whatever padding stands in front; so do the
        columns. Under padding "front" the row's weight on that padding is left out. x is read in stretches, and beside
        it only the result and a few tens of megabytes are held. No gradient is recorded. Nyström rows need not sum to
        one nor be positive. ValueError for a token that is not there.
        """
        check_tokens(x, mask)
        if not 0 <= token < x.shape[1]:
            raise ValueError(f"token must be between 0 and {x.shape[1] - 1}, got {token}.")
        return map_row(self._project, x, token, mask, **self._map_options())

    def attention_column_sums(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """How much all tokens together take from each: the map's column sums over real tokens, (batch, heads, seq).

        Time and memory are `attention_row`'s; divided by the number of tokens it is the mean row.
        """
        check_tokens(x, mask)
        return column_sums(self._project, x, mask, **self._map_options())

    def _project(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """q, k, v of x, each (batch, heads, seq, head_dim)."""
        return tuple(t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        m, steps = self.num_landmarks, self.pinv_iterations
        if self.padding == "none":
            return nystrom_attention(q, k, v, m, mask, pinv_iterations=steps)
        return front_padded_attention(q, k, v, m, mask, pinv_iterations=steps, eps=self.eps)

    def _matrices(self, q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        m, steps = self.num_landmarks, self.pinv_iterations
        if self.padding == "none":
            factors = nystrom_factors(q, k, m, mask, pinv_iterations=steps)
            return factors.kernel_1, factors.kernel_2_inv, factors.kernel_3
        return front_padded_matrices(q, k, m, mask, pinv_iterations=steps, eps=self.eps)

    def _map_options(self) -> dict[str, object]:
        return {
            "num_landmarks": self.num_landmarks,
            "pinv_iterations": self.pinv_iterations,
            "eps": self.eps if self.padding == "front" else None,
        }


def check_tokens(x: torch.Tensor, mask: torch.Tensor | None) -> None:
    """ValueError unless x is (batch, seq, dim) and mask a boolean (batch, seq) or None."""
    if x.dim() != 3 or 0 in x.shape:
        raise ValueError(f"x must be (batch, seq, dim) with no axis empty, got shape {tuple(x.shape)}.")
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be boolean, true at real tokens, got {mask.dtype}.")
    if mask.shape != x.shape[:2]:
        raise ValueError(f"mask must be (batch, seq) = {tuple(x.shape[:2])}, got {tuple(mask.shape)}.")


class PreNorm(nn.Module):
    """fn of the layer norm of x."""

    def __init__(self, dim: int, fn: Callable):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: torch.Tensor, **kwargs) -> torch.Tensor:
        return self.fn(self.norm(x), **kwargs)


class FeedForward(nn.Module):
    def __init__(self, dim: int, mult: int = 4, dropout: float = 0.0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, dim * mult), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim * mult, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Nystromformer(nn.Module):
    """Layers of landmark attention and feed-forward: x (batch, seq, dim) and mask (batch, seq) to (batch, seq, dim)."""

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        dim_head: int = 64,
        heads: int = 8,
        num_landmarks: int = 256,
        pinv_iterations: int = PINV_ITERATIONS,
        attn_values_residual: bool = True,
        attn_values_residual_conv_kernel: int = 33,
        attn_dropout: float = 0.0,
        ff_dropout: float = 0.0,
        padding: str = "front",
    ):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            attention = NystromAttention(
                dim=dim,
                dim_head=dim_head,
                heads=heads,
                num_landmarks=num_landmarks,
                pinv_iterations=pinv_iterations,
                residual=attn_values_residual,
                residual_conv_kernel=attn_values_residual_conv_kernel,
                dropout=attn_dropout,
                padding=padding,
            )
            feed_forward = FeedForward(dim=dim, dropout=ff_dropout)
            self.layers.append(nn.ModuleList([PreNorm(dim, attention), PreNorm(dim, feed_forward)]))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        for attention, feed_forward in self.layers:
            x = attention(x, mask=mask) + x
            x = feed_forward(x) + x
        return x


Nystromer = Nystromformer
