"""How near other approximations come to the bundled heads' attention, over texts and seeds; and what they cost here."""

import argparse
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from tqdm import tqdm

from nystrom_demo.analysis import approximation_errors, collect_layers, spread_over_texts
from nystrom_demo.approximations import APPROXIMATIONS, get
from nystrom_demo.benchmark.commands import Result
from nystrom_demo.benchmark.measure import time_in_turn
from nystrom_demo.benchmark.report import markdown_table
from nystrom_demo.checkpoints import Checkpoint, load_bundled
from nystrom_demo.formatting import duration

BUDGETS, LENGTH, TEXTS, SEEDS = (16, 64), 384, 20, 3
MEASURES = {"frobenius": "the map", "output": "the output"}


def approximations(options: argparse.Namespace) -> Result:
    """Errors of every approximation on the bundled heads, over texts and seeds with intervals, and its time."""
    (n,) = options.lengths or [LENGTH]
    paragraphs = Path(options.texts).read_text(encoding="utf-8").splitlines()
    heads = load_bundled(options.device)
    lines, frames = [], []
    for task in options.tasks or ["question-answering"]:
        errors = _errors_of_head(heads[task], paragraphs, n, options)
        spreads = {measure: spread_over_texts(errors, measure) for measure in MEASURES}
        lines += [f"**{task}**", _table(spreads)]
        frames += [spread.assign(task=task, measure=measure) for measure, spread in spreads.items()]
    times = _times(n, max(options.budgets), options)
    lines.append(markdown_table(["method", f"time, n = {n}, m = {max(options.budgets)}"], times))
    intro = (
        f"Relative errors at m = {' and '.join(map(str, options.budgets))} on {options.num_texts} texts of {n} tokens, "
        f"every head of {'all layers' if options.only_layers is None else f'layers {options.only_layers}'}, "
        f"{options.seeds} seeds where there is chance: the median head's, with its 95 % interval over texts."
    )
    return Result("Approximations", "\n\n".join([intro, *lines]), pd.concat(frames))


def texts_of(checkpoint: Checkpoint, paragraphs: list[str], n: int, count: int) -> Iterator[torch.Tensor]:
    """`count` texts (1, n) of paragraphs in a row, none of them in two texts. ValueError where they do not suffice."""
    tokenizer, ids, made = checkpoint.tokenizer, [], 0
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    for paragraph in paragraphs:
        ids += tokenizer(paragraph, add_special_tokens=False)["input_ids"]
        if len(ids) >= n - 2:
            yield torch.tensor([[first, *ids[: n - 2], last]], device=checkpoint.device)
            ids, made = [], made + 1
            if made == count:
                return
    raise ValueError(f"The file of texts must hold {count} texts of {n} tokens, it came to {made}.")


def _errors_of_head(checkpoint: Checkpoint, paragraphs: list[str], n: int, options: argparse.Namespace) -> pd.DataFrame:
    tables = []
    with tqdm(total=options.num_texts * len(APPROXIMATIONS), unit="method", leave=False) as bar:
        for index, input_ids in enumerate(texts_of(checkpoint, paragraphs, n, options.num_texts)):
            layers = collect_layers(checkpoint.model, input_ids, layers=options.only_layers)
            for table in approximation_errors(layers, options.budgets, seeds=range(options.seeds)):
                tables.append(table.assign(text=index))
                bar.set_postfix_str(f"text {index + 1}, {table.method[0]}")
                bar.update()
    return pd.concat(tables, ignore_index=True)


def _table(spreads: dict[str, pd.DataFrame]) -> str:
    """A row a method, a column a measure and budget; the nearest at the largest budget first."""
    budgets = sorted(spreads["frobenius"].budget.unique())
    cells = {
        (measure, line.method, line.budget): f"{line.median:.3g} ({line.low:.3g} to {line.high:.3g})"
        for measure, spread in spreads.items()
        for line in spread.itertuples()
    }
    last = spreads["frobenius"][lambda spread: spread.budget == budgets[-1]].sort_values("median")
    rows = [
        [APPROXIMATIONS[name].label, *(cells[measure, name, m] for measure in MEASURES for m in budgets)]
        for name in last.method
    ]
    return markdown_table(["method", *(f"{MEASURES[x]}, m = {m}" for x in MEASURES for m in budgets)], rows)


def approximation_times(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    budgets: Sequence[int],
    methods: Sequence[str] | None = None,
    *,
    repeats: int = 5,
    budget_seconds: float = math.inf,
) -> pd.DataFrame:
    """Median wall seconds of each method's output on q, k, v (batch, heads, seq, head_dim): method, budget, seconds.

    All take turns, so that a slow moment hits all alike. methods: names, all unless told.
    """
    pairs = [(name, m) for name in (APPROXIMATIONS if methods is None else methods) for m in budgets]
    calls = {(name, m): partial(get(name), q, k, v, m) for name, m in pairs}
    with torch.no_grad():
        seconds = time_in_turn(calls, q.device, repeats=repeats, budget_seconds=budget_seconds)
    lines = [{"method": name, "budget": m, "seconds": median(seconds[name, m])} for name, m in pairs]
    return pd.DataFrame(lines)


def _times(n: int, m: int, options: argparse.Namespace) -> list[list[str]]:
    shape = (options.batch, options.heads, n, options.head_dim)
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(n)).to(options.device)
    times = approximation_times(*inputs, [m], repeats=options.repeats, budget_seconds=options.budget)
    times = times.sort_values("seconds")
    return [[APPROXIMATIONS[line.method].label, duration(line.seconds)] for line in times.itertuples()]
