"""Results as Markdown: the machine, tables of medians with ratios and their spread, growth in words."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch
import transformers

from nystrom_demo.benchmark.compare import Ratio, ratio
from nystrom_demo.benchmark.laws import PowerLaw
from nystrom_demo.benchmark.sweep import Measurement
from nystrom_demo.formatting import duration, factor, memory, number


def machine(device: torch.device) -> str:
    """One line: processor, cores, memory, versions, date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{_processor()}, {cores} cores", f"{_memory_bytes() / 2**30:.0f} GiB", platform.system()]
    if device.type == "cuda":
        parts.insert(0, torch.cuda.get_device_name(device))
    else:
        parts.append(f"{torch.get_num_threads()} threads")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{', '.join(parts)}; {versions}; {date.today():%d %B %Y}."


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def comparison_table(points: Sequence[Measurement], reference: str) -> str:
    """A row a length, a column a method: the reference in milliseconds, the others as multiples of its time."""
    methods = list(dict.fromkeys(point.method for point in points))
    methods.sort(key=lambda method: method != reference)
    rows = []
    for n in dict.fromkeys(point.n for point in points):
        here = {point.method: point for point in points if point.n == n}
        rows.append([f"{n:,}", *(_cell(here[method], here[reference]) for method in methods)])
    return markdown_table(["n", *methods], rows)


def extremes(point: Measurement) -> str:
    """The median time, and the shortest and longest."""
    return f"{duration(point.median)} ({duration(point.best)} to {duration(max(point.seconds))})"


def spread(measured: Ratio) -> str:
    return f"{factor(measured.median)} ({number(measured.low)} to {number(measured.high)})"


def growth(law: PowerLaw | None) -> str:
    return "not measured" if law is None else f"n^{law.exponent:.2f}"


def _cell(point: Measurement, reference: Measurement) -> str:
    if not point.measured:
        return "past the budget" if point.extrapolated else "does not run"
    held = "" if point.peak_bytes is None else f", {memory(point.peak_bytes)}"
    times = ratio(point, reference)
    if point is reference or times is None:
        return f"{duration(point.median)}{held}"
    return f"{spread(times)}{held}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
