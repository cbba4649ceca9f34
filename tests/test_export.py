"""One program for any batch and length, in every format; and what others do to the modules of a model."""

import logging
import re
from pathlib import Path

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.utils import prune

from nystrom_demo import NystromformerConfig, NystromformerForSequenceClassification, nystrom_attention
from nystrom_demo.config import AttentionSettings

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "export.md"
LANDMARKS = 4


def small_model(**config) -> NystromformerForSequenceClassification:
    torch.manual_seed(3)
    shape = {"vocab_size": 97, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3}
    shape |= {"intermediate_size": 29, "max_position_embeddings": 64, "conv_kernel_size": 5, "initializer_range": 0.5}
    config = NystromformerConfig(
        **shape | {"num_landmarks": LANDMARKS, "problem_type": "single_label_classification"} | config
    )
    return NystromformerForSequenceClassification(config).eval()


def inputs(batch: int, seq: int) -> dict[str, torch.Tensor]:
    """Texts of seq tokens, the last of them half of that and padded."""
    ids = torch.randint(3, 97, (batch, seq), generator=torch.Generator().manual_seed(batch))
    mask = torch.ones_like(ids)
    mask[-1, (seq + 1) // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


OTHERS = [(1, 23), (3, 17), (3, LANDMARKS), (2, 3), (4, 9)]  # longer than m, as long, shorter, partly either


@pytest.fixture(scope="module")
def program():
    axes = {0: torch.export.Dim("batch", max=8), 1: torch.export.Dim("seq", min=2, max=64)}
    given = inputs(2, 13)
    with torch.no_grad():
        exported = torch.export.export(
            small_model(), (), given, dynamic_shapes=dict.fromkeys(given, axes), strict=False
        )
    return exported.module()


@torch.no_grad()
@pytest.mark.parametrize(("batch", "seq"), OTHERS)
def test_an_exported_model_takes_any_batch_length_and_mask(batch, seq, program):
    given = inputs(batch, seq)
    torch.testing.assert_close(program(**given).logits, small_model()(**given).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("seq", [LANDMARKS, 13])
def test_a_traced_model_reads_its_mask_though_the_example_had_no_padding(seq):
    model, given = small_model(), inputs(2, seq)
    example = (given["input_ids"], torch.ones_like(given["input_ids"]))
    traced = torch.jit.trace(model, example, strict=False, check_trace=False)
    torch.testing.assert_close(traced(*given.values())["logits"], model(**given).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_compiled_model_takes_one_length_after_another_in_one_graph():
    model = small_model()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for seq in (13, 17, 3, 22):
        torch.testing.assert_close(compiled(**inputs(2, seq)).logits, model(**inputs(2, seq)).logits)
        ids = inputs(2, seq)["input_ids"]
        torch.testing.assert_close(compiled(ids).logits, model(ids).logits)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("implementation", ["nystrom", "sdpa"])
def test_onnxruntime_gives_the_same_numbers_at_other_batches_and_lengths(implementation, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    model = small_model()
    model.set_attn_implementation(implementation)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids, attention_mask).logits

    given, axes = inputs(2, 13), {0: "batch", 1: "seq"}
    file, shapes = str(tmp_path / "model.onnx"), dict.fromkeys(given, axes)
    torch.onnx.export(Logits().eval(), tuple(given.values()), file, dynamo=True, verbose=False, dynamic_shapes=shapes)
    session = onnxruntime.InferenceSession(file)
    for batch, seq in OTHERS:
        given = inputs(batch, seq)
        (actual,) = session.run(None, {name: x.numpy() for name, x in given.items()})
        torch.testing.assert_close(torch.from_numpy(actual), model(**given).logits, atol=1e-4, rtol=1e-4)


def test_gradients_sample_by_sample_are_those_of_each_sample_alone():
    model = small_model()
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    labels = torch.tensor([0, 1, 1])

    def loss(weights, ids, mask, label):
        given = {"attention_mask": mask[None], "labels": label[None]}
        return functional_call(model, weights, (ids[None],), given).loss

    together = vmap(grad(loss), in_dims=(None, 0, 0, 0))(weights, *inputs(3, 13).values(), labels)
    for row in range(3):
        alone = grad(loss)(weights, *(x[row] for x in inputs(3, 13).values()), labels[row])
        for name, gradient in alone.items():
            torch.testing.assert_close(together[name][row], gradient, atol=1e-4, rtol=1e-3)


def test_vmap_goes_over_attention_with_masks():
    q, k, v = torch.randn(3, 5, 2, 3, 13, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(13) < torch.tensor([[13, 7], [2, 13], [4, 5], [1, 13], [9, 9]])[:, :, None]
    mapped = vmap(lambda q, k, v, mask: nystrom_attention(q, k, v, LANDMARKS, mask))(q, k, v, mask)
    expected = torch.stack([nystrom_attention(*row[:3], LANDMARKS, row[3]) for row in zip(q, k, v, mask, strict=True)])
    torch.testing.assert_close(mapped, expected)


@torch.no_grad()
def test_int8_weights_stay_near():
    model, given = small_model(initializer_range=0.1), inputs(3, 17)
    quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    expected = model(**given).logits
    assert (quantised(**given).logits - expected).norm() < 0.1 * expected.norm()


def test_lora_adapts_the_convolution_and_padding_does_not_enter_it():
    peft = pytest.importorskip("peft")
    model, given = small_model(), inputs(2, 13)
    before = model(**given).logits
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(target_modules=["query", "conv"], r=3, init_lora_weights=False)
    )
    after = adapted.eval()(**given).logits
    assert not torch.allclose(after, before)
    given["input_ids"] = given["input_ids"].where(given["attention_mask"].bool(), 5)
    torch.testing.assert_close(adapted(**given).logits, after)


@torch.no_grad()
def test_an_offloaded_model_gives_the_same_numbers():
    accelerate = pytest.importorskip("accelerate")
    model, given = small_model(), inputs(2, 13)
    before = model(**given).logits
    offloaded = accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    torch.testing.assert_close(offloaded(**given).logits, before)


def test_a_pruned_convolution_trains():
    model, given = small_model().train(), inputs(2, 13)
    convolution = model.base_model.encoder.layer[0].attention.self.conv
    prune.l1_unstructured(convolution, "weight", amount=0.4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(**given, labels=torch.tensor([0, 1])).loss.backward()
        optimizer.step()
    convolution(torch.zeros(1, 3, 2, 4))
    assert ((convolution.weight == 0) == (convolution.weight_mask == 0)).all()


@torch.no_grad()
def test_hooks_see_what_passed_and_keep_it():
    model, kept = small_model(), {}
    layer = model.base_model.encoder.layer[0]

    def keep(name):
        return lambda module, given, output: kept.update({name: (given[0], output, output.clone())})

    layer.attention.self.conv.register_forward_hook(keep("conv"))
    layer.intermediate.dense.register_forward_hook(keep("dense"))
    model(**inputs(2, 13))
    v, convolved, _ = kept["conv"]
    weight = layer.attention.self.conv.weight
    torch.testing.assert_close(convolved, torch.nn.functional.conv2d(v, weight, padding=(2, 0), groups=3))
    assert all(torch.equal(output, copied) for _, output, copied in kept.values())


@torch.no_grad()
def test_an_empty_batch_and_tensors_without_values_pass():
    model = small_model()
    assert model(torch.zeros(0, 13, dtype=torch.long)).logits.shape == (0, 2)
    q = torch.zeros(2, 3, 13, 4, device="meta")
    mask = torch.ones(2, 13, dtype=torch.bool, device="meta")
    assert nystrom_attention(q, q, q, LANDMARKS, mask).shape == q.shape
    assert model.to("meta")(**{name: x.to("meta") for name, x in inputs(2, 13).items()}).logits.shape == (2, 2)


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)


@pytest.mark.filterwarnings("ignore")
def test_the_guide_runs_as_it_stands(tmp_path, monkeypatch):
    for package in ("onnxruntime", "onnxscript", "peft"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names = {"model": small_model(), "given": inputs(2, 13), "AttentionSettings": AttentionSettings}
    first, *others = snippets()
    assert "load_checkpoint" in first  # what the others begin with, here a small model
    for snippet in others:
        exec(compile(snippet, GUIDE.name, "exec"), names)
