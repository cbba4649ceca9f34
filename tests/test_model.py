"""The model and its heads: parity with transformers' classes, invariances, switching, errors."""

import copy
import subprocess
import sys

import pytest
import torch
import transformers
from transformers.activations import ACT2FN

import nystrom_demo
from nystrom_demo import AttentionSettings, NystromformerConfig, NystromformerForMaskedLM, NystromformerModel
from nystrom_demo.benchmark.measure import peak_bytes
from nystrom_demo.config import EXACT
from nystrom_demo.model import NystromformerIntermediate

SMALL = {
    "vocab_size": 97,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 64,
    "conv_kernel_size": 5,
    "num_labels": 5,
    "initializer_range": 0.5,  # wide weights, so that a wrong step shows
}
CLASSES = [
    "NystromformerModel",
    "NystromformerForMaskedLM",
    "NystromformerForSequenceClassification",
    "NystromformerForTokenClassification",
    "NystromformerForQuestionAnswering",
    "NystromformerForMultipleChoice",
]
HEADS = CLASSES[1:]


def token_ids(class_name: str, batch: int = 2, seq: int = 16, seed: int = 0) -> torch.Tensor:
    shape = (batch, 3, seq) if class_name.endswith("MultipleChoice") else (batch, seq)
    return torch.randint(3, SMALL["vocab_size"], shape, generator=torch.Generator().manual_seed(seed))


def labels(class_name: str) -> dict[str, torch.Tensor]:
    return {
        "NystromformerForMaskedLM": {"labels": token_ids(class_name, seed=1)},
        "NystromformerForSequenceClassification": {"labels": torch.tensor([4, 1])},
        "NystromformerForTokenClassification": {"labels": token_ids(class_name, seed=1) % 5},
        "NystromformerForQuestionAnswering": {
            "start_positions": torch.tensor([3, 99]),
            "end_positions": torch.tensor([7, 99]),
        },
        "NystromformerForMultipleChoice": {"labels": torch.tensor([2, 0])},
    }[class_name]


def pair(class_name: str, folder, **config):
    """transformers' model of random weights, and ours loaded from its checkpoint."""
    torch.manual_seed(3)
    theirs = getattr(transformers, class_name)(transformers.NystromformerConfig(**SMALL | config)).eval()
    theirs.save_pretrained(folder)
    ours = getattr(nystrom_demo, class_name).from_pretrained(folder).eval()
    return theirs, ours


def zero_convolutions(model) -> None:
    for name, parameter in model.named_parameters():
        if "conv" in name:
            torch.nn.init.zeros_(parameter)


def small_model(class_name: str = "NystromformerModel", **config):
    torch.manual_seed(3)
    return getattr(nystrom_demo, class_name)(NystromformerConfig(**SMALL | config)).eval()


# Parity with transformers


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_exact_attention_gives_the_numbers_of_transformers(class_name, implementation, tmp_path):
    theirs, ours = pair(class_name, tmp_path)
    ours.set_attn_implementation(implementation)
    inputs = {"input_ids": token_ids(class_name), "token_type_ids": token_ids(class_name, seed=2) % 2}
    inputs |= {} if class_name == "NystromformerModel" else labels(class_name)
    for actual, expected in zip(ours(**inputs).to_tuple(), theirs(**inputs).to_tuple(), strict=True):
        scale = max(1.0, expected.abs().max().item())  # the wide weights make logits far from 1
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_mask_gives_the_numbers_of_transformers_on_real_tokens(class_name, tmp_path):
    theirs, ours = pair(class_name, tmp_path)
    zero_convolutions(theirs)  # transformers' convolution reads the padding
    zero_convolutions(ours)
    ids = token_ids(class_name)
    mask = torch.ones_like(ids)
    mask[1, ..., 11:] = 0
    actual = ours(ids, attention_mask=mask, attention_settings=EXACT)[0]
    expected = theirs(ids, attention_mask=mask)[0]
    if actual.shape[:2] == mask.shape:
        actual, expected = actual[mask.bool()], expected[mask.bool()]
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("class_name", CLASSES)
def test_landmarks_give_the_numbers_of_transformers_where_its_landmarks_run(class_name, tmp_path):
    theirs, ours = pair(class_name, tmp_path, num_landmarks=4, segment_means_seq_len=16)
    # One text at a time: transformers' first estimate of the pseudo-inverse depends on the whole batch.
    ids = token_ids(class_name, batch=1)[:, :1] if class_name.endswith("Choice") else token_ids(class_name, batch=1)
    torch.testing.assert_close(ours(ids)[0], theirs(ids)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_checkpoint_goes_there_and_back_unchanged(class_name, tmp_path):
    theirs, ours = pair(class_name, tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    again = getattr(transformers, class_name).from_pretrained(tmp_path / "ours").state_dict()
    expected = theirs.state_dict()
    assert list(again) == list(expected)
    assert all(torch.equal(again[name], expected[name]) for name in expected)


@pytest.mark.parametrize("class_name", CLASSES)
def test_tuples_come_in_the_order_of_transformers(class_name, tmp_path):
    theirs, ours = pair(class_name, tmp_path)
    inputs = {"input_ids": token_ids(class_name), "output_hidden_states": True, "output_attentions": True}
    ours_out, theirs_out = ours(**inputs, return_dict=False), theirs(**inputs, return_dict=False)
    assert [type(x) for x in ours_out] == [type(x) for x in theirs_out]
    assert list(ours(**inputs)) == [key for key in theirs(**inputs) if key != "cross_attentions"]


# Which attention, how many landmarks


def test_landmarks_are_the_default_and_change_the_output():
    model = small_model(num_landmarks=4)
    ids = token_ids("NystromformerModel")
    assert model.config._attn_implementation == "nystrom"
    assert not torch.allclose(model(ids)[0], model(ids, attention_settings=EXACT)[0], atol=1e-3)


def test_set_num_landmarks_takes_effect_at_the_next_call():
    model = small_model("NystromformerForMaskedLM", num_landmarks=4)
    ids = token_ids("NystromformerForMaskedLM")
    exact = model(ids, attention_settings=EXACT).logits
    model.set_num_landmarks(16)
    torch.testing.assert_close(model(ids).logits, exact, rtol=1e-5, atol=1e-5)
    model.config.num_landmarks = 2
    assert not torch.allclose(model(ids).logits, exact, atol=1e-3)


def test_settings_of_one_call_leave_the_model_as_it_was():
    model = small_model(num_landmarks=4)
    ids = token_ids("NystromformerModel")
    before = model(ids)[0]
    assert not torch.equal(model(ids, attention_settings=AttentionSettings(num_landmarks=2))[0], before)
    assert torch.equal(model(ids)[0], before)
    assert AttentionSettings.from_config(model.config).num_landmarks == 4


def test_pseudo_inverse_settings_come_from_the_configuration():
    model = small_model(num_landmarks=4)
    ids = token_ids("NystromformerModel")
    before = model(ids)[0]
    model.config.pinv_iterations = 1
    assert not torch.allclose(model(ids)[0], before)
    model.config.pinv_iterations, model.config.inv_coeff_init_option = 6, True
    assert not torch.allclose(model(ids)[0], before)


@pytest.mark.parametrize("settings", [EXACT, AttentionSettings("eager"), AttentionSettings(num_landmarks=4)])
def test_asking_for_maps_gives_one_a_layer_and_leaves_the_output(settings):
    model = small_model()
    ids = token_ids("NystromformerModel", seq=13)
    with_maps = model(ids, attention_settings=settings, output_attentions=True)
    torch.testing.assert_close(with_maps[0], model(ids, attention_settings=settings)[0], rtol=1e-5, atol=1e-5)
    assert [tuple(attention.shape) for attention in with_maps.attentions] == [(2, 3, 13, 13)] * 2
    if settings.implementation != "nystrom":
        torch.testing.assert_close(with_maps.attentions[0].sum(-1), torch.ones(2, 3, 13))


# Invariances


@pytest.mark.parametrize("settings", [EXACT, AttentionSettings(num_landmarks=4), AttentionSettings(num_landmarks=9)])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_does_not_depend_on_padding_or_batch_mates(settings, side):
    model = small_model()
    short, long = token_ids("NystromformerModel", 1, 9), token_ids("NystromformerModel", 1, 20, seed=5)
    alone = model(short, attention_settings=settings)[0][0]
    for content in (1, 50):
        row = torch.full((1, 20), content)
        place = slice(11, 20) if side == "left" else slice(0, 9)
        row[:, place] = short
        mask = torch.zeros(1, 20, dtype=torch.long)
        mask[:, place] = 1
        batch, batch_mask = torch.cat([long, row]), torch.cat([torch.ones_like(mask), mask])
        together = model(batch, attention_mask=batch_mask, attention_settings=settings)[0][1, place]
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_inputs_embeds_and_position_ids_say_what_input_ids_do():
    model = small_model(num_landmarks=4)
    ids = token_ids("NystromformerModel")
    embeds = model.get_input_embeddings()(ids)
    positions = torch.arange(16)[None] + 2  # the table's first two rows are unused
    torch.testing.assert_close(model(inputs_embeds=embeds, position_ids=positions)[0], model(ids)[0])


# Losses, training, other uses of transformers


@pytest.mark.parametrize("class_name", HEADS)
def test_every_parameter_gets_a_gradient(class_name):
    model = small_model(class_name, num_landmarks=4).train()
    model(token_ids(class_name), **labels(class_name)).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("class_name", HEADS)
def test_gradient_checkpointing_gives_the_same_gradients(class_name):
    plain = small_model(class_name, num_landmarks=4, hidden_dropout_prob=0.0).train()
    checkpointed = copy.deepcopy(plain)
    checkpointed.gradient_checkpointing_enable()
    for model in (plain, checkpointed):
        model(token_ids(class_name), **labels(class_name)).loss.backward()
    for a, b in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(
    ("num_labels", "target", "problem"),
    [
        (1, torch.tensor([0.5, 2.0]), "regression"),
        (5, torch.tensor([1, 4]), "single_label_classification"),
        (5, torch.tensor([[1.0, 0, 0, 1, 0], [0.0, 0, 1, 0, 0]]), "multi_label_classification"),
    ],
)
def test_the_problem_type_follows_from_the_labels_as_in_transformers(num_labels, target, problem, tmp_path):
    theirs, ours = pair("NystromformerForSequenceClassification", tmp_path, num_labels=num_labels)
    ids = token_ids("NystromformerForSequenceClassification")
    loss = ours(ids, labels=target, attention_settings=EXACT).loss
    assert ours.config.problem_type == problem
    torch.testing.assert_close(loss, theirs(ids, labels=target).loss)


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
def test_an_activation_is_the_same_with_and_without_gradients(hidden_act):
    layer = NystromformerIntermediate(NystromformerConfig(hidden_size=6, intermediate_size=10, hidden_act=hidden_act))
    x = torch.randn(2, 3, 6)
    with torch.no_grad():
        assert torch.equal(layer(x), layer.intermediate_act_fn(layer.dense(x)))
    torch.testing.assert_close(layer(x), ACT2FN[hidden_act](layer.dense(x)), rtol=1e-5, atol=1e-6)
    layer(x).sum().backward()
    assert layer.dense.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_without_gradients_the_widest_tensor_is_held_once():
    layer = NystromformerIntermediate(NystromformerConfig(hidden_size=2, intermediate_size=1_000))
    x = torch.randn(1, 50, 2)
    wide = 50 * 1_000 * x.itemsize
    assert wide <= peak_bytes(lambda: layer(x), x.device) < 1.5 * wide


def test_the_decoder_is_tied_to_the_embeddings_also_after_a_resize():
    model = small_model("NystromformerForMaskedLM")
    model.resize_token_embeddings(101)
    predictions = model.cls.predictions
    assert predictions.decoder.weight is model.get_input_embeddings().weight
    assert predictions.decoder.bias is predictions.bias
    assert model(token_ids("NystromformerForMaskedLM")).logits.shape == (2, 16, 101)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_model_runs_in_other_dtypes(dtype):
    model = small_model(num_landmarks=4, initializer_range=0.1).to(dtype)
    ids = token_ids("NystromformerModel")
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    output = model(ids, attention_mask=mask)[0]
    assert output.dtype == dtype
    assert output.isfinite().all()


def test_auto_classes_build_this_package(tmp_path):
    small_model("NystromformerForMaskedLM").save_pretrained(tmp_path)
    assert type(transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)) is NystromformerForMaskedLM
    assert type(transformers.AutoModel.from_pretrained(tmp_path)) is NystromformerModel
    assert type(transformers.AutoConfig.from_pretrained(tmp_path)) is NystromformerConfig


def test_the_model_exports_and_compiles_in_one_graph():
    model = small_model(num_landmarks=4)
    ids = token_ids("NystromformerModel", 1)
    exported = torch.export.export(model, (ids,), strict=False).module()
    torch.testing.assert_close(exported(ids)[0], model(ids)[0])
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids)[0], model(ids)[0])


def test_importing_the_package_imports_no_user_interface():
    code = "import sys, nystrom_demo; print(*sorted({'gradio', 'plotly', 'matplotlib', 'pandas'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


# Errors


def test_a_text_longer_than_the_position_table_is_refused():
    with pytest.raises(ValueError, match="text is 65 tokens long, but the position table of this model ends at 64"):
        small_model()(token_ids("NystromformerModel", 1, 65))


def test_a_mask_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"attention_mask must be \(batch, seq\) = \(2, 16\), got \(2, 15\)"):
        small_model()(token_ids("NystromformerModel"), attention_mask=torch.ones(2, 15))


def test_a_text_of_padding_alone_is_refused():
    with pytest.raises(ValueError, match="at least one real token a row, got none in row 1"):
        mask = torch.ones(2, 16)
        mask[1] = 0
        small_model()(token_ids("NystromformerModel"), attention_mask=mask)


def test_both_or_neither_of_ids_and_embeddings_are_refused():
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        small_model()()
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        small_model("NystromformerForMultipleChoice")()


@pytest.mark.parametrize("num_landmarks", [0, -3, 2.5, True, None])
def test_impossible_landmark_numbers_are_refused(num_landmarks):
    with pytest.raises(ValueError, match=f"num_landmarks must be an integer of at least 1, got {num_landmarks}"):
        small_model().set_num_landmarks(num_landmarks)


def test_a_head_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be a multiple of num_attention_heads, got 12 and 5"):
        small_model(num_attention_heads=5)


@pytest.mark.parametrize("kernel", [0, 4])
def test_an_even_convolution_kernel_is_refused(kernel):
    with pytest.raises(ValueError, match=f"conv_kernel_size must be an odd number or None, got {kernel}"):
        small_model(conv_kernel_size=kernel)


def test_an_unknown_attention_is_refused():
    with pytest.raises(ValueError, match=r'`attn_implementation="flash_attention_9"` is not supported.*nystrom, sdpa'):
        small_model().set_attn_implementation("flash_attention_9")


def test_settings_of_an_unknown_attention_are_refused():
    settings = AttentionSettings("nyström", 8)
    words = "implementation of attention_settings must be one of nystrom, sdpa, eager, got 'nyström'"
    with pytest.raises(ValueError, match=words):
        small_model()(token_ids("NystromformerModel"), attention_settings=settings)


def test_trainer_divides_the_loss_by_its_steps_of_accumulation(tmp_path):
    model = small_model("NystromformerForSequenceClassification")
    trainer = transformers.Trainer(model, transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to=[]))
    assert trainer.model_accepts_loss_kwargs is False


def test_values_of_another_shape_than_the_scores_are_refused():
    model = small_model("NystromformerForSequenceClassification", num_labels=3, problem_type="regression")
    with pytest.raises(ValueError, match=r"labels must be \(batch, num_labels\) = \(2, 3\), got \(3, 2\)"):
        model(token_ids("NystromformerForSequenceClassification"), labels=torch.zeros(3, 2))
