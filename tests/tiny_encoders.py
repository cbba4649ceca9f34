"""Every encoder of transformers, built tiny and tried under "nystrom"; the table of docs/encoders.md is made of it.

`python tests/tiny_encoders.py` writes the table anew.
"""

import inspect
import sys
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it also runs as a command

from nystrom_demo import register_attention, supports_nystrom

register_attention()

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "encoders.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"
KINDS = """MASKED_LM TEXT_ENCODING SEQUENCE_CLASSIFICATION TOKEN_CLASSIFICATION QUESTION_ANSWERING MULTIPLE_CHOICE
TABLE_QUESTION_ANSWERING VISUAL_QUESTION_ANSWERING IMAGE_CLASSIFICATION ZERO_SHOT_IMAGE_CLASSIFICATION
VIDEO_CLASSIFICATION AUDIO_CLASSIFICATION CTC MASKED_IMAGE_MODELING PRETRAINING BACKBONE"""
TEXT, REAL = 17, 9  # tokens of the longer and of the shorter text

_SIZES = {
    8: "head_dim d_kv patch_size attention_head_size",
    32: "hidden_size d_model dim embed_dim embedding_size projection_dim image_size encoder_hidden_size "
    "decoder_hidden_size true_hidden_size intra_bottleneck_size",
    2: "num_hidden_layers n_layers n_layer num_layers encoder_layers decoder_layers num_decoder_layers "
    "decoder_num_hidden_layers num_key_value_heads tubelet_size num_conv_pos_embedding_groups num_feat_extract_layers "
    "num_experts",
    4: "num_attention_heads n_heads n_head num_heads encoder_attention_heads decoder_attention_heads "
    "decoder_num_attention_heads num_frames",
    40: "intermediate_size hidden_dim ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff decoder_intermediate_size",
    99: "vocab_size",
    64: "max_position_embeddings",
    16: "num_conv_pos_embeddings",
}
_SMALL = {name: size for size, names in _SIZES.items() for name in names.split()}
_SMALL |= {"conv_dim": (16, 16), "conv_stride": (5, 4), "conv_kernel": (10, 4)}
_TOKENS = ("pad", "bos", "eos", "cls", "sep", "mask", "decoder_start")
_OWN_SIZES = {
    "align_vision_model": {"width_coefficient": 0.2, "depth_coefficient": 0.2, "hidden_dim": 256},
    "audio-spectrogram-transformer": {"max_length": 128, "num_mel_bins": 64, "patch_size": 16},
    "esm": {"vocab_size": 99, "pad_token_id": 1, "emb_layer_norm_before": False},
    "esmc": {"num_key_value_heads": 4},
    "gemma3_text": {
        "use_bidirectional_attention": True,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "funnel": {"architectures": ["FunnelBaseModel"]},
    "granite_speech5_encoder": {"context_size": 32},
    "luke": {"entity_vocab_size": 30, "entity_emb_size": 16},
    "mobilebert": {"num_attention_heads": 4, "intra_bottleneck_size": 32, "true_hidden_size": 32, "embedding_size": 32},
    "modernbert": {"local_attention": 8},
    "neomme": {"head_dim": 16},
    "reformer": {"axial_pos_embds": False},
    "roc_bert": {"shape_vocab_size": 30, "pronunciation_vocab_size": 30},
    "swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2]},
    "ultrabert": {"num_hidden_layers": 4},
    "vjepa2": {"crop_size": 32, "pred_hidden_size": 32, "pred_num_hidden_layers": 1, "pred_num_attention_heads": 4},
    "whisper": {"max_source_positions": 32},
    "xmod": {"default_language": "en_XX"},
}
_BY_DEFAULT = {
    "funnel",
    "donut-swin",
    "swin",
    "swinv2",
    "maskformer-swin",
    "segformer",
    "align_vision_model",
}  # sizes of stages, small enough


class Trial(NamedTuple):
    """What an encoder did: the class that was built, whether it runs landmarks, else why not.

    called: whether it was called, or, where none of our inputs suit it, told from its code alone.
    """

    name: str
    runs: bool
    refusal: str
    called: bool


def encoder_types() -> list[str]:
    """The model types of transformers that encode a whole input: those with a head that reads one, but for decoders."""
    names = {kind: set(getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES")) for kind in KINDS.split()}
    decoders = {*modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}
    parts = {name for name in modeling_auto.MODEL_MAPPING_NAMES if name.endswith(("_vision_model", "_text_model"))}
    found = set().union(*names.values(), parts, {"dpr"}) - (decoders - names["MASKED_LM"]) | {"gemma3_text", "whisper"}
    return sorted(found & set(modeling_auto.MODEL_MAPPING_NAMES) - {"nystromformer"})


def tiny_config(config_class: type[PreTrainedConfig]) -> PreTrainedConfig:
    """A configuration of two narrow layers."""
    default = config_class()
    values = default.to_dict()
    changed = {}
    if config_class.model_type not in _BY_DEFAULT:
        changed = {
            key: small
            for key, small in _SMALL.items()
            if isinstance(values.get(key), int | list | tuple)
            and isinstance(values[key], int) == isinstance(small, int)
        }
    for place, token in enumerate(_TOKENS):
        if isinstance(values.get(f"{token}_token_id"), int) and values[f"{token}_token_id"] > 90:
            changed[f"{token}_token_id"] = place
    for part in config_class.sub_configs:
        if isinstance(getattr(default, part, None), PreTrainedConfig):
            changed[part] = tiny_config(type(getattr(default, part)))
    return config_class(**changed | _OWN_SIZES.get(config_class.model_type, {}))


def tiny_model(model_type: str, implementation: str) -> PreTrainedModel:
    """The base model of the type, of an encoder-decoder its encoder, with weights that tell attentions apart."""
    torch.manual_seed(0)
    config = tiny_config(CONFIG_MAPPING[model_type])
    model = AutoModel.from_config(config, attn_implementation=implementation).eval()
    if config.is_encoder_decoder and isinstance(model.get_encoder(), PreTrainedModel):
        model = model.get_encoder()
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.is_meta:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def possible_inputs(model: PreTrainedModel) -> list[dict[str, torch.Tensor]]:
    """Inputs that a model of any kind may take, the shorter of two padded where its kind has padding."""
    drawn = torch.Generator().manual_seed(0)
    takes = inspect.signature(model.forward).parameters
    size = getattr(model.config, "image_size", 32)
    side = size if isinstance(size, int) else size[0]
    image = torch.randn(2, getattr(model.config, "num_channels", 3), side, side, generator=drawn)
    text = {"input_ids": torch.randint(5, 90, (2, TEXT), generator=drawn), "attention_mask": padded(TEXT, REAL)}
    video = torch.randn(2, 4, 3, side, side, generator=drawn)
    sound = {"input_values": torch.randn(2, 1280, generator=drawn), "attention_mask": padded(1280, 700)}
    candidates = [
        text,
        text | {"bbox": torch.zeros(2, TEXT, 4, dtype=torch.long)},
        {"pixel_values": image},
        {"pixel_values": video},
        text | {"pixel_values": image},
        {"pixel_values_videos": video},
        sound,
        {"input_values": torch.randn(2, 128, 64, generator=drawn)},
    ]
    for bands in (80, 128, 160):
        spectrum = {"input_features": torch.randn(2, 64, bands, generator=drawn), "attention_mask": padded(64, 32)}
        candidates += [spectrum, {"input_features": torch.randn(2, bands, 64, generator=drawn)}]
    return [inputs for inputs in candidates if inputs.keys() - {"attention_mask"} <= takes.keys()]


def padded(seq: int, real: int) -> torch.Tensor:
    mask = torch.ones(2, seq, dtype=torch.long)
    mask[1, real:] = 0
    return mask


def states(model: PreTrainedModel, inputs: dict[str, torch.Tensor], num_landmarks: int | None = None) -> torch.Tensor:
    """The model's first output, of real tokens alone where it has one for each token of a padded input."""
    for module in model.modules():
        if num_landmarks is not None and isinstance(getattr(module, "config", None), PreTrainedConfig):
            module.config.num_landmarks = num_landmarks
    torch.manual_seed(0)  # some encoders hide parts of an image that they draw
    with torch.no_grad():
        output = model(**inputs)
    output = output.get("last_hidden_state", output[0])
    mask = inputs.get("attention_mask")
    return output if mask is None or mask.shape != output.shape[:2] else output[mask.bool()]


def with_other_padding(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if "input_ids" not in inputs:
        return inputs
    return inputs | {"input_ids": inputs["input_ids"].where(inputs["attention_mask"].bool(), 91)}


def fitting_inputs(model: PreTrainedModel) -> dict[str, torch.Tensor] | None:
    """The first of the possible inputs that the exact model takes."""
    for inputs in possible_inputs(model):
        try:
            if torch.is_tensor(states(model, inputs)):
                return inputs
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            continue
    return None


def try_encoder(model_type: str) -> Trial:
    """What the encoder does under "nystrom". AssertionError where it is neither right nor refused, or not foretold."""
    try:
        with torch.device("meta"):
            name = type(tiny_model(model_type, "nystrom")).__name__
    except ValueError as refusal:
        if "nystrom" not in str(refusal):
            raise
        with torch.device("meta"):
            model = tiny_model(model_type, "eager")
        assert not supports_nystrom(model), model_type
        return Trial(type(model).__name__, False, str(refusal).partition(": ")[2], True)
    model = tiny_model(model_type, "eager")
    foretold = supports_nystrom(model)
    inputs = fitting_inputs(model)
    if inputs is None:
        return Trial(name, bool(foretold), foretold.reason, False)
    exact = states(model, inputs)
    other = with_other_padding(inputs)
    masks_padding = torch.allclose(states(model, other), exact, rtol=1e-4, atol=1e-4)
    model.set_attn_implementation("nystrom")
    try:
        full = states(model, inputs, 10_000)
    except ValueError as refusal:
        assert not foretold, f"{model_type}: {refusal}"
        return Trial(name, False, foretold.reason, True)
    assert foretold, f"{model_type} runs: {foretold.reason}"
    torch.testing.assert_close(full, exact, rtol=1e-3, atol=1e-3, msg=model_type)
    landmarks = states(model, inputs, 3)
    assert not torch.equal(landmarks, full), f"{model_type} is quietly exact"
    if masks_padding:  # a few encoders mix a token with its neighbours, whatever their attention
        torch.testing.assert_close(states(model, other), landmarks, rtol=1e-4, atol=1e-4, msg=model_type)
    return Trial(name, True, "", True)


def table(trials: dict[str, Trial]) -> str:
    lines = ["| model type | class | landmarks |", "| --- | --- | --- |"]
    for model_type, trial in trials.items():
        verdict = "yes" if trial.runs else f"no: {trial.refusal}"
        lines.append(f"| {model_type} | {trial.name} | {verdict if trial.called else f'{verdict} (from its code)'} |")
    return "\n".join(lines) + "\n"


def try_all() -> dict[str, Trial]:
    """Trials by model type, without those that need a package which is not installed."""
    trials = {}
    for model_type in encoder_types():
        try:
            trials[model_type] = try_encoder(model_type)
        except ImportError:
            continue
    return trials


def documented(trials: dict[str, Trial]) -> str:
    """docs/encoders.md with the table of these trials."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + table(trials) + END + rest.partition(END)[2]


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    DOCUMENT.write_text(documented(try_all()), encoding="utf-8")
