"""How the error of attention becomes an error of hidden states, layer by layer, and of a head's answer."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
import torch
from transformers import PreTrainedModel

from nystrom_demo.analysis.layers import layer_states
from nystrom_demo.config import EXACT, AttentionSettings


class LogitErrors(NamedTuple):
    """What landmarks change in a model's answer to one input.

    relative: ‖landmark − exact‖/‖exact‖ over all logits. largest: the largest change of one logit.
    probability: the largest total variation distance of a position's softmax, 0 (same) … 1. agreement: the share of
    positions whose most likely label stays the same; for a masked LM each token is a position, for question answering
    start and end are one each, for a whole text there is one.
    """

    relative: float
    largest: float
    probability: float
    agreement: float


def hidden_state_errors(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    settings: AttentionSettings,
    attention_mask: torch.Tensor | None = None,
    token_type_ids: torch.Tensor | None = None,
    *,
    position_ids: torch.Tensor | None = None,
) -> pd.DataFrame:
    """The relative error (Frobenius, real tokens) of a Nyströmformer's hidden states after each layer.

    Columns: layer, 0 for the embeddings, then 1 … L; accumulated, when every layer before uses landmarks; local, when
    only this layer does and all before it are exact.
    """
    given = (input_ids, attention_mask, token_type_ids)
    stack = model.base_model.encoder.layer
    lines = []
    with torch.no_grad():
        exact = layer_states(model, *given, EXACT, position_ids=position_ids)
        landmark = layer_states(model, *given, settings, position_ids=position_ids)
        alone = None  # this layer over landmarks, on what the exact layers before it give
        for (index, states, mask), (_, approximate, _) in zip(exact, landmark, strict=True):
            real = slice(None) if mask is None else mask
            local = 0.0 if alone is None else _relative(alone[real], states[real])
            lines.append({"layer": index, "accumulated": _relative(approximate[real], states[real]), "local": local})
            if index < len(stack):
                alone, _ = stack[index](states, mask, settings)
    return pd.DataFrame(lines)


def logit_errors(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], settings: AttentionSettings
) -> LogitErrors:
    """What landmarks change in the logits of any of the five heads, for one text.

    inputs: the arguments of the head's `forward`, a batch of one; padding is left out where it answers token by token.
    ValueError for a larger batch.
    """
    if len(inputs["input_ids"]) != 1:
        raise ValueError(f"inputs must hold one text, a batch of 1, got {len(inputs['input_ids'])}.")
    exact, landmark = (_logits(model, inputs, chosen) for chosen in (EXACT, settings))
    difference = landmark - exact
    moved = (landmark.softmax(-1) - exact.softmax(-1)).abs().sum(-1) / 2
    same = landmark.argmax(-1) == exact.argmax(-1)
    return LogitErrors(
        float(difference.norm() / exact.norm()),
        float(difference.abs().max()),
        float(moved.max()),
        float(same.float().mean()),
    )


def _logits(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], settings: AttentionSettings) -> torch.Tensor:
    """(positions, labels) float32: a position's logits compete with one another."""
    with torch.no_grad():
        output = model(**inputs, attention_settings=settings)
    mask = inputs.get("attention_mask")
    real = slice(None) if mask is None else mask[0].bool()
    if "start_logits" in output:
        return torch.cat([output.start_logits, output.end_logits])[:, real].float()  # (2, seq)
    logits = output.logits[0].float()
    return logits[real] if logits.dim() == 2 else logits[None]


def _relative(approximate: torch.Tensor, exact: torch.Tensor) -> float:
    return float((approximate - exact).norm() / exact.norm())
