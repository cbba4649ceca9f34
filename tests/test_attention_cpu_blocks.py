"""Landmark attention in blocks of tokens against the differentiable way, which goes by SDPA and `conv2d`'s equal."""

import pytest
import torch

from nystrom_demo.attention import cpu_blocks, nystrom_attention, segment_means, softmax_attention

BATCH, HEADS, HEAD_DIM, LANDMARKS = 2, 3, 5, 7


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(cpu_blocks, "SCORES", 1)  # blocks of LEAST_TOKENS


def qkv(seq: int, dtype: torch.dtype = torch.float64, seed: int = 0, batch: int = BATCH):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(3, batch, seq, HEADS, HEAD_DIM, generator=generator, dtype=torch.float64)
    return made.to(dtype).transpose(2, 3).unbind(0)  # the strides of a projection's output


def filters(kernel: int | None) -> torch.Tensor | None:
    if kernel is None:
        return None
    return torch.randn(HEADS, 1, kernel, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def in_blocks(q, k, v, mask=None, weight=None, num_landmarks=LANDMARKS) -> torch.Tensor:
    with torch.no_grad():
        assert cpu_blocks.blocks_suit(q, num_landmarks)
        return nystrom_attention(q, k, v, num_landmarks, mask, conv_weight=weight)


def recorded(q, k, v, mask=None, weight=None, num_landmarks=LANDMARKS) -> torch.Tensor:
    with torch.enable_grad():
        assert not cpu_blocks.blocks_suit(q, num_landmarks)
        return nystrom_attention(q, k, v, num_landmarks, mask, conv_weight=weight)


def test_the_largest_score_may_stand_in_any_block_by_hand():
    # One landmark and one channel, scores 0 but for one of ln 3: it weighs 3 of n + 2.
    seq = 3 * cpu_blocks.LEAST_TOKENS
    for peak in (0, cpu_blocks.LEAST_TOKENS, seq - 1):
        k, v = torch.zeros(2, 1, 1, seq, 1, dtype=torch.float64)
        k[0, 0, peak] = torch.tensor(3.0).double().log()
        v[0, 0, peak] = 1
        gathered = cpu_blocks.gather(torch.ones(1, 1, 1, 1, dtype=torch.float64), k, v, None, 1.0)
        assert gathered.item() == pytest.approx(3 / (seq + 2))


@pytest.mark.parametrize("kernel", [None, 1, 5, 65])
@pytest.mark.parametrize("seq", [64, 65, 79, 128, 150, 200])
def test_blocks_give_what_sdpa_gives(seq, kernel):
    inputs = (*qkv(seq), None, filters(kernel))
    torch.testing.assert_close(in_blocks(*inputs), recorded(*inputs))


def test_float32_is_within_1e_5_of_float64():
    q, k, v = qkv(333, torch.float32)
    expected = recorded(q.double(), k.double(), v.double(), None, filters(65) / 8)
    actual = in_blocks(q, k, v, None, filters(65).float() / 8)
    torch.testing.assert_close(actual.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [30.0, 1e3])
def test_scores_of_any_size_stay_finite_and_right(factor):
    q, k, v = qkv(150)
    ramp = torch.linspace(-factor, factor, 150, dtype=torch.float64)[:, None]  # ever larger, block after block
    for keys in (k * factor, k + ramp, k - ramp):
        gathered = cpu_blocks.gather(q[:, :, :LANDMARKS], keys, v, None, 1.0)
        expected = (q[:, :, :LANDMARKS] @ keys.mT).softmax(-1) @ v
        torch.testing.assert_close(gathered, expected)


@pytest.mark.parametrize("kernel", [None, 65])
@pytest.mark.parametrize(("left", "right"), [(0, 1), (0, 100), (130, 0), (70, 90)])
@pytest.mark.parametrize("content", [0.0, -1e4])
def test_padding_of_any_amount_side_and_content_changes_nothing(left, right, content, kernel):
    q, k, v = qkv(83)
    mask = torch.zeros(BATCH, left + 83 + right, dtype=torch.bool)
    mask[:, left : left + 83] = True
    padded = [torch.nn.functional.pad(x, (0, 0, left, right), value=content) for x in (q, k, v)]
    actual = in_blocks(*padded, mask, filters(kernel))
    assert actual.isfinite().all()
    torch.testing.assert_close(actual[:, :, left : left + 83], recorded(q, k, v, None, filters(kernel)))


def test_rows_of_a_ragged_batch_are_as_if_alone_and_short_rows_exact():
    lengths, seq = [150, 1, LANDMARKS, LANDMARKS + 1, 90], 150
    q, k, v = qkv(seq, batch=len(lengths))
    mask = torch.arange(seq) < torch.tensor(lengths)[:, None]
    together = in_blocks(q, k, v, mask)
    for row, length in enumerate(lengths):
        own = [x[row : row + 1, :, :length] for x in (q, k, v)]
        torch.testing.assert_close(together[row : row + 1, :, :length], recorded(*own))
        if length <= LANDMARKS:
            torch.testing.assert_close(together[row : row + 1, :, :length], softmax_attention(*own))


def test_real_tokens_need_not_stand_together():
    inputs = qkv(200)
    mask = torch.rand(BATCH, 200, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[0, :80] = False  # a whole block of padding
    real = mask[:, None, :, None].expand_as(inputs[0])
    torch.testing.assert_close(in_blocks(*inputs, mask, filters(5))[real], recorded(*inputs, mask, filters(5))[real])


def test_any_strides_do():
    q, k, v = qkv(150)
    for change in (torch.Tensor.contiguous, lambda x: x.mT.contiguous().mT):
        changed = [change(x) for x in (q, k, v)]
        torch.testing.assert_close(in_blocks(*changed, None, filters(5)), recorded(q, k, v, None, filters(5)))


def test_the_output_is_laid_out_as_the_projection_after_it_reads_it():
    output = in_blocks(*qkv(150), None, filters(5))
    assert output.transpose(1, 2).flatten(2).data_ptr() == output.data_ptr()


def test_inputs_are_left_alone():
    inputs = qkv(150)
    before = [x.clone() for x in inputs]
    in_blocks(*inputs, torch.arange(150) < torch.tensor([150, 90])[:, None], filters(5))
    for x, original in zip(inputs, before, strict=True):
        torch.testing.assert_close(x, original, atol=0, rtol=0)


def test_no_tensor_of_all_tokens_and_landmarks_is_made(monkeypatch):
    shapes = []
    bmm = torch.bmm

    def spy(*operands, **options):
        product = bmm(*operands, **options)
        shapes.append(tuple(product.shape))
        return product

    monkeypatch.setattr(torch, "bmm", spy)
    in_blocks(*qkv(200), None, filters(5))
    assert max(shape[1] for shape in shapes) == cpu_blocks.LEAST_TOKENS


def test_blocks_are_only_for_long_rows_in_full_precision_where_nothing_is_recorded():
    q = qkv(64)[0]
    with torch.no_grad():
        assert cpu_blocks.blocks_suit(q, LANDMARKS)
        assert not cpu_blocks.blocks_suit(q[:, :, :63], LANDMARKS)
        assert not cpu_blocks.blocks_suit(q.bfloat16(), LANDMARKS)
        assert not cpu_blocks.blocks_suit(q.to("meta"), LANDMARKS)
        with torch.autocast("cpu", torch.bfloat16):
            assert not cpu_blocks.blocks_suit(q, LANDMARKS)
    assert not cpu_blocks.blocks_suit(q, LANDMARKS)


def test_a_block_holds_a_bounded_number_of_scores(monkeypatch):
    monkeypatch.setattr(cpu_blocks, "SCORES", 400_000)
    assert cpu_blocks.block_tokens(12, 64) == 512  # 520 rounded to whole blocks of the convolution
    assert cpu_blocks.block_tokens(12, 256) == 128
    assert cpu_blocks.block_tokens(64, 4096) == cpu_blocks.LEAST_TOKENS


def test_landmarks_of_a_strided_projection_are_those_of_a_copy():
    x = qkv(150)[0]
    torch.testing.assert_close(segment_means(x, 7)[0], segment_means(x.contiguous(), 7)[0])
