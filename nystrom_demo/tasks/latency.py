"""How long a head's forward passes take, exact and over landmarks, on one and the same input."""

import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import torch

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.tasks.reading import Reader, read
from nystrom_demo.tasks.windows import Window


class Latency(NamedTuple):
    """Seconds of each run, in the order they were made; the two kinds took turns."""

    exact: tuple[float, ...]
    landmark: tuple[float, ...]

    @property
    def medians(self) -> tuple[float, float]:
        return median(self.exact), median(self.landmark)


def compare_latency(
    checkpoint: Checkpoint,
    reader: Reader,
    settings: AttentionSettings,
    *,
    repeats: int = 5,
    budget_seconds: float = 1.5,
) -> Latency:
    """Exact and landmark runs by turns after one warm-up each; only forward passes are on the clock.

    Fewer than `repeats` pairs are made where another would begin after budget_seconds, but at least one.
    """
    timed = _Timed(reader, checkpoint.device)
    runs: tuple[list[float], list[float]] = ([], [])
    for chosen in (EXACT, settings):
        timed.run(checkpoint, chosen)
    start = time.perf_counter()
    while not runs[0] or (len(runs[0]) < repeats and time.perf_counter() - start < budget_seconds):
        for seconds, chosen in zip(runs, (EXACT, settings), strict=True):
            seconds.append(timed.run(checkpoint, chosen))
    return Latency(tuple(runs[0]), tuple(runs[1]))


class _Timed:
    """A reader whose forward passes are timed."""

    def __init__(self, reader: Reader, device: torch.device):
        self.reader, self.device, self.windows, self.seconds = reader, device, reader.windows, 0.0

    def run(self, checkpoint: Checkpoint, settings: AttentionSettings) -> float:
        self.seconds = 0.0
        read(checkpoint, [self], settings)
        return self.seconds

    def forward(self, model, inputs: dict, windows: Sequence[Window]) -> list:
        self._synchronize()
        start = time.perf_counter()
        outputs = self.reader.forward(model, inputs, windows)
        self._synchronize()
        self.seconds += time.perf_counter() - start
        return outputs

    def result(self, outputs: Sequence) -> None:
        """Nothing: what the runs answer is known already."""

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
