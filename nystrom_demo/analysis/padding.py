"""What goes wrong when landmarks average padding, as other implementations let them, shown on a model's own q, k, v."""

from collections.abc import Sequence

import pandas as pd
import torch
from transformers import PreTrainedModel

from nystrom_demo.analysis.layers import LayerInputs, check_head, collect_layers
from nystrom_demo.attention import iterative_pinv, nystrom_attention, segment_means, softmax_attention
from nystrom_demo.config import AttentionSettings


def padding_errors(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    layer: int,
    head: int,
    paddings: Sequence[int],
    settings: AttentionSettings,
) -> pd.DataFrame:
    """The output error of one head on a text (1, seq) that is padded on its right by each of `paddings` tokens.

    Columns: padding; naive, with landmarks that average padding (`naive_nystrom_attention`); ours, with landmarks of
    the real tokens alone. Both are ‖output − exact‖_F/‖exact‖_F over the real tokens, against exact attention that
    masks the padding. The padded text runs through the model anew each time, with its attention mask.
    """
    n = input_ids.shape[1]
    pad = model.config.pad_token_id or 0
    lines = []
    for padding in paddings:
        padded = torch.cat([input_ids, input_ids.new_full((1, padding), pad)], 1)
        attention_mask = (torch.arange(n + padding, device=input_ids.device) < n)[None]
        (layer_inputs,) = collect_layers(model, padded, attention_mask, layers=[layer])
        check_head(layer_inputs, head)
        exact, naive, ours = (x[0, head, :n] for x in _outputs(layer_inputs, settings))
        lines.append({"padding": padding, "naive": _relative(naive, exact), "ours": _relative(ours, exact)})
    return pd.DataFrame(lines)


def naive_nystrom_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    num_landmarks: int,
    key_padding_mask: torch.Tensor | None,
    *,
    pinv_iterations: int,
    inv_coeff_init_option: bool,
    scale: float | None = None,
) -> torch.Tensor:
    """Landmark attention that forgets padding where transformers' does: landmarks average it, kernel_1 and kernel_2
    attend to the landmarks it fills, and only kernel_3 is masked. Here to be looked at.

    Shapes as in `nystrom_attention`; (batch, heads, seq, head_dim). Without padding and below m = n the two agree.
    """
    q_landmarks, _ = segment_means(q, num_landmarks)
    k_landmarks, _ = segment_means(k, num_landmarks)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q_landmarks @ k.mT * scale  # (batch, heads, m, seq)
    if key_padding_mask is not None:
        scores = scores.masked_fill(~key_padding_mask[:, None, None, :], -torch.inf)
    kernel_1 = (q @ k_landmarks.mT * scale).softmax(-1)
    kernel_2 = (q_landmarks @ k_landmarks.mT * scale).softmax(-1)
    kernel_2_inv = iterative_pinv(kernel_2, pinv_iterations, inv_coeff_init_option=inv_coeff_init_option)
    return kernel_1 @ (kernel_2_inv @ (scores.softmax(-1) @ v))


def _outputs(layer_inputs: LayerInputs, settings: AttentionSettings) -> tuple[torch.Tensor, ...]:
    """Exact, naive and our output of every head in float32, padding included: (batch, heads, seq, head_dim) each."""
    q, k, v = (x.float() for x in layer_inputs[:3])
    mask, scale = layer_inputs.key_padding_mask, layer_inputs.scale
    options = settings.pinv_options() | {"scale": scale}
    return (
        softmax_attention(q, k, v, mask, scale=scale),
        naive_nystrom_attention(q, k, v, settings.num_landmarks, mask, **options),
        nystrom_attention(q, k, v, settings.num_landmarks, mask, **options),
    )


def _relative(approximate: torch.Tensor, exact: torch.Tensor) -> float:
    return float((approximate - exact).norm() / exact.norm())
