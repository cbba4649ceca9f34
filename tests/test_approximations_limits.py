"""Memory of approximations: estimated from shapes, above the truth but not far, and refused by name."""

import pytest
import torch

from nystrom_demo import AttentionSettings
from nystrom_demo.analysis import LayerInputs, approximation_errors
from nystrom_demo.approximations import APPROXIMATIONS, get
from nystrom_demo.benchmark import peak_bytes
from nystrom_demo.errors import UserError
from nystrom_demo.limits.admission import admit_approximation
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.limits.estimates import approximation_bytes, approximation_elements, attention_elements

CPU, HEADS, HEAD_DIM = torch.device("cpu"), 2, 16


@pytest.mark.parametrize("name", APPROXIMATIONS)
@pytest.mark.parametrize(("n", "m"), [(200, 8), (150, 60)])
def test_an_approximation_holds_no_more_than_is_estimated(name, n, m):
    q, k, v = torch.randn(3, 1, HEADS, n, HEAD_DIM, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        held = peak_bytes(lambda: get(name)(q, k, v, m), CPU)
    assert held / 4 <= approximation_elements(get(name), HEADS, n, m, HEAD_DIM) <= 40 * held / 4


def test_the_errors_of_all_heads_hold_no_more_than_is_estimated():
    n, m = 200, 16
    text = LayerInputs(*torch.randn(3, 1, HEADS, n, HEAD_DIM, generator=torch.Generator().manual_seed(0)))
    for name in ("nystrom", "window", "best-rank", "favor"):
        held = peak_bytes(lambda name=name: list(approximation_errors([text], [m], [name])), CPU)
        assert held <= approximation_bytes(get(name), HEADS, n, m, HEAD_DIM)


def test_what_is_too_large_is_refused_by_name():
    with under_limits(Limits(request_bytes=50_000_000)):
        admit_approximation("favor", 4, 200, 16, 32)
        with pytest.raises(UserError, match=r"FAVOR\+ \(Performer\) at m = 64 on 4,000 tokens would take about .* GiB"):
            admit_approximation("favor", 4, 4000, 64, 32)
    with pytest.raises(ValueError, match="approximation must be one of"):
        admit_approximation("performer", 4, 200, 16, 32)


def test_models_under_an_approximation_are_estimated_by_it():
    alone, batch = (attention_elements(AttentionSettings("wildcat", 8), rows, 2, 100, 16) for rows in (1, 5))
    assert approximation_elements(get("wildcat"), 2, 100, 8, 16) < alone < batch < 2 * alone
