"""Sentences and questions of our own, and what a source may do with the texts that it takes."""

import gzip

import numpy as np
import pytest
import torch
from tiny_checkpoints import make_tokenizer

from nystrom_demo.training.data import find_file, read_examples
from nystrom_demo.training.readers import Tagged, change_case, without_handles
from nystrom_demo.training.recipe import RECIPES, Source, read_recipe
from nystrom_demo.training.templates import TEMPLATES, read_choices, read_sentences
from nystrom_demo.training.train import with_new_labels


@pytest.fixture
def sentences(tmp_path):
    path = tmp_path / "sentences.toml"
    path.write_text(
        'most = 3\n[slots]\nthing = ["apple", "cup"]\nnumber = ["two", "three"]\n[slots_other_languages]\n'
        '[[texts]]\nlabel = 2\nframes = ["A {thing}.", "{number} {thing}s", "Hello"]\n'
        '[[texts]]\nlabel = 0\nframes = ["{thing} and {thing} broke."]\n'
    )
    return read_sentences(path)


def test_a_frame_gives_a_sentence_for_each_word_and_a_vowel_asks_for_an(sentences):
    assert [row.text for row in sentences[:2]] == ["An apple.", "A cup."]
    assert {row.label for row in sentences if "broke" in row.text} == {0}


def test_a_frame_gives_no_more_sentences_than_asked_and_the_same_each_time(sentences):
    drawn = [row.text for row in sentences if row.text.endswith("s")]
    assert 1 <= len(drawn) <= 3 and len(set(drawn)) == len(drawn)
    assert all(text[0].isupper() for text in (row.text for row in sentences) if text.endswith("broke."))


def test_the_packages_sentences_name_every_group_with_each_feeling_as_often_as_without():
    rows = read_sentences(TEMPLATES / "sentiment.toml")
    assert rows == read_sentences(TEMPLATES / "sentiment.toml")
    assert {row.label for row in rows} == {0, 1, 2} and not any("{" in row.text for row in rows)
    for group in ("gay", "Muslim", "black"):
        assert {0, 1, 2} == {row.label for row in rows if group in row.text}


def test_practical_questions_have_one_right_choice_among_unlike_ones():
    rows = read_choices(TEMPLATES / "practical.toml")
    assert rows == read_choices(TEMPLATES / "practical.toml")
    assert all(2 <= len(row["choices"]) <= 5 and len(set(row["choices"])) == len(row["choices"]) for row in rows)
    (spider, *_) = (row for row in rows if "spider" in row["question"])
    assert spider["choices"][spider["label"]] == "eight"
    assert 0.15 < np.mean([row["label"] == 0 for row in rows]) < 0.5


def test_practical_questions_ask_nothing_of_the_everyday_test():
    asked = {row["question"] for row in read_choices(TEMPLATES / "practical.toml")}
    everyday = (RECIPES.parent / "everyday" / "choices.json").read_text(encoding="utf-8")
    assert not [question for question in asked if question in everyday]


def test_handles_are_no_names_and_take_the_rest_of_their_name_with_them():
    tokens = ["@", "ada", "lovelace", "met", "Bob", "#Paris", "in", "Rome"]
    tags = ["B-PER", "I-PER", "I-PER", "O", "B-PER", "B-LOC", "O", "B-LOC"]
    (row,) = without_handles([Tagged(tokens, tags)])
    assert row.tags == ["O", "O", "O", "O", "B-PER", "O", "O", "B-LOC"]


def test_words_in_another_case_keep_their_tags():
    row = Tagged(["Ada", "wrote"], ["B-PER", "O"])
    assert change_case([row], "lower") == [Tagged(["ada", "wrote"], row.tags)]
    assert change_case([row], "upper") == [Tagged(["ADA", "WROTE"], row.tags)]
    assert change_case([row], "") == [row]


def test_running_text_may_have_one_class(tmp_path):
    path = tmp_path / "text.txt.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("the film was long. the river ran by.\nthe old house stood in the city.\n")
    source = Source("sequence-classification", (1.0,), 64, "text.txt.gz", lengths={12: 1.0}, label=2)
    examples = read_examples(source, read_recipe(), tmp_path, make_tokenizer(128))
    assert len(examples) >= 2 and {int(example.target) for example in examples} == {2}
    assert max(example.length for example in examples) <= 12


def test_templates_lie_in_the_package_and_other_files_in_the_data_folder(tmp_path):
    assert find_file(tmp_path, "templates/sentiment.toml") == TEMPLATES / "sentiment.toml"
    assert find_file(tmp_path, "sst2/train.tsv.gz") == tmp_path / "sst2/train.tsv.gz"


def test_a_head_that_gains_a_label_keeps_the_rows_of_those_that_it_knows():
    own = torch.ones(3, 5)
    grown = with_new_labels(torch.full((2, 5), 7.0), own)
    assert grown.tolist() == [[7.0] * 5, [7.0] * 5, [0.0] * 5]
    assert torch.equal(with_new_labels(own, own), own)
