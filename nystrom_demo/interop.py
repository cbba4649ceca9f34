"""Landmark attention for transformers' own encoders, and this package's classes behind its Auto classes."""

from collections.abc import Callable

import torch
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.masking_utils import AttentionMaskInterface, bidirectional_mask_function

from nystrom_demo.approximations import APPROXIMATIONS, get
from nystrom_demo.attention import nystrom_attention, softmax_attention
from nystrom_demo.config import AttentionSettings, NystromformerConfig, check_settings
from nystrom_demo.heads import (
    NystromformerForMaskedLM,
    NystromformerForMultipleChoice,
    NystromformerForQuestionAnswering,
    NystromformerForSequenceClassification,
    NystromformerForTokenClassification,
)
from nystrom_demo.model import NystromformerModel, approximate_attention, attention_map, is_approximation

_NO_CAUSAL = (
    'attn_implementation="nystrom" is for encoders: its landmarks are means over the whole text, so a causal model '
    "would see the future; {what}. Use an exact implementation such as sdpa."
)


def register_attention(name: str = "nystrom") -> None:
    """Make `attn_implementation=name` mean landmark attention, or another approximation, in every transformers encoder.

    name: "nystrom", or one of `nystrom_demo.approximations`, whose budget `config.num_landmarks` is.
    It takes m from `config.num_landmarks` (64 where the config has none), and `config.pinv_iterations` and
    `config.inv_coeff_init_option` likewise. Works for models that use transformers' attention interface, at loading and
    with `set_attn_implementation`. Causal, sliding or per-query masks, cross-attention and score biases get a
    ValueError. Attention dropout is not applied: landmark attention has no single matrix of weights to drop from.
    """
    get(name)
    AttentionInterface.register(name, nystrom_attention_forward)
    AttentionMaskInterface.register(name, nystrom_mask)


def register_auto_classes() -> None:
    """Let transformers' Auto classes and `pipeline` build this package's classes for `model_type` "nystromformer"."""
    AutoConfig.register("nystromformer", NystromformerConfig, exist_ok=True)
    for auto_class, model_class in (
        (AutoModel, NystromformerModel),
        (AutoModelForMaskedLM, NystromformerForMaskedLM),
        (AutoModelForSequenceClassification, NystromformerForSequenceClassification),
        (AutoModelForTokenClassification, NystromformerForTokenClassification),
        (AutoModelForQuestionAnswering, NystromformerForQuestionAnswering),
        (AutoModelForMultipleChoice, NystromformerForMultipleChoice),
    ):
        auto_class.register(NystromformerConfig, model_class, exist_ok=True)


def nystrom_attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Landmark attention in the form of transformers' attention interface.

    query, key, value (batch, heads, seq, head_dim); returns (batch, seq, heads, head_dim), and the (batch, heads, seq,
    seq) map when `output_attentions` is passed on, else None. `attention_settings`, given to the model's forward, comes
    here among the keyword arguments and replaces the configuration's for that call alone, exact attention included.
    `keep_inputs`, given likewise, is called with query, key, value, the (batch, seq) padding mask or None, and scaling.
    """
    name = type(module).__name__
    if getattr(module, "is_causal", False) or kwargs.get("is_causal"):
        raise ValueError(_NO_CAUSAL.format(what=f"{name} is causal"))
    for argument in ("position_bias", "softcap", "sliding_window", "s_aux"):
        if kwargs.get(argument) is not None:
            raise ValueError(f'attn_implementation="nystrom" cannot apply the {argument} that {name} asks for.')
    if key.shape != query.shape:
        raise ValueError(
            f'attn_implementation="nystrom" is for self-attention with one key head per query head, but {name} has '
            f"queries {tuple(query.shape)} and keys {tuple(key.shape)} (batch, heads, seq, head_dim)."
        )
    key_padding_mask = _key_padding_mask(attention_mask, query)
    settings = check_settings(kwargs.get("attention_settings") or _settings(module.config))
    if keep := kwargs.get("keep_inputs"):
        keep(query, key, value, key_padding_mask, scaling)
    weights, with_map = None, bool(kwargs.get("output_attentions"))
    if is_approximation(settings):
        output, weights = approximate_attention(query, key, value, key_padding_mask, settings, with_map, scale=scaling)
    elif settings.implementation == "nystrom":
        output = nystrom_attention(
            query, key, value, settings.num_landmarks, key_padding_mask, scale=scaling, **settings.pinv_options()
        )
    else:
        output = softmax_attention(query, key, value, key_padding_mask, scale=scaling)
    if with_map and weights is None:
        weights = attention_map(query, key, key_padding_mask, settings, scale=scaling)
    return output.transpose(1, 2).contiguous(), weights


def nystrom_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Callable = bidirectional_mask_function,
    attention_mask: torch.Tensor | None = None,
    **kwargs,
) -> torch.Tensor | None:
    """The mask of "nystrom" in transformers: (batch, 1, 1, seq), true at real tokens, or None without padding."""
    if mask_function is not bidirectional_mask_function:
        raise ValueError(_NO_CAUSAL.format(what="this model asks for a mask that differs from query to query"))
    if attention_mask is None:
        return None
    return attention_mask[:, None, None, :].bool()


def _key_padding_mask(attention_mask: torch.Tensor | None, query: torch.Tensor) -> torch.Tensor | None:
    if attention_mask is None:
        return None
    batch, _, seq, _ = query.shape
    if attention_mask.dtype != torch.bool or attention_mask.shape != (batch, 1, 1, seq):
        raise ValueError(
            f'attn_implementation="nystrom" needs a boolean padding mask (batch, 1, 1, seq) = {(batch, 1, 1, seq)}, '
            f"got {attention_mask.dtype} {tuple(attention_mask.shape)}."
        )
    return attention_mask[:, 0, 0]


def _settings(config) -> AttentionSettings:
    """The landmark settings of any model's config, the defaults where it has none."""
    names = ("num_landmarks", "pinv_iterations", "inv_coeff_init_option")
    chosen = config._attn_implementation if config._attn_implementation in APPROXIMATIONS else "nystrom"
    return AttentionSettings(chosen, **{name: getattr(config, name) for name in names if hasattr(config, name)})
