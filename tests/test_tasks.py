"""What all five heads keep: any number of landmarks, batches, threads, windows, refusals, the curve over m."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from heads_by_hand import CALLS, FEW, INPUTS, LONG, TEXT, ask, near, outputs, stretches

from nystrom_demo import AttentionSettings
from nystrom_demo.config import EXACT
from nystrom_demo.tasks import (
    answer,
    answer_batch,
    choose,
    choose_batch,
    classify,
    classify_batch,
    default_landmarks,
    fill_mask,
    fill_mask_batch,
    prepare,
    sweep_landmarks,
    tag,
    tag_batch,
)
from nystrom_demo.tasks.windows import encode, make_limits, make_windows


def test_as_many_landmarks_as_tokens_give_the_exact_answer(tiny_checkpoints):
    every = AttentionSettings(num_landmarks=64)
    for checkpoint in tiny_checkpoints.values():
        assert str(ask(checkpoint, every))[:200] == str(ask(checkpoint))[:200]
        assert str(ask(checkpoint, FEW)) != str(ask(checkpoint))


def test_a_batch_says_what_each_text_says_alone(tiny_checkpoints):
    texts = [TEXT, "a cat", LONG, "it was not bad ."]
    masked = [f"{text} [MASK]" for text in texts]
    alone = [fill_mask(tiny_checkpoints["masked-lm"], text, FEW) for text in masked]
    for one, other in zip(alone, fill_mask_batch(tiny_checkpoints["masked-lm"], masked, FEW), strict=True):
        assert one.masks[0].candidates[0].score == near(other.masks[0].candidates[0].score)
        assert one.num_tokens == other.num_tokens
    alone = [classify(tiny_checkpoints["sequence-classification"], text, FEW) for text in texts]
    for one, other in zip(alone, classify_batch(tiny_checkpoints["sequence-classification"], texts, FEW), strict=True):
        assert one.probabilities == near(other.probabilities)
    alone = [tag(tiny_checkpoints["token-classification"], text, FEW) for text in texts]
    for one, other in zip(alone, tag_batch(tiny_checkpoints["token-classification"], texts, FEW), strict=True):
        assert [word.score for word in one.words] == near([word.score for word in other.words])
    pairs = [("who?", text) for text in texts]
    alone = [answer(tiny_checkpoints["question-answering"], *pair, FEW) for pair in pairs]
    for one, other in zip(alone, answer_batch(tiny_checkpoints["question-answering"], pairs, FEW), strict=True):
        assert one.answers[0].score == near(other.answers[0].score)
    asked = [("why?", ["a cat", "paris"], text) for text in texts]
    alone = [choose(tiny_checkpoints["multiple-choice"], *question, FEW) for question in asked]
    for one, other in zip(alone, choose_batch(tiny_checkpoints["multiple-choice"], asked, FEW), strict=True):
        assert one.scores == near(other.scores)


def test_calls_at_the_same_time_do_not_disturb_each_other(tiny_checkpoints):
    settings = (EXACT, FEW, FEW._replace(num_landmarks=5))
    jobs = list(itertools.product(tiny_checkpoints.values(), settings)) * 2
    alone = [str(ask(*job)) for job in jobs]
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(lambda job: str(ask(*job)), jobs)) == alone


@pytest.mark.parametrize("task", INPUTS)
def test_unreadable_text_is_refused_by_name(task, tiny_checkpoints):
    checkpoint = tiny_checkpoints[task]
    *others, last = INPUTS[task] if task != "multiple-choice" else (["a", "b"], "why?")
    field = {"question-answering": "context", "multiple-choice": "question"}.get(task, "text")

    def call(text):
        if task == "multiple-choice":
            return choose(checkpoint, text, ["a", "b"])
        return CALLS[task](checkpoint, *others, text)

    assert call(last)
    with pytest.raises(ValueError, match=f"{field} must be text, got NoneType"):
        call(None)
    with pytest.raises(ValueError, match=f"{field} is empty"):
        call(" \n\t")
    with pytest.raises(ValueError, match=f"{field} holds half of a surrogate pair at character 1"):
        call("a\ud800b")
    with pytest.raises(ValueError, match=f"{field} holds 3 characters but none that the tokenizer reads"):
        call("\u200b\u0000\u0301")
    wrong = tiny_checkpoints["masked-lm" if task != "masked-lm" else "multiple-choice"]
    with pytest.raises(ValueError, match=f"needs a checkpoint for {task}, got one for {wrong.task}"):
        ask_with = choose if task == "multiple-choice" else CALLS[task]
        ask_with(wrong, *INPUTS[task])


def test_limits_of_windows_are_checked(tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    for max_tokens in (7, 4097, 16.0, True):
        with pytest.raises(ValueError, match=rf"max_tokens must be an integer from 8 to 4096 .* got {max_tokens}"):
            tag(checkpoint, TEXT, max_tokens=max_tokens)
    for overlap in (-1, 9, 0.5):
        with pytest.raises(ValueError, match=rf"overlap must be an integer from 0 to 8 .* got {overlap}"):
            tag(checkpoint, TEXT, max_tokens=16, overlap=overlap)


@pytest.mark.parametrize("length", [1, 6, 7, 13, 14, 29, 97])
@pytest.mark.parametrize(
    ("room", "overlap"), [(6, 0), (6, 2), (6, 4), (7, 3), (13, 0), (13, 2), (13, 5), (13, 7), (510, 256)]
)
def test_windows_cover_a_text_evenly_and_each_token_has_one_owner(length, room, overlap, tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    backend = checkpoint.tokenizer.whole_text
    body = encode(backend, "cat " * length, "text")
    framed = backend.post_process(body)
    windows = make_windows(framed, length, make_limits(checkpoint, room + 2, overlap), "text")
    assert [token for window in windows for token in range(window.own_start, window.own_stop)] == list(range(length))
    for window in windows:
        assert len(window) == min(room, length) + 2
        assert window.ids[window.first : -1] == body.ids[window.start : window.stop]
        assert window.start <= window.own_start < window.own_stop <= window.stop
    for before, after in itertools.pairwise(windows):
        assert before.stop - after.start >= overlap
        left, right = after.own_start - after.start, before.stop - before.own_stop
        assert abs(left - right) <= 1


@pytest.mark.parametrize("task", ["question-answering", "multiple-choice"])
def test_a_window_is_the_whole_input_without_the_rest_of_its_long_text(task, tiny_checkpoints):
    checkpoint, passage = tiny_checkpoints[task], "unhappily john worked in paris . " * 12
    others = ("who?",) if task == "question-answering" else ("who?", ["a cat", "paris is not bad"])
    inputs = (*others, passage)
    length = len(encode(checkpoint.tokenizer.whole_text, passage, "context"))
    whole = prepare(checkpoint, *inputs).windows
    options = prepare(checkpoint, *inputs, max_tokens=48).windows
    count = len(options) // len(whole)
    assert count > 2
    for number, window in enumerate(options):
        full = whole[number // count]
        first, last = full.first + window.start, full.first + window.stop
        end = full.first + length
        for name in ("ids", "type_ids", "offsets", "words"):
            column = getattr(full, name)
            assert getattr(window, name) == column[: full.first] + column[first:last] + column[end:]


def test_a_passage_of_thousands_of_tokens_is_cut_into_windows_for_every_option(tiny_checkpoints):
    reader = prepare(tiny_checkpoints["multiple-choice"], "why?", ["a", "b", "cat"], "paris " * 20_000, max_tokens=64)
    assert len(reader.windows) == 3 * reader.num_windows
    assert {len(window) for window in reader.windows} == {64}


def test_the_curve_begins_with_the_exact_answer_and_ends_there(tiny_checkpoints):
    for checkpoint in tiny_checkpoints.values():
        exact = ask(checkpoint)
        landmarks = (1, 3, exact.num_tokens)
        first, *points, last = sweep_landmarks(checkpoint, *INPUTS[checkpoint.task], landmarks=landmarks)
        assert [point.num_landmarks for point in (first, *points, last)] == [0, 1, 3, exact.num_tokens]
        assert first.agrees and last.agrees
        assert (last.answer, last.probability) == (first.answer, near(first.probability))
        assert all(0 <= point.probability <= 1 for point in points)
        assert any(point.probability != near(first.probability) for point in points)


def test_each_point_is_the_probability_of_the_exact_answer_at_that_m(tiny_checkpoints):
    two = AttentionSettings(num_landmarks=2)

    def at(task):
        """The exact result, the result at m = 2, and the curve's point there."""
        checkpoint = tiny_checkpoints[task]
        (point,) = itertools.islice(sweep_landmarks(checkpoint, *INPUTS[task], landmarks=[2]), 1, None)
        assert point.num_landmarks == 2
        return ask(checkpoint), ask(checkpoint, two), point

    exact, few, point = at("sequence-classification")
    assert point.probability == near(few.probabilities[exact.label])
    assert (point.answer, point.agrees) == (few.label, few.label == exact.label)

    exact, few, point = at("multiple-choice")
    assert (point.answer, point.probability) == (few.choice, near(few.scores[exact.index]))

    exact, few, point = at("question-answering")
    scores = stretches(tiny_checkpoints["question-answering"], *INPUTS["question-answering"], two)
    assert point.probability == near(scores[exact.answers[0].start, exact.answers[0].end])
    assert point.answer == ("no answer" if few.no_answer else few.answers[0].answer)

    exact, few, point = at("token-classification")
    checkpoint = tiny_checkpoints["token-classification"]
    probabilities = outputs(checkpoint, TEXT, settings=two).logits[0, 1:-1].softmax(-1)
    label2id = checkpoint.model.config.label2id
    named = [(row, word.label) for row, word in enumerate(exact.words) if word.label != "O"]
    assert point.probability == near(
        sum(probabilities[row, label2id[label]].item() for row, label in named) / len(named)
    )
    assert point.answer.count(" (") == len(few.entities)

    exact, few, point = at("masked-lm")
    probabilities = outputs(tiny_checkpoints["masked-lm"], *INPUTS["masked-lm"], settings=two).logits[0].softmax(-1)
    best = [probabilities[mask.position + 1, mask.candidates[0].token_id].item() for mask in exact.masks]
    assert point.probability == near(sum(best) / 2)
    assert point.answer == ", ".join(mask.candidates[0].token for mask in few.masks)


def test_the_default_landmarks_are_the_powers_of_two_below_the_length(tiny_checkpoints):
    assert default_landmarks(1) == (1,)
    assert default_landmarks(9) == (1, 2, 4, 8)
    assert default_landmarks(8) == (1, 2, 4)
    points = sweep_landmarks(tiny_checkpoints["sequence-classification"], TEXT)
    assert [point.num_landmarks for point in points] == [0, 1, 2, 4, 8]


def test_inputs_are_counted_before_any_forward_pass(tiny_checkpoints, monkeypatch):
    checkpoint = tiny_checkpoints["token-classification"]
    monkeypatch.setattr(type(checkpoint.model), "forward", None)
    reader = prepare(checkpoint, LONG, max_tokens=32)
    assert reader.num_tokens == len(LONG.split()) + 2
    assert all(len(window) == 32 for window in reader.windows)
