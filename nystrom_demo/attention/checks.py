"""What attention and its convolution demand of their inputs, as errors that say what was wanted and what came."""

import operator

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true


def check_inputs(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_padding_mask: torch.Tensor | None = None,
    query_padding_mask: torch.Tensor | None = None,
) -> None:
    """ValueError, naming what was wanted and what came, unless q, k, v and the masks fit together.

    q (batch, heads, queries, head_dim), k (batch, key heads, keys, head_dim), v (batch, key heads, keys, width), masks
    (batch, keys) and (batch, queries); heads is a multiple of key heads. A batch may be empty.
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dim() != 4 or 0 in x.shape[1:]:
            raise ValueError(
                f"{name} must be (batch, heads, seq, head_dim) with, batch aside, no axis empty, got shape "
                f"{tuple(x.shape)}."
            )
        if not x.is_floating_point():
            raise ValueError(f"{name} must be of a floating point dtype, got {x.dtype}.")
    heads, key_heads = q.shape[1], k.shape[1]
    if k.shape[0] != q.shape[0] or heads % key_heads or k.shape[3] != q.shape[3] or _is_odd_one_out(k, q, v):
        raise ValueError(
            f"k must have the shape of q, {tuple(q.shape)}, got {tuple(k.shape)}; only their numbers of tokens may "
            "differ, and heads, of which k may have a divisor of q's number."
        )
    if v.shape[:3] != k.shape[:3]:
        raise ValueError(f"v must have the shape of k, {tuple(k.shape)}, but for its last axis, got {tuple(v.shape)}.")
    check_mask("key_padding_mask", key_padding_mask, k)
    check_mask("query_padding_mask", query_padding_mask, q)


def _is_odd_one_out(k: torch.Tensor, q: torch.Tensor, v: torch.Tensor) -> bool:
    """Whether k alone has another number of tokens, so that it and not v is to be named."""
    return k.shape[2] != v.shape[2] and q.shape[2] == v.shape[2]


def check_mask(name: str, mask: torch.Tensor | None, x: torch.Tensor) -> None:
    """ValueError unless the mask is boolean, (batch, seq) of x, with a true in each row where that can be seen."""
    if mask is None:
        return
    wanted = (x.shape[0], x.shape[2])
    if mask.dtype != torch.bool:
        raise ValueError(f"{name} must be boolean, true at real tokens, got {mask.dtype}.")
    if mask.shape != wanted:
        raise ValueError(f"{name} must be (batch, seq) = {wanted}, got {tuple(mask.shape)}.")
    if can_be_read(mask):
        empty = (~mask.any(-1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"{name} needs at least one real token a row, got none in row {empty[0]}.")


def check_num_landmarks(num_landmarks: int) -> int:
    """num_landmarks as an int; integers of NumPy and torch are taken. ValueError unless it is at least 1."""
    whole = _as_integer(num_landmarks)
    if whole is None or whole < 1:
        raise ValueError(f"num_landmarks must be an integer of at least 1, got {num_landmarks!r}.")
    return whole


def check_iterations(iterations: int, name: str = "num_iterations") -> int:
    """A number of steps as an int. ValueError, under this name, unless it is at least 0."""
    whole = _as_integer(iterations)
    if whole is None:
        raise ValueError(f"{name} must be an integer, got {iterations!r}.")
    if whole < 0:
        raise ValueError(f"{name} must be at least 0, got {iterations!r}.")
    return whole


def _as_integer(value: object) -> int | None:
    if isinstance(value, bool) or getattr(value, "dtype", None) == torch.bool:
        return None
    if isinstance(value, int | torch.SymInt):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return None


def can_be_read(x: torch.Tensor) -> bool:
    """Whether the values of x may decide which way to go: they are on the CPU, where the look stalls no stream, and
    nobody records the way as a program for other values.
    """
    return x.device.type == "cpu" and type(x) is torch.Tensor and runs_eagerly()


def runs_eagerly() -> bool:
    """Whether operations run as they are called: no graph is recorded, no transform of `torch.func` is at work."""
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active())


def makes_a_program() -> bool:
    """Whether what is recorded will be run on other batches and lengths: `torch.export`, ONNX or `torch.jit.trace`.

    `torch.compile` is not meant: it records anew where a size turns out on the other side of a condition.
    """
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def surely(condition: bool | torch.SymBool) -> bool:
    """A condition on sizes. While a program for other sizes is recorded, whether it holds for all of these."""
    if torch.jit.is_tracing():
        return False
    return statically_known_true(condition) if torch.compiler.is_exporting() else bool(condition)
