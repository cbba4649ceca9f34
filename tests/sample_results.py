"""Small results of analysis, tasks and benchmark, made by hand, for the tests of figures."""

import numpy as np
import pandas as pd
import torch

from nystrom_demo.analysis import HeadFactors, LengthPoint, Maps
from nystrom_demo.benchmark import Measurement, count_costs


def some_maps(n: int = 5, lowest: float = -0.25) -> Maps:
    exact = torch.full((n, n), 1 / n)
    landmark = exact.clone()
    landmark[1, 2], landmark[3, 0] = lowest, 0.75
    return Maps(exact, landmark, landmark - exact)


def some_factors(n: int = 5, m: int = 2) -> HeadFactors:
    kernel_1, inverse, kernel_3 = torch.full((n, m), 1 / m), torch.tensor([[3.0, -2], [-2, 3]]), torch.rand(m, n)
    return HeadFactors(kernel_1, torch.eye(m), inverse, kernel_3, kernel_1 @ inverse, torch.tensor([0, 0, 0, 1, 1]))


ERRORS = pd.DataFrame({"num_landmarks": [1, 2, 5], "frobenius": [0.5, 0.25, 0.0], "best_frobenius": [0.4, 0.1, 0.0]})
HEADS = pd.DataFrame(
    {"layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "frobenius": [0.1, 0.2, 0.4, 0.3], "negative": [1, 2, 3, 4]}
)
SPECTRUM = pd.DataFrame(
    {"index": [1, 2, 3], "value": [2.0, 1.0, 0.0], "share": [0.8, 1.0, 1.0], "landmark": [1.5, 0.0, 0.0]}
)
RESIDUALS = pd.DataFrame(
    {
        "step": [0, 1] * 3,
        "first_estimate": np.repeat(["largest of the heads", "own norms", "torch.linalg.pinv"], 2),
        "residual": [0.9, 0.5, 0.8, 0.25, 1e-6, 1e-6],
    }
)
LAYERS = pd.DataFrame({"layer": [0, 1, 2], "accumulated": [0.0, 0.1, 0.3], "local": [0.0, 0.1, 0.25]})
PADDING = pd.DataFrame({"padding": [0, 8], "naive": [0.2, 0.5], "ours": [0.2, 0.2]})
COSTS = count_costs([4, 16, 64], 4, head_dim=8)
TIMES = [
    Measurement("softmax (SDPA)", 256, (0.001, 0.002, 0.003), 2**20),
    Measurement("softmax (SDPA)", 512, (0.004, 0.008, 0.012), 2**22),
    Measurement("softmax (SDPA)", 1024, (0.032,), 2**24, extrapolated=True, note="over the budget"),
    Measurement("landmarks", 256, (0.004,), 2**20),
    Measurement("landmarks", 512, (0.008,), 2**21),
]
ANSWERS = pd.DataFrame(
    {
        "num_landmarks": [0, 1, 2, 8],
        "answer": ["yes", "no", 'yes, "quoted"', "yes"],
        "probability": [0.75, 0.5, 0.7, 0.74],
        "agrees": [True, False, True, True],
    }
)
LENGTHS = [
    LengthPoint(512, 16, "fixed", 0.25, 0.5, 0.01),
    LengthPoint(512, 32, "growing", 0.125, 0.25, 0.01),
    LengthPoint(1024, 16, "fixed", 0.5, 0.75, 0.02),
    LengthPoint(1024, 64, "growing", 0.0, 0.0, 0.02),
]
