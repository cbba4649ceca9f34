"""What is made of training: figures, the box of checkpoints, and its cards."""

import gzip
import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_runs import run
from transformers import AutoModelForMaskedLM

from nystrom_demo.checkpoints import load_bundled
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.model import NystromformerModel
from nystrom_demo.tasks import classify, classify_batch
from nystrom_demo.training import measures
from nystrom_demo.training.average import average
from nystrom_demo.training.card import (
    DATA_SETS,
    Trained,
    card,
    figures_table,
    how_many_runs,
    line_of,
    parts_of_runs,
    parts_of_tokens,
)
from nystrom_demo.training.evaluate import Row, load_checkpoints, load_models, read_rows
from nystrom_demo.training.plan import EXACT_LANDMARKS
from nystrom_demo.training.readers import Labelled, Tagged
from nystrom_demo.training.recipe import RECIPES, TASKS, read_recipe
from nystrom_demo.training.train import begin_with, last_checkpoint


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory) -> tuple[Path, str]:
    """The file of the first run's figures, and what `evaluate` printed."""
    path, printed = tmp_path_factory.mktemp("measured") / "figures.json", io.StringIO()
    with redirect_stdout(printed):
        run(
            trained,
            *("evaluate", trained / "work/first", "--data", trained / "data", "--landmarks", "4,exact"),
            *("--limit", 5, "--json", path, "--threads", 1),
        )
    return path, printed.getvalue()


@pytest.fixture(scope="module")
def box(trained, tmp_path_factory) -> Path:
    """The box of the first run alone."""
    box = tmp_path_factory.mktemp("exported") / "box"
    run(trained, "export", box, f"{trained / 'recipe.toml'}={trained / 'work/first'}")
    return box


def test_evaluation_gives_each_measure_at_each_number_of_landmarks(measured):
    path, printed = measured
    rows = read_rows(path)
    assert {row.task for row in rows} == set(TASKS) and len(rows) == 20
    assert all(set(row.values) == {"4", "exact"} for row in rows)
    assert all(0 <= value <= 100 for row in rows for value in row.values.values())
    assert "SQuAD v1.1 validation, half, F1" in printed


def evaluation_of(trained, *landmarks: int, **options) -> measures.Evaluation:
    checkpoints = load_checkpoints(trained / "work/first/checkpoint-6", read_recipe(trained / "recipe.toml"))
    return measures.Evaluation(checkpoints, trained / "data", landmarks, **options)


def test_what_is_measured_is_what_the_app_answers(trained):
    evaluation = evaluation_of(trained, 2, EXACT_LANDMARKS)
    texts = ["a good film", "a bad film in the cold, and the long night of the year"]
    found = dict(evaluation.ask("sequence-classification", classify_batch, texts))
    assert list(found) == ["2", "exact"]
    checkpoint = evaluation.checkpoints["sequence-classification"]
    for m, settings in (("2", AttentionSettings("nystrom", 2)), ("exact", EXACT)):
        for text, result in zip(texts, found[m], strict=True):
            wanted = classify(checkpoint, text, settings).probabilities
            assert result.probabilities == pytest.approx(wanted, abs=1e-5)
    assert found["2"][1].probabilities != pytest.approx(found["exact"][1].probabilities, abs=1e-4)


def test_no_more_texts_are_read_in_one_go_than_may_be_held(trained, monkeypatch):
    monkeypatch.setattr(measures, "TEXTS", 2)
    sizes = []

    def batch(checkpoint, texts, settings):
        sizes.append(len(texts))
        return texts

    ((_, found),) = evaluation_of(trained, 4).ask("masked-lm", batch, ["a", "b", "c", "d", "e"])
    assert found == ["a", "b", "c", "d", "e"] and sizes == [2, 2, 1]


def test_everyday_questions_are_counted_whole(trained, monkeypatch):
    rows = json.loads((measures.EVERYDAY / "choices.json").read_text(encoding="utf-8"))

    def choose_batch(checkpoint, asked, settings):
        places = [row["label"] if i >= 7 else row["label"] - 1 for i, row in enumerate(rows)]  # seven wrong ones
        return [SimpleNamespace(index=place, scores=(0.5, 0.5)) for place in places]

    monkeypatch.setattr(measures, "choose_batch", choose_batch)
    assert measures.everyday_questions(evaluation_of(trained, 4)) == {"of 30": {"4": len(rows) - 7}}


def test_sentiment_is_told_between_the_two_classes_of_reviews_whatever_a_third_has(trained, monkeypatch):
    probabilities = [(0.1, 0.2, 0.7), (0.3, 0.1, 0.6), (0.5, 0.4, 0.1)]

    def classify_batch(checkpoint, texts, settings):
        names = ("negative", "positive", "neutral")
        return [SimpleNamespace(probabilities=dict(zip(names, row, strict=True))) for row in probabilities]

    monkeypatch.setattr(measures, "classify_batch", classify_batch)
    rows = [Labelled("a", 1), Labelled("b", 0), Labelled("c", 1)]
    figures = measures._sentiment(evaluation_of(trained, 4), rows)
    assert figures["accuracy"] == {"4": pytest.approx(200 / 3)}


def test_hidden_words_are_whole_and_come_back_as_masks_in_their_places(trained):
    checkpoint = evaluation_of(trained).checkpoints["masked-lm"]
    text = "the man sat in the cold house and saw a great cat"
    hidden = measures.hide_words(checkpoint, text, np.random.default_rng(3), part=0.5)
    ids = checkpoint.tokenizer(hidden.text, add_special_tokens=False)["input_ids"]
    whole = checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]
    places = [i for i, token in enumerate(ids) if token == checkpoint.tokenizer.mask_token_id]
    assert 1 <= len(places) < len(ids) == len(whole)
    assert [whole[i] for i in places] == hidden.true
    assert all(a == b for i, (a, b) in enumerate(zip(ids, whole, strict=True)) if i not in places)


def test_a_limit_sees_both_classes_of_the_long_reviews(trained, tmp_path, monkeypatch):
    (tmp_path / "movie_reviews").mkdir()
    with gzip.open(tmp_path / "movie_reviews/validation.tsv.gz", "wt") as file:
        file.write("text\tlabel\n" + "bad\t0\n" * 6 + "good\t1\n" * 5)
    monkeypatch.setattr(measures, "_sentiment", lambda evaluation, rows: [row.label for row in rows])
    evaluation = replace(evaluation_of(trained, 4, limit=4), data=tmp_path)
    assert measures.long_reviews(evaluation) == [0, 1, 0, 1]


def test_a_task_without_a_head_cannot_be_measured(trained):
    with pytest.raises(ValueError, match="has no head for question_answering, only masked-lm"):
        run(trained, "evaluate", trained / "work/first", "--data", trained / "data", "--only", "question_answering")


def test_two_recipes_of_one_name_make_no_box(trained, tmp_path):
    (tmp_path / "recipe.toml").write_text((trained / "recipe.toml").read_text())
    work = trained / "work/first"
    with pytest.raises(ValueError, match=r"An encoder's file has its recipe's name, and recipe is taken\."):
        run(
            trained, "export", tmp_path / "box", *(f"{folder / 'recipe.toml'}={work}" for folder in (trained, tmp_path))
        )
    assert not (tmp_path / "box").exists()


def test_a_cards_figures_stand_under_their_own_number_of_landmarks():
    rows = [
        Row("answers", "A", "x", None, {"4": 1.0, "exact": 3.0}),
        Row("answers", "B", "of 30", None, {"exact": 99.0, "4": 7.0}),
    ]
    assert figures_table(rows).splitlines()[2:] == ["| A | x | 1.0 | 3.0 |", "| B | of 30 | 7 | 99 |"]
    with pytest.raises(ValueError, match="B is measured at 4, other rows at 4, exact"):
        figures_table([rows[0], replace(rows[1], values={"4": 7.0})])


def test_a_missing_answer_is_told_where_the_app_says_that_there_is_none(trained, tmp_path, monkeypatch):
    (tmp_path / "squad_v1.1_partial").mkdir()
    rows = [
        {"question": "Where?", "context": f"{place} is big.", "answers": {"text": [place], "answer_start": [0]}}
        for place in ("London", "England", "Paris", "France")
    ]
    with gzip.open(tmp_path / "squad_v1.1_partial/validation.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    silent = [False, True, False, False]  # the second and the fourth question have lost their answers

    def answer_batch(checkpoint, asked, settings, top_k):
        return [SimpleNamespace(no_answer=each) for each in silent]

    monkeypatch.setattr(measures, "answer_batch", answer_batch)
    evaluation = replace(evaluation_of(trained, 4), data=tmp_path)
    assert measures.missing_answers(evaluation) == {"told apart": {"4": 75.0}, "wrong answers": {"4": 50.0}}


def test_neighbouring_sentences_are_packed_up_to_their_room(trained):
    checkpoint = evaluation_of(trained).checkpoints["token-classification"]
    rows = [Tagged(["the", "man"], ["O", "B-PER"]), Tagged(["sat"], ["O"]), Tagged(["in", "the", "cold"], ["O"] * 3)]
    sizes = [len(checkpoint.tokenizer(" ".join(row.tokens), add_special_tokens=False)["input_ids"]) for row in rows]
    packed = list(measures._packed(rows, checkpoint, room=sum(sizes[:2])))
    assert [row.tokens for row in packed] == [["the", "man", "sat"], ["in", "the", "cold"]]
    assert packed[0].tags == ["O", "B-PER", "O"]


def test_the_box_loads_with_its_checksums_and_gives_the_checkpoints_output(trained, box):
    checkpoints = load_bundled("cpu", box=box)
    recipe = read_recipe(trained / "recipe.toml")
    trained, tokenizers = load_models(last_checkpoint(trained / "work/first"), recipe)
    inputs = tokenizers["masked-lm"]("Mary went to [MASK].", return_tensors="pt")
    with torch.no_grad():
        ours = checkpoints["masked-lm"].model(**inputs).logits
        theirs = trained["masked-lm"](**inputs).logits
    assert torch.allclose(ours, theirs, atol=0.05)
    assert checkpoints["token-classification"].model.config.id2label[3] == "B-LOC"
    assert not any(checkpoint.new_head for checkpoint in checkpoints.values())
    plain = AutoModelForMaskedLM.from_pretrained(box / "masked-lm")
    assert plain.dtype == torch.float32
    again, _ = load_models(box, recipe)
    assert torch.equal(again["masked-lm"].cls.predictions.bias, plain.cls.predictions.bias)


def test_the_encoders_weights_are_stored_once_in_half_precision(box):
    assert sorted(path.relative_to(box).as_posix() for path in box.rglob("*.safetensors")) == sorted(
        ["encoders/tables.safetensors", *(f"{task}/head.safetensors" for task in TASKS)]
    )
    assert {tensor.dtype for tensor in load_file(box / "encoders/tables.safetensors").values()} == {torch.float16}
    encoder = NystromformerModel.from_pretrained(box / "masked-lm")
    assert encoder.config.conv_kernel_size == 3


def test_a_head_that_went_on_alone_has_an_encoder_of_its_own_but_for_what_is_identical(trained, two_encoders):
    files = {path.stem: load_file(path) for path in (two_encoders / "encoders").iterdir()}
    assert sorted(files) == ["answers", "recipe", "tables"]
    assert files["answers"].keys() == files["recipe"].keys() and not files["tables"].keys() & files["recipe"].keys()
    assert "nystromformer.embeddings.word_embeddings.weight" in files["tables"]
    assert "nystromformer.encoder.layer.0.attention.self.query.weight" in files["answers"]
    checkpoints = load_bundled("cpu", box=two_encoders)
    alone, *others = (checkpoints[task].model.nystromformer for task in ("question-answering", *TASKS))

    def in_memory(encoder, name):
        return torch._C._data_address(encoder.get_parameter(name))

    name = "encoder.layer.0.output.dense.weight"
    shared = [in_memory(other, name) == in_memory(alone, name) for other in others]
    assert shared == [task == "question-answering" for task in TASKS]
    table = "embeddings.word_embeddings.weight"
    assert len({in_memory(encoder, table) for encoder in others}) == 1
    tuned, tokenizers = load_models(last_checkpoint(trained / "work/answers"), answers_recipe(trained))
    inputs = tokenizers["question-answering"]("Who?", "Mary went to London.", return_tensors="pt")
    with torch.no_grad():
        ours = checkpoints["question-answering"].model(**inputs).start_logits
        theirs = tuned["question-answering"](**inputs).start_logits
    assert torch.allclose(ours, theirs, atol=0.05)


def test_only_the_heads_that_a_checkpoint_holds_are_measured(trained, two_encoders, capsys):
    options = ("--data", trained / "data", "--landmarks", "exact", "--limit", 2, "--threads", 1)
    run(trained, "evaluate", trained / "work/answers", *options, recipe="answers.toml")
    printed = capsys.readouterr().out
    assert "SQuAD" in printed and "SST-2" not in printed


def test_a_recipes_frozen_modules_keep_their_weights_and_its_heads_alone_are_trained(trained, two_encoders):
    tuned, _ = load_models(last_checkpoint(trained / "work/answers"), answers_recipe(trained))
    first, _ = load_models(last_checkpoint(trained / "work/first"), read_recipe(trained / "recipe.toml"))
    assert set(tuned) == {"question-answering"}
    before, after = (models["question-answering"] for models in (first, tuned))
    pairs = {name: (weight, after.state_dict()[name]) for name, weight in before.state_dict().items()}
    moved = {name for name, (old, new) in pairs.items() if not torch.equal(old, new)}
    assert "qa_outputs.weight" in moved
    old, new = (model.nystromformer.state_dict() for model in (before, after))
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert "embeddings.word_embeddings.weight" not in moved
    assert {"embeddings.position_embeddings.weight", "encoder.layer.1.output.dense.weight"} <= moved


def test_a_head_that_a_checkpoint_lacks_begins_anew_on_its_encoder(trained, two_encoders):
    answers = last_checkpoint(trained / "work/answers")
    recipe = read_recipe(trained / "recipe.toml")
    ours, _ = begin_with(answers, recipe, new_heads=True)
    held = load_models(answers, answers_recipe(trained))[0]["question-answering"]
    assert set(ours.heads) == set(TASKS)
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(ours.encoder.state_dict()[name], held.nystromformer.state_dict()[name])
    assert torch.equal(ours.heads["question-answering"].qa_outputs.weight, held.qa_outputs.weight)
    assert ours.heads["token-classification"].classifier.weight.std() > 0


def test_half_a_head_is_refused_where_whole_ones_may_be_new(trained, two_encoders, tmp_path):
    answers = last_checkpoint(trained / "work/answers")
    for path in answers.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(answers / "model.safetensors")
    del weights["heads.question-answering.qa_outputs.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks weights of question-answering, .*qa_outputs\.bias among them"):
        begin_with(tmp_path, answers_recipe(trained), new_heads=True)


def answers_recipe(folders):
    return read_recipe(folders / "answers.toml")


@pytest.fixture(scope="module")
def two_encoders(trained):
    """A box whose answers have gone on alone from the common encoder."""
    folders = trained
    options = (*("--work", folders / "work", "--data", folders / "data", "--out", "answers", "--max-steps", 4), "--cpu")
    begin = ("--begin", last_checkpoint(folders / "work/first"))
    run(folders, "train", *options, *begin, "--no-progress", "--threads", 1, recipe="answers.toml")
    made = {"recipe": "first", "answers": "answers"}
    box = folders / "two"
    run(folders, "export", box, *(f"{folders / name}.toml={folders / 'work' / out}" for name, out in made.items()))
    return box


def test_a_folder_that_is_neither_checkpoint_nor_box_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a training checkpoint nor a box"):
        load_models(tmp_path, read_recipe())


def test_a_training_checkpoint_without_one_of_the_recipes_heads_is_refused(trained, two_encoders):
    with pytest.raises(ValueError, match=r"lacks weights of masked-lm, .* among them"):
        load_models(last_checkpoint(trained / "work/answers"), read_recipe(trained / "recipe.toml"))


def test_the_mean_of_two_runs_is_that_of_their_weights(trained, two_encoders):
    out = trained / "mean"
    run(trained, "average", out, trained / "work/answers", trained / "work/first", recipe="answers.toml")
    mean, first, second = (
        load_models(folder, answers_recipe(trained))[0]["question-answering"]
        for folder in (out, *(last_checkpoint(trained / "work" / name) for name in ("answers", "first")))
    )
    for part in ("qa_outputs", "nystromformer.encoder.layer.1.output.dense"):
        wanted = (first.get_submodule(part).weight + second.get_submodule(part).weight) / 2
        assert torch.allclose(mean.get_submodule(part).weight, wanted)


def test_a_weighted_mean_takes_frozen_modules_from_where_it_is_told(trained, two_encoders):
    answers, first = last_checkpoint(trained / "work/answers"), last_checkpoint(trained / "work/first")
    early = trained / "work/first/checkpoint-3"
    out = trained / "weighted"
    more = ("--weights", "0.75,0.25", "--frozen-from", early)
    run(trained, "average", out, answers, first, *more, recipe="answers.toml")
    mean, mine, other, tables = (
        load_models(folder, answers_recipe(trained))[0]["question-answering"] for folder in (out, answers, first, early)
    )
    for part in ("qa_outputs", "nystromformer.encoder.layer.1.output.dense"):
        weights = [model.get_submodule(part).weight for model in (mine, other)]
        assert not torch.equal(*weights)
        assert torch.allclose(mean.get_submodule(part).weight, 0.75 * weights[0] + 0.25 * weights[1])
    (frozen, *_) = answers_recipe(trained).optimiser.frozen
    part = f"nystromformer.{frozen}"
    assert torch.equal(mean.get_submodule(part).weight, tables.get_submodule(part).weight)
    assert not torch.equal(mine.get_submodule(part).weight, tables.get_submodule(part).weight)


def test_a_trained_checkpoints_tokenizer_cuts_no_text(trained):
    table = json.loads((last_checkpoint(trained / "work/first") / "tokenizer.json").read_text())
    assert (table["truncation"], table["padding"]) == (None, None)


@pytest.mark.parametrize("weights", [[0.5], [0.5, 0.6]])
def test_weights_that_do_not_fit_the_runs_are_refused(weights, trained, two_encoders, tmp_path):
    folders = [last_checkpoint(trained / "work/answers"), last_checkpoint(trained / "work/first")]
    with pytest.raises(ValueError, match=r"Wanted 2 weights with the sum 1, got 0\.5"):
        average(folders, tmp_path / "mean", answers_recipe(trained), weights)


def test_cards_hold_the_figures_the_data_and_their_terms(trained, box, measured):
    path, _ = measured
    rows = read_rows(path)
    run(trained, "card", box, "common", "words", "--json", path)
    text = (box / "question-answering/README.md").read_text()
    f1 = next(row for row in rows if row.measure == "F1" and row.task == "question-answering")
    assert f"| F1 | {f1.values['4']:.1f} | {f1.values['exact']:.1f} |" in text
    assert "| m = 4 | exact |" in text and "first 5 examples" in text
    assert "All five heads at once on one encoder, 11.9 M tokens by `common.toml` on CPU cores" in text
    assert "CC BY-SA 4.0" in text and "unstated" in text and "From there" not in text
    words = (box / "masked-lm/README.md").read_text()
    assert "11.9 M tokens" in words and "From there masked-lm alone, 2.6 M tokens by `words.toml`" in words
    assert load_bundled("cpu", box=box)["question-answering"].name == "question-answering"


def test_a_card_says_what_a_run_ran_on(trained):
    recipe = replace(read_recipe(trained / "recipe.toml"), hardware="an abacus", million_tokens=1.0)
    assert "by `tiny.toml` on an abacus: AdamW" in card("masked-lm", [], [Trained("tiny", recipe)])


def test_a_card_says_that_questions_were_made_of_the_passages_and_that_all_heads_went_on_together(trained):
    recipe = replace(read_recipe(trained / "recipe.toml"), million_tokens=1.0)
    sources = tuple(replace(source, cloze=source.task == "question-answering") for source in recipe.sources)
    runs = [Trained("tiny", recipe), Trained("tiny_2", replace(recipe, sources=sources))]
    first, second = card("masked-lm", [], runs).split("## Training")[1].split("## Limits")[0].split("From there ")
    assert "All five heads at once on one encoder, 1.0 M tokens by `tiny.toml`" in " ".join(first.split())
    second = " ".join(second.split())
    assert second.startswith("all five heads at once on one encoder, 1.0 M tokens by `tiny_2.toml`")
    made = "Some questions were made of the passages: a sentence with a name, number or term hidden."
    assert made in second and made not in " ".join(first.split())


def test_a_card_says_what_part_of_its_words_a_task_did_not_see(trained):
    recipe = replace(read_recipe(trained / "recipe.toml"), million_tokens=1.0)
    sources = tuple(replace(s, hidden=0.1) if s.task == "token-classification" else s for s in recipe.sources)
    runs = [Trained("tiny", replace(recipe, sources=sources))]
    text = " ".join(card("token-classification", [], runs).split())
    assert "token-classification saw 10% of its words as [MASK]." in text
    assert text.count("saw 10%") == 1


def test_a_card_says_what_runs_began_with_and_what_mean_was_taken():
    recipe = read_recipe(RECIPES / "archive" / "labels_4.toml")
    said = how_many_runs(recipe)
    assert "Run 1 began with a mean of encoders, 0.55 of `labels_3`, 0.45 of `answers_3`." in said
    assert said.endswith("The weights are 67% the mean of 2 such runs and 33% the weights of `labels_3.toml`.")
    assert how_many_runs(read_recipe(RECIPES / "archive" / "words.toml")) == ""
    two = how_many_runs(read_recipe(RECIPES / "archive" / "answers.toml"))
    assert two == " The weights are the mean of 2 such runs."


def test_a_run_stands_behind_those_that_it_goes_on_from(trained):
    recipe = read_recipe(trained / "recipe.toml")
    names = {"first": "", "second": "first", "third": "second"}
    runs = {name: Trained(name, replace(recipe, goes_on_from=before)) for name, before in names.items()}
    assert [run.name for run in line_of(runs["third"], runs)] == ["first", "second", "third"]
    with pytest.raises(ValueError, match=r"third goes on from second, which is not given"):
        line_of(runs["third"], {"third": runs["third"]})


def test_a_sources_part_of_all_tokens_counts_the_stages_that_a_run_went_through(trained):
    tiny = read_recipe(trained / "recipe.toml")
    sources = (replace(source, shares=(*source.shares, number / 10)) for number, source in enumerate(tiny.sources))
    recipe = replace(tiny, stages=(0, 3_000_000), sources=tuple(sources))
    assert [part for _, part in parts_of_tokens(recipe, 2e6)] == pytest.approx([0.3, 0.2, 0.2, 0.2, 0.1])
    assert [part for _, part in parts_of_tokens(recipe, 4e6)] == pytest.approx([0.225, 0.175, 0.2, 0.225, 0.175])


def test_the_parts_of_two_runs_are_weighed_by_their_tokens(trained):
    paths = {name: trained / f"{name}.toml" for name in ("recipe", "answers")}
    runs = [
        Trained(name, replace(read_recipe(path), million_tokens=tokens))
        for (name, path), tokens in zip(paths.items(), (1, 3), strict=True)
    ]
    assert [part for _, part in parts_of_runs(runs)] == pytest.approx([0.075, 0.05, 0.05, 0.05, 0.025, 0.75])


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_source_of_a_recipe_has_its_terms(path):
    names = {file.split("/")[0] for source in read_recipe(path).sources for file in source.files}
    assert names <= set(DATA_SETS)
