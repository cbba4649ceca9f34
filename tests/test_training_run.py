"""Conversion, shared training, resumption, two processes, evaluation, and the box, on tiny data and a tiny base."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_box import make_tokenizer
from training_data import RECIPE, make_data
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertModel

from nystrom_demo.checkpoints import load_bundled
from nystrom_demo.config import EXACT
from nystrom_demo.model import NystromformerModel
from nystrom_demo.training import measures
from nystrom_demo.training.__main__ import parser
from nystrom_demo.training.batches import Vocabulary
from nystrom_demo.training.card import DATA_SETS, parts_of_tokens, write_cards
from nystrom_demo.training.convert import convert
from nystrom_demo.training.data import load_pools
from nystrom_demo.training.evaluate import load_models, load_multitask, read_rows
from nystrom_demo.training.multitask import MultiTask, masked_word_loss, start_masked_words
from nystrom_demo.training.plan import EXACT_LANDMARKS, BatchPlan
from nystrom_demo.training.recipe import TASKS, ModelShape, read_recipe
from nystrom_demo.training.train import last_checkpoint, make_optimiser, steps_of

ROOT = Path(__file__).resolve().parents[1]


def make_bert(vocab_size: int) -> BertModel:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=37,
        initializer_range=0.3,
        layer_norm_eps=1e-12,
    )
    bert = BertModel(config).eval()
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return bert


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Data, recipe, and a work folder with a converted base and one run of six steps, checkpoints at 3 and 6."""
    root = tmp_path_factory.mktemp("training")
    make_data(root / "data")
    (root / "recipe.toml").write_text(RECIPE)
    tokenizer = make_tokenizer(37)
    make_bert(len(tokenizer)).save_pretrained(root / "base")
    tokenizer.save_pretrained(root / "base")
    run(root, "convert", "--base", root / "base", "--work", root / "work")
    run(root, "train", *train_options(root, "first"), "--save-steps", 3)
    return root


def train_options(root: Path, out: str) -> tuple:
    return (
        *("--work", root / "work", "--data", root / "data", "--out", out, "--max-steps", 6, "--decay-steps", 2),
        *("--log-steps", 1, "--threads", 1, "--no-progress", "--cpu"),
    )


def run(root: Path, *words) -> None:
    """A verb of the command line, in this process."""
    arguments = parser().parse_args([str(word) for word in words] + ["--recipe", str(root / "recipe.toml")])
    threads = torch.get_num_threads()
    arguments.verb(arguments)
    torch.set_num_threads(threads)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "model.safetensors")


def test_a_converted_base_gives_its_hidden_states():
    bert = make_bert(50)
    model = convert(bert, ModelShape(max_position_embeddings=90, conv_kernel_size=5, num_landmarks=64)).eval()
    ids = torch.randint(5, 50, (3, 37))
    mask = torch.ones_like(ids)
    mask[1, 11:] = 0
    types = (torch.arange(37) > 7).long().expand(3, 37)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    with torch.no_grad():
        ours = model(**inputs, attention_settings=EXACT).last_hidden_state
        theirs = bert(**inputs).last_hidden_state
    assert torch.allclose(ours[mask.bool()], theirs[mask.bool()], atol=1e-5)


def test_the_position_table_is_the_bases_over_and_over_two_rows_on():
    bert = make_bert(50)
    model = convert(bert, ModelShape(max_position_embeddings=90, conv_kernel_size=5, num_landmarks=64))
    ours, theirs = model.embeddings.position_embeddings.weight, bert.embeddings.position_embeddings.weight
    assert ours.shape[0] == 92
    for place in (0, 36, 37, 73, 74, 89):
        assert torch.equal(ours[place + 2], theirs[place % 37])


def test_a_converted_tokenizer_comes_back_with_token_types_and_no_truncation(folders):
    tokenizer = AutoTokenizer.from_pretrained(folders / "work/start")
    encoded = tokenizer("dog " * 80, "cat")
    assert len(encoded["input_ids"]) == 84 and encoded["token_type_ids"][-2:] == [1, 1]
    assert tokenizer.model_max_length == 128


def test_all_heads_share_one_encoder_that_is_counted_and_saved_once(folders):
    model = load_multitask(last_checkpoint(folders / "work/first"), read_recipe(folders / "recipe.toml"))
    assert all(head.nystromformer is model.encoder for head in model.heads.values())
    assert model.heads["masked-lm"].cls.predictions.decoder.weight is model.encoder.embeddings.word_embeddings.weight
    names = weights(last_checkpoint(folders / "work/first"))
    assert sum("word_embeddings" in name or "decoder.weight" in name for name in names) == 1
    optimised = [p for group in make_optimiser(model, read_recipe().optimiser).param_groups for p in group["params"]]
    assert len(set(map(id, optimised))) == len(optimised) == len(list(model.parameters()))


def test_masked_word_loss_is_the_heads_own_and_starts_as_a_unigram_model(folders):
    encoder = NystromformerModel.from_pretrained(folders / "work/start")
    model = MultiTask(encoder, read_recipe().labels).heads["masked-lm"]
    counts = torch.arange(encoder.config.vocab_size).float()
    start_masked_words(model, counts)
    assert model.cls.predictions.bias.exp().sum().item() == pytest.approx(1, abs=1e-4)
    ids = torch.randint(5, 60, (2, 11))
    labels = torch.where(torch.rand(2, 11) < 0.5, ids, -100)
    ours, _ = masked_word_loss(model, labels, input_ids=ids)
    assert ours.item() == pytest.approx(model(input_ids=ids, labels=labels).loss.item(), rel=1e-5)


def test_self_distillation_adds_nothing_under_exact_attention_and_something_under_landmarks(folders):
    recipe = read_recipe(folders / "recipe.toml")
    tokenizer = AutoTokenizer.from_pretrained(folders / "work/start")
    pools = load_pools(recipe, folders / "data", tokenizer, folders / "work")
    plan = BatchPlan(pools, recipe, Vocabulary.of(tokenizer), 30)
    model = load_multitask(last_checkpoint(folders / "work/first"), recipe)
    batches = {plan[step]["task"]: plan[step] for step in range(30)}
    assert set(batches) == set(TASKS)
    for batch in batches.values():
        for m, differs in ((EXACT_LANDMARKS, False), (2, True)):
            losses = []
            for model.distil in (0.0, 1.0):
                losses.append(model(batch["task"], m, batch["inputs"])["loss"].item())
            assert (losses[1] > losses[0]) is differs


def test_training_moves_every_kind_of_parameter(folders):
    start = weights(folders / "work/start")
    trained = weights(last_checkpoint(folders / "work/first"))
    for part in ("word_embeddings.weight", "layer.1.attention.self.query.weight", "layer.0.attention.self.conv.weight"):
        (name,) = (name for name in start if name.endswith(part))
        found = next(
            trained[key] for key in trained if key.endswith(name) or ("decoder.weight" in key and "word" in name)
        )
        assert not torch.equal(start[name], found)


def test_a_run_that_goes_on_from_disk_ends_with_the_same_weights(folders):
    run(folders, "train", *train_options(folders, "second"), "--resume", folders / "work/first/checkpoint-3")
    first, second = (weights(folders / f"work/{name}/checkpoint-6") for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_decay_can_branch_off_and_ends_at_a_rate_of_zero(folders):
    run(
        folders,
        *("train", "--work", folders / "work", "--data", folders / "data", "--out", "decay", "--no-progress", "--cpu"),
        *("--resume", folders / "work/first/checkpoint-3", "--decay-now", 3, "--log-steps", 1, "--threads", 1),
    )
    checkpoint = last_checkpoint(folders / "work/decay")
    assert steps_of(checkpoint) == 6
    log = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
    rates = {row["step"]: row["learning_rate"] for row in log if "learning_rate" in row}
    assert rates[4] > rates[5] > rates[6] >= 0
    assert "masked-lm" in {key for row in log for key in row}


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No checkpoint to go on from"):
        last_checkpoint(tmp_path)


@pytest.mark.slow
def test_two_processes_train_together(folders):
    """Through `accelerate launch`, which starts one process a device: here two on the CPU."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    options = [str(word) for word in train_options(folders, "pair")]
    command = [*launch, "-m", "nystrom_demo.training", "train", *options, "--recipe", str(folders / "recipe.toml")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, cwd=folders)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps_of(last_checkpoint(folders / "work/pair")) == 6
    alone, pair = (weights(folders / f"work/{name}/checkpoint-6") for name in ("first", "pair"))
    assert any(not torch.equal(alone[name], pair[name]) for name in alone)


def test_evaluation_gives_each_measure_at_each_number_of_landmarks(folders, capsys):
    run(
        folders,
        *("evaluate", folders / "work/first", "--data", folders / "data", "--landmarks", "4,exact"),
        *("--limit", 5, "--json", folders / "figures.json", "--threads", 1),
    )
    rows = read_rows(folders / "figures.json")
    assert {row.task for row in rows} == set(TASKS) and len(rows) == 12
    assert all(set(row.values) == {"4", "exact"} for row in rows)
    assert all(0 <= value <= 100 for row in rows for value in row.values.values())
    assert "SQuAD v1.1 validation, half, F1" in capsys.readouterr().out


def test_a_missing_answer_is_told_where_the_first_token_outscores_every_stretch(folders, tmp_path, monkeypatch):
    (tmp_path / "squad_v1.1_partial").mkdir()
    rows = [
        {"question": "Where?", "context": f"{place} is big.", "answers": {"text": [place], "answer_start": [0]}}
        for place in ("London", "England", "Paris", "France")
    ]
    with gzip.open(tmp_path / "squad_v1.1_partial/validation.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    none = iter([0.0, 5.0, 0.0, 0.0])  # the second and the fourth question have lost their answers

    def predict(bench, task, examples, num_landmarks):
        logits = [np.full((2, example.length), 1.0) for example in examples]
        for scored in logits:
            scored[:, 0] = next(none)
        return logits

    monkeypatch.setattr(measures, "predict", predict)
    bench = measures.Bench({}, make_tokenizer(128), tmp_path, (4,))
    assert measures.missing_answers(bench) == {"told apart": {"4": 75.0}}


def test_the_box_loads_with_its_checksums_and_gives_the_checkpoints_output(folders):
    box = folders / "box"
    run(folders, "export", folders / "work/first", box)
    checkpoints = load_bundled("cpu", box=box)
    recipe = read_recipe(folders / "recipe.toml")
    trained, tokenizer = load_models(last_checkpoint(folders / "work/first"), recipe)
    inputs = tokenizer("Mary went to [MASK].", return_tensors="pt")
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


def test_the_encoders_weights_are_stored_once_in_half_precision(folders):
    box = folders / "box"
    assert sorted(path.relative_to(box).as_posix() for path in box.rglob("*.safetensors")) == sorted(
        ["encoder/model.safetensors", *(f"{task}/head.safetensors" for task in TASKS)]
    )
    assert {tensor.dtype for tensor in load_file(box / "encoder/model.safetensors").values()} == {torch.float16}
    encoder = NystromformerModel.from_pretrained(box / "encoder")
    assert encoder.config.conv_kernel_size == 3


def test_a_folder_that_is_neither_checkpoint_nor_box_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a training checkpoint nor a box"):
        load_models(tmp_path, read_recipe())


def test_cards_hold_the_figures_the_data_and_their_terms(folders):
    box = folders / "box"
    rows = read_rows(folders / "figures.json")
    write_cards(box, rows, read_recipe(), 1.5)
    text = (box / "question-answering/README.md").read_text()
    f1 = next(row for row in rows if row.measure == "F1" and row.task == "question-answering")
    assert f"| F1 | {f1.values['4']:.1f} | {f1.values['exact']:.1f} |" in text
    assert "| m = 4 | exact |" in text and "first 5 examples" in text
    assert "1.5 M tokens" in text and "CC BY-SA 4.0" in text and "unstated" in text
    assert load_bundled("cpu", box=box)["question-answering"].name == "question-answering"


def test_a_sources_part_of_all_tokens_counts_the_stages_that_a_run_went_through(folders):
    tiny = read_recipe(folders / "recipe.toml")
    sources = (replace(source, shares=(*source.shares, number / 10)) for number, source in enumerate(tiny.sources))
    recipe = replace(tiny, stages=(0, 3_000_000), sources=tuple(sources))
    assert [part for _, part in parts_of_tokens(recipe, 2e6)] == pytest.approx([0.3, 0.2, 0.2, 0.2, 0.1])
    assert [part for _, part in parts_of_tokens(recipe, 4e6)] == pytest.approx([0.225, 0.175, 0.2, 0.225, 0.175])


def test_every_source_of_the_recipe_has_its_terms():
    names = {file.split("/")[0] for source in read_recipe().sources for file in source.files}
    assert names <= set(DATA_SETS)
