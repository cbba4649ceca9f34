"""Softmax attention and its landmark (Nyström) approximation, as functions of tensors.

Source: Xiong et al., "Nyströmformer: A Nyström-based Algorithm for Approximating Self-Attention", AAAI 2021
(arXiv 2102.03902). The functions stand in the order of the paper: exact attention (eq. 2), landmarks as segment
means (section 3.3), the three kernels (eq. 13) with the pseudo-inverse of pseudo_inverse.py (eq. 14), their
product (eq. 13, 15) and the residual of convolution.py.

Shapes, everywhere: q, k, v are (batch, heads, seq, head_dim); `key_padding_mask` is (batch, seq), boolean, true
where a token is real. Padding enters no landmark, no softmax and no convolution, wherever it stands in its row, as
long as it is finite: an infinity times a weight of zero is no number.
What the functions return at padded positions is finite and otherwise unspecified.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from nystrom_demo.attention.checks import check_inputs, check_num_landmarks
from nystrom_demo.attention.convolution import check_conv_weight, depthwise_convolution
from nystrom_demo.attention.cpu_blocks import blocks_suit, gather, read
from nystrom_demo.attention.pseudo_inverse import PINV_ITERATIONS, accumulator, iterative_pinv


class NystromFactors(NamedTuple):
    """The parts of landmark attention S ≈ kernel_1 · kernel_2⁺ · kernel_3, the paper's F̃, Ã⁺, B̃ (eq. 13).

    kernel_1: (batch, heads, seq, landmarks), every token's softmax over the landmarks' keys.
    kernel_2: (batch, heads, landmarks, landmarks), the landmarks' softmax over one another.
    kernel_2_inv: (batch, heads, landmarks, landmarks), its pseudo-inverse after the chosen number of iterations.
    kernel_3: (batch, heads, landmarks, seq), every landmark's softmax over the tokens' keys.
    q_landmarks, k_landmarks: (batch, heads, landmarks, head_dim).
    segments: (batch, seq), the landmark that each token is averaged into; -1 at padding.
    """

    kernel_1: torch.Tensor
    kernel_2: torch.Tensor
    kernel_2_inv: torch.Tensor
    kernel_3: torch.Tensor
    q_landmarks: torch.Tensor
    k_landmarks: torch.Tensor
    segments: torch.Tensor

    def attention(self) -> torch.Tensor:
        """The (batch, heads, seq, seq) matrix that stands in for softmax(q kᵀ/√d); O(n²) memory, for looking at."""
        return self.kernel_1 @ (self.kernel_2_inv @ self.kernel_3)


def softmax_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_padding_mask: torch.Tensor | None = None,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    """Exact attention softmax(q kᵀ/√d) v (eq. 2), (batch, heads, seq, head_dim), through the fused kernel of torch.

    `scale` replaces 1/√d. ValueError for shapes or a mask that do not fit.
    """
    check_inputs(q, k, v, key_padding_mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=_over_keys(key_padding_mask), scale=scale)


def softmax_attention_map(
    q: torch.Tensor, k: torch.Tensor, key_padding_mask: torch.Tensor | None = None, *, scale: float | None = None
) -> torch.Tensor:
    """The matrix softmax(q kᵀ/√d) itself, (batch, heads, queries, keys). Columns of padding are zero."""
    check_inputs(q, k, k, key_padding_mask)
    return _kernel(q, k, _over_keys(key_padding_mask), scale)


def segment_means(
    x: torch.Tensor, num_landmarks: int, key_padding_mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Landmarks of x (batch, heads, seq, head_dim): the means of consecutive segments of its real tokens (section 3.3).

    Returns (landmarks, valid): landmarks is (batch, heads, m, head_dim) with m = min(num_landmarks, seq), valid is
    (batch, m) or None where every landmark has a token. The segments of a row differ in length by at most one, the
    longer ones first. A row of r < m real tokens has its first r landmarks valid, one a token; the others are zero.
    """
    check_inputs(x, x, x, key_padding_mask)
    check_num_landmarks(num_landmarks)
    batch, heads, seq, head_dim = x.shape
    m = min(num_landmarks, seq)
    if key_padding_mask is None:
        return _segment_means_of_full_rows(x, m), None

    index, lengths = segment_index(key_padding_mask, m)  # (batch, seq), (batch, m)
    # Padding is sent to a spare landmark m, which is cut off.
    index = torch.where(key_padding_mask, index, m) + (m + 1) * torch.arange(batch, device=x.device)[:, None]
    rows = x.transpose(1, 2).reshape(batch * seq, heads * head_dim)  # a view of a projection's output
    sums = rows.new_zeros(batch * (m + 1), heads * head_dim, dtype=accumulator(x.dtype))
    sums = sums.index_add(0, index.flatten(), rows.to(sums.dtype)).unflatten(0, (batch, m + 1))[:, :m]
    means = (sums / lengths.clamp(min=1)[:, :, None]).to(x.dtype)  # (batch, m, heads * head_dim)
    return means.unflatten(2, (heads, head_dim)).transpose(1, 2), lengths > 0


def segment_index(key_padding_mask: torch.Tensor, num_landmarks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which segment each token falls in, (batch, seq), -1 at padding; and the segments' lengths, (batch, landmarks).

    Of r real tokens in m segments, the first r mod m segments hold ⌊r/m⌋ + 1 tokens, the others ⌊r/m⌋.
    """
    count = key_padding_mask.sum(-1, keepdim=True)  # (batch, 1)
    place = key_padding_mask.cumsum(-1) - 1  # (batch, seq), a real token's place among the real ones
    index, lengths = segment_of(place, count, num_landmarks)
    return torch.where(key_padding_mask, index, -1), lengths


def segment_of(place: torch.Tensor, count: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The segment (batch, seq) of a token at a place among count (batch, 1), and the lengths (batch, m) of all."""
    short, num_long = count // m, count % m  # (batch, 1), twice
    in_long = num_long * (short + 1)  # how many tokens the longer segments hold together
    index = torch.where(place < in_long, place // (short + 1), num_long + (place - in_long) // short.clamp(min=1))
    return index, short + (torch.arange(m, device=place.device) < num_long)


def nystrom_factors(
    q: torch.Tensor,
    k: torch.Tensor,
    num_landmarks: int,
    key_padding_mask: torch.Tensor | None = None,
    *,
    pinv_iterations: int = PINV_ITERATIONS,
    inv_coeff_init_option: bool = False,
    scale: float | None = None,
) -> NystromFactors:
    """The three kernels of landmark attention and what they are made of (eq. 13), for looking at: O(n m) memory.

    kernel_1 = softmax(q k_lᵀ/√d), kernel_2 = softmax(q_l k_lᵀ/√d), kernel_3 = softmax(q_l kᵀ/√d).
    In a row of no more real tokens than landmarks nothing is left to approximate: each token is its own landmark,
    kernel_1 is S itself, kernel_2 and its inverse are the identity, and kernel_3 picks landmark j's token, so that the
    product is S. ValueError for shapes or a mask that do not fit, and for num_landmarks < 1.
    """
    check_inputs(q, k, k, key_padding_mask)
    q_landmarks, valid = segment_means(q, num_landmarks, key_padding_mask)
    k_landmarks, _ = segment_means(k, num_landmarks, key_padding_mask)
    m = q_landmarks.shape[2]
    real = torch.ones_like(q[:, 0, :, 0], dtype=torch.bool) if key_padding_mask is None else key_padding_mask
    segments, _ = segment_index(real, m)

    kernel_1 = _kernel(q, k_landmarks, _over_keys(valid), scale)  # (batch, heads, seq, m)
    kernel_2 = landmark_kernel(q_landmarks, k_landmarks, valid, scale)  # (batch, heads, m, m)
    kernel_2_inv = iterative_pinv(kernel_2, pinv_iterations, inv_coeff_init_option=inv_coeff_init_option)
    kernel_3 = _kernel(q_landmarks, k, _over_keys(key_padding_mask), scale)  # (batch, heads, m, seq)

    exact = (real.sum(-1) <= num_landmarks)[:, None, None, None]  # rows where every token is its own landmark
    identity = torch.eye(m, dtype=kernel_2.dtype, device=q.device)
    picks = (segments[:, None, None, :] == torch.arange(m, device=q.device)[:, None]).to(kernel_3.dtype)
    return NystromFactors(
        kernel_1,
        torch.where(exact, identity, kernel_2).to(q.dtype),
        torch.where(exact, identity, kernel_2_inv).to(q.dtype),
        torch.where(exact, picks, kernel_3),
        q_landmarks,
        k_landmarks,
        segments,
    )


def nystrom_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    num_landmarks: int,
    key_padding_mask: torch.Tensor | None = None,
    *,
    pinv_iterations: int = PINV_ITERATIONS,
    inv_coeff_init_option: bool = False,
    scale: float | None = None,
    conv_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Landmark attention kernel_1 · (kernel_2⁺ · (kernel_3 · v)) (eq. 15), (batch, heads, seq, head_dim).

    Two fused attentions around an m×m core, tokens → landmarks → tokens, so that nothing of size n×m is held: time and
    memory O(n m). A row of at most `num_landmarks` real tokens gets exact softmax attention. `conv_weight` adds the
    paper's convolution residual, `depthwise_convolution` of v. ValueError for shapes or a mask that do not fit, and for
    num_landmarks < 1.
    """
    check_inputs(q, k, v, key_padding_mask)
    check_num_landmarks(num_landmarks)
    if conv_weight is not None:
        check_conv_weight(conv_weight, q.shape[1])
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if q.shape[2] <= num_landmarks:
        context = softmax_attention(q, k, v, key_padding_mask, scale=scale)
        return _add_convolution(context, v, conv_weight, key_padding_mask)

    q_landmarks, valid = segment_means(q, num_landmarks, key_padding_mask)
    k_landmarks, _ = segment_means(k, num_landmarks, key_padding_mask)
    kernel_2 = landmark_kernel(q_landmarks, k_landmarks, valid, scale)
    kernel_2_inv = iterative_pinv(kernel_2, pinv_iterations, inv_coeff_init_option=inv_coeff_init_option)

    # kernel_3 · v: what each landmark gathers from the tokens, (batch, heads, m, head_dim)
    in_blocks = blocks_suit(q, q_landmarks.shape[2])
    if in_blocks:
        gathered = gather(q_landmarks, k, v, key_padding_mask, scale)
    else:
        mask = _over_keys(key_padding_mask)
        gathered = F.scaled_dot_product_attention(q_landmarks, k, v, attn_mask=mask, scale=scale)
    values = _landmark_values(kernel_2_inv, gathered, v, num_landmarks, key_padding_mask)
    # kernel_1 · values: what each token reads from the landmarks
    if in_blocks:
        return read(q, k_landmarks, values, valid, scale, v, conv_weight, key_padding_mask)
    context = F.scaled_dot_product_attention(q, k_landmarks, values, attn_mask=_over_keys(valid), scale=scale)
    return _add_convolution(context, v, conv_weight, key_padding_mask)


def _landmark_values(
    kernel_2_inv: torch.Tensor,
    gathered: torch.Tensor,
    v: torch.Tensor,
    num_landmarks: int,
    key_padding_mask: torch.Tensor | None,
) -> torch.Tensor:
    """kernel_2⁺ · gathered, what the tokens read; in a row of few tokens, whose landmarks they are and whose kernel_1
    is S, their own v.
    """
    with torch.autocast(v.device.type, enabled=False):  # the inverse has large entries of both signs
        values = (kernel_2_inv @ gathered.to(kernel_2_inv.dtype)).to(gathered.dtype)
    if key_padding_mask is None:
        return values
    own_values = _first_tokens(v, num_landmarks, key_padding_mask)
    exact = (key_padding_mask.sum(-1) <= num_landmarks)[:, None, None, None]
    return torch.where(exact, own_values.to(values.dtype), values)


def _add_convolution(
    context: torch.Tensor, v: torch.Tensor, weight: torch.Tensor | None, key_padding_mask: torch.Tensor | None
) -> torch.Tensor:
    return context if weight is None else depthwise_convolution(v, weight, key_padding_mask, add_to=context)


def _first_tokens(x: torch.Tensor, count: int, key_padding_mask: torch.Tensor) -> torch.Tensor:
    """(batch, heads, count, head_dim): x at each row's first real tokens; where they run out, the last one again."""
    real = key_padding_mask.cumsum(-1)  # (batch, seq)
    nth = torch.arange(1, count + 1, device=x.device).minimum(real[:, -1:])  # (batch, count)
    places = torch.searchsorted(real, nth)[:, None, :, None]
    return x.gather(2, places.expand(-1, x.shape[1], -1, x.shape[3]))


def _segment_means_of_full_rows(x: torch.Tensor, m: int) -> torch.Tensor:
    """(batch, heads, seq, head_dim) to (batch, heads, m, head_dim), the longer segments first."""
    rows = x.transpose(1, 2)  # (batch, seq, heads, head_dim): tokens as a projection leaves them, read in one go
    short, num_long = divmod(rows.shape[1], m)
    split = num_long * (short + 1)
    means = rows[:, split:].unflatten(1, (m - num_long, short)).mean(2)
    if num_long:
        long_means = rows[:, :split].unflatten(1, (num_long, short + 1)).mean(2)
        means = torch.cat([long_means, means], dim=1)
    return means.transpose(1, 2)


def _kernel(queries: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, scale: float | None) -> torch.Tensor:
    """softmax(queries keysᵀ · scale) over the keys that the mask allows."""
    scores = queries @ keys.mT * (queries.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)


def landmark_kernel(
    q_landmarks: torch.Tensor, k_landmarks: torch.Tensor, valid: torch.Tensor | None, scale: float | None
) -> torch.Tensor:
    """kernel_2 in float32 or wider; the identity where a landmark stands for no token, so that it stays regular."""
    with torch.autocast(q_landmarks.device.type, enabled=False):
        wide = accumulator(q_landmarks.dtype)
        kernel_2 = _kernel(q_landmarks.to(wide), k_landmarks.to(wide), _over_keys(valid), scale)
    if valid is None:
        return kernel_2
    identity = torch.eye(kernel_2.shape[-1], dtype=kernel_2.dtype, device=kernel_2.device)
    return torch.where(valid[:, None, :, None], kernel_2, identity)


def _over_keys(mask: torch.Tensor | None) -> torch.Tensor | None:
    """(batch, keys) to (batch, 1, 1, keys), the same for every head and query."""
    return None if mask is None else mask[:, None, None, :]
