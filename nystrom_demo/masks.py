"""transformers' attention_mask, in the forms in which it is given, as the key_padding_mask that attention takes."""

import torch

from nystrom_demo.attention.checks import can_be_read, runs_eagerly

_LOW = -1e3  # what is added to a score to hide a token is far below this; what is added to weigh it is far above


def make_key_padding_mask(attention_mask: torch.Tensor | None, inputs_embeds: torch.Tensor) -> torch.Tensor | None:
    """attention_mask as booleans (batch, seq) on the inputs' device, or None where nothing is padding.

    attention_mask: (batch, seq), non-zero at real tokens, or of three or four axes as `padding_of_every_query` takes.
    That nothing is padding is looked up on the CPU only: on a GPU the look would stall its stream.
    """
    if attention_mask is None:
        return None
    batch, seq = inputs_embeds.shape[:2]
    attention_mask = attention_mask.to(inputs_embeds.device)
    if attention_mask.dim() in (3, 4):
        mask = padding_of_every_query(attention_mask, batch, seq)
    elif attention_mask.shape == (batch, seq):
        mask = attention_mask.bool()
    else:
        raise ValueError(f"attention_mask must be (batch, seq) = {(batch, seq)}, got {tuple(attention_mask.shape)}.")
    if can_be_read(mask) and bool(mask.all()):
        return None
    return mask


def padding_of_every_query(attention_mask: torch.Tensor, batch: int, seq: int) -> torch.Tensor:
    """(batch, seq), true at real tokens, from a mask that hides the same tokens from every query.

    attention_mask: (batch, queries, seq) or (batch, heads, queries, seq), each axis but the last of its full size or 1.
    Booleans and integers are non-zero where a token is seen; numbers of floating point too, or they are added to the
    scores: 0 where it is seen, very low elsewhere. Queries that are padding may see nothing.
    ValueError for other shapes, and for a mask that differs from query to query or weighs tokens.
    """
    given = tuple(attention_mask.shape)
    mask = attention_mask[:, None] if attention_mask.dim() == 3 else attention_mask  # (batch, heads, queries, seq)
    if mask.shape[0] not in (1, batch) or mask.shape[2] not in (1, seq) or mask.shape[3] != seq:
        raise ValueError(
            f"attention_mask must be (batch, seq) = {(batch, seq)}, (batch, 1 or seq, seq) or (batch, heads, 1 or seq, "
            f"seq), got {given}."
        )
    seen = _seen(mask)
    if mask.shape[1] == mask.shape[2] == 1:
        return seen[:, 0, 0].expand(batch, -1)
    real = seen.any(2).any(1)  # (batch, seq)
    nothing = ~(seen.any(3, keepdim=True) | real[:, None, :, None])  # queries that are padding and see nothing
    if not runs_eagerly():
        raise ValueError(f"While a program is recorded, attention_mask must be (batch, seq), got {given}.")
    if not real.is_meta and not bool(((seen == real[:, None, None]) | nothing).all()):
        raise ValueError(
            f"attention_mask {given} differs from query to query; landmarks are means over a whole text, so only what "
            "is padding for every query can be hidden."
        )
    return real.expand(batch, -1)


def _seen(mask: torch.Tensor) -> torch.Tensor:
    if not mask.is_floating_point():
        return mask.bool()
    if can_be_read(mask) and bool(((mask < 0) & (mask > _LOW)).any()):
        raise ValueError("attention_mask of floating point must be 0 or very low, or 0 and 1: it may hide, not weigh.")
    return torch.where((mask > 0).any(), mask > 0, mask == 0)
