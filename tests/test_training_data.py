"""Data files to examples to batches: formats, token labels, windows, masking, and a plan that never changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import make_tokenizer
from training_data import (
    ANSWERS_RECIPE,
    CHOICES,
    PARAGRAPH,
    QUESTIONS,
    RECIPE,
    SENTENCES,
    as_lines,
    make_data,
    write,
)

from nystrom_demo.training import examples, passages, readers
from nystrom_demo.training.batches import Vocabulary, collate, mask_words
from nystrom_demo.training.data import load_pools, read_examples, word_counts
from nystrom_demo.training.plan import EXACT_LANDMARKS, BatchPlan, cut_batches
from nystrom_demo.training.recipe import COMMON, RECIPES, TASKS, Source, find_recipe, read_recipe

PLACES = (("Mary", "Paris"), ("John", "London"), ("Anna", "Rome"))
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(128)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return read_recipe(path)


def make_plan(recipe, data, tokenizer, work, length=20):
    return BatchPlan(load_pools(recipe, data, tokenizer, work), recipe, Vocabulary.of(tokenizer), length)


def test_readers_give_back_what_the_files_hold(data):
    reviews = readers.read_labelled(data / "sst2/train.tsv.gz")
    assert reviews[1] == ("a bad film in the cold", 0) and len(reviews) == 20
    sentence = readers.read_tagged(data / "ner_uner_ewt/train.conll.gz")[1]
    assert list(zip(sentence.tokens, sentence.tags, strict=True)) == SENTENCES[1]
    assert readers.read_questions(data / "squad_v1.1_partial/train.jsonl.gz")[0]["question"] == "Where did Mary go?"
    assert readers.read_paragraphs(data / "mlm_wiki/train.txt.gz") == [PARAGRAPH] * 6
    assert readers.read_paragraphs(data / "ner_uner_ewt/train.conll.gz")[1] == " ".join(
        word for word, _ in SENTENCES[1]
    )
    assert readers.read_statements(data / "comve_explanation/train.jsonl.gz")[2] == "Where is London? in england"
    assert readers.read_statements(data / "squad_v1.1_partial/train.jsonl.gz") == [PARAGRAPH]


def test_a_words_first_token_carries_its_label_and_the_others_none(tokenizer):
    rows = [readers.Tagged(["unhappily", "London"], ["O", "B-LOC"])]
    (example,) = examples.word_examples(rows, tokenizer, LABELS, 64)
    ids = example.sequences[0]
    first = [i for i, token in enumerate(tokenizer.convert_ids_to_tokens(ids)) if not token.startswith("##")][1:-1]
    assert len(first) == 2 < len(ids) - 2
    assert {i: example.target[i] for i in first} == {first[0]: 0, first[1]: 3}
    assert all(example.target[i] == -100 for i in range(len(ids)) if i not in first)


def test_packing_keeps_every_sentence_and_the_limit(tokenizer, data):
    rows = readers.read_tagged(data / "ner_uner_ewt/train.conll.gz")
    single = examples.word_examples(rows, tokenizer, LABELS, 32)
    packed = examples.word_examples(rows, tokenizer, LABELS, 32, pack=True)
    assert len(packed) < len(single) and max(example.length for example in packed) <= 32
    body = [np.concatenate([example.target[1:-1] for example in some]) for some in (single, packed)]
    assert np.array_equal(*body)


@pytest.mark.parametrize("max_length", [64, 26])
def test_the_answers_tokens_are_marked_in_each_window_that_holds_it(tokenizer, max_length):
    rows = [{"context": PARAGRAPH} | row for row in QUESTIONS]
    found = examples.answer_examples(rows, tokenizer, max_length, stride=8)
    marked = [example for example in found if example.target.any()]
    assert len(marked) >= len(rows)
    for example in marked:
        assert example.length <= max_length
        first, last = example.target
        answer = tokenizer.decode(example.sequences[0][first : last + 1])
        assert answer in ("paris", "john") and first >= example.second[0]


def test_a_question_without_an_answer_points_at_the_first_token(tokenizer):
    row = {"question": "Who?", "context": PARAGRAPH, "answers": {"text": [], "answer_start": []}}
    (example,) = examples.answer_examples([row], tokenizer, 64)
    assert example.target.tolist() == [0, 0]


PASSAGES = [
    f"The {name} stands in town {i}." for i, name in enumerate(["bakery", "church", "school", "tower", "bridge"])
]
ASKED = [
    {
        "question": f"What stands in town {i}?",
        "context": passage,
        "answers": {"text": [passage.split()[1]], "answer_start": [4]},
    }
    for i, passage in enumerate(PASSAGES)
]


def test_a_longer_passage_still_holds_its_answer_where_it_says(tokenizer):
    tokens = 3 * max(len(ids) - 2 for ids in tokenizer(PASSAGES)["input_ids"])
    longer = passages.lengthen(ASKED, tokenizer, tokens)
    for row in longer:
        (start,), (text,) = row["answers"]["answer_start"], row["answers"]["text"]
        assert row["context"][start : start + len(text)] == text
        assert (
            set(row["context"].split("\n")) <= set(PASSAGES)
            and len(tokenizer(row["context"])["input_ids"]) <= tokens + 2
        )
    assert all(row["context"].count("\n") for row in longer)
    assert len({row["context"].split("\n").index(own) for row, own in zip(longer, PASSAGES, strict=True)}) > 1


def test_answers_are_taken_from_the_share_asked_for_and_do_not_occur_in_the_new_passage():
    assert passages.take_answers_away(ASKED, 0.0) == ASKED
    changed = passages.take_answers_away(ASKED, 0.4)
    unanswered = [(new, old) for new, old in zip(changed, ASKED, strict=True) if new != old]
    assert len(unanswered) == 2
    for new, old in unanswered:
        assert new["answers"]["text"] == [] and new["question"] == old["question"] and new["context"] in PASSAGES
        assert old["answers"]["text"][0] not in new["context"]


def test_windows_cover_the_passage_and_overlap(tokenizer):
    cut = examples.windows("Who?", PARAGRAPH, tokenizer, 20, 5)
    assert len(cut) >= 2 and all(len(window.ids) <= 20 for window in cut)
    assert cut[0].offsets[-5:] == cut[1].offsets[:5]
    assert cut[-1].offsets[-1][1] == len(PARAGRAPH)


def test_a_choice_is_the_second_segment_and_another_question_turns_the_label(tokenizer):
    three, _, two = examples.choice_examples(CHOICES, tokenizer, 64)
    assert len(three.sequences) == 3 and int(three.target) == 1
    text = tokenizer.decode(three.sequences[1][three.second[1] :])
    assert text == "no water [SEP]"
    (turned,) = examples.choice_examples(CHOICES[2:], tokenizer, 64, "Which is wrong?")
    assert int(two.target) == 0 and int(turned.target) == 1


def test_pieces_hold_each_sentence_once_within_their_lengths(tokenizer):
    pieces = examples.piece_examples([PARAGRAPH] * 5, tokenizer, {24: 1.0, 48: 1.0}, seed=0)
    whole = tokenizer(" ".join([PARAGRAPH] * 5), add_special_tokens=False)["input_ids"]
    assert np.concatenate([piece.sequences[0][1:-1] for piece in pieces]).tolist() == whole
    assert max(piece.length for piece in pieces) <= 48


def test_masking_hides_words_only_and_labels_only_what_it_hides():
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(mask=4, special=(0, 1, 2, 3, 4), size=50)
    ids = np.tile(np.array([2, *range(5, 45), 3, 0, 0]), (200, 1))
    shown, labels = mask_words(ids, vocabulary, rng)
    hidden = labels != -100
    assert abs(hidden.sum() / (200 * 40) - 0.15) < 0.01
    assert not hidden[:, [0, 41, 42, 43]].any() and np.array_equal(shown[~hidden], ids[~hidden])
    assert np.array_equal(labels[hidden], ids[hidden])
    assert abs((shown[hidden] == 4).mean() - 0.8) < 0.03
    shown, labels = mask_words(ids, vocabulary, rng, as_mask=1.0, as_random=0.0)
    assert (shown[labels != -100] == 4).all()


def test_masking_leaves_no_batch_without_a_label():
    _, labels = mask_words(np.array([[2, 3]]), Vocabulary(4, (2, 3, 4), 9), np.random.default_rng(0))
    assert (labels != -100).sum() == 1


def test_a_batch_is_padded_to_its_longest_with_types_and_targets(tokenizer):
    rows = examples.choice_examples(CHOICES[:2], tokenizer, 64)
    batch = collate("multiple-choice", rows, 4, vocabulary=Vocabulary.of(tokenizer), rng=np.random.default_rng(0))
    inputs = batch["inputs"]
    longest = max(row.length for row in rows)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (2, 3, longest)
    assert inputs["labels"].tolist() == [1, 0]
    assert inputs["attention_mask"].sum() == sum(len(s) for row in rows for s in row.sequences)
    assert inputs["token_type_ids"][0, 0, rows[0].second[0]] == 1
    assert (inputs["token_type_ids"] <= inputs["attention_mask"]).all()


def test_batches_hold_each_example_once_within_their_tokens():
    rng = np.random.default_rng(3)
    shapes = np.stack([rng.integers(1, 4, 500), rng.integers(3, 40, 500)], axis=1)
    batches = cut_batches(rng.permutation(500), shapes, 120)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for batch in batches:
        assert len(set(shapes[batch, 0])) == 1
        assert len(batch) * shapes[batch].prod(1).max() <= 120 or len(batch) == 1


def test_the_plan_is_the_same_whatever_its_length_and_the_order_of_asking(recipe, data, tokenizer, tmp_path):
    forward = make_plan(recipe, data, tokenizer, tmp_path)
    backward = make_plan(recipe, data, tokenizer, tmp_path, length=500)
    for step in reversed(range(20)):
        ours, theirs = forward[step], backward[step]
        assert (ours["task"], ours["num_landmarks"]) == (theirs["task"], theirs["num_landmarks"])
        for name, tensor in ours["inputs"].items():
            assert torch.equal(tensor, theirs["inputs"][name])


def test_pools_get_their_shares_and_landmarks_are_fewer_than_tokens(recipe, data, tokenizer, tmp_path):
    plan = make_plan(recipe, data, tokenizer, tmp_path, 200)
    tokens, drawn = dict.fromkeys(TASKS, 0), set()
    for step in range(200):
        batch = plan[step]
        tokens[batch["task"]] += int(batch["inputs"]["attention_mask"].sum())
        drawn.add(batch["num_landmarks"])
        assert (
            batch["num_landmarks"] == EXACT_LANDMARKS or batch["num_landmarks"] < batch["inputs"]["input_ids"].shape[-1]
        )
        assert step >= recipe.landmarks.exact_steps or batch["num_landmarks"] == EXACT_LANDMARKS
    total = sum(tokens.values())
    for source in recipe.sources:
        assert abs(tokens[source.task] / total - source.shares[0]) < 0.05
    assert drawn == {2, 4, EXACT_LANDMARKS}


def test_after_a_stage_the_shares_are_others_and_what_came_before_is_as_it_was(recipe, data, tokenizer, tmp_path):
    after = {"masked-lm": 0.0, "question-answering": 0.7, "multiple-choice": 0.3}
    sources = (replace(source, shares=(*source.shares, after.get(source.task, 0.0))) for source in recipe.sources)
    one = make_plan(recipe, data, tokenizer, tmp_path)
    boundary = sum(int(one[step]["inputs"]["attention_mask"].sum()) for step in range(60))
    two = make_plan(replace(recipe, stages=(0, boundary), sources=tuple(sources)), data, tokenizer, tmp_path)
    assert [two.planned(step)[0] for step in range(60)] == [one.planned(step)[0] for step in range(60)]
    tokens = dict.fromkeys(TASKS, 0)
    for step in range(60, 160):
        tokens[two[step]["task"]] += int(two[step]["inputs"]["attention_mask"].sum())
    assert tokens["question-answering"] / sum(tokens.values()) == pytest.approx(0.7, abs=0.03)
    assert tokens["multiple-choice"] / sum(tokens.values()) == pytest.approx(0.3, abs=0.03)


def test_a_sources_hidden_words_are_shown_as_masks_and_keep_their_labels(recipe, data, tokenizer, tmp_path):
    sources = [replace(source, hidden=0.5) for source in recipe.sources if source.task == "token-classification"]
    shown, hidden = (
        make_plan(replace(recipe, sources=tuple(some)), data, tokenizer, tmp_path / name)
        for name, some in (("shown", [replace(source, hidden=0.0) for source in sources]), ("hidden", sources))
    )
    masks = words = 0
    for step in range(20):
        plain, masked = shown[step]["inputs"], hidden[step]["inputs"]
        assert torch.equal(plain["labels"], masked["labels"])
        changed = plain["input_ids"] != masked["input_ids"]
        assert (masked["input_ids"][changed] == tokenizer.mask_token_id).all()
        assert not np.isin(plain["input_ids"][changed], tokenizer.all_special_ids).any()
        masks += int(changed.sum())
        words += int((~np.isin(plain["input_ids"], tokenizer.all_special_ids)).sum())
    assert masks / words == pytest.approx(0.5, abs=0.06)


def test_a_source_without_a_share_for_every_stage_is_refused(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("stages = [0]", "stages = [0, 100]"))
    with pytest.raises(ValueError, match=r"has 2 stages and mlm_wiki/train\.txt\.gz 1 shares"):
        read_recipe(tmp_path / "recipe.toml")


def test_tokens_are_kept_and_word_counts_come_from_the_running_text(recipe, data, tokenizer, tmp_path):
    pools = load_pools(recipe, data, tokenizer, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == len(recipe.sources)
    again = load_pools(recipe, data, tokenizer, tmp_path)
    assert np.array_equal(pools[0].examples[0].sequences[0], again[0].examples[0].sequences[0])
    counts = word_counts(pools, len(tokenizer))
    assert counts[tokenizer.convert_tokens_to_ids("river")] == 6


def test_what_is_kept_of_a_source_serves_it_alone_and_among_others(recipe, data, tokenizer, tmp_path):
    load_pools(recipe, data, tokenizer, tmp_path)
    kept = set((tmp_path / "tokens").iterdir())
    for source in recipe.sources:
        load_pools(replace(recipe, sources=(source,)), data, tokenizer, tmp_path)
    assert set((tmp_path / "tokens").iterdir()) == kept


def test_the_common_recipe_trains_every_task():
    assert read_recipe(COMMON).tasks == TASKS


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.stem)
def test_the_packages_recipes_train_on_training_files_only(path):
    files = [file for source in read_recipe(path).sources for file in source.files]
    assert {Path(file).name.split(".")[0] for file in files if not file.startswith("templates/")} == {"train"}


def test_a_recipe_that_goes_on_from_another_has_its_settings_but_for_its_own(tmp_path):
    own = 'afterwards = "It was averaged."\nhardware = "an abacus"'
    for name, text in (("recipe", f"{own}{RECIPE}"), ("answers", ANSWERS_RECIPE)):
        (tmp_path / f"{name}.toml").write_text(text)
    base, recipe = (read_recipe(tmp_path / f"{name}.toml") for name in ("recipe", "answers"))
    assert (recipe.goes_on_from, base.goes_on_from) == ("recipe", "")
    assert (recipe.afterwards, base.afterwards) == ("", "It was averaged.")
    assert (recipe.hardware, base.hardware) == ("CPU cores", "an abacus")
    assert recipe.tasks == ("question-answering",) and recipe.dropout == 0.1 and base.dropout == 0
    assert recipe.optimiser == replace(base.optimiser, frozen=("embeddings.word_embeddings",))
    assert (recipe.landmarks, recipe.seed, recipe.model) == (base.landmarks, base.seed, base.model)


def test_a_recipe_can_have_another_ones_settings_than_the_one_it_goes_on_from(tmp_path):
    other = 'goes_on_from = "answers"\nas_in = "recipe"\n'
    for name, text in (("recipe", RECIPE), ("answers", ANSWERS_RECIPE), ("other", other)):
        (tmp_path / f"{name}.toml").write_text(text)
    base, recipe = (read_recipe(tmp_path / f"{name}.toml") for name in ("recipe", "other"))
    assert recipe == replace(base, goes_on_from="answers")


def test_a_run_has_its_own_seed_and_changed_settings():
    path = find_recipe("words_2")
    first, second = read_recipe(path), read_recipe(path, run=2)
    assert (first.seed, second.seed) == (20231, 20232)
    assert second.optimiser == replace(first.optimiser, encoder_rate=3e-4) and first.optimiser.encoder_rate != 3e-4
    assert (first.runs[1].steps, first.runs[1].decay_steps) == (570, 120)
    with pytest.raises(ValueError, match="run must be from 1 to 2, the runs of this recipe, got 3"):
        read_recipe(path, run=3)


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.stem)
def test_what_a_recipe_begins_with_or_is_a_mean_of_is_a_recipe_too_and_weighs_one(path):
    recipe = read_recipe(path)
    for parts in (*(run.begin for run in recipe.runs), recipe.mean):
        named = [name for name in parts if name != "runs" and not name.startswith("run_")]
        assert all(find_recipe(name).is_file() for name in named)
        assert not parts or sum(parts.values()) == pytest.approx(0.7 if path.stem == "common_2" else 1, abs=1e-3)


def test_a_recipe_goes_by_its_name_or_its_path(tmp_path):
    assert find_recipe("answers") == RECIPES / "archive" / "answers.toml"
    assert find_recipe("answers_3") == RECIPES / "answers_3.toml"
    assert find_recipe(str(tmp_path / "answers.toml")) == tmp_path / "answers.toml"


def test_kinds_of_entities_take_the_recipe_s_names():
    rows = [readers.Tagged(["Ada", "of", "New", "York", "sang"], ["B-person", "O", "B-place", "I-place", "B-work"])]
    (row,) = readers.rename_kinds(rows, {"person": "PER", "place": "LOC"})
    assert row.tokens == rows[0].tokens
    assert row.tags == ["B-PER", "O", "B-LOC", "I-LOC", "B-work"]


def test_an_unknown_task_is_refused(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace('"masked-lm"', '"translation"'))
    with pytest.raises(ValueError, match="names translation"):
        read_recipe(path)


def test_statements_are_read_as_running_text(recipe, data, tokenizer):
    source = Source("masked-lm", (1.0,), 64, statements=("comve_explanation/train.jsonl.gz",), lengths={48: 1.0})
    found = read_examples(source, recipe, data, tokenizer)
    assert "no water" in tokenizer.decode(np.concatenate([example.sequences[0] for example in found]))


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("question-answering", {"unanswerable": 1.0}),
        ("question-answering", {"pack": True}),
        ("question-answering", {"max_length": 20}),
        ("token-classification", {"pack": False}),
        ("token-classification", {"max_length": 16}),
        ("token-classification", {"kinds": {"PER": "ORG"}}),
        ("masked-lm", {"lengths": {8: 1.0}}),
    ],
)
def test_what_a_source_says_decides_its_examples_and_each_is_kept_apart(
    task, change, recipe, data, tokenizer, tmp_path
):
    (source,) = (source for source in recipe.sources if source.task == task)
    if task == "question-answering":  # passages enough to take another one's, or to join two
        passages_of = {place: f"{name} went to {place} in the night. " * 3 for name, place in PLACES}
        rows = [
            {
                "title": place,
                "context": text,
                "question": "Where?",
                "answers": {"text": [place], "answer_start": [text.index(place)]},
            }
            for place, text in passages_of.items()
        ]
        data, source = tmp_path / "data", replace(source, max_length=160)
        write(data / source.file, as_lines(rows))
    both = replace(recipe, sources=(source, replace(source, **change)))
    for _ in range(2):  # read, then as kept
        one, other = (pool.examples for pool in load_pools(both, data, tokenizer, tmp_path))
        assert [in_numbers(example) for example in one] != [in_numbers(example) for example in other]
    assert len(list((tmp_path / "tokens").iterdir())) == 2


def in_numbers(example):
    return [sequence.tolist() for sequence in example.sequences], np.asarray(example.target).tolist()


def test_another_question_of_a_source_turns_its_labels(recipe, data, tokenizer, tmp_path):
    rows = [{"context": "", "question": "Which?", "choices": ["a cat", "a river"], "label": i % 2} for i in range(4)]
    write(tmp_path / "comve_validation/train.jsonl.gz", as_lines(rows))
    source = Source("multiple-choice", (1.0,), 128, "comve_validation/train.jsonl.gz")
    asked = [replace(source, question=question) for question in ("", "Which other?")]
    first, second = (read_examples(each, recipe, tmp_path, tokenizer) for each in asked)
    assert [int(example.target) for example in first] == [0, 1, 0, 1]
    assert [int(example.target) for example in second] == [1, 0, 1, 0]


def test_other_data_of_the_same_size_are_read_anew(recipe, data, tokenizer, tmp_path):
    (source,) = (source for source in recipe.sources if source.task == "sequence-classification")
    one = replace(recipe, sources=(source,))
    folder = tmp_path / "data" / source.file
    found = []
    for label in (0, 1):
        write(folder, f"sentence\tlabel\na film\t{label}\n")
        (pool,) = load_pools(one, tmp_path / "data", tokenizer, tmp_path)
        found.append(int(pool.examples[0].target))
    assert found == [0, 1]


def test_exact_batches_have_their_share_and_the_others_their_weights(recipe, data, tokenizer, tmp_path):
    landmarks = replace(recipe.landmarks, exact_steps=0, exact_share=0.3, weights={2: 3.0, 4: 1.0})
    plan = make_plan(replace(recipe, landmarks=landmarks), data, tokenizer, tmp_path)
    drawn = [plan.planned(step).num_landmarks for step in range(1500)]
    long = [m for step, m in enumerate(drawn) if plan[step]["inputs"]["input_ids"].shape[-1] > 4]
    assert long.count(EXACT_LANDMARKS) / len(long) == pytest.approx(0.3, abs=0.05)
    assert long.count(2) / (long.count(2) + long.count(4)) == pytest.approx(0.75, abs=0.05)


def test_every_epoch_has_another_order_and_every_step_other_masks(recipe, data, tokenizer, tmp_path):
    (words,) = (source for source in recipe.sources if source.task == "masked-lm")
    plan = make_plan(replace(recipe, sources=(replace(words, shares=(1.0,)),), masked=0.5), data, tokenizer, tmp_path)
    steps = 0
    seen: list[int] = []
    while len(seen) < 2 * len(plan.pools[0].examples):
        seen += plan.planned(steps).members.tolist()
        steps += 1
    half = len(seen) // 2
    assert sorted(seen[:half]) == sorted(seen[half:]) and seen[:half] != seen[half:]
    places = [tuple(np.flatnonzero(plan[step]["inputs"]["labels"] != -100)) for step in range(6)]
    assert len(set(places)) == 6
    labels = torch.cat([plan[step]["inputs"]["labels"].flatten() for step in range(40)])
    shown = torch.cat([plan[step]["inputs"]["input_ids"].flatten() for step in range(40)])
    real = ~np.isin(torch.where(labels != -100, labels, shown), [*tokenizer.all_special_ids, 0])
    chosen = labels != -100
    assert float(chosen.sum() / real.sum()) == pytest.approx(0.5, abs=0.05)
    changed = shown[chosen] != labels[chosen]
    masks = shown[chosen] == tokenizer.mask_token_id
    assert float(masks.float().mean()) == pytest.approx(0.8, abs=0.04)
    assert float((changed & ~masks).float().mean()) == pytest.approx(0.1, abs=0.03)
