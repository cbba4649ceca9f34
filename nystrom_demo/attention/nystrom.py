"""Softmax attention and its landmark (Nyström) approximation, as functions of tensors.

Source: Xiong et al., "Nyströmformer: A Nyström-based Algorithm for Approximating Self-Attention", AAAI 2021
(arXiv 2102.03902). The functions stand in the order of the paper: exact attention (eq. 2), the three kernels (eq. 13)
from the landmarks of landmarks.py (section 3.3), with the pseudo-inverse of pseudo_inverse.py (eq. 14), their product
(eq. 13, 15) and the residual of convolution.py.

Shapes, everywhere: q is (batch, heads, queries, head_dim), k (batch, key heads, keys, head_dim), v (batch, key heads,
keys, width). In self-attention queries and keys are the same tokens, seq of them. Where key heads are fewer than heads,
each serves as many neighbouring heads as there are for it. `key_padding_mask` is (batch, keys), boolean, true where a
token is real; `query_padding_mask` is (batch, queries). Padding enters no landmark, no softmax and no convolution,
wherever it stands in its row, as long as it is finite: an infinity times a weight of zero is no number.
What the functions return at padded positions is finite and otherwise unspecified.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from nystrom_demo.attention.checks import check_inputs, check_num_landmarks, surely
from nystrom_demo.attention.convolution import check_conv_weight, depthwise_convolution
from nystrom_demo.attention.cpu_blocks import blocks_suit, gather, read
from nystrom_demo.attention.landmarks import (
    Segments,
    at_own_landmark,
    check_landmark_tokens,
    make_segments,
    means_of,
    own_tokens,
)
from nystrom_demo.attention.pseudo_inverse import PINV_ITERATIONS, accumulator, iterative_pinv, without_autocast


class NystromFactors(NamedTuple):
    """The parts of landmark attention S ≈ kernel_1 · kernel_2⁺ · kernel_3, the paper's F̃, Ã⁺, B̃ (eq. 13).

    kernel_1: (batch, heads, queries, landmarks), every query's softmax over the landmarks' keys.
    kernel_2: (batch, heads, landmarks, landmarks), the landmarks' softmax over one another; float32 or wider.
    kernel_2_inv: (batch, heads, landmarks, landmarks), its pseudo-inverse after the chosen number of iterations;
        float32 or wider, since its entries can be beyond half precision's.
    kernel_3: (batch, heads, landmarks, keys), every landmark's softmax over the tokens' keys.
    q_landmarks, k_landmarks: (batch, heads, landmarks, head_dim).
    segments: (batch, keys), the landmark that each token is averaged into; -1 at padding.
    """

    kernel_1: torch.Tensor
    kernel_2: torch.Tensor
    kernel_2_inv: torch.Tensor
    kernel_3: torch.Tensor
    q_landmarks: torch.Tensor
    k_landmarks: torch.Tensor
    segments: torch.Tensor

    def attention(self) -> torch.Tensor:
        """The (batch, heads, queries, keys) matrix that stands in for softmax(q kᵀ/√d); O(n²) memory, for looking at.

        Multiplied in float32 or wider, returned in kernel_1's dtype.
        """
        with without_autocast(self.kernel_1):
            kernel_1, kernel_3 = (x.to(self.kernel_2_inv.dtype) for x in (self.kernel_1, self.kernel_3))
            return (kernel_1 @ (self.kernel_2_inv @ kernel_3)).to(self.kernel_1.dtype)


def softmax_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_padding_mask: torch.Tensor | None = None,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    """Exact attention softmax(q kᵀ/√d) v (eq. 2), (batch, heads, queries, width), through the fused kernel of torch.

    `scale` replaces 1/√d. ValueError for shapes or a mask that do not fit.
    """
    check_inputs(q, k, v, key_padding_mask)
    k, v = _for_each_head(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=_over_keys(key_padding_mask), scale=scale)


def softmax_attention_map(
    q: torch.Tensor, k: torch.Tensor, key_padding_mask: torch.Tensor | None = None, *, scale: float | None = None
) -> torch.Tensor:
    """The matrix softmax(q kᵀ/√d) itself, (batch, heads, queries, keys). Columns of padding are zero."""
    check_inputs(q, k, k, key_padding_mask)
    (k,) = _for_each_head(q, k)
    return _kernel(q, k, _over_keys(key_padding_mask), scale)


class _Landmarks(NamedTuple):
    """Landmarks of queries and keys, (batch, heads, m, head_dim), and the segments they are means of.

    Segments are None where every landmark stands for tokens of its own and no row is exact.
    """

    q: torch.Tensor
    k: torch.Tensor
    of_queries: Segments | None
    of_keys: Segments | None


def nystrom_factors(
    q: torch.Tensor,
    k: torch.Tensor,
    num_landmarks: int,
    key_padding_mask: torch.Tensor | None = None,
    *,
    pinv_iterations: int = PINV_ITERATIONS,
    inv_coeff_init_option: bool = False,
    scale: float | None = None,
    query_padding_mask: torch.Tensor | None = None,
    landmark_tokens: int = 0,
) -> NystromFactors:
    """The three kernels of landmark attention and what they are made of (eq. 13), for looking at: O(n m) memory.

    kernel_1 = softmax(q k_lᵀ/√d), kernel_2 = softmax(q_l k_lᵀ/√d), kernel_3 = softmax(q_l kᵀ/√d).
    In a row of no more real keys than landmarks nothing is left to approximate: each token is its own landmark,
    kernel_1 is S itself, kernel_2 and its inverse are the identity, and kernel_3 picks landmark j's token, so that the
    product is S. In a row of so few queries it is kernel_3 that is S, and kernel_1 that picks. The arguments are
    `nystrom_attention`'s. ValueError for shapes or a mask that do not fit, and for num_landmarks < 1.
    """
    check_inputs(q, k, k, key_padding_mask, query_padding_mask)
    m = check_num_landmarks(num_landmarks)
    check_landmark_tokens(landmark_tokens, m)
    (k,) = _for_each_head(q, k)
    query_padding_mask = _of_queries(q, k, key_padding_mask, query_padding_mask)
    if surely(max(q.shape[2], k.shape[2]) <= m):
        m, landmark_tokens = max(q.shape[2], k.shape[2]), 0
    landmarks = _make_landmarks(q, k, m, key_padding_mask, query_padding_mask, landmark_tokens, every_segment=True)
    of_queries, of_keys = landmarks.of_queries, landmarks.of_keys

    kernel_1 = _kernel(q, landmarks.k, _over_keys(of_keys.valid), scale)  # (batch, heads, queries, m)
    kernel_2 = _landmark_kernel(landmarks, scale)  # (batch, heads, m, m)
    kernel_2_inv = iterative_pinv(kernel_2, pinv_iterations, inv_coeff_init_option=inv_coeff_init_option)
    kernel_3 = _kernel(landmarks.q, k, _over_keys(key_padding_mask), scale)  # (batch, heads, m, keys)

    exact = of_keys.exact | of_queries.exact
    identity = torch.eye(m, dtype=kernel_2.dtype, device=q.device)
    return NystromFactors(
        torch.where(of_queries.exact & ~of_keys.exact, _picks(of_queries, m).mT.to(kernel_1.dtype), kernel_1),
        torch.where(exact, identity, kernel_2),
        torch.where(exact, identity, kernel_2_inv),
        torch.where(of_keys.exact, _picks(of_keys, m).to(kernel_3.dtype), kernel_3),
        landmarks.q,
        landmarks.k,
        of_keys.index,
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
    query_padding_mask: torch.Tensor | None = None,
    landmark_tokens: int = 0,
    landmarks: tuple[torch.Tensor, torch.Tensor] | None = None,
    is_causal: bool = False,
) -> torch.Tensor:
    """Landmark attention kernel_1 · (kernel_2⁺ · (kernel_3 · v)) (eq. 15), (batch, heads, queries, width).

    Two fused attentions around an m×m core, tokens → landmarks → tokens, so that nothing of size n×m is held: time and
    memory O(n m). A row of at most `num_landmarks` real keys, or so few real queries, gets exact softmax attention.

    conv_weight: adds the paper's convolution residual, `depthwise_convolution` of v; for self-attention.
    query_padding_mask: in cross-attention, which queries are real. By default all, but where there are as many queries
        as keys, which then are taken for the same tokens: those that key_padding_mask says.
    landmark_tokens: so many tokens at a row's start (CLS) are landmarks of their own, ahead of the segments' means.
    landmarks: the queries' and keys' landmarks, each (batch, heads, num_landmarks, head_dim), in place of means. No row
        is then exact of itself.
    is_causal: true is refused.

    ValueError for shapes or a mask that do not fit, and for num_landmarks < 1.
    """
    check_inputs(q, k, v, key_padding_mask, query_padding_mask)
    m = check_num_landmarks(num_landmarks)
    check_landmark_tokens(landmark_tokens, m)
    if is_causal:
        raise ValueError(
            "Landmark attention cannot be causal: a landmark is the mean of tokens from the whole row, so a token "
            "would read from those after it."
        )
    if conv_weight is not None:
        _check_convolution(q, k, conv_weight)
    k, v = _for_each_head(q, k, v)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if landmarks is None and surely(min(q.shape[2], k.shape[2]) <= m):
        context = softmax_attention(q, k, v, key_padding_mask, scale=scale)
        return _add_convolution(context, v, conv_weight, key_padding_mask)

    if landmarks is None:
        query_padding_mask = _of_queries(q, k, key_padding_mask, query_padding_mask)
        marks = _make_landmarks(q, k, m, key_padding_mask, query_padding_mask, landmark_tokens)
    else:
        marks = _given_landmarks(q, m, landmarks)
    kernel_2 = _landmark_kernel(marks, scale)
    kernel_2_inv = iterative_pinv(kernel_2, pinv_iterations, inv_coeff_init_option=inv_coeff_init_option)

    # kernel_3 · v: what each landmark gathers from the tokens, (batch, heads, m, width)
    in_blocks = blocks_suit(q, m)
    if in_blocks:
        gathered = gather(marks.q, k, v, key_padding_mask, scale)
    else:
        mask = _over_keys(key_padding_mask)
        gathered = F.scaled_dot_product_attention(marks.q, k, v, attn_mask=mask, scale=scale)
    values = _landmark_values(kernel_2_inv, gathered, v, marks.of_keys)
    # kernel_1 · values: what each token reads from the landmarks
    valid = None if marks.of_keys is None else marks.of_keys.valid
    if in_blocks:
        context = read(q, marks.k, values, valid, scale, v, conv_weight, key_padding_mask)
    else:
        context = F.scaled_dot_product_attention(q, marks.k, values, attn_mask=_over_keys(valid), scale=scale)
        context = _add_convolution(context, v, conv_weight, key_padding_mask)
    return _exact_for_few_queries(context, gathered, marks)


def _make_landmarks(
    q: torch.Tensor,
    k: torch.Tensor,
    m: int,
    key_padding_mask: torch.Tensor | None,
    query_padding_mask: torch.Tensor | None,
    landmark_tokens: int,
    *,
    every_segment: bool = False,
) -> _Landmarks:
    """Landmarks as means. With `every_segment` the segments are given also where no row needs them."""
    if every_segment:
        key_padding_mask = _all_real(k) if key_padding_mask is None else key_padding_mask
        query_padding_mask = _all_real(q) if query_padding_mask is None else query_padding_mask
    of_keys = make_segments(k, m, key_padding_mask, landmark_tokens)
    of_queries = of_keys
    if query_padding_mask is not key_padding_mask or q.shape[2] != k.shape[2]:
        of_queries = make_segments(q, m, query_padding_mask, landmark_tokens)
    return _Landmarks(
        means_of(q, m, of_queries, landmark_tokens), means_of(k, m, of_keys, landmark_tokens), of_queries, of_keys
    )


def _given_landmarks(q: torch.Tensor, m: int, landmarks: tuple[torch.Tensor, torch.Tensor]) -> _Landmarks:
    wanted = (*q.shape[:2], m, q.shape[3])
    if len(landmarks) != 2 or any(x.shape != wanted for x in landmarks):
        raise ValueError(
            "landmarks must be those of the queries and those of the keys, each (batch, heads, num_landmarks, "
            f"head_dim) = {wanted}, got {' and '.join(str(tuple(x.shape)) for x in landmarks)}."
        )
    return _Landmarks(*landmarks, None, None)


def _of_queries(
    q: torch.Tensor,
    k: torch.Tensor,
    key_padding_mask: torch.Tensor | None,
    query_padding_mask: torch.Tensor | None,
) -> torch.Tensor | None:
    """Which queries are real: in self-attention those that are real keys."""
    if query_padding_mask is None and q.shape[2] == k.shape[2]:
        return key_padding_mask
    return query_padding_mask


def _landmark_values(
    kernel_2_inv: torch.Tensor, gathered: torch.Tensor, v: torch.Tensor, of_keys: Segments | None
) -> torch.Tensor:
    """kernel_2⁺ · gathered, what the tokens read; in a row of few keys, whose landmarks they are and whose kernel_1
    is S, their own v.
    """
    with without_autocast(v):  # the inverse has large entries of both signs
        values = (kernel_2_inv @ gathered.to(kernel_2_inv.dtype)).to(gathered.dtype)
    if of_keys is None:
        return values
    return torch.where(of_keys.exact, own_tokens(v, values.shape[2], of_keys).to(values.dtype), values)


def _exact_for_few_queries(context: torch.Tensor, gathered: torch.Tensor, marks: _Landmarks) -> torch.Tensor:
    """The context; in a row of few queries, each its own landmark, and many keys, what these landmarks gathered."""
    of_queries, of_keys = marks.of_queries, marks.of_keys
    if of_queries is None or of_queries is of_keys:  # few queries are then few keys
        return context
    exact = of_queries.exact if of_keys is None else of_queries.exact & ~of_keys.exact
    return torch.where(exact, at_own_landmark(gathered, of_queries).to(context.dtype), context)


def _check_convolution(q: torch.Tensor, k: torch.Tensor, conv_weight: torch.Tensor) -> None:
    check_conv_weight(conv_weight, q.shape[1])
    if q.shape[2] != k.shape[2]:
        raise ValueError(
            f"conv_weight is for self-attention, but there are {q.shape[2]} queries and {k.shape[2]} keys a row."
        )


def _add_convolution(
    context: torch.Tensor, v: torch.Tensor, weight: torch.Tensor | None, key_padding_mask: torch.Tensor | None
) -> torch.Tensor:
    return context if weight is None else depthwise_convolution(v, weight, key_padding_mask, add_to=context)


def _kernel(queries: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, scale: float | None) -> torch.Tensor:
    """softmax(queries keysᵀ · scale) over the keys that the mask allows, in the queries' dtype.

    Scores are made in float32 or wider: the products of half precision's larger numbers are beyond its largest.
    """
    with without_autocast(queries):
        wide = accumulator(queries.dtype)
        scores = queries.to(wide) @ keys.to(wide).mT * (queries.shape[-1] ** -0.5 if scale is None else scale)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1).to(queries.dtype)


def landmark_kernel(
    q_landmarks: torch.Tensor,
    k_landmarks: torch.Tensor,
    of_queries: torch.Tensor | None,
    of_keys: torch.Tensor | None,
    scale: float | None,
) -> torch.Tensor:
    """kernel_2 in float32 or wider; the identity where a landmark stands for no token, so that it stays regular.

    of_queries, of_keys: (batch, m), true at landmarks that stand for tokens; None where all do.
    """
    wide = accumulator(q_landmarks.dtype)
    kernel_2 = _kernel(q_landmarks.to(wide), k_landmarks.to(wide), _over_keys(of_keys), scale)
    if of_queries is None:
        return kernel_2
    identity = torch.eye(kernel_2.shape[-1], dtype=kernel_2.dtype, device=kernel_2.device)
    return torch.where(of_queries[:, None, :, None], kernel_2, identity)


def _landmark_kernel(marks: _Landmarks, scale: float | None) -> torch.Tensor:
    valid = (None if segments is None else segments.valid for segments in (marks.of_queries, marks.of_keys))
    return landmark_kernel(marks.q, marks.k, *valid, scale)


def _picks(segments: Segments, m: int) -> torch.Tensor:
    """(batch, 1, m, seq): true where a token is averaged into a landmark."""
    return segments.index[:, None, None, :] == torch.arange(m, device=segments.index.device)[:, None]


def _for_each_head(q: torch.Tensor, *grouped: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """k and v with each of their heads repeated for the heads of q that it serves."""
    groups = q.shape[1] // grouped[0].shape[1]
    return grouped if groups == 1 else tuple(x.repeat_interleave(groups, dim=1) for x in grouped)


def _all_real(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x[:, 0, :, 0], dtype=torch.bool)


def _over_keys(mask: torch.Tensor | None) -> torch.Tensor | None:
    """(batch, keys) to (batch, 1, 1, keys), the same for every head and query."""
    return None if mask is None else mask[:, None, None, :]
