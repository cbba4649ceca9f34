"""The error of landmark attention as a text grows past what a model reads at once."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from nystrom_demo.analysis.blocked import blocked_errors
from nystrom_demo.analysis.layers import LayerInputs, collect_layers
from nystrom_demo.config import AttentionSettings
from nystrom_demo.pauses import pause

WINDOW_TOKENS = 1_024


class LengthPoint(NamedTuple):
    """The errors of one head at one length. rule: "fixed" for the same m at every n, "growing" for the same n/m."""

    num_tokens: int
    num_landmarks: int
    rule: str
    frobenius: float
    output: float
    seconds: float


def repeated_inputs(
    model: PreTrainedModel, input_ids: torch.Tensor, layer: int, num_tokens: int, *, window: int = WINDOW_TOKENS
) -> LayerInputs:
    """q, k, v of a text (1, seq) that is repeated to `num_tokens`, (1, heads, num_tokens, head_dim).

    The model reads it in windows of at most `window` tokens one after another, each from position 0, and their q, k
    and v are put together: every token is seen in context, and no position table has to reach that far.
    """
    times = -(-num_tokens // input_ids.shape[1])
    ids = input_ids.repeat(1, times)[:, :num_tokens]
    parts = []
    for piece in ids.split(window, 1):
        parts.append(collect_layers(model, piece, layers=[layer])[0])
        pause()
    q, k, v = (torch.cat(pieces, 2) for pieces in zip(*(part[:3] for part in parts), strict=True))
    return LayerInputs(q, k, v, None, layer, parts[0].scale)


def random_inputs(num_tokens: int, head_dim: int, *, seed: int = 0) -> LayerInputs:
    """One head of q, k, v drawn from the standard normal distribution, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 1, 1, num_tokens, head_dim, generator=generator)
    return LayerInputs(q, k, v)


def error_against_length(
    layer_inputs: LayerInputs,
    head: int,
    lengths: Sequence[int],
    settings: AttentionSettings,
    *,
    tokens_per_landmark: float,
    most_landmarks: int | None = None,
) -> Iterator[LengthPoint]:
    """Errors on the first n tokens for each n, one point at a time: with the settings' m, then with m growing as n.

    The exact map is never held, only blocks of its rows (see `blocked_errors`). most_landmarks: a rule has no point
    where it would take more, unless m ≥ n, where nothing is inverted. ValueError for a head not there.
    """
    for n in lengths:
        text = layer_inputs._replace(**{name: getattr(layer_inputs, name)[:, :, :n] for name in "qkv"})
        for rule, m in (("fixed", settings.num_landmarks), ("growing", max(1, round(n / tokens_per_landmark)))):
            if most_landmarks is not None and most_landmarks < m < n:
                continue
            chosen = settings._replace(implementation="nystrom", num_landmarks=min(m, n))
            start = time.perf_counter()
            errors = blocked_errors(text, head, chosen, spectral=False)
            seconds = time.perf_counter() - start
            yield LengthPoint(n, min(m, n), rule, errors.frobenius, errors.output, seconds)
