"""How far landmark attention is from exact attention: of every head, and of one head as m grows.

The errors are those of `blocked_errors`.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from nystrom_demo.analysis.blocked import blocked_errors, errors_of_factors
from nystrom_demo.analysis.layers import LayerInputs, landmarks_of
from nystrom_demo.analysis.maps import exact_map, of_head
from nystrom_demo.analysis.spectra import best_rank_errors
from nystrom_demo.attention import nystrom_factors
from nystrom_demo.config import AttentionSettings
from nystrom_demo.pauses import pause


def head_errors(
    layers: Sequence[LayerInputs], settings: AttentionSettings, *, spectral: bool = True, row: int = 0
) -> pd.DataFrame:
    """The errors of every layer and head on one text, one line a head.

    Columns: layer, head; frobenius, spectral (left out on request), output, all relative; negative, how many of the
    n² entries are below zero; row_sum_error, the largest distance of a row's sum from one.
    """
    lines = []
    for layer_inputs in layers:
        text = layer_inputs.text(row)
        m = landmarks_of(settings, text.num_tokens)
        all_heads = None
        if m < text.num_tokens:  # at m = n there is nothing to err
            all_heads = nystrom_factors(text.q, text.k, m, scale=text.scale, **settings.pinv_options())
        for head in range(text.num_heads):
            factors = None if all_heads is None else of_head(all_heads, head)
            errors = errors_of_factors(text, head, factors, spectral=spectral)._asdict()
            lines.append({"layer": layer_inputs.layer, "head": head, **errors})
            pause()
    table = pd.DataFrame(lines).drop(columns=["num_tokens", "num_landmarks"])
    return table if spectral else table.drop(columns="spectral")


def error_against_landmarks(
    layer_inputs: LayerInputs,
    head: int,
    landmarks: Sequence[int],
    settings: AttentionSettings,
    *,
    row: int = 0,
) -> pd.DataFrame:
    """A head's errors at each m, beside the least that any matrix of rank m can have (Eckart–Young).

    landmarks: the numbers m to try; from m = n on every error is zero. `settings` gives the pseudo-inverse.
    Columns: num_landmarks, frobenius, spectral, output, negative, row_sum_error, best_frobenius, best_spectral.
    """
    values = torch.linalg.svdvals(exact_map(layer_inputs, head, row=row))
    text = layer_inputs.text(row)
    lines = []
    for m in landmarks:
        errors = blocked_errors(text, head, settings._replace(implementation="nystrom", num_landmarks=m))._asdict()
        best_frobenius, best_spectral = best_rank_errors(values, m)
        best = {"best_frobenius": best_frobenius, "best_spectral": best_spectral}
        lines.append({**errors, "num_landmarks": m, **best})
        pause()
    return pd.DataFrame(lines).drop(columns="num_tokens")


def landmark_ladder(num_tokens: int) -> list[int]:
    """Numbers of landmarks to try on a text: the powers of two below its length, then its length, which is exact."""
    return [2**i for i in range(max(num_tokens - 1, 0).bit_length())] + [num_tokens]
