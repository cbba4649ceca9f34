"""The recipe's sources as pools of examples, tokenised once and kept in the work folder."""

import copy
import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from nystrom_demo.checkpoints.capitals import mark_capitals
from nystrom_demo.training import readers
from nystrom_demo.training.cloze import cloze_questions
from nystrom_demo.training.examples import (
    QUERY,
    Example,
    answer_examples,
    choice_examples,
    label_behind_marks,
    piece_examples,
    text_examples,
    word_examples,
)
from nystrom_demo.training.passages import lengthen, take_answers_away
from nystrom_demo.training.plan import Pool
from nystrom_demo.training.recipe import Recipe, Source
from nystrom_demo.training.templates import TEMPLATES, read_choices, read_sentences


def load_pools(recipe: Recipe, data: Path, tokenizer: PreTrainedTokenizerFast, work: Path) -> list[Pool]:
    """One pool a source. Examples come from `work/tokens` where a run with the same source and data left them."""
    cache = work / "tokens"
    tokenizer = copy.deepcopy(tokenizer)  # encoding sets truncation on the object, which would be saved with it
    marking = mark_capitals(tokenizer) if any(source.capitals for source in recipe.sources) else None
    return [
        Pool(
            source.task,
            source.shares,
            source.tokens,
            recipe.masked if source.task == "masked-lm" else source.hidden,
            _cached_examples(source, recipe, data, marking if source.capitals else tokenizer, cache),
        )
        for source in recipe.sources
    ]


def task_tokenizers(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> dict[str, PreTrainedTokenizerFast]:
    """What reads each task's text, of a tokenizer that marks no capitals."""
    return {task: mark_capitals(tokenizer) if task in recipe.capitals else tokenizer for task in recipe.tasks}


def read_examples(source: Source, recipe: Recipe, data: Path, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """The tokenised examples of one source."""
    paths = [find_file(data, file) for file in source.files]
    if source.task == "masked-lm":
        read = readers.read_statements if source.statements else readers.read_paragraphs
        return piece_examples(chain.from_iterable(map(read, paths)), tokenizer, source.lengths, recipe.seed)
    if source.task == "sequence-classification" and source.label is not None:
        read = readers.read_statements if source.statements else readers.read_paragraphs
        pieces = piece_examples(chain.from_iterable(map(read, paths)), tokenizer, source.lengths, recipe.seed)
        return [piece._replace(target=np.array(source.label, np.int32)) for piece in pieces]
    if source.task == "sequence-classification":
        return text_examples(_rows(_read_labelled, paths), tokenizer, source.max_length)
    if source.task == "token-classification":
        labels = recipe.labels[source.task]
        rows = readers.rename_kinds(_rows(readers.read_tagged, paths), source.kinds or {})
        rows = readers.change_case(rows if source.handles else readers.without_handles(rows), source.case)
        examples = word_examples(rows, tokenizer, labels, source.max_length, source.pack)
        return label_behind_marks(examples, tokenizer, labels) if source.capitals else examples
    if source.task == "question-answering":
        return answer_examples(_passages(source, paths, tokenizer), tokenizer, source.max_length)
    return choice_examples(_rows(_read_choices, paths), tokenizer, source.max_length, source.question)


def find_file(data: Path, file: str) -> Path:
    """A source's file: one of the package's templates, or one in the data folder."""
    folder, slash, name = file.partition("/")
    return TEMPLATES / name if slash and folder == TEMPLATES.name else data / file


def _read_labelled(path: Path) -> list[readers.Labelled]:
    return read_sentences(path) if path.suffix == ".toml" else readers.read_labelled(path)


def _read_choices(path: Path) -> list[dict]:
    return read_choices(path) if path.suffix == ".toml" else readers.read_questions(path)


def word_counts(pools: Iterable[Pool], vocab_size: int) -> torch.Tensor:
    """How often each word occurs in the masked-word pools, (vocab_size,), float."""
    counts = torch.zeros(vocab_size)
    for pool in pools:
        if pool.task == "masked-lm":
            ids = torch.cat([torch.from_numpy(example.sequences[0]) for example in pool.examples])
            counts += torch.bincount(ids.long(), minlength=vocab_size)
    return counts


def _passages(source: Source, paths: Iterable[Path], tokenizer: PreTrainedTokenizerFast) -> list[dict]:
    if source.cloze:
        questions = cloze_questions(_rows(readers.read_statements, paths))
    else:
        questions = _rows(readers.read_questions, paths)
    if source.pack:
        questions = lengthen(questions, tokenizer, source.max_length - QUERY)
    return take_answers_away(questions, source.unanswerable)


def _rows(read, paths: Iterable[Path]) -> list:
    return list(chain.from_iterable(map(read, paths)))


def _reading(tokenizer: PreTrainedTokenizerFast) -> str:
    """All that decides how a tokenizer reads a text but where it cuts, which each call sets anew."""
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps({part: table[part] for part in table if part not in ("truncation", "padding")})


def _cached_examples(
    source: Source, recipe: Recipe, data: Path, tokenizer: PreTrainedTokenizerFast, cache: Path
) -> list[Example]:
    made_from = (
        [(file, hashlib.sha256(find_file(data, file).read_bytes()).hexdigest()) for file in source.files],
        (
            source.task,
            source.max_length,
            source.lengths,
            source.pack,
            source.question,
            source.unanswerable,
            source.cloze,
            source.kinds,
            source.case,
            source.handles,
            source.label,
        ),
        recipe.labels,
        recipe.seed,
        _reading(tokenizer),
    )
    path = cache / f"{source.task}-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    examples = read_examples(source, recipe, data, tokenizer)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache, delete=False) as part:  # a run that is cut off leaves no half of a file
        pickle.dump(examples, part)
    os.replace(part.name, path)
    return examples
