"""The masks of transformers: made for "nystrom", and read as the padding masks that landmark attention takes.

A mask is made additive, 0 at real tokens and the lowest number at padding, so that a layer which ignores the attention
interface and adds it to its own scores masks padding too.
"""

from collections.abc import Callable

import torch
from transformers.masking_utils import bidirectional_mask_function, eager_mask
from transformers.utils.import_utils import is_tracing

MASKED = -9_990.0  # what models add to a score to mask it is −10 000 or lower, halved by no rounding of half precision


def nystrom_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Callable = bidirectional_mask_function,
    attention_mask: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    allow_is_bidirectional_skip: bool = False,
    **kwargs,
) -> torch.Tensor | None:
    """The additive mask of "nystrom" in transformers: (batch, 1, 1, seq), or None without padding.

    Where a model asks for a mask that differs from query to query it gets that mask, (batch, 1, seq, seq): its local
    layers attend by it, and the attention function refuses it elsewhere.
    """
    both_ways = mask_function is bidirectional_mask_function
    if not (both_ways and allow_is_bidirectional_skip):
        mask = eager_mask(
            batch_size,
            q_length,
            kv_length,
            mask_function=mask_function,
            attention_mask=attention_mask,
            dtype=dtype,
            allow_is_bidirectional_skip=allow_is_bidirectional_skip,
            **kwargs,
        )
        return mask[:, :, :1] if mask is not None and not both_ways and same_for_every_query(mask) else mask
    if attention_mask is None:
        return None
    real = attention_mask[:, None, None, :].bool()
    if may_look(real) and bool(real.all()):
        return None
    return torch.where(real, torch.zeros((), dtype=dtype, device=real.device), torch.finfo(dtype).min)


def read_padding_mask(attention_mask: torch.Tensor | None, batch: int, seq: int) -> torch.Tensor | None:
    """A model's mask over keys as (batch, seq), true at real tokens; None where nothing is masked.

    Taken are (batch or 1, 1 or heads, 1 or queries, seq), the same for every head and query: booleans, true at real
    tokens, or numbers to add to the scores, 0 at real tokens and −10 000 or less at padding. ValueError for any other.
    """
    if attention_mask is None:
        return None
    wanted = f"needs a padding mask (batch, 1, 1, seq) = {(batch, 1, 1, seq)}"
    came = f"{attention_mask.dtype} {tuple(attention_mask.shape)}"
    fits = attention_mask.dim() == 4 and attention_mask.shape[-1] == seq and attention_mask.shape[0] in (1, batch)
    if not fits or not (attention_mask.dtype == torch.bool or attention_mask.is_floating_point()):
        raise ValueError(f'attn_implementation="nystrom" {wanted}, got {came}.')
    if not same_for_every_query(attention_mask):
        raise ValueError(f'attn_implementation="nystrom" {wanted}, got one that differs from query to query, {came}.')
    mask = attention_mask[:, 0, 0].expand(batch, seq)
    if mask.dtype == torch.bool:
        return mask
    real = mask == 0
    if may_look(mask) and not bool((real | (mask <= MASKED)).all()):
        raise ValueError(f'attn_implementation="nystrom" {wanted}, got a bias to the scores, {came}.')
    return real


def same_for_every_query(mask: torch.Tensor) -> bool:
    """Whether a (batch, heads, queries, keys) mask is one row over the keys, repeated. Not known while tracing."""
    for axis in (1, 2):
        if mask.shape[axis] == 1 or mask.stride(axis) == 0:
            continue
        if not may_look(mask) or not bool((mask == mask.narrow(axis, 0, 1)).all()):
            return False
    return True


def may_look(tensor: torch.Tensor) -> bool:
    """Whether the numbers of a tensor can decide what is done: not while a program is traced, nor without numbers."""
    return not (tensor.is_meta or is_tracing(tensor))
