"""Each head's function against the model called by hand, on tiny checkpoints of random weights."""

import itertools
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

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
from nystrom_demo.tasks.entities import TaggedWord, merge_entities
from nystrom_demo.tasks.windows import cut, encode, make_limits, make_windows

FEW = AttentionSettings(num_landmarks=3)
TEXT = "john smith went to the river of paris and saw a great cat"
LONG = " ".join(f"{TEXT} {day} ." for day in ("night", "day", "year", "time", "earth", "fire", "water"))
INPUTS = {
    "masked-lm": ("the [MASK] of paris is a [MASK] city",),
    "sequence-classification": (TEXT,),
    "token-classification": (TEXT,),
    "question-answering": ("who saw the cat?", TEXT),
    "multiple-choice": ("why?", ["it was great", "the river", "not a cat"], TEXT),
}
CALLS = {
    "masked-lm": fill_mask,
    "sequence-classification": classify,
    "token-classification": tag,
    "question-answering": answer,
}


def ask(checkpoint, settings=EXACT, **options):
    """The head's function on its example."""
    if checkpoint.task == "multiple-choice":
        return choose(checkpoint, *INPUTS[checkpoint.task], settings, **options)
    return CALLS[checkpoint.task](checkpoint, *INPUTS[checkpoint.task], settings, **options)


def near(value, relative=1e-4):
    return pytest.approx(value, rel=relative, abs=1e-6)


@torch.no_grad()
def outputs(checkpoint, *texts, settings=EXACT):
    inputs = checkpoint.tokenizer(*texts, return_tensors="pt")
    return checkpoint.model(**inputs, attention_settings=settings)


# masked words


@pytest.mark.parametrize("settings", [EXACT, FEW])
def test_masks_are_filled_with_the_models_likeliest_words(settings, tiny_checkpoints):
    checkpoint, text = tiny_checkpoints["masked-lm"], "the [MASK] of paris is a [MASK] city"
    filled = fill_mask(checkpoint, text, settings, top_k=7)
    probabilities = outputs(checkpoint, text, settings=settings).logits[0].softmax(-1)
    assert [mask.position for mask in filled.masks] == [1, 6]
    assert [text[mask.start : mask.end] for mask in filled.masks] == ["[MASK]", "[MASK]"]
    for mask in filled.masks:
        scores, ids = probabilities[mask.position + 1].topk(7)  # [CLS] stands before
        assert [candidate.token_id for candidate in mask.candidates] == ids.tolist()
        assert [candidate.score for candidate in mask.candidates] == near(scores.tolist())
        tokens = checkpoint.tokenizer.convert_ids_to_tokens(ids.tolist())
        assert [candidate.token for candidate in mask.candidates] == tokens
    assert [token.token for token in filled.tokens] == text.split()
    assert [text[token.start : token.end] for token in filled.tokens] == text.split()
    assert (filled.num_tokens, filled.num_windows) == (10, 1)


def test_each_mask_of_a_long_text_is_filled_from_one_window_around_it(tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    words = LONG.split()
    for place in (2, 31, 60, len(words) - 2):
        words[place] = "[MASK]"
    filled = fill_mask(checkpoint, " ".join(words), max_tokens=23, overlap=7)
    assert filled.num_windows > 5
    assert [mask.position for mask in filled.masks] == [2, 31, 60, len(words) - 2]
    for window in prepare(checkpoint, " ".join(words), max_tokens=23, overlap=7).windows:
        logits = checkpoint.model(torch.tensor([window.ids]), attention_settings=EXACT).logits[0]
        for place in window.own:
            if window.ids[place] == checkpoint.tokenizer.mask_token_id:
                position = place - window.first + window.start
                mask = next(mask for mask in filled.masks if mask.position == position)
                assert mask.candidates[0].score == near(logits[place].softmax(-1).max().item())


def test_a_text_without_a_mask_or_a_wrong_top_k_is_refused(tiny_checkpoints):
    with pytest.raises(ValueError, match=r"text holds no mask: write \[MASK\] where a word is to be guessed"):
        fill_mask(tiny_checkpoints["masked-lm"], TEXT)
    for top_k in (0, 199, 2.5):
        with pytest.raises(ValueError, match=rf"top_k must be an integer from 1 to 198 .* got {top_k}"):
            fill_mask(tiny_checkpoints["masked-lm"], "[MASK]", top_k=top_k)


# sequence classification


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


# token classification


@pytest.mark.parametrize("settings", [EXACT, FEW])
def test_words_have_the_label_of_their_first_piece(settings, tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    text = "Unhappily John worked, for years"
    result = tag(checkpoint, text, settings)
    assert [word.word for word in result.words] == ["Unhappily", "John", "worked", ",", "for", "years"]
    assert all(text[word.start : word.end] == word.word for word in result.words)
    encoding = checkpoint.tokenizer(text)
    probabilities = outputs(checkpoint, text, settings=settings).logits[0].softmax(-1)
    for number, word in enumerate(result.words):
        score, label = probabilities[encoding.word_ids().index(number)].max(-1)
        assert (word.label, word.score) == (checkpoint.model.config.id2label[label.item()], near(score.item()))


def spell(*labels: str) -> list[TaggedWord]:
    return [TaggedWord("x", 2 * i, 2 * i + 1, label, 0.5 + i / 16) for i, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "entities"),
    [
        (["O", "O"], []),
        (["B-PER", "I-PER", "O", "I-LOC"], [("PER", 0, 3), ("LOC", 6, 7)]),
        (["B-PER", "B-PER", "I-PER"], [("PER", 0, 1), ("PER", 2, 5)]),
        (["I-ORG", "I-ORG", "I-LOC"], [("ORG", 0, 3), ("LOC", 4, 5)]),
        (["B-LOC", "O", "I-LOC"], [("LOC", 0, 1), ("LOC", 4, 5)]),
        (["PER", "PER", "O", "LOC"], [("PER", 0, 3), ("LOC", 6, 7)]),
        (["B-", "X-Y"], [("", 0, 1), ("X-Y", 2, 3)]),
    ],
)
def test_labels_spell_entities(labels, entities):
    words = spell(*labels)
    found = merge_entities("x x x x ", words)
    assert [(entity.entity, entity.start, entity.end) for entity in found] == entities
    for entity in found:
        scores = [word.score for word in words if entity.start <= word.start < entity.end]
        assert entity.score == near(sum(scores) / len(scores))
        assert entity.word == "x x x x "[entity.start : entity.end]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He left the U.S. for AT&T.", ["He", "left", "the", "U.S.", "for", "AT&T", "."]),
        ("O'Brien's cat, e.g. example.org!", ["O'Brien", "'", "s", "cat", ",", "e.g.", "example.org", "!"]),
        ("al-zaman 3.5 (it's)", ["al", "-", "zaman", "3.5", "(", "it", "'", "s", ")"]),
        ("I'd say: don't", ["I", "'", "d", "say", ":", "don", "'", "t"]),
    ],
)
def test_words_are_what_entity_data_calls_words(text, words, tiny_checkpoints):
    assert [word.word for word in tag(tiny_checkpoints["token-classification"], text).words] == words


STRANGE = [
    "Jose\u0301 met Zoe\u0308 in Mu\u0308nchen.",
    "Élodie à Ångström, naïve façade",
    "İstanbul'da ĲSSEL ﬁre ǅ ß",
    "東京は日本の首都です。",
    "👩‍👩‍👧 went to 🇫🇷 with 👍🏽",
    "a\u200db\u00adc\ufeffd\u2060e \u202eevil\u202c",
    "\u0301leading mark and\ttabs\nlines\u2028more\u3000wide",
    "ทำงาน हिन्दी العربية עִבְרִית",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𓀀 \U0010fffd x",
    "ﷺ ﷽ ½ ℃ ①",
    "[CLS] [SEP] [PAD] [UNK] [MASK] john",
    "e" + "\u0301" * 50 + " zalgo",
    "z" * 300,
]


@pytest.mark.parametrize("text", STRANGE)
def test_character_offsets_hold_for_any_unicode(text, tiny_checkpoints):
    words = tag(tiny_checkpoints["token-classification"], text).words
    end = 0
    for word in words:
        assert end <= word.start < word.end <= len(text)
        assert word.word == text[word.start : word.end] == word.word.strip()
        assert word.end == len(text) or not unicodedata.category(text[word.end]).startswith("M")
        end = word.end
    read = "".join(word.word for word in words)
    for character in text:
        assert character in read or not character.isalnum()
    context = f"paris {text} river"
    for found in answer(tiny_checkpoints["question-answering"], text, context, top_k=9).answers:
        assert found.answer == context[found.start : found.end] == found.answer.strip()


def test_each_word_of_a_long_text_is_tagged_in_the_window_that_gives_it_most_context(tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    result = tag(checkpoint, LONG, max_tokens=29, overlap=11)
    reader = prepare(checkpoint, LONG, max_tokens=29, overlap=11)
    assert result.num_windows == len(reader.windows) > 3
    assert [word.word for word in result.words] == LONG.split()
    for window in reader.windows:
        logits = checkpoint.model(torch.tensor([window.ids]), attention_settings=EXACT).logits[0]
        for place, number in zip(window.own, range(window.own_start, window.own_stop), strict=True):
            assert result.words[number].score == near(logits[place].softmax(-1).max().item())


# question answering


def by_hand(checkpoint, question, context, settings):
    """Probability of every stretch of whole words, and of no answer, by going through all of them."""
    output = outputs(checkpoint, question, context, settings=settings)
    start, end = output.start_logits[0], output.end_logits[0]
    encoding = checkpoint.tokenizer(question, context, return_offsets_mapping=True)
    places = [place for place, sequence in enumerate(encoding.sequence_ids()) if sequence == 1]
    words, offsets = encoding.word_ids(), encoding["offset_mapping"]
    scores = {}
    for first, last in itertools.product(places, places):
        whole = words[first - 1] != words[first] or first == places[0]
        whole &= last == places[-1] or words[last + 1] != words[last]
        if whole and 0 <= last - first < 30:
            scores[offsets[first][0], offsets[last][1]] = (start[first] + end[last]).item()
    scores[None] = (start[0] + end[0]).item()
    keys = list(scores)
    return dict(zip(keys, torch.tensor([scores[key] for key in keys]).softmax(0).tolist(), strict=True))


@pytest.mark.parametrize("settings", [EXACT, FEW])
def test_answers_are_the_likeliest_whole_words_none_overlapping(settings, tiny_checkpoints):
    checkpoint, question = tiny_checkpoints["question-answering"], "who was unhappily working?"
    context = "Unhappily John worked for years. " + TEXT * 2
    result = answer(checkpoint, question, context, settings, top_k=4)
    expected = by_hand(checkpoint, question, context, settings)
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


# multiple choice


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


# all heads


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
@pytest.mark.parametrize(("room", "overlap"), [(6, 0), (6, 2), (7, 3), (13, 0), (13, 2), (13, 5)])
def test_windows_cover_a_text_evenly_and_each_token_has_one_owner(length, room, overlap, tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    backend = checkpoint.tokenizer.backend_tokenizer
    body = encode(backend, "cat " * length, "text")
    windows = make_windows(body, backend.post_process, make_limits(checkpoint, room + 2, overlap), "text")
    assert [token for window in windows for token in range(window.own_start, window.own_stop)] == list(range(length))
    for window in windows:
        assert len(window) == min(room, length) + 2
        assert window.ids[window.first : -1] == body.ids[window.start : window.stop]
        assert window.start <= window.own_start < window.own_stop <= window.stop
    for before, after in itertools.pairwise(windows):
        assert before.stop - after.start >= overlap
        left, right = after.own_start - after.start, before.stop - before.own_stop
        assert abs(left - right) <= 1


def test_a_cut_of_an_encoding_keeps_offsets_and_words(tiny_checkpoints):
    backend = tiny_checkpoints["masked-lm"].tokenizer.backend_tokenizer
    whole = encode(backend, "unhappily john worked", "text")
    part = cut(whole, 2, 5)
    assert (part.ids, part.offsets, part.word_ids) == (whole.ids[2:5], whole.offsets[2:5], whole.word_ids[2:5])
    assert len(cut(whole, 0, 0)) == 0
    assert cut(whole, 0, len(whole)).tokens == whole.tokens


# the curve over m


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
    scores = by_hand(tiny_checkpoints["question-answering"], *INPUTS["question-answering"], two)
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
