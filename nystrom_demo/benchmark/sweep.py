"""A sweep over lengths, one measured point at a time; what would cost too much is read from the method's power law."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch

from nystrom_demo.benchmark.laws import PowerLaw, fit_power_law
from nystrom_demo.benchmark.measure import peak_bytes, time_once
from nystrom_demo.benchmark.methods import METHODS, Call, Method, Workload
from nystrom_demo.formatting import duration, memory

DEFAULT_METHODS = ("softmax (eager)", "softmax (SDPA)", "transformers landmarks", "landmarks")
PROBE_LENGTH = 256  # a method's cost at its first length is guessed from a run at about this one
TAIL = 3  # a law is fitted to the last points: at short lengths the cost of calling hides the growth


@dataclass(frozen=True)
class Measurement:
    """One method at one length n.

    seconds: every repeat; the law's single value where `extrapolated`; none where the method does not run there.
    peak_bytes: memory of one call beside its inputs (see `measure`); None where unknown.
    note: why the point is extrapolated or empty, a sentence for the reader.
    """

    method: str
    n: int
    seconds: tuple[float, ...]
    peak_bytes: int | None = None
    extrapolated: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """Seconds; nan where the method does not run."""
        return statistics.median(self.seconds) if self.seconds else float("nan")

    @property
    def best(self) -> float:
        """Seconds of the fastest repeat: what the method needs when nothing else disturbs it."""
        return min(self.seconds, default=float("nan"))

    @property
    def measured(self) -> bool:
        return bool(self.seconds) and not self.extrapolated


def time_attention(
    lengths: Sequence[int],
    *,
    num_landmarks: int = 64,
    methods: Sequence[str] = DEFAULT_METHODS,
    heads: int = 12,
    head_dim: int = 64,
    batch: int = 1,
    num_layers: int = 0,
    conv_kernel_size: int | None = 65,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    backward: bool = False,
    repeats: int = 5,
    budget_seconds: float = 10.0,
    budget_bytes: int = 4 * 2**30,
) -> Iterator[Measurement]:
    """Measurements of each method at each length, one by one: len(lengths) · len(methods) of them, shorter texts first.

    num_layers 0 times attention alone, a larger number the whole model; see `Workload`. A point takes at most about
    budget_seconds, with fewer repeats where there is no time for all; where even one timed run would take longer, or
    would hold more than budget_bytes, the method stops and its further points are read from its fitted law and say so.
    Stop at any point by closing the generator. ValueError at once for arguments that do not fit.
    """
    workload = Workload(
        num_landmarks=num_landmarks,
        heads=heads,
        head_dim=head_dim,
        batch=batch,
        num_layers=num_layers,
        conv_kernel_size=conv_kernel_size,
        backward=backward,
        dtype=dtype,
        device=torch.device(device),
    )
    chosen = [_method(name) for name in methods]
    lengths = _increasing(lengths)
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}.")
    if budget_seconds <= 0 or budget_bytes <= 0:
        raise ValueError(f"The budgets must be positive, got {budget_seconds} s and {budget_bytes} bytes.")
    runs = [Run(method, workload, repeats, budget_seconds, budget_bytes) for method in chosen]
    return (run.measure(n) for n in lengths for run in runs)


def law_of(
    measurements: Sequence[Measurement], method: str, quantity: str = "median", *, tail: int | None = TAIL
) -> PowerLaw | None:
    """The power law of a method's measured "median" (or "best") seconds or "peak_bytes", over its last `tail` points.

    With `tail` None, over all its points. None where fewer than two were measured.
    """
    points = [(m.n, getattr(m, quantity)) for m in measurements if m.method == method and m.measured]
    points = sorted(point for point in points if point[1])[-tail if tail else None :]
    if len({n for n, _ in points}) < 2:
        return None
    return fit_power_law(*zip(*points, strict=True))


def to_frame(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row a measurement: medians, extremes and every repeat in seconds, memory in bytes; ready for `to_csv`."""
    return pd.DataFrame(
        {
            "method": [m.method for m in measurements],
            "n": [m.n for m in measurements],
            "median_seconds": [m.median for m in measurements],
            "min_seconds": [min(m.seconds, default=float("nan")) for m in measurements],
            "max_seconds": [max(m.seconds, default=float("nan")) for m in measurements],
            "all_seconds": [" ".join(f"{s:.6g}" for s in m.seconds) for m in measurements],
            "peak_bytes": pd.array([m.peak_bytes for m in measurements], dtype="Int64"),
            "extrapolated": [m.extrapolated for m in measurements],
            "note": [m.note for m in measurements],
        }
    )


@dataclass
class Run:
    """One method's way through the lengths: what it measured, and whether it has stopped."""

    method: Method
    workload: Workload
    repeats: int
    budget_seconds: float
    budget_bytes: int
    known: list[Measurement] = field(default_factory=list)
    stopped: str = ""

    def measure(self, n: int) -> Measurement:
        declined = self.declined(n)
        if declined is not None:
            return declined
        self.known.append(self._time(self.method.prepare(self.workload, n), n))
        return self.known[-1]

    def declined(self, n: int) -> Measurement | None:
        """What stands for the measurement where the method does not run or is past its budget; None where it fits."""
        refusal = self.method.refuses(self.workload, n)
        if refusal:
            return Measurement(self.method.name, n, (), note=refusal)
        if not self.stopped:
            self._stop_if_too_much(n)
        return self._extrapolate(n) if self.stopped else None

    def _time(self, call: Call, n: int) -> Measurement:
        """The first run warms up and is weighed; the others are timed while the budget lasts, at least one of them."""
        start = time.perf_counter()
        held = peak_bytes(call, self.workload.device)
        seconds = [time_once(call, self.workload.device)]
        while len(seconds) < self.repeats and time.perf_counter() - start + seconds[-1] < self.budget_seconds:
            seconds.append(time_once(call, self.workload.device))
        return Measurement(self.method.name, n, tuple(seconds), held)

    def _stop_if_too_much(self, n: int) -> None:
        if not self.known:
            self._probe(n)
        if not self.known:
            return
        laws = self._law("best", cautious=True), self._law("peak_bytes", cautious=True)
        seconds, held = (law.at(n) if law else 0 for law in laws)
        if 2 * seconds > self.budget_seconds:  # the first run and a timed one
            self.stopped = (
                f"Two runs of about {duration(seconds)} at n = {n} would exceed {duration(self.budget_seconds)}."
            )
        elif held > self.budget_bytes:
            self.stopped = f"About {memory(held)} at n = {n} would exceed {memory(self.budget_bytes)}."

    def _probe(self, n: int) -> None:
        """Where the first length is long, one short run from which to guess what it will cost."""
        m = self.workload.num_landmarks
        length = m * max(2, PROBE_LENGTH // m)
        if length < n:
            self.known.append(self._time(self.method.prepare(self.workload, length), length))

    def _law(self, quantity: str, cautious: bool = False) -> PowerLaw | None:
        """The fitted law; with `cautious` or one point only, the method's asymptotic growth through the last point."""
        law = None if cautious else law_of(self.known, self.method.name, quantity)
        last = self.known[-1]
        if law is None and getattr(last, quantity):
            law = PowerLaw(getattr(last, quantity) / last.n**self.method.growth, self.method.growth)
        return law

    def _extrapolate(self, n: int) -> Measurement:
        seconds, held = self._law("median"), self._law("peak_bytes")
        peak = None if held is None else round(held.at(n))
        return Measurement(self.method.name, n, (seconds.at(n),), peak, extrapolated=True, note=self.stopped)


def _method(name: str) -> Method:
    if name not in METHODS:
        raise ValueError(f'methods must be among {", ".join(METHODS)}, got "{name}".')
    return METHODS[name]


def _increasing(lengths: Sequence[int]) -> list[int]:
    for n in lengths:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"lengths must be integers of at least 1, got {n!r}.")
    if not lengths:
        raise ValueError("lengths must name at least one length, got none.")
    return sorted(set(lengths))
