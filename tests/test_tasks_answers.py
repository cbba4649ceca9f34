"""Labels, answers and choices: each head's function against the model called by hand."""

import itertools

import pytest
import torch
from heads_by_hand import FEW, INPUTS, LONG, TEXT, near, outputs, stretches

from nystrom_demo.config import EXACT
from nystrom_demo.tasks import answer, choose, classify, prepare, sweep_landmarks


@pytest.mark.parametrize("settings", [EXACT, FEW])
def test_a_text_is_classified_by_the_models_labels(settings, tiny_checkpoints):
    checkpoint = tiny_checkpoints["sequence-classification"]
    result = classify(checkpoint, TEXT, settings)
    expected = outputs(checkpoint, TEXT, settings=settings).logits[0].softmax(-1).tolist()
    assert list(result.probabilities) == ["negative", "positive"]
    assert list(result.probabilities.values()) == near(expected)
    assert result.label == max(result.probabilities, key=result.probabilities.get)
    assert (result.num_tokens, result.num_windows) == (15, 1)


def test_a_long_text_has_the_mean_of_its_windows_probabilities(tiny_checkpoints):
    checkpoint = tiny_checkpoints["sequence-classification"]
    result = classify(checkpoint, LONG, max_tokens=31)
    windows = prepare(checkpoint, LONG, max_tokens=31).windows
    each = [checkpoint.model(torch.tensor([w.ids]), attention_settings=EXACT).logits[0].softmax(-1) for w in windows]
    assert result.num_windows == len(windows) > 3
    assert list(result.probabilities.values()) == near(torch.stack(each).mean(0).tolist())
    assert result.num_tokens == len(checkpoint.tokenizer(LONG)["input_ids"])


def test_many_labels_at_once_equal_names_and_a_number_are_told_apart(tiny_checkpoints, monkeypatch):
    checkpoint = tiny_checkpoints["sequence-classification"]
    monkeypatch.setattr(checkpoint.model.config, "problem_type", "multi_label_classification")
    monkeypatch.setattr(checkpoint.model.config, "id2label", {0: "same", 1: "same"})
    result = classify(checkpoint, TEXT)
    expected = outputs(checkpoint, TEXT).logits[0].sigmoid().tolist()
    assert result.probabilities == near(dict(zip(["same (0)", "same (1)"], expected, strict=True)))
    monkeypatch.setattr(checkpoint.model.config, "id2label", {0: "score"})
    with pytest.raises(ValueError, match="classify needs a checkpoint with at least two labels"):
        classify(checkpoint, TEXT)


@pytest.mark.parametrize("settings", [EXACT, FEW])
def test_answers_are_the_likeliest_whole_words_none_overlapping(settings, tiny_checkpoints):
    checkpoint, question = tiny_checkpoints["question-answering"], "who was unhappily working?"
    context = "Unhappily John worked for years. " + TEXT * 2
    result = answer(checkpoint, question, context, settings, top_k=4)
    expected = stretches(checkpoint, question, context, settings)
    assert result.no_answer_score == near(expected.pop(None))
    chosen = []
    for span in sorted(expected, key=expected.get, reverse=True):
        if all(span[1] <= start or end <= span[0] for start, end in chosen):
            chosen.append(span)
    assert [(found.start, found.end) for found in result.answers] == chosen[:4]
    assert [found.score for found in result.answers] == near([expected[span] for span in chosen[:4]])
    assert [found.answer for found in result.answers] == [context[start:end] for start, end in chosen[:4]]


def test_there_is_no_answer_below_the_threshold_or_when_none_is_likelier(tiny_checkpoints, monkeypatch):
    checkpoint, (question, context) = tiny_checkpoints["question-answering"], INPUTS["question-answering"]
    sure = answer(checkpoint, question, context, threshold=0)
    best = sure.answers[0].score
    assert sure.no_answer == (sure.no_answer_score > best)
    assert answer(checkpoint, question, context, threshold=best + 0.01).no_answer
    forward = type(checkpoint.model).forward

    def pointing_at_the_first_token(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.start_logits[:, 0] += 100
        return output

    monkeypatch.setattr(type(checkpoint.model), "forward", pointing_at_the_first_token)
    unsure = answer(checkpoint, question, context, threshold=0)
    assert unsure.no_answer and unsure.no_answer_score > 0.99
    assert (unsure.answers[0].start, unsure.answers[0].end) == (sure.answers[0].start, sure.answers[0].end)


def test_a_long_passage_is_read_in_windows_and_a_stretch_counts_once(tiny_checkpoints):
    checkpoint = tiny_checkpoints["question-answering"]
    question = "who saw the cat?"
    reader = prepare(checkpoint, question, LONG, max_tokens=37, overlap=13)
    result = answer(checkpoint, question, LONG, top_k=3, max_tokens=37, overlap=13)
    assert result.num_windows == len(reader.windows) > 3
    best = {}
    none = []
    for window in reader.windows:
        inputs = {"input_ids": torch.tensor([window.ids]), "token_type_ids": torch.tensor([window.type_ids])}
        output = checkpoint.model(**inputs, attention_settings=EXACT)
        start, end = output.start_logits[0], output.end_logits[0]
        places = range(window.first, window.first + window.stop - window.start)
        for first, last in itertools.product(places, places):
            if 0 <= last - first < 30:
                span = window.offsets[first][0], window.offsets[last][1]
                best[span] = max(best.get(span, -torch.inf), (start[first] + end[last]).item())
        none.append((start[0] + end[0]).item())
    total = torch.tensor([*best.values(), min(none)]).logsumexp(0).item()
    top = max(best, key=best.get)
    assert (result.answers[0].start, result.answers[0].end) == top
    assert result.answers[0].score == near(torch.tensor(best[top] - total).exp().item())
    assert result.no_answer_score == near(torch.tensor(min(none) - total).exp().item())


def test_a_question_that_leaves_no_room_and_other_bad_numbers_are_refused(tiny_checkpoints):
    checkpoint = tiny_checkpoints["question-answering"]
    with pytest.raises(ValueError, match="question must leave room for the text beside it in an input of 64 tokens"):
        answer(checkpoint, TEXT * 4, LONG, max_tokens=64)
    with pytest.raises(ValueError, match="top_k must be an integer from 1 to 100, got 0"):
        answer(checkpoint, "who?", TEXT, top_k=0)
    with pytest.raises(ValueError, match=r"threshold must be a probability from 0 to 1, got 1\.5"):
        answer(checkpoint, "who?", TEXT, threshold=1.5)
    with pytest.raises(ValueError, match="threshold must be a probability from 0 to 1, got nan"):
        answer(checkpoint, "who?", TEXT, threshold=float("nan"))


@pytest.mark.parametrize("settings", [EXACT, FEW])
@pytest.mark.parametrize("context", ["", TEXT])
def test_options_are_scored_behind_context_and_question(context, settings, tiny_checkpoints):
    checkpoint, question = tiny_checkpoints["multiple-choice"], "why was it great?"
    choices = ["a cat", "it was paris", "the river of the world", "not"]
    result = choose(checkpoint, question, choices, context, settings)
    prompt = f"{context} {question}".strip()
    logits = []
    for choice in choices:
        inputs = checkpoint.tokenizer(prompt, choice, return_tensors="pt")
        assert inputs["token_type_ids"].sum() == len(choice.split()) + 1
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
        logits.append(checkpoint.model(**inputs, attention_settings=settings).logits[0, 0].item())
    expected = torch.tensor(logits).softmax(0)
    assert list(result.scores) == near(expected.tolist())
    assert (result.index, result.choice) == (int(expected.argmax()), choices[int(expected.argmax())])
    longest = checkpoint.tokenizer(prompt, choices[2])["input_ids"]
    assert (result.num_tokens, result.num_windows) == (len(longest), 1)


def test_a_long_passage_has_the_mean_of_its_windows_log_probabilities(tiny_checkpoints):
    checkpoint, choices = tiny_checkpoints["multiple-choice"], ["a cat", "it was not the river"]
    result = choose(checkpoint, "why?", choices, LONG, max_tokens=41, overlap=5)
    windows = prepare(checkpoint, "why?", choices, LONG, max_tokens=41, overlap=5).windows
    count = result.num_windows
    assert len(windows) == 2 * count > 6
    logits = torch.zeros(2, count)
    for number, window in enumerate(windows):
        tokens = checkpoint.tokenizer.decode(window.ids)
        assert "why" in tokens and choices[number // count] in tokens
        inputs = {"input_ids": torch.tensor([[window.ids]]), "token_type_ids": torch.tensor([[window.type_ids]])}
        logits[number // count, number % count] = checkpoint.model(**inputs, attention_settings=EXACT).logits[0, 0]
    for first, second in zip(windows[:count], windows[count:], strict=True):
        assert (first.start, first.stop) == (second.start, second.stop)
    assert list(result.scores) == near(logits.log_softmax(0).mean(1).softmax(0).tolist())


def test_two_to_six_options_are_taken(tiny_checkpoints):
    checkpoint = tiny_checkpoints["multiple-choice"]
    assert len(choose(checkpoint, "why?", ["a", "a", "a", "a", "a", "a"]).scores) == 6
    for choices in ([], ["a"], ["a"] * 7):
        with pytest.raises(ValueError, match=f"choices must be 2 to 6 texts, got {len(choices)}"):
            choose(checkpoint, "why?", choices)
    with pytest.raises(ValueError, match="choices must be 2 to 6 texts, got 1"):
        choose(checkpoint, "why?", "abc")
    with pytest.raises(ValueError, match="choice 2 is empty"):
        choose(checkpoint, "why?", ["a", " "])
    with pytest.raises(ValueError, match="choice 2 must be text, got int"):
        choose(checkpoint, "why?", ["a", 3])
    with pytest.raises(ValueError, match="question and choices may take 64 tokens together, got 109"):
        choose(checkpoint, LONG, ["a", "b"], max_tokens=64)


def test_a_passage_of_one_word_too_long_for_an_answer_has_none(tiny_checkpoints):
    checkpoint = tiny_checkpoints["question-answering"]
    word = "0123456789" * 4
    found = answer(checkpoint, "who?", word)
    assert found.num_tokens > 40
    assert (found.answers, found.no_answer, found.no_answer_score) == ((), True, 1.0)
    _, *points = sweep_landmarks(checkpoint, "who?", word, landmarks=(2,))
    assert (points[0].answer, points[0].probability) == ("no answer", 1.0)
