"""Landmark attention inside transformers' own encoders."""

import pytest
import torch
import transformers

from nystrom_demo import register_attention

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
