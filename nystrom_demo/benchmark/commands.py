"""The subcommands: each measures, and returns its title, its Markdown and its numbers before anything is printed."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch
from tqdm import tqdm

from nystrom_demo.benchmark import methods as the
from nystrom_demo.benchmark.compare import compare, ratio
from nystrom_demo.benchmark.laws import crossover
from nystrom_demo.benchmark.measure import peak_bytes, time_in_turn
from nystrom_demo.benchmark.methods import Method, Workload
from nystrom_demo.benchmark.report import comparison_table, growth, markdown_table, spread
from nystrom_demo.benchmark.sweep import Measurement, law_of, time_attention, to_frame
from nystrom_demo.formatting import duration, memory

OURS = the.LANDMARKS.name
BLOCKED, FORWARD, ALL_HEADS = "errors of one head in blocks", "exact forward", "errors of all heads"


class Result(NamedTuple):
    title: str
    text: str  # Markdown
    frame: pd.DataFrame


def core(options: argparse.Namespace) -> Result:
    """Attention alone, without projections and with the convolution, against every other way."""
    lengths = options.lengths or [512, 2048, 4096, 8192]
    workload = _workload(options)
    methods = [
        the.LANDMARKS,
        the.MATRIX_PRODUCT,
        the.SOFTMAX_SDPA,
        the.TRANSFORMERS_LANDMARKS,
        the.TRANSFORMERS_DEFAULT,
    ]
    points = _compare(options, workload, lengths, methods)
    lines = [
        f"One layer's attention: batch {workload.batch}, {workload.heads} heads of {workload.head_dim}, "
        f"m = {workload.num_landmarks}, convolution of {workload.conv_kernel_size}, forward. Times are medians; "
        "multiples are of landmarks' time in the same round, with their extremes; memory is the call's peak beside "
        "its inputs.",
        comparison_table(points, OURS),
        *_products(points),
    ]
    return Result("Attention alone", "\n\n".join(lines), to_frame(points))


def model(options: argparse.Namespace) -> Result:
    """The whole model against transformers' Nyströmformer and against BERT, for one text and for eight."""
    lengths = options.lengths or [512, 2048, 4096, 8192]
    methods = [the.LANDMARKS, the.TRANSFORMERS_LANDMARKS, the.TRANSFORMERS_DEFAULT, the.BERT_SDPA]
    return _whole_model("Whole model, forward", options, lengths, [1, 8], [(methods, {})])


def training(options: argparse.Namespace) -> Result:
    """Forward and backward of the whole model, with and without gradient checkpointing."""
    lengths = options.lengths or [512, 2048]
    methods = [the.LANDMARKS, the.TRANSFORMERS_LANDMARKS, the.TRANSFORMERS_DEFAULT, the.BERT_SDPA]
    variants = [(methods, {"backward": True}), (methods, {"backward": True, "gradient_checkpointing": True})]
    return _whole_model("Training step, forward and backward", options, lengths, [4], variants)


def growing(options: argparse.Namespace) -> Result:
    """How landmark attention grows with n: exponents of time and of memory, alone and in the whole model."""
    lengths = options.lengths or [2048, 4096, 8192, 16384, 32768]
    rows, frames = [], []
    for name, num_layers in (("attention alone", 0), ("whole model", options.layers)):
        points = _compare(options, _workload(options, num_layers=num_layers), lengths, [the.LANDMARKS])
        time_law, memory_law = (law_of(points, OURS, quantity, tail=None) for quantity in ("median", "peak_bytes"))
        rows.append([name, growth(time_law), growth(memory_law)])
        frames.append(to_frame(points).assign(num_layers=num_layers))
    table = markdown_table([f"landmarks, n = {lengths[0]:,} to {lengths[-1]:,}", "time", "peak memory"], rows)
    return Result("Growth", table, pd.concat(frames))


def long(options: argparse.Namespace) -> Result:
    """One forward of a whole model of twelve layers at 131,072 tokens; the memory is all that was held, weights too."""
    (n,) = options.lengths or [131_072]
    workload = _workload(options, num_layers=12)
    call = the.LANDMARKS.prepare(workload, n)
    seconds = time_in_turn({"": call}, workload.device, repeats=1, warm_up=0)[""][0]
    holder, gibibytes = most_held(workload.device)
    text = (
        f"One forward of {workload.num_layers} layers, {workload.heads} heads of {workload.head_dim}, at n = {n:,} "
        f"takes {seconds:.0f} s; the {holder}, weights included, never held more than {gibibytes:.1f} GiB."
    )
    frame = pd.DataFrame({"method": [OURS], "n": [n], "median_seconds": [seconds], "held_gib": [gibibytes]})
    return Result("A long text", text, frame)


def most_held(device: torch.device) -> tuple[str, float]:
    """Who computes on `device`, GPU or process, and the most GiB that it held since this process began."""
    if device.type == "cuda":
        return "GPU", torch.cuda.max_memory_allocated(device) / 2**30
    import resource  # Unix only, like the figure itself

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there and in kibibytes elsewhere
    return "process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def sweep(options: argparse.Namespace) -> Result:
    """Any methods at any lengths, with fitted laws and where they cross; what the app's Time tab shows."""
    lengths = options.lengths or [2**power for power in range(7, 14)]
    names = options.methods or ["softmax (eager)", "softmax (SDPA)", "transformers landmarks", OURS]
    stream = time_attention(
        lengths,
        methods=names,
        num_landmarks=options.landmarks,
        heads=options.heads,
        head_dim=options.head_dim,
        batch=options.batch,
        num_layers=options.layers if options.whole_model else 0,
        backward=options.backward,
        dtype=getattr(torch, options.dtype),
        device=options.device,
        repeats=options.repeats,
        budget_seconds=options.budget,
    )
    points = _watch(stream, len(set(lengths)) * len(names))
    frame = to_frame(points)
    rows = [[p.method, f"{p.n:,}", _time(p), _memory(p), p.note] for p in points]
    laws = [
        [name, growth(law_of(points, name)), growth(law_of(points, name, "peak_bytes")), _where(points, name)]
        for name in names
    ]
    text = "\n\n".join(
        [
            markdown_table(["method", "n", "median (extremes)", "peak memory", ""], rows),
            markdown_table(["method", "time", "memory", "as fast as landmarks at"], laws),
        ]
    )
    return Result("Sweep", text, frame)


def analysis(options: argparse.Namespace) -> Result:
    """What the error figures cost: one head at 16,384 tokens in blocks, and every head of a model at 512."""
    from nystrom_demo.analysis import blocked_errors, collect_layers, head_errors, random_inputs
    from nystrom_demo.config import EXACT, AttentionSettings

    (n,) = options.lengths or [16_384]
    device, settings = torch.device(options.device), AttentionSettings(num_landmarks=options.landmarks)
    text = random_inputs(n, options.head_dim)
    text = text._replace(q=text.q.to(device), k=text.k.to(device), v=text.v.to(device))
    blocked = Measurement(BLOCKED, n, (), peak_bytes(lambda: blocked_errors(text, 0, settings, spectral=False), device))
    short = 512
    encoder = the.nystromformer(_workload(options, num_layers=options.layers), short).eval().to(device)
    ids = torch.randint(3, 1000, (1, short)).to(device)
    with torch.no_grad():
        seconds = time_in_turn(
            {
                FORWARD: lambda: encoder(ids, attention_settings=EXACT),
                ALL_HEADS: lambda: head_errors(collect_layers(encoder, ids), settings),
            },
            device,
            repeats=options.repeats,
        )
    points = [Measurement(name, short, values) for name, values in seconds.items()]
    times = ratio(points[1], points[0])
    lines = (
        f"The errors of one head at n = {n:,} in blocks hold {_memory(blocked)} beside q, k and v; the exact "
        f"matrix would be {memory(4 * n * n)}. The errors of all heads of {options.layers} layers at "
        f"n = {short} take {duration(points[1].median)}, {spread(times)} of the exact forward pass."
    )
    return Result("Analysis", lines, to_frame([blocked, *points]))


COMMANDS: dict[str, Callable[[argparse.Namespace], Result]] = {
    "core": core,
    "model": model,
    "training": training,
    "growth": growing,
    "long": long,
    "analysis": analysis,
    "sweep": sweep,
}


def _workload(options: argparse.Namespace, **changes) -> Workload:
    workload = Workload(
        num_landmarks=options.landmarks,
        heads=options.heads,
        head_dim=options.head_dim,
        batch=options.batch,
        dtype=getattr(torch, options.dtype),
        device=torch.device(options.device),
    )
    return replace(workload, **changes)


def _compare(
    options: argparse.Namespace, workload: Workload, lengths: list[int], methods: list[Method]
) -> list[Measurement]:
    stream = compare(workload, lengths, methods, repeats=options.repeats, budget_seconds=options.budget)
    return _watch(stream, len(lengths) * len(methods))


def _watch(stream: Iterator[Measurement], total: int) -> list[Measurement]:
    points = []
    with tqdm(total=total, unit="point", leave=False) as bar:
        for point in stream:
            points.append(point)
            bar.set_postfix_str(f"{point.method}, n = {point.n:,}")
            bar.update()
    return points


def _whole_model(
    title: str,
    options: argparse.Namespace,
    lengths: list[int],
    batches: list[int],
    variants: list[tuple[list[Method], dict[str, bool]]],
) -> Result:
    lines = [
        f"{options.layers} layers of {options.heads} heads of {options.head_dim} with their feed-forward, "
        f"m = {options.landmarks}. Times are medians; multiples are of landmarks' time in the same round, with their "
        "extremes; memory is the call's peak beside weights and inputs."
    ]
    frames = []
    for batch in batches:
        for methods, changes in variants:
            workload = _workload(options, batch=batch, num_layers=options.layers, **changes)
            points = _compare(options, workload, lengths, methods)
            words = " with gradient checkpointing" if workload.gradient_checkpointing else ""
            lines += [f"Batch {batch}{words}:", comparison_table(points, OURS)]
            frames.append(to_frame(points).assign(batch=batch, **changes))
    return Result(title, "\n\n".join(lines), pd.concat(frames))


def _products(points: list[Measurement]) -> list[str]:
    """Sentences: what landmarks cost in matrix products of as many operations."""
    by = {(p.method, p.n): p for p in points}
    sentences = []
    for n in dict.fromkeys(p.n for p in points):
        times = ratio(by[OURS, n], by[the.MATRIX_PRODUCT.name, n])
        if times is not None:
            sentences.append(f"n = {n:,}: {spread(times)}")
    return [f"Landmarks against one square matrix product of as many operations: {'; '.join(sentences)}."]


def _where(points: list[Measurement], name: str) -> str:
    ours, other = law_of(points, OURS), law_of(points, name)
    meets = None if name == OURS or ours is None or other is None else crossover(other, ours)
    return "" if meets is None else f"n = {meets:,.0f}" if meets >= 1 else "no length"


def _time(point: Measurement) -> str:
    if not point.seconds:
        return ""
    if point.extrapolated:
        return f"about {duration(point.median)}"
    return f"{duration(point.median)} ({duration(point.best)} to {duration(max(point.seconds))})"


def _memory(point: Measurement) -> str:
    return "" if point.peak_bytes is None else memory(point.peak_bytes)
