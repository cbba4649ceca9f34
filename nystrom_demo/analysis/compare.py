"""Every figure of one head as plain numbers, for programs."""

import torch

from nystrom_demo.analysis.blocked import blocked_errors
from nystrom_demo.analysis.layers import LayerInputs
from nystrom_demo.analysis.maps import attention_maps
from nystrom_demo.analysis.spectra import best_rank_errors, pinv_residuals
from nystrom_demo.config import AttentionSettings


def compare_attention(
    layer_inputs: LayerInputs, head: int, settings: AttentionSettings, *, row: int = 0
) -> dict[str, int | float]:
    """Exact against landmark attention of one head as a dictionary of numbers that JSON can hold.

    layer, head, num_tokens, num_landmarks (at most num_tokens; all of them when exact);
    frobenius, spectral, output: relative errors; best_frobenius, best_spectral: the least of any matrix of rank m;
    largest_difference: the largest |difference| of one entry; negative_entries, negative_share, lowest_entry;
    row_sum_error, lowest_row_sum, highest_row_sum;
    pinv_residual: ‖A Z A − A‖/‖A‖ of kernel_2 and its pseudo-inverse as settings make it; kernel_2_condition.
    ValueError for a head that is not there.
    """
    maps = attention_maps(layer_inputs, head, settings, row=row)
    errors = blocked_errors(layer_inputs, head, settings, row=row)
    n, m = errors.num_tokens, errors.num_landmarks
    best_frobenius, best_spectral = best_rank_errors(torch.linalg.svdvals(maps.exact), m)
    row_sums = maps.landmark.sum(-1)
    return {
        "layer": layer_inputs.layer,
        "head": head,
        "num_tokens": n,
        "num_landmarks": m,
        "frobenius": errors.frobenius,
        "spectral": errors.spectral,
        "output": errors.output,
        "best_frobenius": best_frobenius,
        "best_spectral": best_spectral,
        "largest_difference": float(maps.difference.abs().max()),
        "negative_entries": errors.negative,
        "negative_share": errors.negative / n**2,
        "lowest_entry": float(maps.landmark.min()),
        "row_sum_error": errors.row_sum_error,
        "lowest_row_sum": float(row_sums.min()),
        "highest_row_sum": float(row_sums.max()),
        **_pinv_numbers(layer_inputs, head, settings, m == n, row),
    }


def _pinv_numbers(
    layer_inputs: LayerInputs, head: int, settings: AttentionSettings, exact: bool, row: int
) -> dict[str, float]:
    if exact:  # nothing is inverted: the identity stands for kernel_2
        return {"pinv_residual": 0.0, "kernel_2_condition": 1.0}
    steps = settings.pinv_iterations
    table = pinv_residuals(layer_inputs, head, settings, steps=steps, row=row)
    name = "own norms" if settings.inv_coeff_init_option else "largest of the heads"
    line = table[(table.first_estimate == name) & (table.step == steps)].iloc[0]
    return {"pinv_residual": float(line.residual), "kernel_2_condition": float(line.condition)}
