"""Landmark attention inside transformers' own encoders."""

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from nystrom_demo import NystromformerConfig, NystromformerModel, Support, register_attention, supports_nystrom

register_attention()

SMALL = {"vocab_size": 97, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 29}
TEXT_CONFIGS = {
    "bert": transformers.BertConfig(**SMALL),
    "roberta": transformers.RobertaConfig(**SMALL),
    "electra": transformers.ElectraConfig(**SMALL, embedding_size=12),
    "distilbert": transformers.DistilBertConfig(vocab_size=97, dim=12, n_layers=2, n_heads=3, hidden_dim=29),
}


def saved_model(config, folder):
    torch.manual_seed(0)
    config.initializer_range = 0.5
    model = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def text_inputs() -> dict[str, torch.Tensor]:
    ids = torch.randint(3, 97, (2, 17), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("name", TEXT_CONFIGS)
def test_text_encoders_run_landmark_attention(name, tmp_path):
    exact = saved_model(TEXT_CONFIGS[name], tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="nystrom").eval()
    inputs = text_inputs()
    real = inputs["attention_mask"].bool()
    expected = exact(**inputs)[0][real]

    model.config.num_landmarks = 4
    landmarks = model(**inputs)[0][real]
    assert not torch.allclose(landmarks, expected, atol=1e-3)

    model.config.num_landmarks = 17
    torch.testing.assert_close(model(**inputs)[0][real], expected, rtol=1e-4, atol=1e-5)

    model.config.num_landmarks = 4
    model.set_attn_implementation("sdpa")
    torch.testing.assert_close(model(**inputs)[0][real], expected, rtol=1e-5, atol=1e-5)
    model.set_attn_implementation("nystrom")
    torch.testing.assert_close(model(**inputs)[0][real], landmarks)


@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "distilbert"])
def test_a_text_does_not_depend_on_its_batch_mates(name, tmp_path):
    saved_model(TEXT_CONFIGS[name], tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="nystrom").eval()
    model.config.num_landmarks = 4
    inputs = text_inputs()
    alone = model(inputs["input_ids"][1:, :9])[0][0]
    torch.testing.assert_close(model(**inputs)[0][1, :9], alone, rtol=1e-5, atol=1e-5)


def test_vision_encoders_run_landmark_attention(tmp_path):
    config = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=29, image_size=12, patch_size=3
    )
    exact = saved_model(config, tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="nystrom").eval()
    pixels = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    model.config.num_landmarks = 4
    assert not torch.allclose(model(pixels)[0], exact(pixels)[0], atol=1e-3)
    model.config.num_landmarks = 17  # 16 patches and the class token
    torch.testing.assert_close(model(pixels)[0], exact(pixels)[0], rtol=1e-4, atol=1e-5)


def test_maps_are_given_where_they_are_asked_for(tmp_path):
    saved_model(TEXT_CONFIGS["bert"], tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="nystrom").eval()
    model.config.num_landmarks = 4
    attentions = model(**text_inputs(), output_attentions=True).attentions
    assert [tuple(attention.shape) for attention in attentions] == [(2, 3, 17, 17)] * 2


def test_the_configuration_sets_steps_and_first_estimate(tmp_path):
    saved_model(TEXT_CONFIGS["bert"], tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="nystrom").eval()
    model.config.num_landmarks = 4
    before = model(**text_inputs())[0]
    model.config.pinv_iterations = 1
    assert not torch.allclose(model(**text_inputs())[0], before)


@pytest.mark.parametrize(
    "config",
    [
        transformers.GPT2Config(vocab_size=97, n_embd=12, n_layer=1, n_head=3, n_positions=32),
        transformers.LlamaConfig(**SMALL),
        transformers.BertConfig(**SMALL, is_decoder=True),
    ],
    ids=["gpt2", "llama", "bert-decoder"],
)
def test_decoders_are_refused(config):
    model = transformers.AutoModel.from_config(config, attn_implementation="nystrom")
    with pytest.raises(ValueError, match=r"is for encoders: .* a causal model would see the future"):
        model(text_inputs()["input_ids"])


def test_masks_that_differ_from_query_to_query_are_refused():
    model = transformers.AutoModel.from_config(TEXT_CONFIGS["bert"], attn_implementation="nystrom")
    with pytest.raises(ValueError, match=r"padding mask \(batch, 1, 1, seq\) = \(2, 1, 1, 17\), got .*17, 17\)"):
        model(text_inputs()["input_ids"], attention_mask=torch.ones(2, 1, 17, 17, dtype=torch.bool).tril())


def loaded(config, folder, **options):
    saved_model(config, folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="nystrom", **options).eval()
    model.config.num_landmarks = 4
    return model


def test_maps_can_be_asked_for_at_loading(tmp_path):
    """The configurations' classes were made before `register_attention`, and each keeps its checks from then."""
    model = loaded(TEXT_CONFIGS["bert"], tmp_path, output_attentions=True)
    output = model(**text_inputs())
    torch.testing.assert_close(output.attentions, model(**text_inputs(), output_attentions=True).attentions)
    with pytest.raises(StrictDataclassError, match="not supported when using the `attn_implementation` set to sdpa"):
        transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="sdpa", output_attentions=True)


def test_landmarks_can_be_given_to_a_call(tmp_path):
    model = loaded(TEXT_CONFIGS["bert"], tmp_path)
    four = model(**text_inputs())[0]
    seven = model(**text_inputs(), num_landmarks=7)[0]
    assert not torch.allclose(seven, four, atol=1e-3)
    torch.testing.assert_close(model(**text_inputs())[0], four)
    model.config.num_landmarks = 7
    torch.testing.assert_close(model(**text_inputs())[0], seven)


def test_keys_are_repeated_for_the_heads_that_share_them():
    config = transformers.EuroBertConfig(**SMALL | {"hidden_size": 24, "num_attention_heads": 4, "pad_token_id": 1})
    config.num_key_value_heads, config.head_dim = 2, 6
    torch.manual_seed(0)
    model = transformers.EuroBertModel(config).eval()
    expected = model(**text_inputs())[0][text_inputs()["attention_mask"].bool()]
    model.set_attn_implementation("nystrom")
    model.config.num_landmarks = 17
    found = model(**text_inputs())[0][text_inputs()["attention_mask"].bool()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("low", [torch.finfo(torch.float32).min, -torch.inf, -10_000.0])
@pytest.mark.parametrize("queries", [1, 17])
def test_numbers_to_add_are_a_padding_mask_where_every_query_has_the_same(low, queries, tmp_path):
    model = loaded(TEXT_CONFIGS["bert"], tmp_path)
    inputs = text_inputs()
    real = inputs["attention_mask"].bool()
    mask = torch.zeros(2, 1, queries, 17).masked_fill(~real[:, None, None], low)
    torch.testing.assert_close(model(inputs["input_ids"], mask)[0][real], model(**inputs)[0][real])


def test_a_bias_to_the_scores_is_no_padding_mask(tmp_path):
    model = loaded(TEXT_CONFIGS["bert"], tmp_path)
    with pytest.raises(ValueError, match=r"needs a padding mask .*, got a bias to the scores"):
        model(text_inputs()["input_ids"], torch.linspace(-1, 0, 34).view(2, 1, 1, 17))


def test_local_layers_keep_their_windows():
    """A ModernBERT whose layers are all local is itself; one global layer among them is landmarks."""
    sizes = SMALL | {"hidden_size": 24, "local_attention": 4, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    sizes |= {"cls_token_id": 0, "sep_token_id": 2}
    for layers, same in ((["sliding_attention"] * 2, True), (["full_attention", "sliding_attention"], False)):
        torch.manual_seed(0)
        model = transformers.ModernBertModel(transformers.ModernBertConfig(**sizes, layer_types=layers)).eval()
        real = text_inputs()["attention_mask"].bool()
        expected = model(**text_inputs())[0][real]
        model.set_attn_implementation("nystrom")
        model.config.num_landmarks = 4
        assert torch.allclose(model(**text_inputs())[0][real], expected, atol=1e-5) == same
        maps = model(**text_inputs(), output_attentions=True).attentions
        assert not maps[1][0, 0, 0, 3:].any()


def test_a_model_that_keeps_its_own_attention_is_refused_when_loaded_and_when_switched(tmp_path):
    config = transformers.MPNetConfig(**SMALL)
    model = saved_model(config, tmp_path)
    said = (
        r'^attn_implementation="nystrom" cannot be used here: MPNetSelfAttention in MPNetModel computes its attention'
    )
    with pytest.raises(ValueError, match=said):
        transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="nystrom")
    with pytest.raises(ValueError, match=said):
        transformers.AutoModel.from_config(transformers.MPNetConfig(**SMALL), attn_implementation="nystrom")
    with pytest.raises(ValueError, match=said):
        model.set_attn_implementation("nystrom")
    assert model.config._attn_implementation != "nystrom"


def test_one_part_of_a_model_can_be_given_landmarks():
    text = SMALL | {"max_position_embeddings": 32}
    vision = SMALL | {"image_size": 12, "patch_size": 3}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
    model = transformers.CLIPModel(config).eval()
    assert not supports_nystrom(model)
    model.set_attn_implementation({"vision_config": "nystrom", "text_config": "sdpa"})
    model.config.vision_config.num_landmarks = 4
    pixels = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    images = model(text_inputs()["input_ids"], pixels).image_embeds
    model.set_attn_implementation("sdpa")
    assert not torch.allclose(model(text_inputs()["input_ids"], pixels).image_embeds, images, atol=1e-6)


def test_support_says_why_not():
    assert supports_nystrom(TEXT_CONFIGS["bert"]) == Support(True, "")
    causal = supports_nystrom(transformers.LlamaConfig(**SMALL))
    assert not causal
    assert causal.reason == "LlamaAttention is causal, and landmarks are means over the whole text."
    assert (
        "T5Attention adds a position_bias"
        in supports_nystrom(
            transformers.T5EncoderModel(
                transformers.T5Config(vocab_size=97, d_model=12, d_kv=4, d_ff=29, num_layers=1, num_heads=3)
            )
        ).reason
    )
    assert supports_nystrom(NystromformerConfig(**SMALL))


def test_a_layer_that_asks_for_no_implementation_masks_padding_with_the_mask_of_nystrom():
    """Whoever sets the implementation behind transformers' back gets exact attention, but no padding in it."""
    model = transformers.MPNetModel(transformers.MPNetConfig(**SMALL)).eval()
    expected = model(**text_inputs())[0][1, :9]
    model.config._attn_implementation = "nystrom"
    torch.testing.assert_close(model(**text_inputs())[0][1, :9], expected)


@pytest.mark.parametrize("auto_class", ["AutoModel", "AutoModelForTextEncoding"])
@pytest.mark.parametrize("config_class", [NystromformerConfig, transformers.NystromformerConfig])
def test_base_models_of_every_auto_class_are_ours(auto_class, config_class):
    model = getattr(transformers, auto_class).from_config(config_class(**SMALL))
    assert type(model) is NystromformerModel


def test_no_auto_class_knows_another_nystromformer():
    classes = [getattr(transformers, name) for name in dir(transformers) if name.startswith("AutoModel")]
    mappings = [each._model_mapping for each in classes if each._model_mapping is not None]
    known = [
        mapping[transformers.NystromformerConfig] for mapping in mappings if transformers.NystromformerConfig in mapping
    ]
    assert len(known) == 7
    assert all(model_class.__module__.startswith("nystrom_demo.") for model_class in known)


def test_an_encoder_under_landmarks_exports_with_any_batch_and_length(tmp_path):
    model = loaded(transformers.BertConfig(**SMALL | {"num_hidden_layers": 1}), tmp_path)
    axes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("seq", min=5, max=64)}
    given = text_inputs()
    with torch.no_grad():
        program = torch.export.export(model, (), given, dynamic_shapes=dict.fromkeys(given, axes), strict=False)
        ids, mask = torch.randint(3, 97, (3, 31)), torch.ones(3, 31, dtype=torch.long)
        mask[2, 12:] = 0
        found = program.module()(input_ids=ids, attention_mask=mask)[0][mask.bool()]
        torch.testing.assert_close(found, model(ids, mask)[0][mask.bool()], rtol=1e-5, atol=1e-5)
        mask[2, 12:] = 1  # and padding is still read where the example had some
        whole = program.module()(input_ids=ids, attention_mask=mask)[0]
        torch.testing.assert_close(whole, model(ids, mask)[0], rtol=1e-5, atol=1e-5)
