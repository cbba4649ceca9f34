"""Padding, batch mates and the convolution residual: what a row of attention depends on."""

import pytest
import torch
from attention_by_hand import BATCH, GRID, HEADS, padded, qkv

from nystrom_demo import depthwise_convolution, nystrom_attention, nystrom_factors, softmax_attention

# Padding and batch mates


@pytest.mark.parametrize(("seq", "num_landmarks"), GRID)
@pytest.mark.parametrize(("left", "right"), [(0, 1), (0, 6), (5, 0), (2, 3)])
@pytest.mark.parametrize("content", [0.0, -1e4])
def test_padding_of_any_amount_side_and_content_changes_nothing(seq, num_landmarks, left, right, content):
    q, k, v = qkv(seq)
    mask = torch.zeros(BATCH, left + seq + right, dtype=torch.bool)
    mask[:, left : left + seq] = True
    padded_qkv = [padded(x, left, right, content) for x in (q, k, v)]
    for attend, plain in (
        (lambda *a: nystrom_attention(*a[:3], num_landmarks, a[3]), nystrom_attention(q, k, v, num_landmarks)),
        (softmax_attention, softmax_attention(q, k, v)),
    ):
        actual = attend(*padded_qkv, mask)
        assert actual.isfinite().all()
        torch.testing.assert_close(actual[:, :, left : left + seq], plain)


def test_rows_of_a_ragged_batch_are_as_if_alone():
    lengths, seq, num_landmarks = [13, 1, 5, 7, 4], 13, 5  # longer than m, one token, exactly m, just over, under
    q, k, v = qkv(seq, batch=len(lengths))
    mask = torch.arange(seq) < torch.tensor(lengths)[:, None]
    together = nystrom_attention(q, k, v, num_landmarks, mask)
    map_together = nystrom_factors(q, k, num_landmarks, mask).attention()
    for row, length in enumerate(lengths):
        own = [x[row : row + 1, :, :length] for x in (q, k, v)]
        alone = nystrom_attention(*own, num_landmarks)
        torch.testing.assert_close(together[row : row + 1, :, :length], alone)
        torch.testing.assert_close(map_together[row : row + 1, :, :length, :length] @ own[2], alone)
        if length <= num_landmarks:
            torch.testing.assert_close(alone, softmax_attention(*own))


def test_real_tokens_need_not_stand_together():
    q, k, v = qkv(11)
    mask = torch.rand(BATCH, 11, generator=torch.Generator().manual_seed(1)) < 0.6
    for row in range(BATCH):
        own = [x[row : row + 1, :, mask[row]] for x in (q, k, v)]
        actual = nystrom_attention(q, k, v, 3, mask)[row : row + 1, :, mask[row]]
        torch.testing.assert_close(actual, nystrom_attention(*own, 3))


def test_a_mask_without_padding_is_no_mask():
    q, k, v = qkv(13)
    mask = torch.ones(BATCH, 13, dtype=torch.bool)
    torch.testing.assert_close(nystrom_attention(q, k, v, 5, mask), nystrom_attention(q, k, v, 5))


# The convolution residual


def test_depthwise_convolution_by_hand():
    v = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1)
    weight = torch.tensor([1.0, 10.0, 100.0]).view(1, 1, 3, 1)
    assert depthwise_convolution(v, weight).flatten().tolist() == [210.0, 321.0, 432.0, 43.0]


@pytest.mark.parametrize("kernel", [1, 3, 5, 33])
@pytest.mark.parametrize("seq", [1, 2, 7, 64, 70])
def test_depthwise_convolution_is_conv2d(seq, kernel):
    v = qkv(seq)[2]
    weight = torch.randn(HEADS, 1, kernel, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = torch.nn.functional.conv2d(v, weight, padding=(kernel // 2, 0), groups=HEADS)
    torch.testing.assert_close(depthwise_convolution(v, weight), expected)


@pytest.mark.parametrize("num_landmarks", [3, 7])  # landmarks, exact
@pytest.mark.parametrize("ragged", [False, True])
def test_a_conv_weight_adds_the_convolution_of_v(num_landmarks, ragged):
    q, k, v = qkv(7)
    weight = torch.randn(HEADS, 1, 5, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    mask = torch.arange(7) < torch.tensor([7, 2])[:, None] if ragged else None
    expected = nystrom_attention(q, k, v, num_landmarks, mask) + depthwise_convolution(v, weight, mask)
    torch.testing.assert_close(nystrom_attention(q, k, v, num_landmarks, mask, conv_weight=weight), expected)


@pytest.mark.parametrize(("left", "right"), [(0, 4), (3, 0)])
def test_the_convolution_reads_zeros_at_padding(left, right):
    v = qkv(7)[2]
    weight = torch.randn(HEADS, 1, 5, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(BATCH, left + 7 + right, dtype=torch.bool)
    mask[:, left : left + 7] = True
    actual = depthwise_convolution(padded(v, left, right, 1e4), weight, mask)[:, :, left : left + 7]
    torch.testing.assert_close(actual, depthwise_convolution(v, weight))
