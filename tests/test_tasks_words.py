"""Masked words and entities: each head's function against the model called by hand."""

import copy
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from heads_by_hand import FEW, LONG, TEXT, near, outputs

from nystrom_demo.config import EXACT
from nystrom_demo.tasks import answer, fill_mask, prepare, tag
from nystrom_demo.tasks.entities import TaggedWord, _whole_words, merge_entities
from nystrom_demo.tasks.label_sequence import likeliest_labels, read_tags
from nystrom_demo.tasks.windows import character_spans


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


@pytest.mark.parametrize("settings", [EXACT, FEW])
def test_words_have_the_likeliest_labels_of_their_first_pieces(settings, tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    text = "Unhappily John worked, for years"
    result = tag(checkpoint, text, settings)
    assert [word.word for word in result.words] == ["Unhappily", "John", "worked", ",", "for", "years"]
    assert all(text[word.start : word.end] == word.word for word in result.words)
    encoding = checkpoint.tokenizer(text)
    probabilities = outputs(checkpoint, text, settings=settings).logits[0].softmax(-1)
    first_pieces = [encoding.word_ids().index(number) for number in range(len(result.words))]
    id2label = checkpoint.model.config.id2label
    labels = likeliest_labels(probabilities[first_pieces], list(id2label.values()))
    for word, piece, label in zip(result.words, first_pieces, labels.tolist(), strict=True):
        assert (word.label, word.score) == (id2label[label], near(probabilities[piece, label].item()))


NAMES = ["O", "B-PER", "I-PER", "I-LOC"]  # no B-LOC, so I-LOC may stand anywhere


def makes_sense(row: Sequence[int]) -> bool:
    return all(i != 2 or before in (1, 2) for before, i in pairwise([0, *row]))


@pytest.mark.parametrize("words", [1, 2, 5])
def test_the_likeliest_labels_are_the_best_of_all_rows_that_make_sense(words):
    generator = torch.Generator().manual_seed(words)
    alone = 0
    for _ in range(20):
        probabilities = torch.rand(words, len(NAMES), generator=generator).softmax(-1)
        rows = filter(makes_sense, product(range(len(NAMES)), repeat=words))
        best = max(rows, key=lambda row: math.prod(probabilities[i, label] for i, label in enumerate(row)))
        assert likeliest_labels(probabilities, NAMES).tolist() == list(best)
        alone += makes_sense(probabilities.argmax(-1).tolist())
    assert alone < 20  # taken word by word some rows would not make sense


def test_no_words_have_no_labels():
    assert likeliest_labels(torch.empty(0, 4), NAMES).tolist() == []


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
    ("labels", "entities"),
    [
        (["B-PER", "I-PER", "E-PER", "S-LOC", "E-PER"], [("PER", 0, 5), ("LOC", 6, 7), ("PER", 8, 9)]),
        (["B-PER", "L-PER", "I-PER", "U-PER", "U-PER"], [("PER", 0, 3), ("PER", 4, 5), ("PER", 6, 7), ("PER", 8, 9)]),
        (["B_PER", "I_PER", "O", "B_PER"], [("PER", 0, 3), ("PER", 6, 7)]),
        (["b-per", "i-per", "o", "b-per"], [("per", 0, 3), ("per", 6, 7)]),
        (["B-GPE", "M-GPE", "E-GPE", "S-GPE"], [("GPE", 0, 5), ("GPE", 6, 7)]),
    ],
)
def test_every_scheme_of_labels_spells_entities(labels, entities):
    found = merge_entities("x x x x x ", spell(*labels))
    assert [(entity.entity, entity.start, entity.end) for entity in found] == entities


def test_a_letter_that_places_no_label_is_part_of_the_kind():
    names = ["O", "E-MAIL", "S-BAHN", "B-PER", "I-PER", "B_positive"]
    kinds = {name: tag.kind for name, tag in read_tags(names).items()}
    assert kinds == dict(zip(names, [None, "E-MAIL", "S-BAHN", "PER", "PER", "B_positive"], strict=True))


BIOES = ["O", "B-PER", "I-PER", "E-PER", "S-PER"]


def test_labels_that_go_on_follow_one_that_is_begun_and_not_ended():
    for first, likely, second in (("O", "E-PER", "S-PER"), ("S-PER", "I-PER", "O"), ("E-PER", "I-PER", "S-PER")):
        probabilities = torch.full((3, 5), 0.01)
        for row, name in enumerate(("B-PER" if first == "E-PER" else "O", first, likely)):
            probabilities[row, BIOES.index(name)] = 0.9
        probabilities[2, BIOES.index(second)] = 0.05
        assert likeliest_labels(probabilities, BIOES).tolist()[2] == BIOES.index(second)


def test_marks_alone_are_no_entity():
    words = [
        TaggedWord(word, start, start + len(word), "B-PER", 0.5) for word, start in (("@", 0), ("Jo", 1), ("!!", 3))
    ]
    assert [entity.word for entity in merge_entities("@Jo!!", words)] == ["Jo"]
    assert [entity.word for entity in merge_entities("@Jo!!", words, ["O", "B-PER", "I-PER"])] == ["Jo"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("मोदी met दिल्ली.", ["मोदी", "met", "दिल्ली", "."]),
        ("ঢাকায় বাংলাদেশের খেলা।", ["ঢাকায়", "বাংলাদেশের", "খেলা", "।"]),
        ("தமிழ்நாடு, ಕರ್ನಾಟಕ", ["தமிழ்நாடு", ",", "ಕರ್ನಾಟಕ"]),
        ("می\u200cخواهم שָׁלוֹם กรุงเทพ", ["می\u200cخواهم", "שָׁלוֹם", "กรุงเทพ"]),
        ("ක්\u200dරීඩා မြန်မာ", ["ක්\u200dරීඩා", "မြန်မာ"]),
    ],
)
@pytest.mark.parametrize("single", [False, True])
def test_words_of_any_script_are_whole(text, words, single, tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    if single:  # each character that is no letter a token and a word, as byte-level tokenizers split
        spans = [
            (i, i + 1)
            for i, character in enumerate(text)
            if not character.isspace() and character not in "\u200c\u200d"
        ]
        found = _whole_words(text, list(range(len(spans))), spans)
        letters = [text[start:end] for _, start, end in found if len(text[start:end]) > 1]
        assert all(any(letter in word for word in words) for letter in letters)
        assert not any(unicodedata.category(text[start]).startswith("M") for _, start, _ in found)
        return
    assert [word.word for word in tag(checkpoint, text).words] == words


def test_tokens_do_not_overlap_where_a_vowel_sign_is_one():
    text = "दिल्ली"
    assert character_spans(text, [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6)]) == [(0, 1), (1, 2), (2, 4), (4, 5), (5, 6)]
    assert character_spans(text, [(0, 1), (2, 3), (4, 5)]) == [(0, 2), (2, 4), (4, 6)]
    assert character_spans(text, [(0, 6)]) == [(0, 6)]


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
            word = result.words[number]
            label = checkpoint.model.config.label2id[word.label]
            assert word.score == near(logits[place].softmax(-1)[label].item())


def test_words_past_the_tokenizers_are_never_proposed(tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    model = copy.deepcopy(checkpoint.model)
    num_words = len(checkpoint.tokenizer)
    model.resize_token_embeddings(num_words + 6)
    torch.nn.init.constant_(model.cls.predictions.bias, 0)
    with torch.no_grad():
        model.cls.predictions.bias[num_words:] = 50.0
    padded = replace(checkpoint, model=model)
    (mask,) = fill_mask(padded, "the [MASK]", top_k=num_words).masks
    assert sorted(candidate.token_id for candidate in mask.candidates) == list(range(num_words))
    with pytest.raises(ValueError, match=rf"top_k must be an integer from 1 to {num_words} "):
        fill_mask(padded, "the [MASK]", top_k=num_words + 1)


def test_a_word_as_long_as_a_text_may_be_is_tagged(tiny_checkpoints):
    text = "a" * 20_000 + "-b"
    assert [word.word for word in tag(tiny_checkpoints["token-classification"], text).words][-1] == "b"


def test_words_added_to_the_tokenizer_are_one_token_in_the_tasks(tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    model, tokenizer = copy.deepcopy(checkpoint.model), copy.deepcopy(checkpoint.tokenizer)
    tokenizer.add_tokens(["pembrolizumab"])
    model.resize_token_embeddings(len(tokenizer))
    filled = fill_mask(replace(checkpoint, model=model, tokenizer=tokenizer), "pembrolizumab is a [MASK]")
    assert [token.token for token in filled.tokens] == ["pembrolizumab", *tokenizer.tokenize("is a [MASK]")]
    assert "pembrolizumab" not in [token.token for token in fill_mask(checkpoint, "pembrolizumab is a [MASK]").tokens]


def test_truncation_ends_at_the_position_table(tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    assert checkpoint.tokenizer.model_max_length == checkpoint.max_tokens
    assert len(checkpoint.tokenizer("cat " * 5000, truncation=True)["input_ids"]) == checkpoint.max_tokens
