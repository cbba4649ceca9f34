"""Attention of other shapes: cross-attention, grouped heads, values of another width, landmarks of other kinds."""

import pytest
import torch
from attention_by_hand import BATCH, HEAD_DIM, HEADS, qkv

from nystrom_demo import nystrom_attention, nystrom_factors, segment_means, softmax_attention
from nystrom_demo.attention import cpu_blocks, iterative_pinv


def crossed(queries: int, keys: int, width: int = HEAD_DIM) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    q, (_, k, _) = qkv(queries)[0], qkv(keys, seed=1)
    v = torch.randn(BATCH, HEADS, keys, width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return q, k, v


def by_landmarks(q, k, v, q_landmarks, k_landmarks) -> torch.Tensor:
    """The formula with these landmarks."""
    scale = q.shape[-1] ** -0.5
    kernel_1, kernel_2, kernel_3 = (
        (a @ b.mT * scale).softmax(-1) for a, b in ((q, k_landmarks), (q_landmarks, k_landmarks), (q_landmarks, k))
    )
    return kernel_1 @ iterative_pinv(kernel_2) @ kernel_3 @ v


@pytest.mark.parametrize(("queries", "keys"), [(13, 29), (29, 13), (17, 17)])
@pytest.mark.parametrize("width", [HEAD_DIM, 2])
def test_queries_and_keys_have_landmarks_of_their_own(queries, keys, width):
    q, k, v = crossed(queries, keys, width)
    expected = by_landmarks(q, k, v, segment_means(q, 5)[0], segment_means(k, 5)[0])
    assert expected.shape == (BATCH, HEADS, queries, width)
    torch.testing.assert_close(nystrom_attention(q, k, v, 5), expected)
    torch.testing.assert_close(nystrom_factors(q, k, 5).attention() @ v, expected)


@pytest.mark.parametrize(("queries", "keys"), [(1, 29), (5, 29), (29, 5), (29, 2), (3, 4)])
def test_no_more_queries_or_keys_than_landmarks_is_exact(queries, keys):
    q, k, v = crossed(queries, keys, 2)
    expected = softmax_attention(q, k, v)
    torch.testing.assert_close(expected, torch.nn.functional.scaled_dot_product_attention(q, k, v))
    torch.testing.assert_close(nystrom_attention(q, k, v, 5), expected)
    torch.testing.assert_close(nystrom_factors(q, k, 5).attention() @ v, expected)


def test_each_row_of_a_ragged_crossing_is_as_if_alone():
    real_queries, real_keys = [13, 3, 13, 2, 9], [29, 29, 4, 1, 11]  # long, few queries, few keys, few of both, padded
    q = qkv(13, batch=5)[0]
    _, k, v = qkv(29, batch=5, seed=1)
    query_mask = torch.arange(13) < torch.tensor(real_queries)[:, None]
    key_mask = torch.arange(29) >= 29 - torch.tensor(real_keys)[:, None]  # padding in front
    together = nystrom_attention(q, k, v, 5, key_mask, query_padding_mask=query_mask)
    mapped = nystrom_factors(q, k, 5, key_mask, query_padding_mask=query_mask).attention() @ v
    for row, (queries, keys) in enumerate(zip(real_queries, real_keys, strict=True)):
        own = q[row : row + 1, :, :queries], k[row : row + 1, :, -keys:], v[row : row + 1, :, -keys:]
        alone = nystrom_attention(*own, 5)
        torch.testing.assert_close(together[row : row + 1, :, :queries], alone)
        torch.testing.assert_close(mapped[row : row + 1, :, :queries], alone)


def test_in_self_attention_the_mask_of_the_keys_is_the_queries():
    q, k, v = qkv(13)
    mask = torch.arange(13) < torch.tensor([13, 8])[:, None]
    given = nystrom_attention(q, k, v, 3, mask, query_padding_mask=mask)
    torch.testing.assert_close(nystrom_attention(q, k, v, 3, mask), given)
    all_real = nystrom_attention(q, k, v, 3, mask, query_padding_mask=torch.ones_like(mask))
    assert not torch.allclose(all_real[1], given[1])


@torch.no_grad()
def test_blocks_on_a_cpu_take_these_shapes(monkeypatch):
    monkeypatch.setattr(cpu_blocks, "SCORES", 1)
    q, k, v = crossed(150, 90, 2)
    expected = by_landmarks(q, k, v, segment_means(q, 5)[0], segment_means(k, 5)[0])
    assert cpu_blocks.blocks_suit(q, 5)
    torch.testing.assert_close(nystrom_attention(q, k, v, 5), expected)


@pytest.mark.parametrize("num_landmarks", [4, 13])
def test_a_key_head_serves_its_neighbouring_query_heads(num_landmarks):
    q, k, v = torch.randn(3, 2, 6, 13, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    k, v = k[:, :2], v[:, :2, :, :3]
    repeated = (x[:, [0, 0, 0, 1, 1, 1]] for x in (k, v))
    expected = nystrom_attention(q, *repeated, num_landmarks)
    torch.testing.assert_close(nystrom_attention(q, k, v, num_landmarks), expected)
    torch.testing.assert_close(nystrom_factors(q, k, num_landmarks).attention() @ v[:, [0, 0, 0, 1, 1, 1]], expected)


@pytest.mark.parametrize("ragged", [False, True])
def test_first_tokens_can_be_landmarks_of_their_own_by_hand(ragged):
    x = torch.tensor([50.0, 1.0, 2.0, 3.0, 10.0, 20.0]).view(1, 1, 6, 1)
    mask = None
    if ragged:
        x = torch.cat([torch.full((1, 1, 2, 1), 99.0), x], dim=2)
        mask = torch.tensor([[False] * 2 + [True] * 6])
    assert segment_means(x, 3, mask, landmark_tokens=1)[0].flatten().tolist() == [50.0, 2.0, 15.0]


@pytest.mark.parametrize("length", [2, 4, 5, 13])
def test_landmark_tokens_keep_the_limits(length):
    q, k, v = qkv(13)
    mask = torch.arange(13) < torch.tensor([13, length])[:, None]
    together = nystrom_attention(q, k, v, 4, mask, landmark_tokens=2)
    own = [x[1:, :, :length] for x in (q, k, v)]
    alone = nystrom_attention(*own, 4, landmark_tokens=2)
    torch.testing.assert_close(together[1:, :, :length], alone)
    marks = [torch.cat([x[:1, :, :2], segment_means(x[:1, :, 2:], 2)[0]], dim=2) for x in (q, k)]
    torch.testing.assert_close(together[:1], by_landmarks(q[:1], k[:1], v[:1], *marks))
    if length <= 4:
        torch.testing.assert_close(alone, softmax_attention(*own))


def test_landmarks_can_be_given():
    q, k, v = qkv(13)
    landmarks = q[:, :, [0, 5, 6]], k[:, :, [2, 3, 12]]
    torch.testing.assert_close(nystrom_attention(q, k, v, 3, landmarks=landmarks), by_landmarks(q, k, v, *landmarks))
    mask = torch.arange(17) < 13
    padded = [torch.nn.functional.pad(x, (0, 0, 0, 4), value=9.0) for x in (q, k, v)]
    actual = nystrom_attention(*padded, 3, mask.expand(BATCH, -1), landmarks=landmarks)[:, :, :13]
    torch.testing.assert_close(actual, by_landmarks(q, k, v, *landmarks))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"is_causal": True}, "cannot be causal: a landmark is the mean of tokens from the whole row"),
        ({"landmark_tokens": 3}, "landmark_tokens must be an integer from 0 to num_landmarks - 1 = 2, got 3"),
        (
            {"landmarks": (torch.ones(2, 3, 4, 5),) * 2},
            r"landmarks must be .* = \(2, 3, 3, 5\), got \(2, 3, 4, 5\) and",
        ),
        ({"query_padding_mask": torch.ones(2, 6, dtype=torch.bool)}, r"query_padding_mask must be .* \(2, 7\), got"),
    ],
)
def test_errors_of_these_shapes_name_what_was_wanted_and_what_came(options, message):
    with pytest.raises(ValueError, match=message):
        nystrom_attention(*qkv(7), 3, **options)


def test_the_convolution_is_for_self_attention():
    q, k, v = crossed(7, 9)
    with pytest.raises(ValueError, match="conv_weight is for self-attention, but there are 7 queries and 9 keys"):
        nystrom_attention(q, k, v, 3, conv_weight=torch.ones(HEADS, 1, 3, 1))


def test_key_heads_must_divide_the_heads():
    q, k, v = qkv(7)
    with pytest.raises(ValueError, match=r"k must have the shape of q, \(2, 3, 7, 5\), got \(2, 2, 7, 5\)"):
        nystrom_attention(q, k[:, :2], v[:, :2], 3)
