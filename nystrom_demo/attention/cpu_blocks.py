"""Landmark attention's ways over the tokens, there and back, in blocks of tokens: for inference on a CPU.

`scaled_dot_product_attention` computes the same, on a CPU in tiles of one head that are too small for a processor's
peak. A block has some tokens of every head, which stand side by side in a projection's output; each product serves all
heads, the scores stay in the cache, and the convolution is added before the block is written. The rows of a batch
follow one another. Nothing here is differentiable.
"""

import torch

from nystrom_demo.attention.checks import runs_eagerly
from nystrom_demo.attention.convolution import BLOCK as CONVOLUTION_BLOCK
from nystrom_demo.attention.convolution import add_convolution_of_block, band_matrices

SCORES = 400_000  # of one block: 1.6 MB in float32, near a core's own cache; 512 tokens of 12 heads and 64 landmarks
LEAST_TOKENS = 64  # of one block, whatever its scores: below it the products are too small


def block_tokens(heads: int, landmarks: int) -> int:
    """How many tokens a block has: a multiple of the convolution's blocks."""
    tokens = max(LEAST_TOKENS, SCORES // (heads * landmarks))
    return tokens // CONVOLUTION_BLOCK * CONVOLUTION_BLOCK


def blocks_suit(q: torch.Tensor, landmarks: int) -> bool:
    """Whether to go in blocks: rows fill one, on a CPU, in full precision, no gradient or graph recorded."""
    return (
        q.device.type == "cpu"
        and q.shape[0] > 0
        and q.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.is_grad_enabled()
        and runs_eagerly()
        and q.shape[2] >= block_tokens(q.shape[1], landmarks)
    )


def gather(
    q_landmarks: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_padding_mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    """kernel_3 · v, what each landmark gathers from the tokens: (batch, heads, landmarks, width of v)."""
    queries = (q_landmarks * scale).mT.contiguous()  # (batch, heads, head_dim, landmarks)
    bias = [None] * len(k) if key_padding_mask is None else _bias(key_padding_mask, k.dtype)[:, :, None]
    return torch.stack([_gather_row(*row) for row in zip(queries, k, v, bias, strict=True)])


def _gather_row(queries: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """One row's (heads, landmarks, width), by the online softmax: sums are rescaled when a larger score turns up.

    Source: Milakov and Gimelshein, "Online normalizer calculation for softmax" (arXiv 1805.02867).
    """
    heads, _, landmarks = queries.shape
    largest = k.new_full((heads, 1, landmarks), torch.finfo(k.dtype).min)  # finite: a block may be nothing but padding
    total = k.new_zeros(heads, 1, landmarks)
    gathered = k.new_zeros(heads, landmarks, v.shape[2])
    tokens = block_tokens(heads, landmarks)
    for start in range(0, k.shape[1], tokens):
        block = slice(start, start + tokens)
        scores = torch.bmm(k[:, block], queries)  # (heads, tokens, landmarks)
        if bias is not None:
            scores.add_(bias[block])
        before, largest = largest, torch.maximum(largest, scores.amax(1, keepdim=True))
        weights = scores.sub_(largest).exp_()
        rescale = (before - largest).exp_()
        total.mul_(rescale).add_(weights.sum(1, keepdim=True))
        gathered.mul_(rescale.mT).baddbmm_(weights.mT, v[:, block])
    return gathered / total.mT


def read(
    q: torch.Tensor,
    k_landmarks: torch.Tensor,
    values: torch.Tensor,
    valid: torch.Tensor | None,
    scale: float,
    v: torch.Tensor | None = None,
    conv_weight: torch.Tensor | None = None,
    key_padding_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """kernel_1 · values, what each token reads from the landmarks, plus the convolution of v where it has a weight.

    (batch, heads, queries, width of v), with the strides of a projection's output.
    """
    batch, heads, seq, _ = q.shape
    keys = (k_landmarks * scale).mT.contiguous()  # (batch, heads, head_dim, landmarks)
    band = None if conv_weight is None else band_matrices(conv_weight.to(q.dtype))
    bias = None if valid is None else _bias(valid, q.dtype)  # (batch, landmarks)
    output = q.new_empty(batch, seq, heads, values.shape[3]).transpose(1, 2)
    tokens = block_tokens(heads, keys.shape[3])
    for row in range(batch):
        for start in range(0, seq, tokens):
            block = slice(min(start, seq - tokens), start + tokens)  # the last goes back over some tokens, to be full
            scores = torch.bmm(q[row, :, block], keys[row])  # (heads, tokens, landmarks)
            if bias is not None:
                scores.add_(bias[row])
            context = torch.bmm(scores.softmax(-1), values[row])  # (heads, tokens, head_dim)
            if band is not None:
                real = None if key_padding_mask is None else key_padding_mask[row]
                add_convolution_of_block(context, v[row], band, block.start, real)
            output[row, :, block] = context
    return output


def _bias(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to scores: 0 where allowed, −∞ elsewhere; a sum costs a tenth of a fill by mask."""
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, -torch.inf)
