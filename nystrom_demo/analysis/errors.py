"""How far landmark attention is from exact attention: of every head, and of one head as m grows.

‖·‖_F is Frobenius' norm, ‖·‖₂ the spectral norm. All errors are relative: ‖Ŝ − S‖/‖S‖, and of what attention puts
out, ‖(Ŝ − S) V‖_F/‖S V‖_F.
"""

from collections.abc import Iterator, Sequence

import pandas as pd
import torch

from nystrom_demo.analysis.layers import LayerInputs, landmarks_of
from nystrom_demo.analysis.maps import attention_maps, exact_map
from nystrom_demo.analysis.spectra import best_rank_errors, largest_singular_value
from nystrom_demo.attention import nystrom_factors, softmax_attention_map
from nystrom_demo.model import AttentionSettings

_HELD_BYTES = 64 * 2**20  # the maps of as many heads at a time as fit in this


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
        for first, exact, landmark in _stacks_of_maps(text, settings):
            v = text.v[0, first : first + len(exact)]
            table = pd.DataFrame(map_errors(exact, landmark, v, spectral=spectral))
            table.insert(0, "head", range(first, first + len(exact)))
            table.insert(0, "layer", layer_inputs.layer)
            lines.append(table)
    return pd.concat(lines, ignore_index=True)


def map_errors(
    exact: torch.Tensor, landmark: torch.Tensor, v: torch.Tensor, *, spectral: bool = True
) -> dict[str, list[float]]:
    """The errors of a stack of maps (heads, n, n), v (heads, n, head_dim): the columns of `head_errors` by name."""
    difference = landmark - exact
    errors = {"frobenius": _relative(difference, exact)}
    if spectral:
        errors["spectral"] = _spectral_norm(difference) / _spectral_norm(exact)
    errors["output"] = _relative(difference @ v, exact @ v)
    errors["negative"] = (landmark < 0).sum((-2, -1))
    errors["row_sum_error"] = (landmark.sum(-1) - 1).abs().amax(-1)
    return {name: x.tolist() for name, x in errors.items()}


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
    v = layer_inputs.text(row).v[0, [head]]
    lines = []
    for m in landmarks:
        maps = attention_maps(layer_inputs, head, settings._replace(implementation="nystrom", num_landmarks=m), row=row)
        errors = map_errors(maps.exact[None], maps.landmark[None], v)
        best_frobenius, best_spectral = best_rank_errors(values, m)
        line = {"num_landmarks": m, **{name: x[0] for name, x in errors.items()}}
        lines.append(line | {"best_frobenius": best_frobenius, "best_spectral": best_spectral})
    return pd.DataFrame(lines)


def landmark_ladder(num_tokens: int) -> list[int]:
    """Numbers of landmarks to try on a text: the powers of two below its length, then its length, which is exact."""
    return [2**i for i in range(max(num_tokens - 1, 0).bit_length())] + [num_tokens]


def _stacks_of_maps(text: LayerInputs, settings: AttentionSettings) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """(first head, exact maps, landmark maps) of a text, (heads, n, n) each, so many heads at a time as are held."""
    n = text.num_tokens
    m = landmarks_of(settings, n)
    factors = None if m == n else nystrom_factors(text.q, text.k, m, scale=text.scale, **settings.pinv_options())
    size = max(1, _HELD_BYTES // (4 * n * n))
    for first in range(0, text.num_heads, size):
        heads = slice(first, first + size)
        exact = softmax_attention_map(text.q[:, heads], text.k[:, heads], scale=text.scale)[0]
        if factors is None:
            yield first, exact, exact
        else:
            gathers = factors.kernel_2_inv[0, heads] @ factors.kernel_3[0, heads]  # (heads, m, n)
            yield first, exact, factors.kernel_1[0, heads] @ gathers


def _relative(difference: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(exact)


def _spectral_norm(a: torch.Tensor) -> torch.Tensor:
    return largest_singular_value(lambda x: a.mT @ (a @ x), len(a), a.shape[-1], device=a.device)
