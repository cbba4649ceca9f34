"""Attention in half precision, under autocast, with gradients, exported, compiled and on a GPU."""

import pytest
import torch
from attention_by_hand import qkv

from nystrom_demo import depthwise_convolution, nystrom_attention, nystrom_factors
from nystrom_demo.attention import softmax_attention_map


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_maps_and_factors_are_finite_where_scores_pass_half_precision(dtype):
    wide = torch.randn(3, 2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    q, k, v = (60 * wide[0]).to(dtype), (60 * wide[1]).to(dtype), wide[2].to(dtype)
    assert (q.float() @ k.float().mT).abs().max() > torch.finfo(torch.float16).max
    expected = softmax_attention_map(q.float(), k.float())
    torch.testing.assert_close(softmax_attention_map(q, k).float(), expected, atol=1e-2, rtol=1e-2)
    factors = nystrom_factors(q, k, 48)
    assert all(x.isfinite().all() for x in factors)
    assert factors.attention().dtype == dtype
    output = nystrom_attention(q, k, v, 48)
    assert output.isfinite().all()
    assert (factors.attention().float() @ v.float() - output.float()).norm() < 0.05 * output.float().norm()


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

    def attend(q, k, v, weight):
        return nystrom_attention(q, k, v, 3, mask, conv_weight=weight)

    assert torch.autograd.gradcheck(attend, (q, k, v, weight))


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
