"""The q, k, v that every layer's attention meets on a text, taken from the self-attention's own projection.

Nothing here sets a flag of a model's `forward` or changes a Nyströmformer, so that a served model can be analysed while
others use it. Another encoder has no `project`: the function that serves its attention hands on its arguments.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.interop import register_attention
from nystrom_demo.masks import make_key_padding_mask
from nystrom_demo.model import NystromformerModel

_switching = Lock()


class LayerInputs(NamedTuple):
    """What one layer's attention is given: q, k, v (batch, heads, seq, head_dim) and key_padding_mask (batch, seq).

    key_padding_mask is None where nothing is padding. `layer` counts from 0; `scale` replaces 1/√head_dim.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    key_padding_mask: torch.Tensor | None = None
    layer: int = 0
    scale: float | None = None

    @property
    def num_heads(self) -> int:
        return self.q.shape[1]

    @property
    def num_tokens(self) -> int:
        return self.q.shape[2]

    def text(self, row: int = 0) -> "LayerInputs":
        """One text of the batch in float32, its padding dropped: (1, heads, real tokens, head_dim), no mask.

        Landmark attention of a row depends on nothing but the row's real tokens, so nothing is lost. IndexError for a
        row that is not there.
        """
        keep = slice(None) if self.key_padding_mask is None else self.key_padding_mask[row]
        q, k, v = (x[row, :, keep].float()[None] for x in (self.q, self.k, self.v))
        return LayerInputs(q, k, v, None, self.layer, self.scale)


def collect_layers(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    token_type_ids: torch.Tensor | None = None,
    settings: AttentionSettings = EXACT,
    *,
    position_ids: torch.Tensor | None = None,
    layers: Sequence[int] | None = None,
) -> list[LayerInputs]:
    """Each layer's q, k, v on a text, from one pass under `settings` (exact attention unless told).

    model: a NystromformerModel, one of its heads, or any encoder that "nystrom" attention serves, in evaluation mode.
    input_ids, attention_mask, token_type_ids, position_ids: (batch, seq), as `forward` takes them.
    layers: which layers to keep, counted from 0; the pass ends after the last of them. All unless told.
    ValueError for a model in training mode, a layer that is not there, or a text longer than the position table.
    """
    encoder = model.base_model
    if model.training:
        raise ValueError("The model must be in evaluation mode, or dropout changes what is analysed: call .eval().")
    with torch.no_grad():
        if not isinstance(encoder, NystromformerModel):
            return _record(encoder, input_ids, attention_mask, token_type_ids, position_ids, layers)
        wanted = _check_layers(layers, len(encoder.encoder.layer))
        found = []
        states = layer_states(encoder, input_ids, attention_mask, token_type_ids, settings, position_ids=position_ids)
        for index, hidden_states, key_padding_mask in states:
            if index in wanted:
                q, k, v = encoder.encoder.layer[index].attention.self.project(hidden_states)
                found.append(LayerInputs(q, k, v, key_padding_mask, index))
            if index == max(wanted):
                break
    return found


def layer_states(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    token_type_ids: torch.Tensor | None = None,
    settings: AttentionSettings = EXACT,
    *,
    position_ids: torch.Tensor | None = None,
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor | None]]:
    """Goes through a Nyströmformer's layers: (layer, the hidden states that enter it, key_padding_mask).

    The last item is (number of layers, the encoder's result, key_padding_mask). Run under `torch.no_grad`.
    """
    encoder = model.base_model
    embedded = encoder.embeddings.word_embeddings(input_ids)
    key_padding_mask = make_key_padding_mask(attention_mask, embedded)
    hidden_states = encoder.embeddings(embedded, token_type_ids, position_ids, key_padding_mask)
    for index, layer in enumerate(encoder.encoder.layer):
        yield index, hidden_states, key_padding_mask
        hidden_states, _ = layer(hidden_states, key_padding_mask, settings)
    yield len(encoder.encoder.layer), hidden_states, key_padding_mask


def check_head(layer_inputs: LayerInputs, head: int) -> None:
    """ValueError unless the layer has this head."""
    if type(head) is not int or not 0 <= head < layer_inputs.num_heads:
        raise ValueError(f"head must be an integer from 0 to {layer_inputs.num_heads - 1}, got {head!r}.")


def landmarks_of(settings: AttentionSettings, num_tokens: int) -> int:
    """How many landmarks `settings` come to on a text: never more than its tokens, all of them when exact."""
    return min(settings.num_landmarks, num_tokens) if settings.implementation == "nystrom" else num_tokens


def _check_layers(layers: Sequence[int] | None, num_layers: int) -> frozenset[int]:
    wanted = frozenset(range(num_layers) if layers is None else layers)
    bad = [
        layer
        for layer in wanted
        if isinstance(layer, bool) or not isinstance(layer, int) or layer not in range(num_layers)
    ]
    if bad or not wanted:
        raise ValueError(f"layers must be integers from 0 to {num_layers - 1}, got {list(layers or [])}.")
    return wanted


def _record(encoder, input_ids, attention_mask, token_type_ids, position_ids, layers) -> list[LayerInputs]:
    """The same for any encoder of transformers, on its exact pass."""
    given = {"attention_mask": attention_mask, "token_type_ids": token_type_ids, "position_ids": position_ids}
    given = {name: value for name, value in given.items() if value is not None}
    found: list[LayerInputs | None] = []  # None of a layer that looks at a window alone

    def keep(query, key, value, key_padding_mask, scaling) -> None:
        local = query is None
        found.append(None if local else LayerInputs(query, key, value, key_padding_mask, len(found), scaling))

    with _under_nystrom(encoder):
        encoder(input_ids=input_ids, attention_settings=EXACT, keep_inputs=keep, **given)
    if not found:
        raise ValueError(f"{type(encoder).__name__} does not use transformers' attention interface.")
    whole = [layer for layer, layer_inputs in enumerate(found) if layer_inputs is not None]
    wanted = _check_layers(whole if layers is None else layers, len(found))
    if local := sorted(wanted.difference(whole)):
        raise ValueError(
            f"Layer {local[0]} looks at a window of the text alone and has no landmarks; those that look at all of it "
            f"are {', '.join(map(str, whole))}."
        )
    return [found[layer] for layer in sorted(wanted)]


@contextmanager
def _under_nystrom(encoder: PreTrainedModel) -> Iterator[None]:
    """Runs an encoder under the attention that keeps its inputs, one encoder at a time. What is loaded so, as served
    ones are, is left as it is; another is switched for as long."""
    with _switching:
        before = encoder.config._attn_implementation
        if before == "nystrom":
            yield
            return
        register_attention()
        encoder.set_attn_implementation("nystrom")
        try:
            yield
        finally:
            encoder.set_attn_implementation(before)
