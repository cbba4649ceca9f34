"""What attention and its convolution demand of their inputs, as errors that say what was wanted and what came."""

import torch


def check_inputs(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_padding_mask: torch.Tensor | None = None
) -> None:
    """ValueError, naming what was wanted and what came, unless q, k, v and the mask fit together.

    That each row has a real token is read from the mask on the CPU only: on a GPU the look would stall its stream.
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dim() != 4 or 0 in x.shape:
            raise ValueError(
                f"{name} must be (batch, heads, seq, head_dim) with no axis empty, got shape {tuple(x.shape)}."
            )
        if x.shape != q.shape:
            raise ValueError(f"{name} must have the shape of q, {tuple(q.shape)}, got {tuple(x.shape)}.")
        if not x.is_floating_point():
            raise ValueError(f"{name} must be of a floating point dtype, got {x.dtype}.")
    if key_padding_mask is None:
        return
    wanted = (q.shape[0], q.shape[2])
    if key_padding_mask.dtype != torch.bool:
        raise ValueError(f"key_padding_mask must be boolean, true at real tokens, got {key_padding_mask.dtype}.")
    if key_padding_mask.shape != wanted:
        raise ValueError(f"key_padding_mask must be (batch, seq) = {wanted}, got {tuple(key_padding_mask.shape)}.")
    if key_padding_mask.device.type == "cpu" and not torch.compiler.is_compiling():
        empty = (~key_padding_mask.any(-1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"key_padding_mask needs at least one real token a row, got none in row {empty[0]}.")


def check_num_landmarks(num_landmarks: int) -> None:
    """ValueError unless num_landmarks is an integer of at least 1."""
    if isinstance(num_landmarks, bool) or not isinstance(num_landmarks, int | torch.SymInt) or num_landmarks < 1:
        raise ValueError(f"num_landmarks must be an integer of at least 1, got {num_landmarks!r}.")
