"""One row of a landmark map, or its column sums, from tokens that are read in stretches: O(n m) time, no n×m memory.

The map is kernel_1 · kernel_2⁺ · kernel_3. A row of it is the row of kernel_1 times kernel_2⁺, m weights, which then
mix the rows of kernel_3; the column sums are the same of kernel_1's column sums. kernel_3 is never held: one reading
of the tokens gives the logarithm of each of its rows' sums, another its columns. q and k are projected anew at each
reading, so that what is held beside x is a stretch and its scores.

`project` gives q, k, v, each (batch, heads, seq, head_dim), of tokens (batch, seq, dim); mask is (batch, seq), true at
real tokens, or None. With `eps` the map is that of front_padding.py, without its rows and columns of padding; with None
it is that of `nystrom_demo.nystrom_factors`. Nothing here is differentiable.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F

from nystrom_demo.attention import iterative_pinv, segment_index
from nystrom_demo.attention.pseudo_inverse import accumulator
from nystrom_demo.compat.front_padding import kernel, landmark_inverse, padding_of, scores

STRETCH_SCORES = 2**21  # 8 MB in float32

Project = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


class _Stretch(NamedTuple):
    """q and k (batch, heads, tokens, head_dim), zero at padding, and the mask (batch, tokens), of some places."""

    places: slice
    q: torch.Tensor
    k: torch.Tensor
    mask: torch.Tensor | None


class _Tokens(NamedTuple):
    """x behind `front` rows of zeros that are never written down; mask is (batch, front + seq) or None."""

    project: Project
    x: torch.Tensor
    front: int
    mask: torch.Tensor | None

    @property
    def seq(self) -> int:
        return self.front + self.x.shape[1]

    def stretches(self, length: int) -> Iterator[_Stretch]:
        for start in range(0, self.seq, length):
            yield self.stretch(start, min(start + length, self.seq))

    def stretch(self, start: int, stop: int) -> _Stretch:
        rows = self.x[:, max(start - self.front, 0) : max(stop - self.front, 0)]
        rows = F.pad(rows, (0, 0, stop - start - rows.shape[1], 0))
        q, k, _ = (t.to(accumulator(t.dtype)) for t in self.project(rows))
        mask = None if self.mask is None else self.mask[:, start:stop]
        if mask is not None:
            q, k = (torch.where(mask[:, None, :, None], t, 0) for t in (q, k))
        return _Stretch(slice(start, stop), q, k, mask)


class _Segments(NamedTuple):
    """index (batch, seq): each token's landmark, 0 at padding; divisor (batch, landmarks, 1), of the segments' sums.

    valid (batch, landmarks) or None: which landmarks have a token. exact (batch,) or None: the rows with no more real
    tokens than landmarks, whose attention is softmax(q kᵀ/√d) itself.
    """

    index: torch.Tensor
    divisor: torch.Tensor
    valid: torch.Tensor | None
    exact: torch.Tensor | None


class _Landmarks(NamedTuple):
    """q, k and kernel_2⁺ of the landmarks, in float32 or wider, and which of them are valid."""

    q: torch.Tensor
    k: torch.Tensor
    kernel_2_inv: torch.Tensor
    valid: torch.Tensor | None
    stretch: int  # how many tokens a reading takes at once


@torch.no_grad()
def map_row(
    project: Project,
    x: torch.Tensor,
    token: int,
    mask: torch.Tensor | None,
    *,
    num_landmarks: int,
    pinv_iterations: int,
    eps: float | None,
) -> torch.Tensor:
    """Row `token`, counted in x, of each head's map: (batch, heads, seq)."""
    tokens, segments, landmarks = _prepare(project, x, mask, num_landmarks, pinv_iterations, eps)
    place = tokens.front + token
    one = tokens.stretch(place, place + 1)
    return _mix(tokens, segments, landmarks, kernel(one.q, landmarks.k, one.mask, landmarks.valid))


@torch.no_grad()
def column_sums(
    project: Project,
    x: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    num_landmarks: int,
    pinv_iterations: int,
    eps: float | None,
) -> torch.Tensor:
    """The sums of each head's map over the rows of real tokens: (batch, heads, seq)."""
    tokens, segments, landmarks = _prepare(project, x, mask, num_landmarks, pinv_iterations, eps)
    sums = torch.zeros_like(landmarks.q[:, :, :1, :1])  # (batch, heads, 1, landmarks) from the first stretch on
    for part in tokens.stretches(landmarks.stretch):
        kernel_1 = kernel(part.q, landmarks.k, part.mask, landmarks.valid)  # (batch, heads, tokens, landmarks)
        if part.mask is not None:
            kernel_1 = torch.where(part.mask[:, None, :, None], kernel_1, 0)
        sums = sums + kernel_1[:, :, max(tokens.front - part.places.start, 0) :].sum(2, keepdim=True)
    return _mix(tokens, segments, landmarks, sums)


def _prepare(
    project: Project,
    x: torch.Tensor,
    mask: torch.Tensor | None,
    num_landmarks: int,
    pinv_iterations: int,
    eps: float | None,
) -> tuple[_Tokens, _Segments, _Landmarks]:
    batch, n, _ = x.shape
    if eps is None:
        tokens = _Tokens(project, x, 0, mask)
        segments = _own_segments(x, mask, min(num_landmarks, n))
    else:
        front = padding_of(n, num_landmarks)
        tokens = _Tokens(project, x, front, None if mask is None else F.pad(mask, (front, 0), value=False))
        segments = _front_padded_segments(tokens, num_landmarks, eps)

    heads, m = tokens.stretch(0, 1).q.shape[1], segments.divisor.shape[1]
    length = max(1, STRETCH_SCORES // (batch * heads * m))
    q_landmarks, k_landmarks = _landmark_means(tokens, segments, heads, length)
    if eps is None:
        kernel_2 = kernel(q_landmarks, k_landmarks, segments.valid, segments.valid)
        kernel_2_inv = iterative_pinv(kernel_2, pinv_iterations)
    else:
        kernel_2_inv = landmark_inverse(q_landmarks, k_landmarks, segments.valid, pinv_iterations)
    return tokens, segments, _Landmarks(q_landmarks, k_landmarks, kernel_2_inv, segments.valid, length)


def _own_segments(x: torch.Tensor, mask: torch.Tensor | None, m: int) -> _Segments:
    real = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    index, lengths = segment_index(real, m)
    return _Segments(
        index.clamp(min=0),
        lengths.clamp(min=1)[..., None],
        None if mask is None else lengths > 0,
        real.sum(-1) <= m if mask is not None or m == x.shape[1] else None,
    )


def _front_padded_segments(tokens: _Tokens, m: int, eps: float) -> _Segments:
    length = tokens.seq // m
    index = (torch.arange(tokens.seq, device=tokens.x.device) // length).expand(len(tokens.x), -1)
    if tokens.mask is None:
        return _Segments(index, torch.full((1, m, 1), length, device=tokens.x.device), None, None)
    counts = tokens.mask.unflatten(1, (m, length)).sum(2)
    return _Segments(index, (counts + eps)[..., None], counts > 0, None)


def _landmark_means(tokens: _Tokens, segments: _Segments, heads: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """q and k of the landmarks, each (batch, heads, landmarks, head_dim)."""
    batch, m = len(tokens.x), segments.divisor.shape[1]
    index = segments.index + m * torch.arange(batch, device=tokens.x.device)[:, None]
    sums = None
    for part in tokens.stretches(length):
        both = torch.stack([part.q, part.k]).transpose(2, 3).flatten(1, 2).flatten(2)  # (2, batch * tokens, width)
        sums = both.new_zeros(2, batch * m, both.shape[2]) if sums is None else sums
        sums.index_add_(1, index[:, part.places].flatten(), both)
    means = sums.unflatten(1, (batch, m)) / segments.divisor  # (2, batch, landmarks, width)
    q_landmarks, k_landmarks = means.to(sums.dtype).unflatten(3, (heads, -1)).transpose(2, 3)
    return q_landmarks, k_landmarks


def _mix(tokens: _Tokens, segments: _Segments, landmarks: _Landmarks, readers: torch.Tensor) -> torch.Tensor:
    """readers (batch, heads, 1, landmarks) times kernel_2⁺ · kernel_3, at the tokens of x: (batch, heads, seq)."""
    weights = readers @ landmarks.kernel_2_inv
    log_sums = torch.full_like(landmarks.q[..., :1], -torch.inf)  # (batch, heads, landmarks, 1)
    for part in tokens.stretches(landmarks.stretch):
        part_scores = scores(landmarks.q, part.k, landmarks.valid, part.mask)  # (batch, heads, landmarks, tokens)
        log_sums = torch.logaddexp(log_sums, part_scores.logsumexp(-1, keepdim=True))
    mixed = weights.new_empty(*weights.shape[:2], tokens.seq)
    for part in tokens.stretches(landmarks.stretch):
        kernel_3 = scores(landmarks.q, part.k, landmarks.valid, part.mask).sub_(log_sums).exp_()
        mixed[..., part.places] = (weights @ kernel_3)[:, :, 0]
    if segments.exact is not None:
        # Each token is its own landmark: what it gives is read off the softmax over landmarks.
        picked = readers[:, :, 0].gather(2, segments.index[:, None].expand_as(mixed))
        if tokens.mask is not None:
            picked = torch.where(tokens.mask[:, None], picked, 0)
        mixed = torch.where(segments.exact[:, None, None], picked, mixed)
    return mixed[..., tokens.front :]
