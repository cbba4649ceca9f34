"""Landmark attention as one of transformers' attention functions."""

import torch
import torch.nn.functional as F

from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.attention import nystrom_attention, softmax_attention
from nystrom_demo.config import AttentionSettings, check_settings
from nystrom_demo.interop.masks import read_padding_mask
from nystrom_demo.model import approximate_attention, attention_map, is_approximation

SETTINGS = ("num_landmarks", "pinv_iterations", "inv_coeff_init_option")
BIASES = ("position_bias", "softcap", "s_aux")  # what some models ask their attention function to apply to the scores


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

    query (batch, heads, seq, head_dim), key and value the same or with fewer heads, each for a group of queries'
    heads; returns (batch, seq, heads, head_dim), and the (batch, heads, seq, seq) map when `output_attentions` is
    passed on or the configuration's, else None. `num_landmarks`, given to the model's forward, comes here among the
    keyword arguments and replaces the configuration's for that call alone; so does `attention_settings`, exact
    attention included. `keep_inputs`, given likewise, is called with query, key, value, the (batch, seq) padding mask
    or None, and scaling. A layer with a sliding window attends by its own mask, exactly, and keeps None for its inputs.
    """
    check_call(module, query, key, value, kwargs)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    output_attentions = kwargs.get("output_attentions")
    if output_attentions is None:
        output_attentions = getattr(module.config, "output_attentions", False)
    keep = kwargs.get("keep_inputs")
    if kwargs.get("sliding_window") is not None:
        if keep:
            keep(None, None, None, None, scaling)
        return _local_attention(query, key, value, attention_mask, scaling, dropout, output_attentions)
    key_padding_mask = read_padding_mask(attention_mask, query.shape[0], query.shape[2])
    settings = call_settings(module.config, kwargs)
    if keep:
        keep(query, key, value, key_padding_mask, scaling)
    weights, with_map = None, bool(output_attentions)
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


def check_call(module: torch.nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, asked: dict) -> None:
    """ValueError, naming the layer and the reason, for attention that landmarks cannot stand for."""
    name = type(module).__name__
    if getattr(module, "is_causal", False) or asked.get("is_causal"):
        raise ValueError(
            'attn_implementation="nystrom" is for encoders: its landmarks are means over the whole text, so a causal '
            f"model would see the future; {name} is causal. Use an exact implementation such as sdpa."
        )
    for argument in BIASES:
        if asked.get(argument) is not None:
            raise ValueError(f'attn_implementation="nystrom" cannot apply the {argument} that {name} asks for.')
    crosses = getattr(module, "is_cross_attention", False) or k.shape != v.shape
    one_text = (k.shape[0], *k.shape[2:]) == (q.shape[0], *q.shape[2:]) and q.shape[1] % k.shape[1] == 0
    if crosses or not one_text:
        raise ValueError(
            f'attn_implementation="nystrom" is for self-attention, but {name} has queries {tuple(q.shape)}, keys '
            f"{tuple(k.shape)} and values {tuple(v.shape)} (batch, heads, seq, head_dim), and attends to other tokens "
            "than its own or by heads that do not share keys evenly."
        )


def call_settings(config, asked: dict) -> AttentionSettings:
    """The landmark settings of one call: what was asked for in it, else the configuration's, else the defaults."""
    if asked.get("attention_settings"):
        return check_settings(asked["attention_settings"])
    settings = {name: getattr(config, name) for name in SETTINGS if hasattr(config, name)}
    if asked.get("num_landmarks") is not None:
        settings["num_landmarks"] = asked["num_landmarks"]
    chosen = config._attn_implementation if config._attn_implementation in APPROXIMATIONS else "nystrom"
    return AttentionSettings(chosen, **settings)


def _local_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None,
    dropout: float,
    output_attentions: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Exact attention by the layer's own mask, as transformers' sdpa computes it; with its map where asked for."""
    weights = None
    if output_attentions:
        weights = (
            q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale) + (0 if mask is None else mask)
        ).softmax(-1)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)
    return output.transpose(1, 2).contiguous(), weights
