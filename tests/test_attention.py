"""The mathematics of attention.py: its limits, its invariances, its errors."""

import pytest
import torch

from nystrom_demo import (
    depthwise_convolution,
    iterative_pinv,
    nystrom_attention,
    nystrom_factors,
    segment_means,
    softmax_attention,
)
from nystrom_demo.attention import segment_index, softmax_attention_map

BATCH, HEADS, HEAD_DIM = 2, 3, 5
GRID = [(1, 1), (1, 7), (2, 3), (5, 11), (7, 7), (7, 2), (13, 5), (16, 4), (17, 16), (64, 8)]


def qkv(seq: int, dtype: torch.dtype = torch.float64, batch: int = BATCH, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, batch, HEADS, seq, HEAD_DIM, generator=generator, dtype=torch.float64).to(dtype).unbind(0)


def padded(x: torch.Tensor, left: int, right: int, content: float) -> torch.Tensor:
    batch, heads, _, head_dim = x.shape
    sides = [x.new_full((batch, heads, length, head_dim), content) for length in (left, right)]
    return torch.cat([sides[0], x, sides[1]], dim=2)


def by_the_formula(q, k, v, num_landmarks: int, iterations: int = 6, exact_coefficient: bool = False) -> torch.Tensor:
    """Landmark attention of unpadded rows, written out token by token in float64."""
    q, k, v = (x.double() for x in (q, k, v))
    n, m = q.shape[2], min(num_landmarks, q.shape[2])
    sizes = [n // m + (segment < n % m) for segment in range(m)]
    q_landmarks, k_landmarks = (torch.stack([part.mean(2) for part in x.split(sizes, dim=2)], dim=2) for x in (q, k))
    scale = q.shape[-1] ** -0.5
    kernel_1 = (q @ k_landmarks.mT * scale).softmax(-1)
    kernel_2 = (q_landmarks @ k_landmarks.mT * scale).softmax(-1)
    kernel_3 = (q_landmarks @ k.mT * scale).softmax(-1)
    if n <= num_landmarks:
        return kernel_1 @ v
    c = kernel_2.sum(-2).amax(-1) * kernel_2.sum(-1).amax(-1)
    c = c if exact_coefficient else c.amax(1, keepdim=True)
    z, identity = kernel_2.mT / c[..., None, None], torch.eye(m, dtype=torch.float64)
    for _ in range(iterations):
        az = kernel_2 @ z
        z = z @ (13 * identity - az @ (15 * identity - az @ (7 * identity - az))) / 4
    return kernel_1 @ z @ kernel_3 @ v


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


@pytest.mark.parametrize(("left", "right"), [(0, 4), (3, 0)])
def test_the_convolution_reads_zeros_at_padding(left, right):
    v = qkv(7)[2]
    weight = torch.randn(HEADS, 1, 5, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(BATCH, left + 7 + right, dtype=torch.bool)
    mask[:, left : left + 7] = True
    actual = depthwise_convolution(padded(v, left, right, 1e4), weight, mask)[:, :, left : left + 7]
    torch.testing.assert_close(actual, depthwise_convolution(v, weight))


# Number formats, gradients, compilers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ragged", [False, True])
def test_half_precision_is_finite_and_near(dtype, ragged):
    q, k, v = qkv(64)
    mask = torch.arange(64) < torch.tensor([64, 23])[:, None] if ragged else None
    actual = nystrom_attention(q.to(dtype), k.to(dtype), v.to(dtype), 8, mask)
    assert actual.dtype == dtype
    assert actual.isfinite().all()
    expected = nystrom_attention(q.to(dtype).double(), k.to(dtype).double(), v.to(dtype).double(), 8, mask)
    real = slice(None) if mask is None else mask[:, None, :, None].expand_as(expected)
    torch.testing.assert_close(actual.double()[real], expected[real], atol=0.1, rtol=0.1)


def test_autocast_keeps_the_pseudo_inverse_in_float32():
    q, k, v = qkv(64, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = nystrom_attention(q, k, v, 8)
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual.float(), nystrom_attention(q, k, v, 8), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_are_right(ragged):
    q, k, v = (x[:, :1, :, :2].clone().requires_grad_() for x in qkv(7))
    mask = torch.arange(7) < torch.tensor([7, 2])[:, None] if ragged else None
    assert torch.autograd.gradcheck(lambda *a: nystrom_attention(*a, 3, mask), (q, k, v))
    weight = torch.randn(1, 1, 3, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: depthwise_convolution(*a, mask), (v, weight))


@pytest.mark.parametrize("ragged", [False, True])
def test_torch_export_gives_the_same_numbers(ragged):
    class Attend(torch.nn.Module):
        def forward(self, q, k, v, mask):
            return nystrom_attention(q, k, v, 4, mask)

    inputs = (*qkv(13, torch.float32), torch.arange(13) < torch.tensor([13, 3])[:, None] if ragged else None)
    exported = torch.export.export(Attend(), inputs).module()
    torch.testing.assert_close(exported(*inputs), Attend()(*inputs))


@pytest.mark.parametrize("ragged", [False, True])
def test_torch_compile_takes_it_in_one_graph(ragged):
    inputs = (*qkv(13, torch.float32), 4, torch.arange(13) < torch.tensor([13, 3])[:, None] if ragged else None)
    compiled = torch.compile(nystrom_attention, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), nystrom_attention(*inputs))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_cuda_agrees_with_the_cpu_and_never_waits_for_the_host(dtype):
    q, k, v = qkv(64, torch.float32)
    mask = torch.arange(64) < torch.tensor([64, 23])[:, None]
    expected = nystrom_attention(q, k, v, 8, mask)
    on_gpu = [x.to("cuda", dtype) for x in (q, k, v)]
    gpu_mask = mask.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        actual = nystrom_attention(*on_gpu, 8, gpu_mask)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    real = mask[:, None, :, None].expand_as(expected)
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(actual.float().cpu()[real], expected[real], atol=tolerance, rtol=tolerance)


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, k, v: nystrom_attention(q[0], k, v, 3), r"q must be \(batch, heads, seq, head_dim\).*\(3, 7, 5\)"),
        (
            lambda q, k, v: nystrom_attention(q[:, :, :0], k, v, 3),
            r"q must be .* no axis empty, got shape \(2, 3, 0",
        ),
        (lambda q, k, v: nystrom_attention(q, k[:, :, :4], v, 3), r"k must have the shape of q, \(2, 3, 7, 5\), got"),
        (lambda q, k, v: softmax_attention(q, k, v[..., :2]), r"v must have the shape of q, .* got \(2, 3, 7, 2\)"),
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
    ],
)
def test_errors_name_what_was_wanted_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call(*qkv(7))
