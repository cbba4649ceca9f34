"""Entity F1, answer spans and answer scores, on cases worked by hand."""

import numpy as np
import pytest

from nystrom_demo.training.scores import accuracy, answer_scores, best_span, entities, entity_f1, plain_answer


def test_entities_are_whole_spans_of_one_type():
    assert entities(["B-PER", "I-PER", "O", "B-LOC"]) == {("PER", 0, 1), ("LOC", 3, 3)}
    assert entities(["B-PER", "B-PER", "I-LOC", "I-LOC", "O"]) == {("PER", 0, 0), ("PER", 1, 1), ("LOC", 2, 3)}
    assert entities(["O", "O"]) == set()


def test_entity_f1_counts_an_entity_only_where_type_and_ends_are_right():
    truth = ["B-PER", "I-PER", "O", "B-LOC"]
    assert entity_f1([(truth, truth)]) == 100
    assert entity_f1([(["B-PER", "O", "O", "B-LOC"], truth)]) == pytest.approx(50)
    assert entity_f1([(["B-ORG", "I-ORG", "O", "O"], truth), (truth, truth)]) == pytest.approx(200 * 2 / (3 + 4))
    assert entity_f1([(["O"], ["O"])]) == 0


def test_the_best_span_never_ends_before_it_starts_nor_runs_over_thirty_tokens():
    assert best_span(np.array([0.0, 1.0, 5.0]), np.array([9.0, 2.0, 1.0])) == (0, 0, 9.0)
    assert best_span(np.array([1.0, 0.0, 5.0]), np.array([3.0, 2.0, 1.0])) == (2, 2, 6.0)
    start, end = np.zeros(60), np.zeros(60)
    start[0], end[30], end[29] = 5, 5, 4
    assert best_span(start, end)[:2] == (0, 29)


def test_answers_are_compared_as_squad_does():
    assert plain_answer("The  U.S. Army!") == "us army"
    figures = answer_scores(["the cat", "a blue whale", "no"], [["Cat"], ["whale", "blue sea"], ["yes"]])
    assert figures["exact match"] == pytest.approx(100 / 3)
    assert figures["F1"] == pytest.approx(100 * (1 + 2 / 3 + 0) / 3)


def test_accuracy_is_a_percentage():
    assert accuracy([1, 0, 1, 1], [1, 1, 1, 1]) == 75
