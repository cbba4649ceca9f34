"""The stand-ins for the package `nystrom_attention`: held to it where it is installed, to kept values everywhere."""

import json

import nystrom_attention_golden as golden
import pytest
import torch
from torch.testing import assert_close
from transmil import TransMIL

from nystrom_demo import nystrom_attention
from nystrom_demo.benchmark.measure import peak_bytes
from nystrom_demo.compat import streamed_maps
from nystrom_demo.compat.nystrom_attention import NystromAttention, Nystromer, Nystromformer

SMALL = {"dim": 10, "dim_head": 5, "heads": 3, "num_landmarks": 7, "residual_conv_kernel": 5}
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-11}


def random_x(seq: int, dtype: torch.dtype = torch.float64, dim: int = 10) -> torch.Tensor:
    return torch.randn(2, seq, dim, generator=torch.Generator().manual_seed(seq), dtype=torch.float64).to(dtype)


def random_mask(kind: str, seq: int) -> torch.Tensor | None:
    """Which tokens are real: "scattered" lacks some and one text's second half, "empty" all of the other too."""
    if kind == "none":
        return None
    mask = torch.ones(2, seq, dtype=torch.bool)
    if kind != "all real":
        mask = torch.rand(2, seq, generator=torch.Generator().manual_seed(seq)) < 0.6
        mask[:, 0] = True
        mask[0, seq // 2 + 1 :] = False
    if kind == "empty":
        mask[1] = False
    return mask


def small(dtype: torch.dtype = torch.float64, **changed) -> NystromAttention:
    torch.manual_seed(0)
    return NystromAttention(**SMALL | changed).to(dtype).eval()


def assert_near(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Within the tolerance of the largest expected entry, or of one where that is less."""
    scale = max(1.0, float(expected.detach().abs().max()))
    assert_close(actual, expected, atol=tolerance * scale, rtol=0)


# Against the package


@pytest.fixture
def published():
    return pytest.importorskip("nystrom_attention", reason="a developers' extra: nystrom_attention==0.0.14")


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("mask", ["none", "all real", "scattered", "empty"])
@pytest.mark.parametrize(("seq", "changed"), [(3, {}), (7, {"residual": False}), (23, {}), (28, {"eps": 0.3})])
def test_outputs_gradients_and_maps_are_the_published_ones(published, seq, changed, mask, dtype):
    theirs = published.NystromAttention(**SMALL | changed).to(dtype)
    ours = small(dtype, **changed)
    ours.load_state_dict(theirs.state_dict())
    kept, x = random_mask(mask, seq), random_x(seq, dtype)
    found, wanted = (_output_and_gradients(module, x, kept) for module in (ours, theirs))
    for actual, expected in zip(found, wanted, strict=True):
        assert_near(actual, expected, CLOSE[dtype])
    for flags in (
        {"return_attn": True},
        {"return_attn_matrices": True},
        dict.fromkeys(("return_attn", "return_attn_matrices"), True),
    ):
        for actual, expected in zip(_flat(ours(x, kept, **flags)), _flat(theirs(x, kept, **flags)), strict=True):
            assert_near(actual, expected, CLOSE[dtype])


def _output_and_gradients(module, x, mask):
    x = x.clone().requires_grad_()
    output = module(x, mask=mask)
    direction = torch.cos(torch.arange(output.numel(), dtype=x.dtype)).view_as(output)
    return [output.detach(), *torch.autograd.grad((output * direction).sum(), [x, *module.parameters()])]


def _flat(returned):
    output, extra = returned
    return [output, *extra] if isinstance(extra, tuple) else [output, extra]


def test_a_seed_drops_what_it_drops_in_the_published_package(published):
    theirs = published.NystromAttention(**SMALL, dropout=0.4)
    ours = small(torch.float32, dropout=0.4).train()
    ours.load_state_dict(theirs.state_dict())
    outputs = []
    for module in (ours, theirs):
        torch.manual_seed(3)
        outputs.append(module(random_x(23, torch.float32)))
    assert_near(*outputs, 1e-5)


@pytest.mark.parametrize("mask", ["none", "scattered"])
def test_a_published_transformer_loads_and_computes_the_same(published, mask):
    arguments = {"dim": 10, "depth": 2, "dim_head": 5, "heads": 3, "num_landmarks": 7}
    arguments |= {"attn_values_residual_conv_kernel": 3, "attn_dropout": 0.1, "ff_dropout": 0.1}
    theirs, ours = published.Nystromformer(**arguments).eval(), Nystromformer(**arguments).eval()
    ours.load_state_dict(theirs.state_dict())
    x, kept = random_x(23, torch.float32), random_mask(mask, 23)
    assert_near(ours(x, kept), theirs(x, kept), 1e-5)
    assert published.Nystromer is published.Nystromformer and Nystromer is Nystromformer


def test_transmil_computes_on_it_what_it_computes_on_the_published_package(published):
    theirs = TransMIL(published.NystromAttention, in_dim=16, dim=64).eval()
    ours = TransMIL(NystromAttention, in_dim=16, dim=64).eval()
    ours.load_state_dict(theirs.state_dict())
    features = torch.randn(1, 90, 16)
    assert_near(ours(features), theirs(features), 1e-5)


# Without the package


@pytest.mark.parametrize("mask", golden.MASKS)
@pytest.mark.parametrize("seq", golden.LENGTHS)
def test_outputs_gradients_and_maps_are_those_kept_of_the_published_package(seq, mask):
    kept = json.loads(golden.PATH.read_text())[f"{seq} tokens, mask: {mask}"]
    found = golden.results(golden.build(NystromAttention), seq, mask)
    assert found.keys() == kept.keys()
    for name, tensor in found.items():
        assert_close(tensor.flatten(), torch.tensor(kept[name], dtype=torch.float64), atol=1e-8, rtol=0)


def test_parameters_have_the_published_names_and_shapes():
    attention = NystromAttention(dim=512, dim_head=64, heads=8)
    assert {name: tuple(tensor.shape) for name, tensor in attention.state_dict().items()} == {
        "to_qkv.weight": (1536, 512),
        "to_out.0.weight": (512, 512),
        "to_out.0.bias": (512,),
        "res_conv.weight": (8, 1, 33, 1),
    }
    assert "res_conv.weight" not in NystromAttention(8, residual=False).state_dict()
    attention = [f"0.fn.{name}" for name in ("to_qkv.weight", "to_out.0.weight", "to_out.0.bias", "res_conv.weight")]
    feed_forward = [f"1.fn.net.{place}.{kind}" for place in (0, 3) for kind in ("weight", "bias")]
    norms = [f"{block}.norm.{kind}" for block in (0, 1) for kind in ("weight", "bias")]
    names = {f"layers.{layer}.{name}" for layer in (0, 1) for name in (*attention, *feed_forward, *norms)}
    assert set(Nystromformer(dim=8, depth=2).state_dict()) == names


@pytest.mark.parametrize(("padding", "mask", "shares"), [("front", None, 4), ("front", True, 3), ("none", None, 3)])
def test_where_all_scores_are_equal_a_token_gets_the_mean_value_and_padding_in_front_counts(padding, mask, shares):
    # With q = k = 0 all kernels are uniform. Three tokens and two landmarks: one row of zeros goes in front.
    attention = NystromAttention(2, dim_head=2, heads=1, num_landmarks=2, residual=False, padding=padding)
    with torch.no_grad():
        attention.to_qkv.weight.copy_(torch.cat([torch.zeros(4, 2), torch.eye(2)]))
        attention.to_out[0].weight.copy_(torch.eye(2))
        attention.to_out[0].bias.zero_()
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [8.0, 6.0]]])
    output = attention(x, None if mask is None else torch.ones(1, 3, dtype=torch.bool))
    assert_close(output, torch.tensor([12.0, 12.0]).div(shares).expand(1, 3, 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask", ["none", "scattered"])
def test_half_precision_stays_near_full_precision(mask, dtype):
    attention, kept = small(torch.float32), random_mask(mask, 23)
    wide = attention(random_x(23, torch.float32), kept)
    assert_close(attention.to(dtype)(random_x(23, dtype), kept).float(), wide, atol=0.05, rtol=0)


def test_landmarks_and_steps_can_be_changed_between_calls():
    attention, x = small(), random_x(23)
    attention.num_landmarks, attention.pinv_iterations = 5, 9
    assert_close(attention(x), small(num_landmarks=5, pinv_iterations=9)(x))


def test_hooks_on_the_convolution_run():
    attention, seen = small(), []
    attention.res_conv.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    attention(random_x(23))
    assert seen == [(2, 3, 28, 5)]  # 23 tokens behind five of padding


# Without padding


@pytest.mark.parametrize("seq", [5, 7, 23])
def test_without_padding_it_is_this_packages_attention(seq):
    attention, x = small(padding="none"), random_x(seq)
    q, k, v = (t.unflatten(-1, (3, 5)).transpose(1, 2) for t in attention.to_qkv(x).chunk(3, -1))
    context = nystrom_attention(q, k, v, 7, conv_weight=attention.res_conv.weight)
    assert_close(attention(x), attention.to_out(context.transpose(1, 2).flatten(2)))


def test_without_padding_masked_tokens_and_batch_mates_move_nothing():
    attention, x = small(padding="none"), random_x(23)
    filled = torch.cat([x, torch.full((2, 6, 10), 9.0, dtype=x.dtype)], dim=1)
    mask = torch.arange(29).expand(2, -1) < 23
    assert_close(attention(filled, mask)[:, :23], attention(x))
    assert_close(attention(x)[:1], attention(x[:1]))


# Rows and column sums of the map


@pytest.mark.parametrize("padding", ["front", "none"])
@pytest.mark.parametrize("mask", ["none", "all real", "scattered"])
@pytest.mark.parametrize("seq", [3, 7, 23, 28])
def test_rows_and_column_sums_are_those_of_the_map(seq, mask, padding, monkeypatch):
    monkeypatch.setattr(streamed_maps, "STRETCH_SCORES", 2 * 3 * 7 * 4)  # four tokens a stretch
    attention, x, kept = small(padding=padding), random_x(seq), random_mask(mask, seq)
    _, attention_map = attention(x, kept, return_attn=True)
    attention_map = attention_map[:, :, -seq:, -seq:]
    for token in (0, seq // 2, seq - 1):
        if kept is None or kept[:, token].all():
            assert_close(attention.attention_row(x, token, kept), attention_map[:, :, token])
    real = torch.ones(2, seq, dtype=torch.bool) if kept is None else kept
    sums = attention_map.where(real[:, None, :, None], 0).sum(2)
    assert_close(attention.attention_column_sums(x, kept), sums)


def test_the_first_row_is_the_class_tokens_whatever_stands_in_front():
    attention, x = small(), random_x(23)
    x[:, 0] *= 5
    attention.num_landmarks = 23  # no padding
    unpadded = attention.attention_row(x, 0)
    attention.num_landmarks = 22  # 21 rows of padding
    _, attention_map = attention(x, return_attn=True)
    assert_close(attention.attention_row(x, 0), attention_map[:, :, 21, 21:])
    assert unpadded.shape == (2, 3, 23)


def test_the_class_row_of_a_transmil_bag_comes_from_what_its_layer_reads():
    model = TransMIL(NystromAttention, in_dim=16, dim=64).eval()
    read = []
    model.layer2.attn.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    with torch.no_grad():
        model(torch.randn(1, 90, 16))
        row = model.layer2.attn.attention_row(read[0], 0)
        _, attention_map = model.layer2.attn(read[0], return_attn=True)
    assert row.shape == (1, 8, 1 + 10 * 10)  # the class token, and 90 patches of which ten are repeated
    assert_close(row, attention_map[:, :, -101, -101:], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("padding", ["front", "none"])
def test_beyond_a_stretch_a_row_holds_little_more_than_itself(padding, monkeypatch):
    monkeypatch.setattr(streamed_maps, "STRETCH_SCORES", 2**16)
    attention = NystromAttention(64, dim_head=8, heads=8, num_landmarks=8, padding=padding)
    x = torch.randn(1, 20_001, 64)
    result = 8 * 10_000 * 4  # of half the tokens, whose q, k and v would be 24 times that
    for call in (attention.attention_row, attention.attention_column_sums):
        whole, half = (peak_bytes(lambda call=call, n=n: call(x[:, :n]), x.device) for n in (20_001, 10_001))
        assert whole - half < 3 * result


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_landmarks": 0}, "num_landmarks must be an integer of at least 1, got 0"),
        ({"residual_conv_kernel": 4}, "residual_conv_kernel must be an odd number, got 4"),
        ({"padding": "left"}, 'padding must be "front" or "none", got \'left\''),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NystromAttention(8, **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, x: a(x[0]), r"x must be \(batch, seq, dim\) with no axis empty, got shape \(5, 10\)"),
        (lambda a, x: a(x[:, :0]), r"got shape \(2, 0, 10\)"),
        (lambda a, x: a(x, torch.ones(2, 5)), "mask must be boolean, true at real tokens, got torch.float32"),
        (lambda a, x: a(x, torch.ones(2, 4) > 0), r"mask must be \(batch, seq\) = \(2, 5\), got \(2, 4\)"),
        (lambda a, x: a.attention_row(x, 5), "token must be between 0 and 4, got 5"),
        (lambda a, x: a.attention_row(x, -1), "token must be between 0 and 4, got -1"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(small(), random_x(5))
