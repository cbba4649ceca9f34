"""Seconds that a request will take of one worker, from the shapes of what it asks for and the machine's speed.

`Work` counts what is done, kind by kind; `Speed` says how long one of each kind takes, measured once where the server
starts. `tests/load/work_estimates.py` measures how far the seconds lie above the truth.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from nystrom_demo.analysis.blocked import block_rows
from nystrom_demo.config import AttentionSettings

MARGIN = 1.4  # for what is not counted, and a machine that others use too
LANCZOS_STEPS = 14  # of `largest_singular_value`, which ends sooner or later
ROW_STEPS = 3  # of a softmax's length, for each entry of two maps that are compared
PINV_PRODUCTS = 4  # products of (m, m) matrices a step of the pseudo-inverse


Clock = Callable[[], float]


class Work(NamedTuple):
    """What a computation does. Works add up, and may be multiplied.

    products: multiply-adds of matrix products. attention: those of exact attention in one kernel. decompositions: n³ of
    each n×n matrix whose singular values are taken. elements: numbers that pass through one element-wise step.
    calls: operators called.
    """

    products: float = 0.0
    attention: float = 0.0
    decompositions: float = 0.0
    elements: float = 0.0
    calls: float = 0.0

    def __add__(self, other: "Work") -> "Work":  # type: ignore[override]
        return Work(*(mine + its for mine, its in zip(self, other, strict=True)))

    def __mul__(self, times: float) -> "Work":  # type: ignore[override]
        return Work(*(times * mine for mine in self))


class Speed(NamedTuple):
    """Seconds for one of each kind of `Work`."""

    products: float
    attention: float
    decompositions: float
    elements: float
    calls: float

    def seconds(self, work: Work) -> float:
        """What a worker needs for the work, with a margin."""
        return MARGIN * sum(each * count for each, count in zip(self, work, strict=True))


def measure_speed(device: torch.device | str = "cpu", clock: Clock = time.perf_counter) -> Speed:
    """This machine's speed with the torch threads that the caller has: the best of a few runs of each kind, a second
    in all."""
    device = torch.device(device)
    n, width, heads, side = 512, 384, 12, 384
    rows, weights = torch.randn(n, width, device=device), torch.randn(width, 4 * width, device=device)
    q = torch.randn(1, heads, n, width // heads, device=device)
    square = torch.randn(side, side, device=device).softmax(-1)
    wide, few = torch.randn(n, 4 * width, device=device), torch.ones(4, device=device)
    attend = torch.nn.functional.scaled_dot_product_attention
    best = functools.partial(_best, device, clock)
    with torch.inference_mode():
        return Speed(
            products=best(lambda: rows @ weights) / (4 * n * width**2),
            attention=best(lambda: attend(q, q, q)) / (2 * n * n * width),
            decompositions=best(lambda: torch.linalg.svdvals(square)) / side**3,
            elements=best(lambda: wide.softmax(-1)) / wide.numel(),
            calls=best(lambda: [few.add(1) for _ in range(100)]) / 100,
        )


def encoder_work(config: Any, batch: int, n: int, settings: AttentionSettings) -> Work:
    """One forward pass of the encoder on `batch` rows of n tokens."""
    hidden, wide, tokens = config.hidden_size, config.intermediate_size, batch * n
    feed = Work(products=tokens * hidden * (4 * hidden + 2 * wide), elements=tokens * (6 * hidden + 2 * wide), calls=30)
    return (feed + _attention_work(config, batch, n, settings)) * config.num_hidden_layers


def _attention_work(config: Any, batch: int, n: int, settings: AttentionSettings) -> Work:
    hidden, rows = config.hidden_size, batch * config.num_attention_heads
    m = min(settings.num_landmarks, n) if settings.implementation == "nystrom" else n
    exact = 2 * batch * n * n * hidden
    if settings.implementation == "eager":
        return Work(products=exact, elements=4 * rows * n * n)
    taps = getattr(config, "conv_kernel_size", None) or 0
    convolution = Work(products=batch * n * hidden * taps, elements=4 * batch * n * hidden, calls=10)
    if m == n:
        return Work(attention=exact) + convolution
    inverse = Work(
        products=rows * PINV_PRODUCTS * settings.pinv_iterations * m**3,
        elements=rows * 8 * settings.pinv_iterations * m**2,
        calls=10 * settings.pinv_iterations,
    )
    return Work(products=4 * batch * n * m * hidden, elements=4 * rows * n * m, calls=60) + inverse + convolution


def masks_work(config: Any, num_masks: int, top_k: int) -> Work:
    """The masked-word scores of so many masks, one row of the vocabulary's size each, and the best of them as text."""
    scores = num_masks * config.vocab_size
    return Work(products=scores * config.hidden_size, elements=6 * scores + 500 * num_masks * top_k, calls=50)


def layers_work(config: Any, n: int) -> Work:
    """The exact pass that gives q, k and v of every layer."""
    return encoder_work(config, 1, n, AttentionSettings("sdpa"))


def maps_work(n: int, m: int, dim: int = 64) -> Work:
    """The exact and the landmark map of one head, their difference, and what is read off them."""
    return errors_work(n, m, dim) + Work(elements=12 * n * n, calls=600)


def errors_work(n: int, m: int, dim: int, *, spectral: bool = False) -> Work:
    """One head's errors: the rows of both maps compared; with `spectral` the largest singular value of either too."""
    if m >= n:
        return Work(calls=50)
    blocks = -(-n // block_rows(n))
    inverse = Work(products=12 * PINV_PRODUCTS * m**3, elements=40 * m * m, calls=20)
    rows = Work(products=n * n * (3 * dim + m), elements=ROW_STEPS * n * n, calls=40 * blocks)
    if not spectral:
        return rows + inverse
    again = Work() if blocks == 1 else Work(products=n * n * dim, elements=1.5 * n * n)
    step = again + Work(products=16 * n * n, elements=n * n, calls=40 * blocks)
    return rows + inverse + step * LANCZOS_STEPS


def heads_work(config: Any, n: int, m: int) -> Work:
    """The errors of every layer and head."""
    return errors_work(n, m, _head_dim(config)) * (config.num_hidden_layers * config.num_attention_heads)


def spectrum_work(n: int) -> Work:
    """The singular values of one head's map."""
    return Work(decompositions=n**3, elements=4 * n * n)


def lengths_work(config: Any, n: int, m: int, window: int | None) -> Work:
    """The errors at n tokens, the most of a sweep up to there, and before it what reads them, window by window."""
    read = Work() if window is None else layers_work(config, window) * (n / window)
    return errors_work(n, m, _head_dim(config)) + read


def _head_dim(config: Any) -> int:
    return config.hidden_size // config.num_attention_heads


def _best(device: torch.device, clock: Clock, call: Callable[[], object], runs: int = 7) -> float:
    """Seconds of the fastest run, after one that warms up."""
    seconds = []
    for _ in range(runs + 1):
        _wait_for(device)
        start = clock()
        call()
        _wait_for(device)
        seconds.append(clock() - start)
    return min(seconds[1:])


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
