"""Landmark attention as the package `nystrom_attention` 0.0.14 computes it, where this package's differs.

Rows of zeros stand before the text until its length is a multiple of the landmarks' number; without a mask they are
tokens like others. With a mask, true at real tokens, a landmark is the sum of its real tokens over their number + eps.
A row of scores whose query or whose keys are all padding weighs every key alike. The pseudo-inverse begins with the
largest norms of the whole batch.

Shapes: q, k, v are (batch, heads, seq, head_dim) with the padding in front, seq a multiple of the landmarks' number;
mask is (batch, seq) or None; valid is (batch, landmarks), true where a landmark has a real token, or None.
"""

import torch
import torch.nn.functional as F

from nystrom_demo.attention.pseudo_inverse import accumulator, first_estimate, newton_step


def padding_of(seq: int, num_landmarks: int) -> int:
    """How many rows of zeros go in front of seq tokens."""
    return -seq % num_landmarks


def pad_in_front(
    x: torch.Tensor, mask: torch.Tensor | None, num_landmarks: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """x (batch, seq, dim) and its mask, both with their padding in front."""
    front = padding_of(x.shape[1], num_landmarks)
    if front == 0:
        return x, mask
    return F.pad(x, (0, 0, front, 0)), None if mask is None else F.pad(mask, (front, 0), value=False)


def front_padded_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    num_landmarks: int,
    mask: torch.Tensor | None = None,
    *,
    pinv_iterations: int,
    eps: float,
) -> torch.Tensor:
    """kernel_1 · (kernel_2⁺ · (kernel_3 · v)), (batch, heads, seq, head_dim), by two fused attentions: O(n m)."""
    q_landmarks, k_landmarks, valid = landmarks(q, k, num_landmarks, mask, eps)
    kernel_2_inv = landmark_inverse(q_landmarks, k_landmarks, valid, pinv_iterations)
    gathered = _attend(q_landmarks, k, v, valid, mask)
    with torch.autocast(v.device.type, enabled=False):  # the inverse has large entries of both signs
        values = (kernel_2_inv @ gathered.to(kernel_2_inv.dtype)).to(gathered.dtype)
    return _attend(q, k_landmarks, values, mask, valid)


def front_padded_matrices(
    q: torch.Tensor,
    k: torch.Tensor,
    num_landmarks: int,
    mask: torch.Tensor | None = None,
    *,
    pinv_iterations: int,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """kernel_1 (batch, heads, seq, landmarks), kernel_2⁺ and kernel_3 (batch, heads, landmarks, seq): O(n m) memory."""
    q_landmarks, k_landmarks, valid = landmarks(q, k, num_landmarks, mask, eps)
    kernel_2_inv = landmark_inverse(q_landmarks, k_landmarks, valid, pinv_iterations)
    return kernel(q, k_landmarks, mask, valid), kernel_2_inv.to(q.dtype), kernel(q_landmarks, k, valid, mask)


def landmarks(
    q: torch.Tensor, k: torch.Tensor, num_landmarks: int, mask: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """q_landmarks and k_landmarks, (batch, heads, landmarks, head_dim), and valid."""
    length = q.shape[2] // num_landmarks
    sums = (x.unflatten(2, (num_landmarks, length)).sum(3) for x in (q, k))
    if mask is None:
        q_sums, k_sums = sums
        return q_sums / length, k_sums / length, None
    counts = mask.unflatten(1, (num_landmarks, length)).sum(2)  # (batch, landmarks)
    divisor = (counts + eps)[:, None, :, None]
    q_landmarks, k_landmarks = ((x / divisor).to(x.dtype) for x in sums)
    return q_landmarks, k_landmarks, counts > 0


def landmark_inverse(
    q_landmarks: torch.Tensor, k_landmarks: torch.Tensor, valid: torch.Tensor | None, pinv_iterations: int
) -> torch.Tensor:
    """kernel_2⁺ in float32 or wider, (batch, heads, landmarks, landmarks)."""
    wide = accumulator(q_landmarks.dtype)
    with torch.autocast(q_landmarks.device.type, enabled=False):
        kernel_2 = kernel(q_landmarks.to(wide), k_landmarks.to(wide), valid, valid)
        # As one sample's heads, so that the first estimate divides by the largest norm of the batch. All steps are
        # taken, also those that ours would not accept.
        a = kernel_2.flatten(0, 1)[None]
        z = first_estimate(a, inv_coeff_init_option=False).z
        for _ in range(pinv_iterations):
            z = newton_step(z, a @ z)
        return z.view_as(kernel_2)


def kernel(
    queries: torch.Tensor, keys: torch.Tensor, real_queries: torch.Tensor | None, real_keys: torch.Tensor | None
) -> torch.Tensor:
    """softmax(queries keysᵀ/√d), (batch, heads, queries, keys); a query of padding weighs all keys alike."""
    return scores(queries, keys, real_queries, real_keys).softmax(-1)


def scores(
    queries: torch.Tensor, keys: torch.Tensor, real_queries: torch.Tensor | None, real_keys: torch.Tensor | None
) -> torch.Tensor:
    """queries keysᵀ/√d, (batch, heads, queries, keys): −∞ at keys of padding, 0 throughout at a query of padding."""
    products = queries @ keys.mT * queries.shape[-1] ** -0.5
    if real_queries is None:
        return products
    products = products.masked_fill(~real_keys[:, None, None, :], -torch.inf)
    return torch.where(real_queries[:, None, :, None], products, 0)


def _attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    real_queries: torch.Tensor | None,
    real_keys: torch.Tensor | None,
) -> torch.Tensor:
    """`kernel` · values without the kernel."""
    if real_queries is None:
        return F.scaled_dot_product_attention(queries, keys, values)
    # Where no key is real no query is, and any keys will do, but none would make a softmax of nothing.
    allowed = (real_keys | ~real_keys.any(-1, keepdim=True))[:, None, None, :]
    context = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
    return torch.where(real_queries[:, None, :, None], context, values.mean(2, keepdim=True))
