"""Code for the figures of the Time tab."""

from collections.abc import Mapping, Sequence
from typing import Any

from nystrom_demo.snippets.parts import SAY_FIGURE

_TIMES = """\
import torch

from nystrom_demo import figures
from nystrom_demo.benchmark import time_attention

measurements = list(
    time_attention(
        {lengths},
{options}
    )
)
figure = figures.timing(measurements, "{quantity}", until={until})
"""

_COUNTS = """\
from nystrom_demo import figures
from nystrom_demo.benchmark import count_costs

costs = count_costs({lengths}, {num_landmarks}, head_dim={head_dim}, pinv_iterations={pinv_iterations})
figure = figures.counted_costs(costs, "{quantity}")
"""


def for_counts(lengths: Sequence[int], num_landmarks: int, head_dim: int, pinv_iterations: int, quantity: str) -> str:
    """A script that counts what one head computes or stores at these lengths."""
    shape = {"num_landmarks": num_landmarks, "head_dim": head_dim, "pinv_iterations": pinv_iterations}
    return _COUNTS.format(lengths=list(lengths), quantity=quantity, **shape) + SAY_FIGURE


def for_times(lengths: Sequence[int], options: Mapping[str, Any], quantity: str, until: int) -> str:
    """A script that measures what the page measured: the same ways, lengths and shapes, with times of its own.

    options: the keyword arguments of `time_attention`.
    """
    lines = "\n".join(f"        {name}={value!r}," for name, value in options.items())
    return _TIMES.format(lengths=list(lengths), options=lines, quantity=quantity, until=until) + SAY_FIGURE
