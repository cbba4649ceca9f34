"""A model and a layer's inputs, with fixtures that conftest.py takes up, and what the analysis must say in float64."""

import math

import pytest
import torch

from nystrom_demo import nystrom_factors
from nystrom_demo.analysis import LayerInputs
from nystrom_demo.config import AttentionSettings

HEADS, HEAD_DIM, N, M = 3, 5, 13, 4
SETTINGS = AttentionSettings(num_landmarks=M)


@pytest.fixture(scope="module")
def model(tiny_checkpoints):
    return tiny_checkpoints["masked-lm"].model


@pytest.fixture(scope="module")
def input_ids(model):
    return torch.randint(5, model.config.vocab_size, (1, N), generator=torch.Generator().manual_seed(1))


def random_inputs(n: int = N, seed: int = 0) -> LayerInputs:
    generator = torch.Generator().manual_seed(seed)
    return LayerInputs(*(2 * torch.randn(3, 1, HEADS, n, HEAD_DIM, generator=generator)), layer=7)


def maps_in_double(inputs: LayerInputs, head: int, settings: AttentionSettings):
    """Exact and landmark map of one head, from all heads in float64."""
    q, k = inputs.q.double(), inputs.k.double()
    exact = (q @ k.mT / math.sqrt(HEAD_DIM)).softmax(-1)
    landmark = nystrom_factors(q, k, settings.num_landmarks, **settings.pinv_options()).attention()
    return exact[0, head], landmark[0, head]


def errors_in_double(inputs: LayerInputs, head: int, settings: AttentionSettings) -> dict[str, float]:
    exact, landmark = maps_in_double(inputs, head, settings)
    difference, v = landmark - exact, inputs.v[0, head].double()
    norm = torch.linalg.matrix_norm
    return {
        "frobenius": float(norm(difference) / norm(exact)),
        "spectral": float(norm(difference, 2) / norm(exact, 2)),
        "output": float(norm(difference @ v) / norm(exact @ v)),
        "negative": int((landmark < 0).sum()),
        "row_sum_error": float((landmark.sum(-1) - 1).abs().max()),
    }
