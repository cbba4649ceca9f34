"""A config.json that nobody vouches for: its model type, the bounds of its numbers, the names of its labels."""

import math
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.activations import ACT2FN

from nystrom_demo.checkpoints.files import CheckpointError, show
from nystrom_demo.config import NystromformerConfig

MODEL_TYPES = (
    *("nystromformer", "bert", "roberta", "electra", "distilbert", "xlm-roberta", "camembert", "albert", "modernbert"),
)
MAX_LABELS = 1000
MAX_LABEL_LENGTH = 100

# What a model of up to about 400 million parameters needs; more layers or words cost seconds and gigabytes to build.
_INTEGERS = {
    "vocab_size": (2, 1_000_000),
    "max_position_embeddings": (16, 65_536),
    "type_vocab_size": (1, 16),
    "num_labels": (1, MAX_LABELS),
    "chunk_size_feed_forward": (0, 0),
    "num_landmarks": (1, 65_536),
    "segment_means_seq_len": (1, 65_536),
    "pinv_iterations": (1, 100),
    "conv_kernel_size": (1, 1025),
    "pad_token_id": (0, 1_000_000),
    "local_attention": (2, 65_536),
    "global_attn_every_n_layers": (1, 48),
    "num_hidden_groups": (1, 48),
    "inner_group_num": (1, 48),
}
_INTEGERS |= dict.fromkeys(("hidden_size", "dim", "embedding_size"), (1, 4096))
_INTEGERS |= dict.fromkeys(("intermediate_size", "hidden_dim"), (1, 16_384))
_INTEGERS |= dict.fromkeys(("num_hidden_layers", "n_layers"), (1, 48))
_INTEGERS |= dict.fromkeys(("num_attention_heads", "n_heads"), (1, 128))
_NUMBERS = {"layer_norm_eps": (0.0, 1.0), "initializer_range": (0.0, 10.0)}
_NUMBERS |= dict.fromkeys(
    ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "qa_dropout"), (0.0, 1.0)
)
_NUMBERS |= dict.fromkeys(("seq_classif_dropout", "classifier_dropout", "summary_last_dropout"), (0.0, 1.0))
_MAY_BE_NULL = ("conv_kernel_size", "pad_token_id", "classifier_dropout", "segment_means_seq_len")
# Keys by which a configuration asks for code, for other files, or for another kind of model, unless they say no.
_REFUSED = {
    "auto_map": "code of its own",
    "custom_pipelines": "code of its own",
    "quantization_config": "quantised weights",
    "transformers_weights": "a weights file under another name",
    "pruned_heads": "pruned heads",
    "is_decoder": "a decoder",
    "is_encoder_decoder": "a decoder",
    "add_cross_attention": "cross-attention",
}
_PROBLEMS = (None, "single_label_classification", "multi_label_classification", "regression")


def make_config(table: dict[str, Any]) -> PreTrainedConfig:
    """The configuration that config.json's `table` describes. CheckpointError where it goes beyond the bounds."""
    model_type = table.get("model_type")
    if model_type not in MODEL_TYPES:
        raise CheckpointError(f"model_type must be one of {', '.join(MODEL_TYPES)}, got {show(model_type)}.")
    for key, what in _REFUSED.items():
        if table.get(key):
            raise CheckpointError(f"config.json asks for {what} ({key}), which is not taken.")
    for key, bounds in _INTEGERS.items():
        _check_number(table, key, bounds, int)
    for key, bounds in _NUMBERS.items():
        _check_number(table, key, bounds, (int, float))
    _check_words(table)
    _check_labels(table)
    kept = {key: value for key, value in table.items() if not key.lstrip("_").startswith("attn_implementation")}
    config_class = NystromformerConfig if model_type == "nystromformer" else CONFIG_MAPPING[model_type]
    try:
        config = config_class.from_dict(kept | {"return_dict": True, "output_attentions": False})
        config.output_hidden_states = False
        width, heads = config.hidden_size, config.num_attention_heads
    except Exception as error:  # whatever a configuration class raises, its text is not for visitors
        raise CheckpointError(f"config.json is not a configuration of a {model_type} model.") from error
    if width % heads:
        raise CheckpointError(f"hidden_size must be a multiple of num_attention_heads, got {width} and {heads}.")
    taps = getattr(config, "conv_kernel_size", None)
    if taps is not None and taps % 2 == 0 and model_type == "nystromformer":
        raise CheckpointError(f"conv_kernel_size must be an odd number or null, got {taps}.")
    if config.pad_token_id is not None and config.pad_token_id >= config.vocab_size:
        raise CheckpointError(f"pad_token_id must be below vocab_size, got {config.pad_token_id}.")
    return config


def _check_number(table: dict[str, Any], key: str, bounds: tuple, kinds) -> None:
    if key not in table or (table[key] is None and key in _MAY_BE_NULL):
        return
    value, (lowest, highest) = table[key], bounds
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or not lowest <= value <= highest or (isinstance(value, float) and not math.isfinite(value)):
        kind = "an integer" if kinds is int else "a number"
        raise CheckpointError(f"{key} must be {kind} from {lowest:,} to {highest:,}, got {show(value)}.")


def _check_words(table: dict[str, Any]) -> None:
    for key in ("hidden_act", "activation", "hidden_activation", "classifier_activation"):
        if key in table and not (isinstance(table[key], str) and table[key] in ACT2FN):
            raise CheckpointError(f"{key} must be an activation that transformers has, got {show(table[key])}.")
    problem = table.get("problem_type")
    if not (problem is None or isinstance(problem, str)) or problem not in _PROBLEMS:
        raise CheckpointError(f"problem_type must be one of {', '.join(map(str, _PROBLEMS))}, got {show(problem)}.")


def _check_labels(table: dict[str, Any]) -> None:
    labels = table.get("id2label")
    if labels is None:
        return
    if not isinstance(labels, dict) or not 1 <= len(labels) <= MAX_LABELS:
        raise CheckpointError(f"id2label must be an object of 1 to {MAX_LABELS} labels, got {show(labels)}.")
    if sorted(labels, key=lambda key: (len(key), key)) != [str(index) for index in range(len(labels))]:
        raise CheckpointError(f"id2label must number its labels from 0, got {show(list(labels))}.")
    for label in labels.values():
        if isinstance(label, str) and not label.isprintable():
            raise CheckpointError(f"A label must be printable text, got {show(label)}.")
        if not isinstance(label, str) or not 1 <= len(label) <= MAX_LABEL_LENGTH:
            raise CheckpointError(f"A label must be text of 1 to {MAX_LABEL_LENGTH} characters, got {show(label)}.")
