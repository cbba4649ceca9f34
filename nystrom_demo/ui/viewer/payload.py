"""What the server sends the viewer: a head's q and k and its pseudo-inverse, from which the browser draws everything.

The n×n maps are not sent. q and k (n × head_dim) and kernel_2⁺ (m × m) in float32 are smaller than one map, and give
any cell of any map, and every term of its sum, in full precision.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch.utils.weak import WeakIdKeyDictionary

from nystrom_demo.analysis import LayerInputs, attention_maps, head_factors
from nystrom_demo.attention import segment_means, softmax_attention_map
from nystrom_demo.config import AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.formatting import percent
from nystrom_demo.ui.viewer.tokens import ShownToken
from nystrom_demo.ui.viewer.words import head_words, strongest_cell

MAX_TOKENS = 4096
MAX_LIVE_TOKENS = 1024  # of a text whose landmarks move under the hand, see viewer/head.js
MOST_COEFFICIENTS = 25_000_000  # entries of kernel_2 in all: every m of 184 tokens under 12 heads
MAX_LANDMARKS = 1024  # kernel_2⁺ alone is 5.6 MB in base64 there
_KEPT_COEFFICIENTS = WeakIdKeyDictionary()


def head_payload(
    layer_inputs: LayerInputs, head: int, settings: AttentionSettings, tokens: Sequence[ShownToken]
) -> dict[str, Any]:
    """One head as JSON: shapes, float32 arrays in base64 (row by row), tokens, segments, sentences.

    n, m, dim, scale; exact: true where each token is its own landmark, and then without kernel_2_inv; q, k (n × dim);
    kernel_2_inv (m × m), after pinv_iterations steps; coefficients: for the browser's own pseudo-inverse at another m,
    see `first_coefficients`, none where own_estimate is true; segments: each token's landmark; text: a fingerprint of
    the tokens, for the browser to know when the text is another one; strongest: the cell to begin with; key: a
    fingerprint of everything shown.
    ValueError past MAX_TOKENS or MAX_LANDMARKS.
    """
    text = layer_inputs.text()
    n, dim = text.q.shape[2:]
    factors = head_factors(layer_inputs, head, settings)
    m = len(factors.kernel_3)
    check_sizes(n, m)
    maps = attention_maps(layer_inputs, head, settings)
    payload = {
        "layer": layer_inputs.layer,
        "head": head,
        "n": n,
        "m": m,
        "dim": dim,
        "scale": text.scale if text.scale is not None else dim**-0.5,
        "exact": m == n,
        "q": _base64(text.q[0, head]),
        "k": _base64(text.k[0, head]),
        "pinv_iterations": settings.pinv_iterations,
        "own_estimate": settings.inv_coeff_init_option,
        "coefficients": _base64(_coefficients(layer_inputs, settings)),
        "kernel_2_inv": None if m == n else _base64(factors.kernel_2_inv),
        "segments": factors.segments.tolist(),
        "tokens": [token._asdict() for token in tokens],
        "text": _fingerprint([token.label for token in tokens]),
        "strongest": strongest_cell(maps),
        "words": head_words(maps, layer_inputs.layer, head, m, [token.label for token in tokens]),
    }
    return payload | {"key": _fingerprint(payload)}


def first_coefficients(layer_inputs: LayerInputs) -> torch.Tensor:
    """The divisor c of the pseudo-inverse's first estimate over all heads, for each m from 1 on, below n.

    As far as MOST_COEFFICIENTS goes. The other heads' q and k, from which the browser could tell, are too much to send.
    """
    text = layer_inputs.text()
    found, entries = [], 0
    for m in range(1, text.num_tokens):
        entries += text.num_heads * m * m
        if entries > MOST_COEFFICIENTS:
            break
        kernel_2 = softmax_attention_map(*(segment_means(x, m)[0] for x in (text.q, text.k)), scale=text.scale)[0]
        found.append(float((kernel_2.sum(-2).amax(-1) * kernel_2.sum(-1).amax(-1)).amax()))
    return torch.tensor(found)


def _coefficients(layer_inputs: LayerInputs, settings: AttentionSettings) -> torch.Tensor:
    """Those of a layer, where the browser needs them; kept as long as the layer itself is, for its other heads."""
    if settings.inv_coeff_init_option or layer_inputs.num_tokens > MAX_LIVE_TOKENS:
        return torch.tensor([])
    if layer_inputs.q not in _KEPT_COEFFICIENTS:
        _KEPT_COEFFICIENTS[layer_inputs.q] = first_coefficients(layer_inputs)
    return _KEPT_COEFFICIENTS[layer_inputs.q]


def check_sizes(num_tokens: int, num_landmarks: int) -> None:
    """ValueError for more than the viewer shows."""
    if num_tokens > MAX_TOKENS:
        raise UserError(f"The maps show at most {MAX_TOKENS:,} tokens, and this text has {num_tokens:,}.")
    if num_tokens > num_landmarks > MAX_LANDMARKS:
        raise UserError(
            f"The maps show at most {MAX_LANDMARKS:,} landmarks, or exact attention ({num_tokens:,} here), got "
            f"{num_landmarks:,}."
        )


def mosaic_payload(
    errors: pd.DataFrame | None, shape: tuple[int, int], chosen: tuple[int, int], n: int, m: int
) -> dict:
    """The mosaic as JSON: a line a head from `head_errors`, or nulls in `shape` (layers, heads) while there is none."""
    names = ("frobenius", "output", "negative", "row_sum_error")
    if errors is None:
        heads = [{"layer": i, "head": j} | dict.fromkeys(names) for i in range(shape[0]) for j in range(shape[1])]
        lead = f"Comparing {shape[0] * shape[1]} heads with and without landmarks …"
    else:
        heads = errors[["layer", "head", *names]].to_dict("records")
        lead = _mosaic_lead(errors, n, m)
    return {"heads": heads, "chosen": list(chosen), "n": n, "lead": lead}


def _mosaic_lead(errors: pd.DataFrame, n: int, m: int) -> str:
    if m == n:
        return f"With a landmark for each of the {n:,} tokens no head differs from exact attention."
    best, worst = (errors.loc[index] for index in (errors.frobenius.idxmin(), errors.frobenius.idxmax()))
    name = "landmark is" if m == 1 else "landmarks are"
    return (
        f"How far {m:,} {name} from exact attention in each head, in percent of the map (Frobenius norm): "
        f"from {_head_in_words(best)} to {_head_in_words(worst)}. Choose a head."
    )


def _head_in_words(line: pd.Series) -> str:
    return f"{percent(line['frobenius'])} in layer {line['layer'] + 1:.0f}, head {line['head'] + 1:.0f}"


def _base64(x: torch.Tensor) -> str:
    return base64.b64encode(x.float().cpu().contiguous().numpy().astype("<f4").tobytes()).decode("ascii")


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]
