"""The mathematics of nystrom.py and pseudo_inverse.py: formulas, limits, errors."""

import numpy as np
import pytest
import torch
from attention_by_hand import BATCH, GRID, HEAD_DIM, HEADS, by_the_formula, qkv

from nystrom_demo import (
    depthwise_convolution,
    iterative_pinv,
    nystrom_attention,
    nystrom_factors,
    segment_means,
    softmax_attention,
)
from nystrom_demo.attention import segment_index, softmax_attention_map

# Exact attention


def test_softmax_attention_is_the_softmax_of_scaled_scores_times_v():
    q, k, v = qkv(7)
    expected = (q @ k.mT / HEAD_DIM**0.5).softmax(-1) @ v
    torch.testing.assert_close(softmax_attention(q, k, v), expected)
    torch.testing.assert_close(softmax_attention_map(q, k) @ v, expected)


def test_scale_replaces_the_root_of_head_dim():
    q, k, v = qkv(7)
    torch.testing.assert_close(softmax_attention(q, k, v, scale=0.5), (q @ k.mT * 0.5).softmax(-1) @ v)


# Landmarks


def test_segment_means_by_hand():
    x = torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0]).view(1, 1, 5, 1)
    landmarks, valid = segment_means(x, 2)
    assert landmarks.flatten().tolist() == [2.0, 15.0]  # three tokens, then two
    assert valid is None


def test_segment_means_skip_padding_by_hand():
    x = torch.tensor([1.0, 99.0, 2.0, 3.0, 10.0, 20.0]).view(1, 1, 6, 1)
    mask = torch.tensor([[True, False, True, True, True, True]])
    landmarks, valid = segment_means(x, 2, mask)
    assert landmarks.flatten().tolist() == [2.0, 15.0]
    assert valid.tolist() == [[True, True]]


@pytest.mark.parametrize(("seq", "num_landmarks"), GRID)
def test_segments_differ_in_length_by_at_most_one_and_cover_every_real_token(seq, num_landmarks):
    mask = torch.ones(1, seq + 3, dtype=torch.bool)
    mask[0, [0, 1, seq + 2]] = False
    index, lengths = segment_index(mask, num_landmarks)
    assert (index[~mask] == -1).all()
    counts = torch.bincount(index[mask], minlength=num_landmarks)
    assert counts.tolist() == lengths[0].tolist()
    assert counts.sum() == seq
    assert counts.max() - counts.min() <= 1
    assert index[mask].diff().ge(0).all()


def test_a_short_row_has_one_landmark_a_token():
    x = qkv(7)[0]
    mask = torch.ones(BATCH, 7, dtype=torch.bool)
    mask[1, 3:] = False
    landmarks, valid = segment_means(x, 5, mask)
    torch.testing.assert_close(landmarks[1, :, :3], x[1, :, :3])
    assert valid.tolist() == [[True] * 5, [True, True, True, False, False]]


# The pseudo-inverse


def test_the_pseudo_inverse_of_a_well_conditioned_kernel_is_its_inverse():
    a = (torch.eye(11, dtype=torch.float64) * 5 + qkv(11)[0] @ qkv(11)[1].mT * 0.1).softmax(-1)
    torch.testing.assert_close(iterative_pinv(a, 20), torch.linalg.inv(a))


def test_one_step_of_the_pseudo_inverse_by_hand():
    # A scalar matrix a has Z0 = a / a² = 1/a, which the step leaves where it is: ¼ (13 - 15 + 7 - 1) / a = 1/a.
    a = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    assert iterative_pinv(a, 0).item() == pytest.approx(2.0)
    assert iterative_pinv(a, 1).item() == pytest.approx(2.0)


def test_each_matrix_has_its_own_first_estimate_only_with_inv_coeff_init_option():
    a = torch.stack([torch.eye(3), torch.tensor([[0.0, 1, 0], [0, 1, 0], [0, 1, 0]])])[None].double()
    own, shared = iterative_pinv(a, 0, inv_coeff_init_option=True), iterative_pinv(a, 0)
    assert own[0, 0, 0, 0].item() == 1.0  # ‖I‖₁ ‖I‖∞ = 1
    assert shared[0, 0, 0, 0].item() == pytest.approx(1 / 3)  # the other head's largest column sums to 3
    torch.testing.assert_close(own[0, 1], shared[0, 1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_pseudo_inverse_is_computed_in_float32_or_wider(dtype):
    assert iterative_pinv(torch.eye(3, dtype=dtype)[None, None]).dtype == torch.float32
    assert iterative_pinv(torch.eye(3, dtype=torch.float64)[None, None]).dtype == torch.float64


def hard_kernels() -> torch.Tensor:
    """Kernels of nearly equal tokens, of equal ones, and of tokens that mostly see themselves, (1, 3, 16, 16)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 16, 8, generator=generator) * torch.tensor([0.01, 0.0, 3.0])[:, None, None] + 1
    return (x @ x.mT).softmax(-1)[None]


@pytest.mark.parametrize("option", [False, True])
def test_steps_after_convergence_change_nothing(option):
    a = hard_kernels()
    steps = {count: iterative_pinv(a, count, inv_coeff_init_option=option) for count in (6, 20, 40, 100)}
    assert torch.equal(steps[40], steps[100])
    residuals = {count: (torch.eye(16) - a @ z).norm(dim=(-2, -1)) for count, z in steps.items()}
    for few, more in ((6, 20), (20, 40)):
        assert (residuals[more] <= residuals[few]).all()
    assert (steps[100].norm(dim=(-2, -1)) * a.norm(dim=(-2, -1)) < 1e4).all()  # 1/√ε is 2,900


def test_six_steps_are_those_of_the_formula():
    a, identity = hard_kernels().double(), torch.eye(16, dtype=torch.float64)
    z = a.mT / (a.sum(-2).amax(-1) * a.sum(-1).amax(-1)).amax()
    for _ in range(6):
        az = a @ z
        z = z @ (13 * identity - az @ (15 * identity - az @ (7 * identity - az))) / 4
    torch.testing.assert_close((a @ iterative_pinv(a.float()).double())[0], (a @ z)[0], atol=1e-5, rtol=1e-5)


def test_a_matrix_stops_by_itself_whatever_its_batch_mates():
    a = hard_kernels().mT.mT.transpose(0, 1)  # (3, 1, 16, 16): each a sample
    together = iterative_pinv(a, 30)
    for row in range(3):
        torch.testing.assert_close(together[row], iterative_pinv(a[row : row + 1], 30)[0], atol=1e-3, rtol=1e-3)


# Landmark attention


@pytest.mark.parametrize(("seq", "num_landmarks"), GRID)
@pytest.mark.parametrize("option", [False, True])
def test_landmark_attention_follows_the_formula(seq, num_landmarks, option):
    q, k, v = qkv(seq)
    actual = nystrom_attention(q, k, v, num_landmarks, inv_coeff_init_option=option)
    torch.testing.assert_close(actual, by_the_formula(q, k, v, num_landmarks, exact_coefficient=option))


@pytest.mark.parametrize(("seq", "num_landmarks"), GRID)
def test_float32_is_within_1e_5_of_float64(seq, num_landmarks):
    q, k, v = qkv(seq, torch.float32)
    expected = nystrom_attention(q.double(), k.double(), v.double(), num_landmarks)
    torch.testing.assert_close(nystrom_attention(q, k, v, num_landmarks).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seq", [1, 2, 7, 64])
def test_as_many_landmarks_as_tokens_is_exact(seq):
    q, k, v = qkv(seq, torch.float32)
    for num_landmarks in (seq, seq + 1, 4 * seq):
        torch.testing.assert_close(
            nystrom_attention(q, k, v, num_landmarks), softmax_attention(q, k, v), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(("seq", "num_landmarks"), GRID)
def test_the_factors_multiply_to_what_attention_applies(seq, num_landmarks):
    q, k, v = qkv(seq)
    factors = nystrom_factors(q, k, num_landmarks)
    m = min(num_landmarks, seq)
    assert factors.kernel_1.shape == (BATCH, HEADS, seq, m)
    assert factors.kernel_2.shape == factors.kernel_2_inv.shape == (BATCH, HEADS, m, m)
    assert factors.kernel_3.shape == (BATCH, HEADS, m, seq)
    torch.testing.assert_close(factors.attention() @ v, nystrom_attention(q, k, v, num_landmarks))


def test_more_steps_and_another_first_estimate_change_the_result():
    q, k, v = qkv(16)
    six = nystrom_attention(q, k, v, 4)
    assert not torch.allclose(six, nystrom_attention(q, k, v, 4, pinv_iterations=2))
    assert not torch.allclose(six, nystrom_attention(q, k, v, 4, inv_coeff_init_option=True), atol=1e-9)


@pytest.mark.parametrize("number", [np.int64(4), np.uint8(4), torch.tensor(4)])
def test_integers_of_numpy_and_torch_are_numbers_of_landmarks(number):
    q, k, v = qkv(13)
    torch.testing.assert_close(nystrom_attention(q, k, v, number), nystrom_attention(q, k, v, 4))


# Errors


@pytest.mark.parametrize("number", [np.float64(4), np.bool_(True), torch.tensor(4.0), torch.tensor(True), "4", None])
def test_other_things_are_no_numbers_of_landmarks(number):
    with pytest.raises(ValueError, match="num_landmarks must be an integer of at least 1, got"):
        nystrom_attention(*qkv(13), number)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, k, v: nystrom_attention(q[0], k, v, 3), r"q must be \(batch, heads, seq, head_dim\).*\(3, 7, 5\)"),
        (
            lambda q, k, v: nystrom_attention(q[:, :, :0], k, v, 3),
            r"q must be .* no axis empty, got shape \(2, 3, 0",
        ),
        (lambda q, k, v: nystrom_attention(q, k[:, :, :4], v, 3), r"k must have the shape of q, \(2, 3, 7, 5\), got"),
        (lambda q, k, v: softmax_attention(q, k, v[:, :, :2]), r"v must have the shape of k, .* got \(2, 3, 2, 5\)"),
        (lambda q, k, v: softmax_attention(q, k[..., :2], v), r"k must have the shape of q, .* got \(2, 3, 7, 2\)"),
        (lambda q, k, v: softmax_attention(q.long(), k, v), "q must be of a floating point dtype, got torch.int64"),
        (lambda q, k, v: nystrom_attention(q, k, v, 0), "num_landmarks must be an integer of at least 1, got 0"),
        (lambda q, k, v: nystrom_attention(q, k, v, 2.5), "num_landmarks must be an integer of at least 1, got 2.5"),
        (lambda q, k, v: nystrom_attention(q, k, v, True), "num_landmarks must be an integer of at least 1, got True"),
        (lambda q, k, v: nystrom_factors(q, k, -1), "num_landmarks must be an integer of at least 1, got -1"),
        (
            lambda q, k, v: nystrom_attention(q, k, v, 3, torch.ones(2, 6, dtype=torch.bool)),
            r"key_padding_mask must be \(batch, seq\) = \(2, 7\), got \(2, 6\)",
        ),
        (
            lambda q, k, v: softmax_attention(q, k, v, torch.ones(2, 7)),
            "key_padding_mask must be boolean, true at real tokens, got torch.float32",
        ),
        (
            lambda q, k, v: nystrom_attention(q, k, v, 3, torch.tensor([[True] * 7, [False] * 7])),
            "at least one real token a row, got none in row 1",
        ),
        (lambda q, k, v: iterative_pinv(q), r"square matrices \(batch, heads, m, m\), got shape \(2, 3, 7, 5\)"),
        (lambda q, k, v: iterative_pinv(q[..., :5, :], -1), "num_iterations must be at least 0, got -1"),
        (
            lambda q, k, v: depthwise_convolution(v, torch.ones(HEADS, 1, 4, 1)),
            r"3 heads and an odd kernel, got \(3, 1, 4, 1\)",
        ),
        (
            lambda q, k, v: nystrom_attention(q, k, v, 3, conv_weight=torch.ones(HEADS, 5)),
            r"weight must be \(heads, 1, kernel, 1\) with 3 heads and an odd kernel, got \(3, 5\)",
        ),
    ],
)
def test_errors_name_what_was_wanted_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call(*qkv(7))
