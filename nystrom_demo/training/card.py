"""Model cards of a box: README.md in each checkpoint's folder, from the figures and the recipes."""

import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nystrom_demo.training.evaluate import Row
from nystrom_demo.training.export import write_manifest
from nystrom_demo.training.multitask import HEADS
from nystrom_demo.training.recipe import TASKS, Recipe, Source, find_recipe, read_recipe

DATA_SETS = tomllib.loads(Path(__file__).with_name("data_sets.toml").read_text(encoding="utf-8"))

TITLES = {
    "masked-lm": ("masked words", "fill-mask", "a text with [MASK] in it gives words for that place"),
    "sequence-classification": (
        "sentiment of reviews",
        "text-classification",
        "a text, from a sentence to a review of 2,000 tokens, is called negative or positive",
    ),
    "token-classification": (
        "names of persons, places and organisations",
        "token-classification",
        "each word's first token is labelled O or B-/I- of PER, LOC, ORG (figures: the likeliest row of labels in "
        "which I- follows its B- or I-)",
    ),
    "question-answering": (
        "answers in a passage",
        "question-answering",
        "a question and a passage give the stretch of the passage that answers it",
    ),
    "multiple-choice": (
        "everyday questions with choices",
        "multiple-choice",
        "a question, with or without a passage, and two to six choices give a score for each choice",
    ),
}

LIMITS = {
    "masked-lm": "Trained on few tokens for a language model: it knows common words and frames well, facts poorly.",
    "sequence-classification": "Films only: other subjects, mixed opinions and irony are outside what it was shown.",
    "token-classification": (
        "Web text, encyclopedia and tweets. Its vocabulary is lower-case: a token ↑ before a word says that it begins "
        "with a capital, A to Z, and has the word's label; other capitals are not seen."
    ),
    "question-answering": (
        "Few of its training questions had no answer in the passage, and few passages were longer than 384 tokens: on "
        "such ones its scores are less to be trusted."
    ),
    "multiple-choice": "Choices are scored one by one from general word knowledge; it does not reason in steps.",
}

CARD = """---
language: en
license: apache-2.0
library_name: transformers
pipeline_tag: {pipeline}
base_model: sentence-transformers/all-MiniLM-L6-v2
tags: [nystromformer, linear-attention]
---
# Nyströmformer for {title}

{does}. Its encoder (6 layers, 384 wide, 12 heads, up to 4,096 tokens, lower-casing vocabulary of 30,522) lies in
`../encoders`, where what several heads have in common is stored once. The same weights run with any number of landmarks
m and with exact attention.

```python
import nystrom_demo
from transformers import AutoTokenizer
from nystrom_demo import {head}

model = {head}.from_pretrained("{task}")
tokenizer = AutoTokenizer.from_pretrained("{task}")
model.set_num_landmarks(32)
```

## Figures

By number of landmarks; validation splits, which were not trained on.

{figures}

## Base

[sentence-transformers/all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), Apache-2.0, a
BERT of this shape. Its weights were taken over exactly; the position table of 512 was tiled to 4,096 and trained on,
and the convolution of {kernel} taps began at zero.

## Training

{training}

The recipes in `nystrom_demo/training/recipes` of the source repository hold every choice, and
`python -m nystrom_demo.training train` follows them.

Data for this head, with its part of all tokens that its encoder was trained on:

{own_data}

The encoder was trained on other heads' data too:

{other_data}

## Limits

{limits} Small and briefly trained: it shows what landmark attention does, and is not meant for decisions about people.
English only. It repeats the biases of its texts, among them reviews, novels of before 1930 and tweets.

## Licence

The weights are given under Apache-2.0. The terms of the data are as listed above, as stated where each copy was found;
"unstated" means that the copy came without any.
"""


RUN = """{heads}, {tokens:.1f} M tokens by `{recipe}.toml` on {hardware}: AdamW ({encoder_rate:g} for the encoder,
{head_rate:g} for the heads, {convolution_rate:g} for the convolution), level after {warmup} steps of warm-up, then
falling to zero.{exact} The number of landmarks was drawn for each batch, exact in {exact_share:.0%}, else from
{landmarks}.{distil}{dropout}{hidden}{cloze}{frozen}{runs}{afterwards}"""


class Trained(NamedTuple):
    """A recipe by its name."""

    name: str
    recipe: Recipe

    @property
    def million_tokens(self) -> float:
        return self.recipe.million_tokens


def write_cards(box: Path, rows: Sequence[Row], recipes: Sequence[str]) -> None:
    """README.md of each of the box's five checkpoints, and the manifest anew.

    recipes: names or files. A head comes from the last of them that trains it.
    """
    paths = map(find_recipe, recipes)
    runs = {path.stem: Trained(path.stem, read_recipe(path)) for path in paths}
    for task in HEADS:
        *_, last = (run for run in runs.values() if task in run.recipe.tasks)
        own = [row for row in rows if row.task == task]
        (box / task / "README.md").write_text(card(task, own, line_of(last, runs)), encoding="utf-8")
    write_manifest(box)


def line_of(run: Trained, runs: Mapping[str, Trained]) -> list[Trained]:
    """A run behind those that it goes on from, the very first one first. ValueError if `runs` lacks one of them."""
    line = [run]
    while before := line[0].recipe.goes_on_from:
        if before not in runs:
            raise ValueError(f"{line[0].name} goes on from {before}, which is not given.")
        line.insert(0, runs[before])
    return line


def card(task: str, rows: Sequence[Row], runs: Sequence[Trained]) -> str:
    """The model card of one checkpoint, Markdown. `rows` are its own figures, `runs` what its encoder went through."""
    title, pipeline, does = TITLES[task]
    parts = parts_of_runs(runs)
    others = [(source, part) for source, part in parts if source.task != task]
    return CARD.format(
        task=task,
        head=HEADS[task].__name__,
        title=title,
        pipeline=pipeline,
        does=does[0].upper() + does[1:],
        figures=figures_table(rows),
        kernel=runs[0].recipe.model.conv_kernel_size,
        training="\n\n".join(_training(run, begins=not number) for number, run in enumerate(runs)),
        own_data=data_table([(source, part) for source, part in parts if source.task == task]),
        other_data=data_table(others) if others else "none",
        limits=LIMITS[task],
    )


def _training(run: Trained, begins: bool) -> str:
    """A paragraph on one run."""
    recipe, rates, landmarks = run.recipe, run.recipe.optimiser, run.recipe.landmarks
    cloze = any(source.cloze for source in recipe.sources)
    together = len(recipe.tasks) == len(TASKS)
    heads = "all five heads at once on one encoder" if together else f"{' and '.join(recipe.tasks)} alone"
    paragraph = RUN.format(
        heads=heads[0].upper() + heads[1:] if begins else f"From there {heads}",
        recipe=run.name,
        tokens=run.million_tokens,
        hardware=recipe.hardware,
        encoder_rate=rates.encoder_rate,
        head_rate=rates.head_rate,
        convolution_rate=rates.convolution_rate,
        warmup=rates.warmup_steps,
        exact=f" The first {landmarks.exact_steps} steps had exact attention." if landmarks.exact_steps else "",
        exact_share=landmarks.exact_share,
        landmarks=", ".join(map(str, landmarks.weights)),
        distil=f" Self-distillation had weight {landmarks.distil:g}." if landmarks.distil else "",
        dropout=f" Dropout hid {recipe.dropout:.0%} of the hidden states." if recipe.dropout else "",
        hidden="".join(
            f" {task} saw {part:.0%} of its words as [MASK]."
            for task, part in {source.task: source.hidden for source in recipe.sources if source.hidden}.items()
        ),
        cloze=" Some questions were made of the passages: a sentence with a name, number or term hidden." * cloze,
        frozen=" The word and position tables were left as they were." if rates.frozen else "",
        runs=how_many_runs(recipe),
        afterwards=f" {recipe.afterwards}" if recipe.afterwards else "",
    )
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def how_many_runs(recipe: Recipe) -> str:
    """Sentences on what a recipe's runs began with and on the mean that was taken of them."""
    begun = [
        f" {'It' if len(recipe.runs) == 1 else f'Run {number}'} began with a mean of encoders, {_weighted(run.begin)}."
        for number, run in enumerate(recipe.runs, 1)
        if run.begin
    ]
    runs = f"the mean of {len(recipe.runs)} such runs" if len(recipe.runs) > 1 else "such a run"
    mean = recipe.mean or ({"runs": 1.0} if len(recipe.runs) > 1 else {})
    if not mean:
        return "".join(begun)
    parts = {runs if name == "runs" else f"the weights of `{name}.toml`": weight for name, weight in mean.items()}
    whole = " and ".join(f"{weight:.0%} {name}" if len(parts) > 1 else name for name, weight in parts.items())
    return "".join(begun) + f" The weights are {whole}."


def _weighted(parts: Mapping[str, float]) -> str:
    words = {name: name.replace("_", " ") if name.startswith("run_") else f"`{name}`" for name in parts}
    return ", ".join(f"{weight:g} of {words[name]}" for name, weight in parts.items())


def figures_table(rows: Sequence[Row]) -> str:
    """A Markdown table, a measure a row. ValueError for rows that are not measured at the same m."""
    columns = list(rows[0].values) if rows else []
    lines = [f"| data | measure | {' | '.join(_heading(m) for m in columns)} |", f"|{' --- |' * (2 + len(columns))}"]
    for row in rows:
        if set(row.values) != set(columns):
            raise ValueError(f"{row.data} is measured at {', '.join(row.values)}, other rows at {', '.join(columns)}.")
        digits = 0 if row.measure.startswith("of ") else 1
        numbers = (f"{row.values[m]:.{digits}f}" for m in columns)
        part = f", first {row.limit} examples" if row.limit and not row.measure.startswith("of ") else ""
        lines.append(f"| {row.data}{part} | {row.measure} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def parts_of_runs(runs: Sequence[Trained]) -> list[tuple[Source, float]]:
    """Each source of the runs with its planned part of all their tokens."""
    total = sum(run.million_tokens for run in runs)
    return [
        (source, part * run.million_tokens / total)
        for run in runs
        for source, part in parts_of_tokens(run.recipe, run.million_tokens * 1e6)
    ]


def parts_of_tokens(recipe: Recipe, tokens: float) -> list[tuple[Source, float]]:
    """Each source with its planned part of a run of so many tokens, over the stages that it went through."""
    ends = (*recipe.stages[1:], float("inf"))
    lengths = [max(0, min(end, tokens) - start) / tokens for start, end in zip(recipe.stages, ends, strict=True)]
    totals = [sum(shares) for shares in zip(*(source.shares for source in recipe.sources), strict=True)]
    weights = [length / total for length, total in zip(lengths, totals, strict=True)]
    return [
        (source, sum(weight * share for weight, share in zip(weights, source.shares, strict=True)))
        for source in recipe.sources
    ]


def data_table(parts: Iterable[tuple[Source, float]]) -> str:
    """A Markdown table of sources' data sets with their parts of all tokens."""
    shares: dict[str, float] = {}
    for source, part in parts:
        names = [file.split("/")[0] for file in source.files]
        for name in names:
            shares[name] = shares.get(name, 0) + part / len(names)
    lines = ["| data | tokens | terms | copy from |", "| --- | --- | --- | --- |"]
    for name, share in shares.items():
        row = DATA_SETS[name]
        lines.append(f"| {row['name']} | {share:.1%} | {row['terms']} | {row['copy']} |")
    return "\n".join(lines)


def _heading(landmarks: str) -> str:
    return landmarks if landmarks == "exact" else f"m = {landmarks}"
