"""Entity F1, answer spans and answer scores, on cases worked by hand."""

import numpy as np
import pytest

from nystrom_demo.training.scores import (
    answer_scores,
    calibration_error,
    entity_spans,
    is_exact,
    plain_answer,
    span_f1,
)

WORDS = ["Ada", "Li", "saw", "Bonn"]


def test_entities_are_whole_spans_of_one_kind_in_characters():
    assert entity_spans(WORDS, ["B-PER", "I-PER", "O", "B-LOC"]) == {("PER", 0, 6), ("LOC", 11, 15)}
    assert entity_spans(WORDS, ["B-PER", "B-PER", "I-LOC", "I-LOC"]) == {("PER", 0, 3), ("PER", 4, 6), ("LOC", 7, 15)}
    assert entity_spans(WORDS, ["O"] * 4) == set()


def test_f1_counts_an_entity_only_where_kind_and_ends_are_right():
    truth = {("PER", 0, 6), ("LOC", 11, 15)}
    assert span_f1([truth], [truth]) == 100
    assert span_f1([{("PER", 0, 3), ("LOC", 11, 15)}], [truth]) == pytest.approx(50)
    assert span_f1([{("ORG", 0, 6)}, truth], [truth, truth]) == pytest.approx(200 * 2 / (3 + 4))
    assert span_f1([set()], [set()]) == 0


def test_calibration_error_is_how_far_how_sure_is_from_how_right():
    assert calibration_error(np.array([0.8] * 5), np.array([True] * 4 + [False])) == pytest.approx(0, abs=1e-9)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, False])) == pytest.approx(50)
    two_bins = calibration_error(np.array([0.9, 0.9, 0.3]), np.array([True, False, False]))
    assert two_bins == pytest.approx(100 * (0.8 + 0.3) / 3)


def test_answers_are_compared_as_squad_does():
    assert plain_answer("The  U.S. Army!") == "us army"
    figures = answer_scores(["the cat", "a blue whale", "no"], [["Cat"], ["whale", "blue sea"], ["yes"]])
    assert figures["exact match"] == pytest.approx(100 / 3)
    assert figures["F1"] == pytest.approx(100 * (1 + 2 / 3 + 0) / 3)
    assert is_exact("the Cat!", ["dog", "cat"]) and not is_exact("a cat", ["black cat"])
