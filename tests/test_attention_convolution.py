"""The convolution by banded matrices against `conv2d`, in values and gradients."""

import pytest
import torch
import torch.nn.functional as F

from nystrom_demo.attention import nystrom_attention
from nystrom_demo.attention.convolution import BLOCK, add_band_convolution, depthwise_convolution


def make(batch, heads, seq, head_dim, kernel, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    residual, v = (torch.randn(batch, heads, seq, head_dim, generator=generator).to(dtype) for _ in range(2))
    return residual, v, torch.randn(heads, 1, kernel, 1, generator=generator).to(dtype)


def reference(residual, v, weight):
    return residual + F.conv2d(v, weight, padding=(weight.shape[2] // 2, 0), groups=v.shape[1])


@pytest.mark.parametrize("kernel", [1, 3, 33, 67])
@pytest.mark.parametrize("seq", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 130])
def test_it_is_conv2d_at_every_length(seq, kernel):
    inputs = make(3, 2, seq, 5, kernel)
    torch.testing.assert_close(add_band_convolution(*inputs), reference(*inputs), atol=1e-12, rtol=0)
    torch.testing.assert_close(add_band_convolution(None, *inputs[1:]), reference(0, *inputs[1:]), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("seq", "kernel"), [(7, 3), (5, 11), (BLOCK + 3, 7)])
def test_its_gradients_are_right(seq, kernel):
    inputs = [x.requires_grad_() for x in make(2, 3, seq, 2, kernel)]
    assert torch.autograd.gradcheck(add_band_convolution, inputs)


def test_gradients_in_float32_are_right_for_long_kernels():
    wide = [x.requires_grad_() for x in make(2, 3, 131, 5, 65)]
    narrow = [x.detach().float().requires_grad_() for x in wide]
    grad = make(2, 3, 131, 5, 65, seed=1)[0]
    expected = torch.autograd.grad(reference(*wide), wide, grad)
    actual = torch.autograd.grad(add_band_convolution(*narrow), narrow, grad.float())
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a.double(), e, atol=1e-5 * e.abs().max().item(), rtol=0)


def test_gradients_are_made_only_where_they_are_asked_for():
    residual, v, weight = make(2, 3, 7, 5, 3)
    for leaf in (residual, v, weight):
        leaf.requires_grad_()
        (gradient,) = torch.autograd.grad(add_band_convolution(residual, v, weight).sum(), leaf)
        assert gradient.shape == leaf.shape
        leaf.requires_grad_(False)


def test_second_derivatives_are_right():
    inputs = [x.requires_grad_() for x in make(1, 2, 5, 2, 3)]
    assert torch.autograd.gradgradcheck(add_band_convolution, inputs)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 5e-3), (torch.bfloat16, 5e-2)])
def test_half_precision_stays_close(dtype, tolerance):
    inputs = make(2, 3, 70, 5, 7)
    actual = add_band_convolution(*(x.to(dtype) for x in inputs))
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), reference(*inputs), atol=tolerance * 5, rtol=tolerance)


def test_under_autocast_the_filter_keeps_its_own_dtype_of_gradient():
    residual, v, weight = (x.float() for x in make(2, 3, 40, 5, 7))
    weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = add_band_convolution(residual.bfloat16(), v.bfloat16().requires_grad_(), weight)
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16 and weight.grad.dtype == torch.float32


def test_a_row_of_the_batch_reads_nothing_of_its_neighbours():
    residual, v, weight = make(3, 2, BLOCK, 5, 67)
    alone = add_band_convolution(residual[1:2], v[1:2], weight)
    v[0], v[2] = torch.nan, torch.inf
    torch.testing.assert_close(add_band_convolution(residual, v, weight)[1:2], alone, atol=0, rtol=0)


def test_the_result_has_the_strides_of_the_residual():
    residual, v, weight = make(2, 3, 7, 5, 3)
    strided = residual.transpose(1, 2).contiguous().transpose(1, 2)
    assert add_band_convolution(strided, v, weight).stride() == strided.stride()
    torch.testing.assert_close(add_band_convolution(strided, v, weight), reference(residual, v, weight))


def test_without_gradients_the_residual_itself_becomes_the_result():
    residual, v, weight = make(2, 3, 7, 5, 3)
    expected = reference(residual, v, weight)
    with torch.no_grad():
        assert add_band_convolution(residual, v, weight) is residual
    torch.testing.assert_close(residual, expected)


def test_with_gradients_the_residual_is_left_alone():
    residual, v, weight = make(2, 3, 7, 5, 3)
    before = residual.clone()
    add_band_convolution(residual, v.requires_grad_(), weight)
    torch.testing.assert_close(residual, before, atol=0, rtol=0)


def test_compiled_it_is_the_same():
    inputs = make(2, 3, 70, 5, 7)
    compiled = torch.compile(add_band_convolution, backend="aot_eager", fullgraph=True)
    leaves = [x.clone().requires_grad_() for x in inputs]
    torch.testing.assert_close(compiled(*leaves), reference(*inputs))
    expected = torch.autograd.grad(reference(*leaves).square().sum(), leaves)
    actual = torch.autograd.grad(compiled(*leaves).square().sum(), leaves)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("shape", [(4, 2, 3, 1), (4, 1, 3, 5), (3, 1, 3, 1), (4, 1, 4, 1), (4, 3)])
def test_a_filter_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"weight must be \(heads, 1, kernel, 1\) with 4 heads and an odd kernel, got"):
        depthwise_convolution(torch.zeros(1, 4, 9, 2), torch.zeros(shape))


def test_it_trains_under_autocast_from_inputs_of_single_precision():
    q, k, v = (make(1, 2, 40, 4, 3, torch.float32, seed)[1].requires_grad_() for seed in range(3))
    weight = make(1, 2, 40, 4, 3, torch.float32)[2].requires_grad_()
    plain = torch.autograd.grad(nystrom_attention(q, k, v, 8, conv_weight=weight).sum(), (q, v, weight))
    with torch.autocast("cpu", torch.bfloat16):
        output = nystrom_attention(q, k, v, 8, conv_weight=weight)
    for narrow, wide in zip(torch.autograd.grad(output.float().sum(), (q, v, weight)), plain, strict=True):
        assert (narrow - wide).norm() < 0.03 * wide.norm()
