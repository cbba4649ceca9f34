"""A depthwise convolution along the sequence as products with banded Toeplitz matrices, for long texts on a CPU.

Each head has one filter of `kernel` taps, shared by its channels. A block of BLOCK outputs needs BLOCK + kernel − 1
inputs, and is their product with a (BLOCK, BLOCK + kernel − 1) matrix that has the filter on its diagonals. Some of the
multiplications are by zero, but a matrix product runs near a processor's peak, where `conv2d` with as many groups as
heads does not. Heads follow one another, so that what is held beside the result is of the size of one head.

The gradients are of the same kind. That of the filter is not left to `conv2d` for a second reason: torch 2.13's on a
CPU is wrong in float32, by up to a fifth, for filters longer than about 50 taps; in float64 it is right.
"""

import torch
import torch.nn.functional as F
from torch import nn

from nystrom_demo.attention.checks import check_inputs, makes_a_program, runs_eagerly

BLOCK = 16  # shorter blocks multiply less by zero, longer ones make better products; measured between 8 and 128


class DepthwiseConvolution(nn.Conv2d):
    """The convolution residual as a module: v (batch, heads, seq, head_dim) in, its convolution out.

    What acts on a module's call or its weight (hooks, offloading, pruning, adapters) acts on it. It is made by
    `of_heads`. The constructor stays Conv2d's, since adapters make layers of other shapes by it, which convolve as
    Conv2d does.
    """

    @classmethod
    def of_heads(cls, heads: int, kernel: int) -> "DepthwiseConvolution":
        """One filter a head, `kernel` taps along the sequence, no bias."""
        return cls(heads, heads, (kernel, 1), padding=(kernel // 2, 0), bias=False, groups=heads)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        if self.groups == self.out_channels == self.in_channels and self.kernel_size[1] == 1 and self.bias is None:
            return depthwise_convolution(v, self.weight)
        return super().forward(v)


def depthwise_convolution(
    v: torch.Tensor,
    weight: torch.Tensor,
    key_padding_mask: torch.Tensor | None = None,
    *,
    add_to: torch.Tensor | None = None,
) -> torch.Tensor:
    """The residual that landmark attention adds (section 3.4): each head's v convolved along the sequence.

    v is (batch, heads, seq, head_dim), weight is (heads, 1, kernel, 1) with kernel odd, one filter a head, shared by
    its channels; zeros stand before the start, after the end, and at padding. Returns v's shape. With `add_to`,
    of that shape, the sum of both in one pass; on a CPU, where no gradient is recorded, it is written into `add_to`.
    """
    check_inputs(v, v, v, key_padding_mask)
    check_conv_weight(weight, v.shape[1])
    heads, _, kernel, _ = weight.shape
    v = without_padding(v, key_padding_mask)
    if v.device.type == "cpu" and not makes_a_program() and v.shape[0] > 0:
        return add_band_convolution(add_to, v, weight)
    convolved = F.conv2d(v, weight, padding=(kernel // 2, 0), groups=heads)
    return convolved if add_to is None else add_to + convolved


def check_conv_weight(weight: torch.Tensor, heads: int) -> None:
    """ValueError unless weight is (heads, 1, kernel, 1) with kernel odd."""
    kernel = weight.shape[2] if weight.dim() == 4 else 0
    if weight.shape != (heads, 1, kernel, 1) or kernel % 2 == 0:
        raise ValueError(
            f"weight must be (heads, 1, kernel, 1) with {heads} heads and an odd kernel, got {tuple(weight.shape)}."
        )


def without_padding(v: torch.Tensor, key_padding_mask: torch.Tensor | None) -> torch.Tensor:
    """v with zeros at padding."""
    return v if key_padding_mask is None else torch.where(key_padding_mask[:, None, :, None], v, 0)


def add_band_convolution(residual: torch.Tensor | None, v: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The residual plus the convolution of v, both (batch, heads, seq, head_dim); None adds nothing.

    weight is (heads, 1, kernel, 1) with kernel odd. Zeros stand before the start and after the end. The result has the
    strides of the residual; where no gradient is recorded it is the residual itself, written over.
    """
    weight = weight.to(v.dtype)  # under autocast v is narrower than its filter
    if residual is not None and not torch.is_grad_enabled() and runs_eagerly():
        return _add_products(residual, v, weight)
    convolved = _Convolve.apply(v, weight)
    return convolved if residual is None else residual + convolved


class _Convolve(torch.autograd.Function):
    """(v, weight) to the convolution of v, and `_Correlate` its gradient's other half; each is the other's derivative.

    Both are linear in each argument, so that derivatives of every order are made of the two.
    """

    @staticmethod
    def forward(v: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return _add_products(torch.zeros_like(v), v, weight)

    @staticmethod
    def setup_context(ctx, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.taps = inputs[1].shape[2]

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        v, weight = ctx.saved_tensors
        needs_v, needs_weight = ctx.needs_input_grad
        # An output's gradient goes back to the inputs it came from: the same convolution with the filter turned round.
        return (
            _Convolve.apply(grad, weight.flip(2)) if needs_v else None,
            _Correlate.apply(grad, v, ctx.taps) if needs_weight else None,
        )

    @staticmethod
    def vmap(info, in_dims: tuple[int | None, ...], v: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, int]:
        v, weight = _as_heads(info, in_dims, v, 1), _as_heads(info, in_dims[1:], weight, 0)
        return _Convolve.apply(v, weight).unflatten(1, (info.batch_size, -1)), 1


class _Correlate(torch.autograd.Function):
    """(grad, v, taps) to the gradient of a filter of so many taps: (heads, 1, taps, 1)."""

    @staticmethod
    def forward(grad: torch.Tensor, v: torch.Tensor, taps: int) -> torch.Tensor:
        return _tap_sums(grad, v, taps)

    @staticmethod
    def setup_context(ctx, inputs: tuple[torch.Tensor, torch.Tensor, int], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx, grad_weight: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad, v = ctx.saved_tensors
        needs_grad, needs_v, _ = ctx.needs_input_grad
        return (
            _Convolve.apply(v, grad_weight) if needs_grad else None,
            _Convolve.apply(grad, grad_weight.flip(2)) if needs_v else None,
            None,
        )

    @staticmethod
    def vmap(
        info, in_dims: tuple[int | None, ...], grad: torch.Tensor, v: torch.Tensor, taps: int
    ) -> tuple[torch.Tensor, int]:
        grad, v = _as_heads(info, in_dims, grad, 1), _as_heads(info, in_dims[1:], v, 1)
        return _Correlate.apply(grad, v, taps).unflatten(0, (info.batch_size, -1)), 0


def _as_heads(info, in_dims: tuple[int | None, ...], x: torch.Tensor, heads: int) -> torch.Tensor:
    """x with the axis that vmap goes over, the first of in_dims, joined to its axis of heads: every head has a filter
    of its own, so other weights are other heads. Where x is not mapped, it is repeated.
    """
    where = in_dims[0]
    mapped = x.expand(info.batch_size, *x.shape) if where is None else x.movedim(where, 0)
    return mapped.movedim(0, heads).flatten(heads, heads + 1)


def _add_products(output: torch.Tensor, v: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Adds the convolution of v to `output`, in place, and returns it."""
    batch, heads, seq, _ = v.shape
    kernel = weight.shape[2]
    band = band_matrices(weight)  # (heads, BLOCK, BLOCK + kernel - 1)
    padded, windows = _padded_rows(v, kernel)  # one head's inputs, and their overlapping windows
    for head in range(heads):
        padded[:, kernel // 2 : kernel // 2 + seq] = v[:, head]
        products = torch.bmm(band[head].expand(len(windows), -1, -1), windows)  # (batch * blocks, BLOCK, head_dim)
        output[:, head] += products.view(batch, -1, v.shape[3])[:, :seq]
    return output


def add_convolution_of_block(
    output: torch.Tensor, v: torch.Tensor, band: torch.Tensor, start: int, real: torch.Tensor | None = None
) -> None:
    """Adds to output (heads, tokens, head_dim) the convolution of v (heads, seq, head_dim) at tokens from `start` on.

    band is `band_matrices` of the filters; output is contiguous and its tokens are whole blocks. `real` is (seq,),
    false at padding, which is read as zeros.
    """
    heads, tokens, head_dim = output.shape
    width = band.shape[2]
    first = start - (width - BLOCK) // 2  # the first block's first input
    last = first + tokens + width - BLOCK
    inputs = v[:, max(first, 0) : last]
    if real is not None:
        inputs = torch.where(real[max(first, 0) : last, None], inputs, 0)
    if first < 0 or last > v.shape[1]:
        inputs = F.pad(inputs, (0, 0, max(-first, 0), max(last - v.shape[1], 0)))
    windows = inputs.unfold(1, width, BLOCK).mT  # (heads, blocks, width, head_dim), views that overlap
    blocks = output.view(heads, -1, BLOCK, head_dim)
    bands = band[:, None].expand(-1, blocks.shape[1], -1, -1)
    for block, matrix, window in zip(blocks, bands, windows, strict=True):  # head by head
        block.baddbmm_(matrix, window)


def _tap_sums(grad: torch.Tensor, v: torch.Tensor, kernel: int) -> torch.Tensor:
    """Tap t of a head: the sum of grad[row] · v[row + t − kernel // 2] over rows, channels and batch."""
    seq = v.shape[2]
    padded, windows = _padded_rows(v, kernel)
    grad_rows = torch.zeros_like(padded)
    grad_blocks = grad_rows.view(len(windows), BLOCK, -1)
    sums = []
    for head in range(v.shape[1]):
        padded[:, kernel // 2 : kernel // 2 + seq] = v[:, head]
        grad_rows[:, :seq] = grad[:, head]
        sums.append(torch.bmm(grad_blocks, windows.mT).sum(0))  # the gradient of the band matrix
    taps = torch.arange(BLOCK, device=v.device)[:, None] + torch.arange(kernel, device=v.device)  # (BLOCK, kernel)
    return torch.stack(sums).gather(2, taps.expand(len(sums), -1, -1)).sum(1)[:, None, :, None]


def band_matrices(weight: torch.Tensor) -> torch.Tensor:
    """(heads, BLOCK, BLOCK + kernel − 1): row i has the filter from column i on, and zeros around it."""
    kernel = weight.shape[2]
    filters = F.pad(weight[:, 0, :, 0], (0, BLOCK))  # (heads, kernel + BLOCK), laid one after another they shift by one
    return (
        filters.repeat(1, BLOCK)
        .view(-1, BLOCK * (kernel + BLOCK))[:, : BLOCK * (kernel + BLOCK - 1)]
        .unflatten(1, (BLOCK, -1))
    )


def _padded_rows(v: torch.Tensor, kernel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Zeros for one head's inputs, (batch, rows, head_dim), and their windows (batch * rows / BLOCK, width, head_dim).

    The windows are views that overlap. A row of the batch fills whole blocks and ends with at least kernel − 1 zeros,
    so that one product serves the whole batch: no window of a row's outputs reaches into the next row's inputs.
    """
    batch, _, seq, head_dim = v.shape
    rows = -(-(seq + kernel - 1) // BLOCK) * BLOCK
    flat = v.new_zeros(batch * rows + kernel - 1, head_dim)
    windows = flat.unfold(0, BLOCK + kernel - 1, BLOCK).mT  # (batch * rows / BLOCK, BLOCK + kernel - 1, head_dim)
    return flat[: batch * rows].view(batch, rows, head_dim), windows
