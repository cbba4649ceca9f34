"""Marks of capitals: where they stand, that a file with them is taken and others are not, and what entities see."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_checkpoints import make_tokenizer
from tokenizers import Regex, Tokenizer, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from nystrom_demo.checkpoints import CheckpointError, capitals, load_bundled, tokenizer_files
from nystrom_demo.tasks import tag
from nystrom_demo.training.data import load_pools, task_tokenizers
from nystrom_demo.training.examples import IGNORED, label_behind_marks, word_examples
from nystrom_demo.training.readers import Tagged
from nystrom_demo.training.recipe import Source, read_recipe

LABELS = ["O", "B-PER", "I-PER"]


@pytest.fixture(scope="module")
def plain() -> PreTrainedTokenizerFast:
    return load_bundled("cpu")["masked-lm"].tokenizer


@pytest.fixture(scope="module")
def marking(plain) -> PreTrainedTokenizerFast:
    return capitals.mark_capitals(plain)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Ada wrote", "↑ ada wrote"),
        ("an iPad at NASA", "an ipad at ↑ nasa"),
        ("U.S. O'Brien (Bonn)", "↑ u . ↑ s . ↑ o ' ↑ brien ( ↑ bonn )"),
        ("ada wrote", "ada wrote"),
        ("", ""),
    ],
)
def test_a_mark_stands_before_each_word_that_begins_with_a_capital(text, tokens, marking):
    assert marking.tokenize(text) == tokens.split()


def test_a_mark_lies_over_its_capital_and_without_marks_the_tokens_are_the_plain_ones(plain, marking):
    text = "Yesterday Zoë met  Bob in New York, ANNA did not; naïve Ümit came."
    marked = marking(text, return_offsets_mapping=True)
    marks = [token == capitals.MARK for token in marked.tokens()]
    offsets = np.array(marked["offset_mapping"])
    assert [text[start:end] for start, end in offsets[marks]] == list("YZBNYA")
    assert [token for token, mark in zip(marked.tokens(), marks, strict=True) if not mark] == plain(text).tokens()
    assert offsets[~np.array(marks)].tolist() == [
        list(pair) for pair in plain(text, return_offsets_mapping=True)["offset_mapping"]
    ]


@pytest.mark.parametrize("text", ["Ada saw Naples", "yes, Ada", "ada"])
def test_tokens_are_joined_to_the_text_that_plain_ones_make(text, plain, marking):
    ids = marking(text, add_special_tokens=False)["input_ids"]
    plain_ids = plain(text, add_special_tokens=False)["input_ids"]
    assert marking.decode(ids) == plain.decode(plain_ids)
    assert marking.convert_tokens_to_string(marking.tokenize(text)) == plain.convert_tokens_to_string(
        plain.tokenize(text)
    )


def test_a_vocabulary_without_the_mark_is_refused():
    with pytest.raises(ValueError, match="needs the token ↑ in its vocabulary"):
        capitals.mark_capitals(make_tokenizer())


def test_a_file_with_the_marks_rules_is_taken_and_reads_as_it_was_written(marking, tmp_path):
    marking.save_pretrained(tmp_path)
    config = load_bundled("cpu")["masked-lm"].model.config
    read = tokenizer_files.load_tokenizer(tmp_path, tmp_path, config)
    assert read.tokenize("Ada saw NASA") == marking.tokenize("Ada saw NASA")
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize("Ada saw NASA") == marking.tokenize("Ada saw NASA")


@pytest.mark.parametrize("spoiled", ["another rule", "one rule less", "another order"])
def test_rules_that_are_not_those_are_refused(spoiled, marking, tmp_path):
    marking.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    table = json.loads(path.read_text())
    rules = table["normalizer"]["normalizers"]
    if spoiled == "another rule":
        rules[3]["pattern"]["Regex"] = "(D+)+$"
    elif spoiled == "one rule less":
        del rules[25]
    else:
        rules[0], rules[1] = rules[1], rules[0]
    path.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match="at most 16 parts"):
        tokenizer_files.load_tokenizer(tmp_path, tmp_path, load_bundled("cpu")["masked-lm"].model.config)


def test_a_rule_behind_the_marks_is_vetted_like_any_other(marking, tmp_path):
    backend = Tokenizer.from_str(marking.backend_tokenizer.to_str())
    backend.normalizer = normalizers.Sequence([backend.normalizer, normalizers.Replace(Regex("(a+)+b"), "")])
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="regular expression of its own"):
        tokenizer_files.load_tokenizer(tmp_path, tmp_path, load_bundled("cpu")["masked-lm"].model.config)


def test_a_words_mark_has_its_label_and_the_token_behind_it_goes_on(marking):
    rows = [Tagged(["Ada", "Lovelace", "met", "bob", "In"], ["B-PER", "I-PER", "O", "B-PER", "O"])]
    (words,) = word_examples(rows, marking, LABELS, 64)
    (labelled,) = label_behind_marks([words], marking, LABELS)
    tokens = marking.convert_ids_to_tokens(labelled.sequences[0].tolist())
    found = {i: LABELS[label] for i, label in enumerate(labelled.target) if label != IGNORED}
    assert [(tokens[i], label) for i, label in found.items() if tokens[i] in ("↑", "ada", "met", "bob", "in")] == [
        *[("↑", "B-PER"), ("ada", "I-PER"), ("↑", "I-PER"), ("met", "O"), ("bob", "B-PER"), ("↑", "O"), ("in", "O")]
    ]
    assert (words.target != IGNORED).sum() == 5 and (labelled.target != IGNORED).sum() == 8


def test_a_marked_word_is_one_word_of_the_text():
    checkpoint = load_bundled("cpu")["token-classification"]
    text = "Yesterday Anna met Bob in New York, U.S., and NASA paid."
    assert [word.word for word in tag(checkpoint, text).words] == [
        *["Yesterday", "Anna", "met", "Bob", "in", "New", "York", ",", "U.S.", ",", "and", "NASA", "paid", "."]
    ]


def test_a_head_reads_marks_if_it_trains_on_no_other_text():
    recipe = read_recipe()
    marked = {("masked-lm", 0), ("token-classification", 0), ("token-classification", 1)}
    sources = [
        Source(task, (1.0,), 64, capitals=(task, number) in marked)
        for task in ("masked-lm", "token-classification", "question-answering")
        for number in range(2)
    ]
    assert replace(recipe, sources=tuple(sources)).capitals == ("token-classification",)
    assert recipe.capitals == ()


def test_a_sources_text_and_a_heads_are_marked_where_the_recipe_says_so(plain, tmp_path):
    with gzip.open(tmp_path / "words.conll.gz", "wt") as file:
        file.write("Ada\tB-PER\ncame\tO\n\n")
    recipe = read_recipe()
    source = Source("token-classification", (1.0,), 64, "words.conll.gz")
    for capitals_marked, tokens in ((True, "↑ ada came"), (False, "ada came")):
        marking = replace(recipe, sources=(replace(source, capitals=capitals_marked),))
        (pool,) = load_pools(marking, tmp_path, plain, tmp_path)
        assert plain.convert_ids_to_tokens(pool.examples[0].sequences[0].tolist())[1:-1] == tokens.split()
        assert task_tokenizers(marking, plain)["token-classification"].tokenize("Ada came") == tokens.split()
