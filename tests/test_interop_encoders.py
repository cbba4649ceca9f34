"""Each encoder of transformers either runs landmarks with padding masked or refuses, as docs/encoders.md says."""

import pytest
from tiny_encoders import DOCUMENT, documented, encoder_types, try_all, try_encoder


@pytest.mark.slow
def test_the_table_of_encoders_is_what_they_do():
    assert documented(try_all()) == DOCUMENT.read_text(encoding="utf-8")


def test_the_table_has_every_encoder_that_can_be_built_here():
    text = DOCUMENT.read_text(encoding="utf-8")
    needing_more = {"dinat", "edgetam_vision_model", "layoutlmv2", "timm_backbone", "timm_wrapper"}
    assert {name for name in encoder_types() if f"\n| {name} | " not in text} == needing_more


@pytest.mark.parametrize(
    "name", ["modernbert", "gemma3_text", "layoutlm", "eurobert", "siglip_vision_model", "whisper"]
)
def test_encoders_of_each_kind_run_landmarks(name):
    """Windows in some layers, keys in groups, additive masks, pooling of its own, the encoder of an encoder-decoder."""
    trial = try_encoder(name)
    assert trial.runs
    assert trial.called


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mpnet", "MPNetSelfAttention"),
        ("deberta-v2", "DisentangledSelfAttention"),
        ("wavlm", "WavLMAttention"),
        ("data2vec-vision", "DATA2VEC_VISION_SELF_ATTENTION_CLASSES"),
        ("fnet", "FNetModel has no attention"),
        ("parakeet_ctc", "ParakeetEncoderAttention adds a bias by relative position"),
        ("segformer", "SegformerAttention attends to fewer keys"),
    ],
)
def test_encoders_that_cannot_say_which_layer_and_why(name, layer):
    trial = try_encoder(name)
    assert not trial.runs
    assert layer in trial.refusal
