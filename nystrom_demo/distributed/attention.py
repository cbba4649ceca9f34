"""`nystrom_demo.nystrom_attention` of a sequence whose stretches are held by several processes.

What is O(n) stays where it is: a process projects, gathers from and reads for its own tokens alone. What the landmarks
need of all tokens is summed over the processes, O(m d) numbers a layer: the segments' sums of q and k, and what the
landmarks gather, each process's part with its softmax's sum, brought to one maximum. kernel_2 and its inverse are
computed by all alike. The convolution takes half a filter of tokens from either side.
"""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from nystrom_demo.attention import PINV_ITERATIONS, depthwise_convolution, iterative_pinv
from nystrom_demo.attention.checks import check_inputs, check_num_landmarks
from nystrom_demo.attention.landmarks import segment_of
from nystrom_demo.attention.nystrom import landmark_kernel
from nystrom_demo.attention.pseudo_inverse import accumulator
from nystrom_demo.distributed.stretch import Stretch

BLOCK_SCORES = 2**22  # scores of landmarks with tokens held at once: 16 MB in float32


def distributed_nystrom_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    num_landmarks: int,
    stretch: Stretch,
    *,
    pinv_iterations: int = PINV_ITERATIONS,
    inv_coeff_init_option: bool = False,
    scale: float | None = None,
    conv_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Landmark attention over all stretches, at this process's tokens: (batch, heads, seq, head_dim) as q, k, v.

    Equal to one process's `nystrom_attention` to rounding, whatever the stretches; every process of the stretch's mesh
    calls it. Beside q, k, v and the result it holds O(m d) numbers and a block of scores; for a gradient each block is
    computed again in backward. ValueError as there, and where q, k, v are not as long as the stretch.
    """
    check_inputs(q, k, v)
    check_num_landmarks(num_landmarks)
    wanted = (len(stretch.count), stretch.seq)
    if (q.shape[0], q.shape[2]) != wanted:
        raise ValueError(f"q must have the stretch's (batch, seq) = {wanted}, got {(q.shape[0], q.shape[2])}.")
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    few_tokens = stretch.fewest <= num_landmarks  # some row's tokens are their own landmarks, and lend it their v
    summed = (q, k, v) if few_tokens else (q, k)
    means, valid = _segment_means(summed, min(num_landmarks, stretch.total), stretch)
    q_landmarks, k_landmarks = means[:2]

    gathered = _gather(q_landmarks, k, v, stretch, scale)
    with torch.autocast(q.device.type, enabled=False):  # the inverse has large entries of both signs
        kernel_2 = landmark_kernel(q_landmarks, k_landmarks, valid, valid, scale)
        values = iterative_pinv(kernel_2, pinv_iterations, inv_coeff_init_option=inv_coeff_init_option) @ gathered
    if few_tokens:
        values = torch.where((stretch.count <= num_landmarks)[:, :, None, None], means[2], values)
    k_landmarks, values = k_landmarks.to(q.dtype), values.to(q.dtype)
    context = F.scaled_dot_product_attention(q, k_landmarks, values, attn_mask=valid[:, None, None], scale=scale)
    return context if conv_weight is None else context + _convolution(v, conv_weight, stretch)


def _segment_means(summed: tuple[torch.Tensor, ...], m: int, stretch: Stretch) -> tuple[torch.Tensor, torch.Tensor]:
    """Landmarks (several, batch, heads, m, head_dim) in float32 or wider of as many x, and which of them are valid."""
    batch, heads, _, head_dim = summed[0].shape
    index, lengths = segment_of(stretch.places(), stretch.count, m)  # (batch, seq), (batch, m)
    if stretch.mask is not None:
        index = torch.where(stretch.mask, index, m)  # padding is sent to a spare landmark, which is cut off
    index = (index + (m + 1) * torch.arange(batch, device=index.device)[:, None]).flatten()
    sums = []
    for x in summed:
        rows = x.transpose(1, 2).reshape(len(index), -1)  # (batch * seq, heads * head_dim), a view of a projection's
        total = rows.new_zeros(batch * (m + 1), rows.shape[1], dtype=accumulator(x.dtype))
        sums.append(total.index_add(0, index, rows.to(total.dtype)).unflatten(0, (batch, m + 1))[:, :m])
    means = stretch.sum(torch.stack(sums)) / lengths.clamp(min=1)[:, :, None]
    return means.unflatten(3, (heads, head_dim)).transpose(2, 3), lengths > 0


def _gather(
    q_landmarks: torch.Tensor, k: torch.Tensor, v: torch.Tensor, stretch: Stretch, scale: float
) -> torch.Tensor:
    """kernel_3 · v over all stretches, (batch, heads, m, head_dim) in float32 or wider.

    A softmax is a quotient of two sums over tokens. Each block of tokens has its part of both, relative to its largest
    score; blocks and processes are brought to one largest and added.
    """
    batch, heads, m, _ = q_landmarks.shape
    length = max(1, BLOCK_SCORES // (batch * heads * m))
    parts = []
    for start in range(0, stretch.seq, length):
        block = slice(start, start + length)
        mask = None if stretch.mask is None else stretch.mask[:, block]
        arguments = (q_landmarks, k[:, :, block], v[:, :, block], mask, scale)
        if torch.is_grad_enabled():
            parts.append(checkpoint(_gather_from_block, *arguments, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(_gather_from_block(*arguments))
    largest = stretch.largest(torch.stack([largest for _, largest in parts]).amax(0))  # (batch, heads, m, 1)
    sums = stretch.sum(sum(part * (of_block - largest).exp() for part, of_block in parts))
    return sums[..., :-1] / sums[..., -1:]


def _gather_from_block(
    q_landmarks: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums over a block's tokens of e^(score − largest) · (v, 1), (batch, heads, m, head_dim + 1), and the largest."""
    with torch.autocast(k.device.type, enabled=False):
        scores = q_landmarks @ k.to(q_landmarks.dtype).mT * scale  # (batch, heads, m, tokens)
        if mask is not None:  # finite, since a block may be nothing but padding
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        largest = scores.detach().amax(-1, keepdim=True)  # the quotient does not depend on it
        weights = (scores - largest).exp()
        return torch.cat([weights @ v.to(weights.dtype), weights.sum(-1, keepdim=True)], -1), largest


def _convolution(v: torch.Tensor, weight: torch.Tensor, stretch: Stretch) -> torch.Tensor:
    """`depthwise_convolution` of the whole sequence's v at this process's tokens."""
    if stretch.mask is not None:
        v = torch.where(stretch.mask[:, None, :, None], v, 0)
    before, after = (x.movedim(0, 2) for x in stretch.neighbours(v.movedim(2, 0), weight.shape[2] // 2))
    return depthwise_convolution(torch.cat([before, v, after], 2), weight).narrow(2, before.shape[2], stretch.seq)
