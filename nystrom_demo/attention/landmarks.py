"""Landmarks as means over segments of a row's real tokens (section 3.3 of the paper that nystrom.py follows)."""

from typing import NamedTuple

import torch

from nystrom_demo.attention.checks import check_inputs, check_num_landmarks, surely
from nystrom_demo.attention.pseudo_inverse import accumulator


class Segments(NamedTuple):
    """How the real tokens of each row make its m landmarks.

    index: (batch, seq), the landmark that each token is averaged into; -1 at padding.
    lengths: (batch, m), how many tokens each landmark has; 0 for the last ones where a row has fewer than m tokens.
    """

    index: torch.Tensor
    lengths: torch.Tensor

    @property
    def valid(self) -> torch.Tensor:
        """(batch, m): the landmarks that stand for a token."""
        return self.lengths > 0

    @property
    def exact(self) -> torch.Tensor:
        """(batch, 1, 1, 1): the rows of no more than m tokens, in which every token is its own landmark."""
        return (self.lengths.amax(-1) <= 1)[:, None, None, None]


def segment_means(
    x: torch.Tensor,
    num_landmarks: int,
    key_padding_mask: torch.Tensor | None = None,
    *,
    landmark_tokens: int = 0,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Landmarks of x (batch, heads, seq, head_dim): the means of consecutive segments of its real tokens (section 3.3).

    Returns (landmarks, valid): landmarks is (batch, heads, m, head_dim) with m = min(num_landmarks, seq), valid is
    (batch, m) or None where every landmark has a token. The segments of a row differ in length by at most one, the
    longer ones first. A row of r < m real tokens has its first r landmarks valid, one a token; the others are zero.
    `landmark_tokens`: so many tokens at a row's start (CLS) are landmarks of their own, ahead of the segments.
    """
    check_inputs(x, x, x, key_padding_mask)
    m = check_num_landmarks(num_landmarks)
    check_landmark_tokens(landmark_tokens, m)
    if surely(x.shape[2] <= m):  # every token is its own landmark
        if key_padding_mask is None:
            return x, None
        m, landmark_tokens = x.shape[2], 0
    segments = make_segments(x, m, key_padding_mask, landmark_tokens)
    return means_of(x, m, segments, landmark_tokens), None if segments is None else segments.valid


def check_landmark_tokens(landmark_tokens: int, num_landmarks: int) -> None:
    """ValueError unless landmark_tokens leaves a landmark for the other tokens."""
    if type(landmark_tokens) is not int or not 0 <= landmark_tokens < num_landmarks:
        raise ValueError(
            f"landmark_tokens must be an integer from 0 to num_landmarks - 1 = {num_landmarks - 1}, "
            f"got {landmark_tokens!r}."
        )


def make_segments(
    x: torch.Tensor, num_landmarks: int, key_padding_mask: torch.Tensor | None, landmark_tokens: int = 0
) -> Segments | None:
    """The segments of x (batch, heads, seq, head_dim). None for rows without padding and with more tokens than m."""
    if key_padding_mask is None:
        if surely(x.shape[2] > num_landmarks):
            return None
        key_padding_mask = torch.ones_like(x[:, 0, :, 0], dtype=torch.bool)
    return segment_index(key_padding_mask, num_landmarks, landmark_tokens)


def segment_index(key_padding_mask: torch.Tensor, num_landmarks: int, landmark_tokens: int = 0) -> Segments:
    """Which landmark each token falls to, and how many tokens each has, from a (batch, seq) mask of real tokens.

    Of r real tokens in m segments, the first r mod m segments hold ⌊r/m⌋ + 1 tokens, the others ⌊r/m⌋. With c
    `landmark_tokens` that holds of the r − c tokens and m − c segments behind them.
    """
    c, m = landmark_tokens, num_landmarks - landmark_tokens
    place = key_padding_mask.cumsum(-1) - 1  # (batch, seq), a real token's place among the real ones
    count = key_padding_mask.sum(-1, keepdim=True)  # (batch, 1)
    index, lengths = segment_of(place - c, (count - c).clamp(min=0), m)
    if c:
        index = torch.where(place < c, place, index + c)
        lengths = torch.cat([(torch.arange(c, device=place.device) < count).to(lengths.dtype), lengths], dim=1)
    return Segments(torch.where(key_padding_mask, index, -1), lengths)


def segment_of(place: torch.Tensor, count: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The segment (batch, seq) of a token at a place among count (batch, 1), and the lengths (batch, m) of all."""
    short, num_long = count // m, count % m  # (batch, 1), twice
    in_long = num_long * (short + 1)  # how many tokens the longer segments hold together
    index = torch.where(place < in_long, place // (short + 1), num_long + (place - in_long) // short.clamp(min=1))
    return index, short + (torch.arange(m, device=place.device) < num_long)


def means_of(x: torch.Tensor, num_landmarks: int, segments: Segments | None, landmark_tokens: int = 0) -> torch.Tensor:
    """The landmarks (batch, heads, num_landmarks, head_dim) of x; zero where a segment is empty."""
    if segments is not None:
        return _means_by_index(x, num_landmarks, segments)
    behind = x[:, :, landmark_tokens:]
    m = num_landmarks - landmark_tokens
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    means = _means_of_any_length(behind, m) if recorded else _means_of_full_rows(behind, m)
    return torch.cat([x[:, :, :landmark_tokens], means], dim=2) if landmark_tokens else means


def own_tokens(x: torch.Tensor, num_landmarks: int, segments: Segments) -> torch.Tensor:
    """(batch, heads, m, head_dim): x at the token that each landmark stands for, in the rows where that is one."""
    batch, seq = segments.index.shape
    slots = torch.where(segments.index < 0, num_landmarks, segments.index)  # padding to a spare slot, which is cut off
    places = torch.arange(seq, device=x.device).expand(batch, -1)
    tokens = places.new_zeros(batch, num_landmarks + 1).scatter(1, slots, places)[:, :num_landmarks]
    return x.gather(2, tokens[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))


def at_own_landmark(x: torch.Tensor, segments: Segments) -> torch.Tensor:
    """(batch, heads, seq, head_dim): for each token what its landmark has in x (batch, heads, m, head_dim)."""
    index = segments.index.clamp(min=0)[:, None, :, None]
    return x.gather(2, index.expand(-1, x.shape[1], -1, x.shape[3]))


def _means_of_full_rows(x: torch.Tensor, m: int) -> torch.Tensor:
    """(batch, heads, seq, head_dim) to (batch, heads, m, head_dim), the longer segments first."""
    rows = x.transpose(1, 2)  # (batch, seq, heads, head_dim): tokens as a projection leaves them, read in one go
    short, num_long = divmod(rows.shape[1], m)
    split = num_long * (short + 1)
    means = rows[:, split:].unflatten(1, (m - num_long, short)).mean(2)
    if num_long:
        long_means = rows[:, :split].unflatten(1, (num_long, short + 1)).mean(2)
        means = torch.cat([long_means, means], dim=1)
    return means.transpose(1, 2)


def _means_of_any_length(x: torch.Tensor, m: int) -> torch.Tensor:
    """The same where seq is a symbol: each segment is read as if it were a longer one, and the excess left out."""
    seq = x.shape[2]
    short, num_long = seq // m, seq % m
    segment, step = torch.arange(m, device=x.device)[:, None], torch.arange(short + 1, device=x.device)
    tokens = segment * short + segment.clamp(max=num_long) + step  # (m, short + 1)
    inside = step < short + (segment < num_long)
    parts = x[:, :, tokens.clamp(max=seq - 1)]  # (batch, heads, m, short + 1, head_dim)
    sums = torch.where(inside[:, :, None], parts, 0).sum(3, dtype=accumulator(x.dtype))
    return (sums / inside.sum(-1)[:, None]).to(x.dtype)


def _means_by_index(x: torch.Tensor, m: int, segments: Segments) -> torch.Tensor:
    batch, heads, seq, head_dim = x.shape
    # Padding is sent to a spare landmark m of its row, which is cut off.
    index = torch.where(segments.index < 0, m, segments.index) + (m + 1) * torch.arange(batch, device=x.device)[:, None]
    rows = x.transpose(1, 2).reshape(batch * seq, heads * head_dim)  # a view of a projection's output
    sums = rows.new_zeros(batch * (m + 1), heads * head_dim, dtype=accumulator(x.dtype))
    sums = sums.index_add(0, index.flatten(), rows.to(sums.dtype)).unflatten(0, (batch, m + 1))[:, :m]
    means = (sums / segments.lengths.clamp(min=1)[:, :, None]).to(x.dtype)  # (batch, m, heads * head_dim)
    return means.unflatten(2, (heads, head_dim)).transpose(1, 2)
