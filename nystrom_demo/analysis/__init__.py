"""Exact against landmark attention on a model's own q, k, v: maps, factors, errors, spectra, what errors lead to.

    layers = collect_layers(model, input_ids, attention_mask)       # one exact pass
    maps = attention_maps(layers[0], head=3, settings=AttentionSettings(num_landmarks=16))

Results are tensors in a NamedTuple, or a DataFrame.
"""

from nystrom_demo.analysis.approximations import (
    approximation_errors,
    approximation_maps,
    method_facts,
    pareto_front,
    spread_over_texts,
)
from nystrom_demo.analysis.blocked import BlockedErrors, blocked_errors
from nystrom_demo.analysis.compare import compare_attention
from nystrom_demo.analysis.errors import error_against_landmarks, head_errors, landmark_ladder
from nystrom_demo.analysis.layers import LayerInputs, collect_layers
from nystrom_demo.analysis.lengths import LengthPoint, error_against_length, random_inputs, repeated_inputs
from nystrom_demo.analysis.maps import (
    HeadFactors,
    LandmarkLens,
    Maps,
    attention_maps,
    cell_recipe,
    exact_map,
    head_factors,
    landmark_lens,
    segment_table,
)
from nystrom_demo.analysis.padding import naive_nystrom_attention, padding_errors
from nystrom_demo.analysis.propagation import LogitErrors, hidden_state_errors, logit_errors
from nystrom_demo.analysis.spectra import best_rank_errors, pinv_iterates, pinv_residuals, singular_values

__all__ = [
    "BlockedErrors",
    "HeadFactors",
    "LandmarkLens",
    "LayerInputs",
    "LengthPoint",
    "LogitErrors",
    "Maps",
    "approximation_errors",
    "approximation_maps",
    "attention_maps",
    "best_rank_errors",
    "blocked_errors",
    "cell_recipe",
    "collect_layers",
    "compare_attention",
    "error_against_landmarks",
    "error_against_length",
    "exact_map",
    "head_errors",
    "head_factors",
    "hidden_state_errors",
    "landmark_ladder",
    "landmark_lens",
    "logit_errors",
    "method_facts",
    "naive_nystrom_attention",
    "padding_errors",
    "pareto_front",
    "pinv_iterates",
    "pinv_residuals",
    "random_inputs",
    "repeated_inputs",
    "segment_table",
    "singular_values",
    "spread_over_texts",
]
