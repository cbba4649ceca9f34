"""What a call takes: landmarks, masks of other forms, other configurations, longer positions; what it refuses."""

import numpy as np
import pytest
import torch
import transformers
from test_model import SMALL, small_model, token_ids

from nystrom_demo import AttentionSettings, NystromformerConfig, NystromformerForMaskedLM

CHOICES = "NystromformerForMultipleChoice"
MODEL = "NystromformerModel"


def half_padded(ids: torch.Tensor) -> torch.Tensor:
    mask = torch.ones(ids.shape, dtype=torch.long)
    mask[-1, 9:] = 0
    return mask


# Landmarks


@pytest.mark.parametrize("class_name", [MODEL, "NystromformerForMaskedLM", CHOICES])
def test_a_call_may_have_landmarks_of_its_own(class_name):
    model, ids = small_model(class_name, num_landmarks=8), token_ids(class_name)
    other = small_model(class_name, num_landmarks=2)
    torch.testing.assert_close(model(ids, num_landmarks=2)[0], other(ids)[0])
    torch.testing.assert_close(model(ids, attention_settings=AttentionSettings(), num_landmarks=2)[0], other(ids)[0])
    assert model.config.num_landmarks == 8


@pytest.mark.parametrize("class_name", [MODEL, "NystromformerForSequenceClassification", CHOICES])
def test_a_misspelt_argument_is_named(class_name):
    with pytest.raises(TypeError, match="num_landmark'"):
        small_model(class_name)(token_ids(class_name), num_landmark=2)


def test_settings_may_be_a_dictionary_of_their_fields():
    model, ids = small_model(num_landmarks=8), token_ids(MODEL)
    expected = model(ids, attention_settings=AttentionSettings(num_landmarks=2, pinv_iterations=3))[0]
    given = {"num_landmarks": np.int64(2), "pinv_iterations": 3}
    torch.testing.assert_close(model(ids, attention_settings=given)[0], expected)
    with pytest.raises(TypeError, match="landmarks"):
        model(ids, attention_settings={"landmarks": 2})
    with pytest.raises(TypeError, match="attention_settings must be AttentionSettings, got int"):
        model(ids, attention_settings=8)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_landmarks", "8", "num_landmarks must be an integer of at least 1, got '8'"),
        ("num_landmarks", 0, "num_landmarks must be an integer of at least 1, got 0"),
        ("pinv_iterations", "6", "pinv_iterations must be an integer, got '6'"),
        ("pinv_iterations", -1, "pinv_iterations must be at least 0, got -1"),
    ],
)
def test_impossible_numbers_are_refused_by_configuration_and_settings(field, value, message):
    with pytest.raises(ValueError, match=message):
        NystromformerConfig(**{field: value})
    with pytest.raises(ValueError, match=message):
        setattr(NystromformerConfig(), field, value)
    with pytest.raises(ValueError, match=message):
        small_model()(token_ids(MODEL), attention_settings=AttentionSettings(**{field: value}))


def test_an_integer_of_numpy_is_saved_as_a_number():
    config = NystromformerConfig(num_landmarks=np.int64(8))
    assert NystromformerConfig.from_dict(config.to_dict()).num_landmarks == 8
    assert '"num_landmarks": 8' in config.to_json_string()


# Masks


def other_forms(mask: torch.Tensor) -> dict[str, torch.Tensor]:
    keys, seq = mask.bool(), mask.shape[1]
    every = keys[:, None].expand(-1, seq, -1)
    lowest = torch.finfo(torch.float32).min
    return {
        "for every query": every.long(),
        "for real queries": every & keys[:, :, None],
        "for one query": keys[:, None],
        "four axes": keys[:, None, None],
        "four axes, every head and query": every[:, None].expand(-1, 3, -1, -1),
        "additive": torch.zeros(every.shape)[:, None].masked_fill(~every[:, None], lowest),
        "additive, minus infinity": torch.zeros(keys.shape)[:, None, None].masked_fill(
            ~keys[:, None, None], -torch.inf
        ),
        "zero and one": every[:, None].float(),
    }


@pytest.mark.parametrize("form", other_forms(torch.ones(1, 1)))
def test_a_padding_mask_may_have_three_or_four_axes(form):
    model, ids = small_model(num_landmarks=4), token_ids(MODEL)
    mask = half_padded(ids)
    expected = model(ids, attention_mask=mask)[0][mask.bool()]
    torch.testing.assert_close(model(ids, attention_mask=other_forms(mask)[form])[0][mask.bool()], expected)
    unmasked = torch.ones_like(mask)
    torch.testing.assert_close(model(ids, attention_mask=other_forms(unmasked)[form])[0], model(ids)[0])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(16, 16).tril().expand(2, -1, -1), "differs from query to query"),
        (torch.full((2, 1, 1, 16), -0.5), "it may hide, not weigh"),
        (torch.ones(2, 15, 16), r"\(batch, 1 or seq, seq\).*got \(2, 15, 16\)"),
        (torch.ones(2, 1, 16, 15), r"got \(2, 1, 16, 15\)"),
        (torch.ones(16), r"attention_mask must be \(batch, seq\) = \(2, 16\), got \(16,\)"),
    ],
)
def test_masks_that_are_not_of_padding_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        small_model()(token_ids(MODEL), attention_mask=mask)


@pytest.mark.parametrize("num_landmarks", [4, 64])
def test_a_choice_of_padding_alone_has_a_score_and_changes_no_other(num_landmarks):
    model, ids = small_model(CHOICES, num_landmarks=num_landmarks), token_ids(CHOICES)
    mask = torch.ones_like(ids)
    before = model(ids, attention_mask=mask).logits
    mask[1, 2] = 0
    after = model(ids, attention_mask=mask).logits
    assert after.isfinite().all()
    torch.testing.assert_close(after[:, :2], before[:, :2])


# Axes


@pytest.mark.parametrize("shape", [(2, 16), (2, 12), (6, 16)])
def test_a_forgotten_axis_of_choices_is_named(shape):
    with pytest.raises(ValueError, match=r"input_ids must be \(batch, num_choices, seq\), got shape"):
        small_model(CHOICES)(torch.ones(shape, dtype=torch.long))
    with pytest.raises(ValueError, match=r"inputs_embeds must be \(batch, num_choices, seq, hidden_size\), got shape"):
        small_model(CHOICES)(inputs_embeds=torch.ones(*shape, 12))


def test_a_forgotten_axis_of_the_batch_is_named():
    with pytest.raises(ValueError, match=r"input_ids must be \(batch, seq\), got shape \(16,\)"):
        small_model()(torch.ones(16, dtype=torch.long))
    with pytest.raises(ValueError, match=r"inputs_embeds must be \(batch, seq, hidden_size\), got shape \(16, 12\)"):
        small_model()(inputs_embeds=torch.ones(16, 12))
    with pytest.raises(ValueError, match=r"attention_mask must be \(batch, num_choices, seq\) = \(2, 3, 16\), got"):
        small_model(CHOICES)(token_ids(CHOICES), attention_mask=torch.ones(2, 16))


# Configurations


def test_a_configuration_of_transformers_makes_our_model():
    theirs = transformers.NystromformerConfig(**SMALL | {"num_landmarks": 4})
    torch.manual_seed(3)
    model = NystromformerForMaskedLM(theirs).eval()
    assert type(model.config) is NystromformerConfig and model.config is model.base_model.config
    ids = token_ids(MODEL)
    torch.testing.assert_close(model(ids).logits, small_model("NystromformerForMaskedLM", num_landmarks=4)(ids).logits)
    model.set_num_landmarks(16)
    torch.testing.assert_close(model(ids).logits, model(ids, attention_settings=AttentionSettings("sdpa")).logits)


def test_a_configuration_of_another_model_is_refused():
    with pytest.raises(TypeError, match="is made from a NystromformerConfig, got BertConfig"):
        NystromformerForMaskedLM(transformers.BertConfig())


# Longer positions


@pytest.mark.parametrize("method", ["tile", "interpolate"])
@pytest.mark.parametrize("class_name", [MODEL, "NystromformerForMaskedLM"])
def test_a_longer_position_table_takes_longer_texts(class_name, method, tmp_path):
    model = small_model(class_name)
    before = model.get_position_embeddings().weight.detach().clone()
    with pytest.raises(ValueError, match="position table of this model ends at 64"):
        model(token_ids(MODEL, seq=100))
    model.resize_position_embeddings(100, method)
    output = model(token_ids(MODEL, seq=100))[0]
    assert output.shape[:2] == (2, 100) and model.config.max_position_embeddings == 100
    table = model.get_position_embeddings().weight
    assert table.requires_grad and torch.equal(table[:2], before[:2])
    if method == "tile":
        assert torch.equal(table[2:], torch.cat([before[2:], before[2:38]]))
    else:
        torch.testing.assert_close(table[[2, 101]], before[[2, 65]])
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(type(model).from_pretrained(tmp_path).eval()(token_ids(MODEL, seq=100))[0], output)


def test_interpolated_positions_by_hand():
    model = small_model(max_position_embeddings=3)
    with torch.no_grad():
        model.get_position_embeddings().weight[2:] = torch.tensor([0.0, 4.0, 6.0])[:, None]
    model.resize_position_embeddings(5, "interpolate")
    assert model.get_position_embeddings().weight[2:, 0].tolist() == pytest.approx([0, 2, 4, 5, 6])


def test_a_tiled_table_keeps_what_texts_of_the_old_length_give():
    model, ids = small_model(), token_ids(MODEL)
    before = model(ids)[0]
    for length in (200, 64, 16):
        model.resize_position_embeddings(length)
        torch.testing.assert_close(model(ids)[0], before)


def test_impossible_position_tables_are_refused():
    with pytest.raises(ValueError, match="new_num_position_embeddings must be an integer of at least 1, got 0"):
        small_model().resize_position_embeddings(0)
    with pytest.raises(ValueError, match="method must be one of tile, interpolate, got 'zeros'"):
        small_model().resize_position_embeddings(9, "zeros")
