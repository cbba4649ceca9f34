"""What this project wants to cost at most, and whether measurements keep to it: a row a target."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from acceptance import app as visit
from nystrom_demo.benchmark import methods as the
from nystrom_demo.benchmark.commands import ALL_HEADS, BLOCKED, FORWARD, OURS
from nystrom_demo.benchmark.compare import ratio
from nystrom_demo.benchmark.report import extremes, growth, spread
from nystrom_demo.benchmark.sweep import Measurement, law_of
from nystrom_demo.checkpoints.loading import TASKS

PEERS = (the.TRANSFORMERS_LANDMARKS.name, the.TRANSFORMERS_DEFAULT.name, the.BERT_SDPA.name)
Frames = Mapping[str, pd.DataFrame]  # what each command measured, by its name


class Finding(NamedTuple):
    """A number to set against a target, and how it is written, with its spread where it has one."""

    value: float
    shown: str


class Target(NamedTuple):
    """What is measured, its bound, and what was found; None where it was not measured. at_least: larger is better."""

    what: str
    bound: float
    unit: Callable[[float], str]
    found: Finding | None
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.found is None:
            return False
        return self.found.value >= self.bound if self.at_least else self.found.value <= self.bound

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "not measured"
        if self.met:
            return "met"
        missed = self.bound / self.found.value if self.at_least else self.found.value / self.bound
        return f"missed by {missed - 1:.0%}" if missed < 2 else f"missed {missed:.2g} times over"

    def row(self) -> list[str]:
        words = "at least" if self.at_least else "at most"
        shown = "" if self.found is None else self.found.shown
        return [self.what, f"{words} {self.unit(self.bound)}", shown, self.verdict]


def targets(frames: Frames) -> list[Target]:
    """Every target, in the order of the commands; those of a command that did not run are not measured."""
    return [
        *_of_attention(points_of(frames["core"])),
        *_of_peers("whole model, forward", frames["model"], ["batch"]),
        *_of_peers("training step", frames["training"], ["batch", "gradient_checkpointing"]),
        *_of_growth(frames["growth"]),
        _of_long(frames["long"]),
        *_of_analysis(frames["analysis"]),
        *_of_app(frames["app"]),
    ]


def points_of(frame: pd.DataFrame) -> dict[tuple[str, int], Measurement]:
    """The measurements of a frame of `to_frame`, by method and n."""
    points = {}
    for line in frame.to_dict("records"):
        seconds = () if pd.isna(line["all_seconds"]) else tuple(map(float, str(line["all_seconds"]).split()))
        memory = None if pd.isna(line.get("peak_bytes")) else int(line["peak_bytes"])
        extrapolated = bool(line.get("extrapolated", False))
        point = Measurement(line["method"], int(line["n"]), seconds, memory, extrapolated)
        points[point.method, point.n] = point
    return points


def _of_attention(points: dict[tuple[str, int], Measurement]) -> Iterator[Target]:
    product, sdpa = the.MATRIX_PRODUCT.name, the.SOFTMAX_SDPA.name
    yield Target(
        "attention alone, n = 8,192: landmarks / a matrix product of as many operations",
        2.5,
        _times,
        _ratio(points, (OURS, 8192), (product, 8192)),
    )
    for n, method, bound in (
        (4096, the.TRANSFORMERS_LANDMARKS.name, 2),
        (4096, the.TRANSFORMERS_DEFAULT.name, 20),
        (8192, sdpa, 20),
    ):
        found = _ratio(points, (method, n), (OURS, n))
        yield Target(f"attention alone, n = {n:,}: {method} / landmarks", bound, _times, found, True)


def _of_peers(what: str, frame: pd.DataFrame, variants: list[str]) -> Iterator[Target]:
    """Each peer's time and memory over ours, where that is least."""
    groups = [(_variant(*values), points_of(group)) for values, group in frame.groupby(variants, dropna=False)]
    for peer in PEERS:
        times, memory = [], []
        for variant, points in groups:
            for method, n in points:
                if method != peer:
                    continue
                times.append(_ratio(points, (peer, n), (OURS, n), f", n = {n:,}, {variant}"))
                memory.append(_memory_ratio(points[peer, n], points[OURS, n], f", n = {n:,}, {variant}"))
        for quantity, found in (("time", times), ("peak memory", memory)):
            least = min(filter(None, found), default=None)
            yield Target(f"{what}: {peer} / landmarks, {quantity}, the least", 1, _times, least, True)


def _variant(batch: int, gradient_checkpointing: bool | float = False) -> str:
    """In words; gradient_checkpointing is nan where it was not spoken of."""
    return f"batch {batch}" + (", gradient checkpointing" if gradient_checkpointing is True else "")


def _of_growth(frame: pd.DataFrame) -> Iterator[Target]:
    for layers, group in frame.groupby("num_layers"):
        what = "attention alone" if layers == 0 else "whole model"
        points = list(points_of(group).values())
        lengths = f"n = {min(group.n):,} to {max(group.n):,}"
        for quantity, name in (("median", "time"), ("peak_bytes", "peak memory")):
            law = law_of(points, OURS, quantity, tail=None)
            found = None if law is None else Finding(law.exponent, growth(law))
            yield Target(f"{what}, {lengths}: growth of {name}", 1.1, lambda power: f"n^{power:.3g}", found)


def _of_long(frame: pd.DataFrame) -> Target:
    line = frame.iloc[0]
    gigabytes = line.held_gib * 2**30 / 1e9
    what = f"one forward of twelve layers at n = {line.n:,}: all memory"
    return Target(what, 8, _gigabytes, Finding(gigabytes, _gigabytes(gigabytes)))


def _of_analysis(frame: pd.DataFrame) -> Iterator[Target]:
    points = points_of(frame)
    for (method, n), point in points.items():
        if method == BLOCKED:
            held = (
                None
                if point.peak_bytes is None
                else Finding(point.peak_bytes / 1e9, _gigabytes(point.peak_bytes / 1e9))
            )
            yield Target(f"errors of one head at n = {n:,}: memory over the model", 1, _gigabytes, held)
        if method == ALL_HEADS:
            found = _ratio(points, (ALL_HEADS, n), (FORWARD, n))
            yield Target(f"errors of all heads at n = {n:,} / an exact forward pass", 4, _times, found)


def _of_app(frame: pd.DataFrame) -> Iterator[Target]:
    points = points_of(frame)
    sizes = {(line.method, line.n): line.bytes for line in frame.itertuples()}
    n = visit.CLICK_TOKENS
    yield Target("the app's first request / its tenth", 1, _times, _ratio(points, (visit.FIRST, n), (visit.TENTH, n)))
    clicks = [_ratio(points, (visit.clicked(t), n), (visit.passes(t), n), f", {t}") for t in TASKS]
    what = f"click on a head to its answer, n = {n} / the model's two passes, the most"
    yield Target(what, 2, _times, max(filter(None, clicks), default=None))
    again = [_ratio(points, (visit.again(t), n), (visit.clicked(t), n), f", {t}") for t in TASKS]
    yield Target("a request asked again / the first time, the most", 1, _times, max(filter(None, again), default=None))
    for n, bound in ((512, 1.0), (2048, 3.0)):
        yield Target(f"click to maps, n = {n:,}", bound, _seconds, _duration(points.get((visit.MAPS, n))))
    num_bytes = sizes.get((visit.MAPS, 512))
    sent = None if num_bytes is None else Finding(num_bytes / 1e6, _megabytes(num_bytes / 1e6))
    yield Target("click to maps, n = 512: what is sent", 2.5, _megabytes, sent)
    n = visit.REDRAW_TOKENS
    yield Target(
        f"redraw of another head in Chromium, n = {n:,}", 0.35, _seconds, _duration(points.get((visit.REDRAWN, n)))
    )
    more = None
    if (visit.OUR_PAGE, 0) in sizes:
        kilobytes = (sizes[visit.OUR_PAGE, 0] - sizes[visit.BARE_PAGE, 0]) / 1e3
        more = Finding(kilobytes, _kilobytes(kilobytes))
    yield Target("the page in Chromium beyond a bare page of gradio's", 300, _kilobytes, more)


def _ratio(
    points: dict[tuple[str, int], Measurement], slower: tuple[str, int], faster: tuple[str, int], where: str = ""
) -> Finding | None:
    if slower not in points or faster not in points:
        return None
    times = ratio(points[slower], points[faster])
    return None if times is None else Finding(times.median, spread(times) + where)


def _memory_ratio(theirs: Measurement, ours: Measurement, where: str) -> Finding | None:
    if not (theirs.measured and theirs.peak_bytes and ours.peak_bytes):
        return None
    times = theirs.peak_bytes / ours.peak_bytes
    return Finding(times, f"{_times(times)}{where}")


def _duration(point: Measurement | None) -> Finding | None:
    return None if point is None else Finding(point.median, extremes(point))


def _times(value: float) -> str:
    return f"{value:.3g}×"


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def _gigabytes(value: float) -> str:
    return f"{value:.2g} GB"


def _megabytes(value: float) -> str:
    return f"{value:.3g} MB"


def _kilobytes(value: float) -> str:
    return f"{value:,.0f} kB"
