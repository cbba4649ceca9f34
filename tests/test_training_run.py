"""Conversion, shared training, resumption, two processes, on tiny data and a tiny base."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from training_runs import make_bert, run, train_options, weights
from transformers import AutoTokenizer

from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.model import NystromformerModel
from nystrom_demo.training.batches import Vocabulary
from nystrom_demo.training.convert import convert
from nystrom_demo.training.data import load_pools
from nystrom_demo.training.evaluate import load_multitask
from nystrom_demo.training.multitask import MultiTask, masked_word_loss, start_masked_words
from nystrom_demo.training.plan import EXACT_LANDMARKS, BatchPlan
from nystrom_demo.training.recipe import TASKS, ModelShape, Optimiser, read_recipe
from nystrom_demo.training.train import Run, last_checkpoint, make_optimiser, set_dropout, steps_of, training_arguments

ROOT = Path(__file__).resolve().parents[1]


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


def test_a_converted_tokenizer_comes_back_with_token_types_and_no_truncation(trained):
    tokenizer = AutoTokenizer.from_pretrained(trained / "work/start")
    encoded = tokenizer("dog " * 80, "cat")
    assert len(encoded["input_ids"]) == 84 and encoded["token_type_ids"][-2:] == [1, 1]
    assert tokenizer.model_max_length == 128


def test_all_heads_share_one_encoder_that_is_counted_and_saved_once(trained):
    model = load_multitask(last_checkpoint(trained / "work/first"), read_recipe(trained / "recipe.toml"))
    assert all(head.nystromformer is model.encoder for head in model.heads.values())
    assert model.heads["masked-lm"].cls.predictions.decoder.weight is model.encoder.embeddings.word_embeddings.weight
    names = weights(last_checkpoint(trained / "work/first"))
    assert sum("word_embeddings" in name or "decoder.weight" in name for name in names) == 1
    optimised = [p for group in make_optimiser(model, read_recipe().optimiser).param_groups for p in group["params"]]
    assert len(set(map(id, optimised))) == len(optimised) == len(list(model.parameters()))


def test_masked_word_loss_is_the_heads_own_and_starts_as_a_unigram_model(trained):
    encoder = NystromformerModel.from_pretrained(trained / "work/start")
    model = MultiTask(encoder, read_recipe().labels).heads["masked-lm"]
    counts = torch.arange(encoder.config.vocab_size).float()
    start_masked_words(model, counts)
    assert model.cls.predictions.bias.exp().sum().item() == pytest.approx(1, abs=1e-4)
    ids = torch.randint(5, 60, (2, 11))
    labels = torch.where(torch.rand(2, 11) < 0.5, ids, -100)
    ours, _ = masked_word_loss(model, labels, input_ids=ids)
    assert ours.item() == pytest.approx(model(input_ids=ids, labels=labels).loss.item(), rel=1e-5)


def test_self_distillation_adds_nothing_under_exact_attention_and_something_under_landmarks(trained):
    recipe = read_recipe(trained / "recipe.toml")
    tokenizer = AutoTokenizer.from_pretrained(trained / "work/start")
    pools = load_pools(recipe, trained / "data", tokenizer, trained / "work")
    plan = BatchPlan(pools, recipe, Vocabulary.of(tokenizer), 30)
    model = load_multitask(last_checkpoint(trained / "work/first"), recipe)
    batches = {plan[step]["task"]: plan[step] for step in range(30)}
    assert set(batches) == set(TASKS)
    for batch in batches.values():
        for m, differs in ((EXACT_LANDMARKS, False), (2, True)):
            losses = []
            for model.distil in (0.0, 1.0):
                losses.append(model(batch["task"], m, batch["inputs"])["loss"].item())
            assert (losses[1] > losses[0]) is differs


def test_training_moves_every_kind_of_parameter(trained):
    start = weights(trained / "work/start")
    trained = weights(last_checkpoint(trained / "work/first"))
    for part in ("word_embeddings.weight", "layer.1.attention.self.query.weight", "layer.0.attention.self.conv.weight"):
        (name,) = (name for name in start if name.endswith(part))
        found = next(
            trained[key] for key in trained if key.endswith(name) or ("decoder.weight" in key and "word" in name)
        )
        assert not torch.equal(start[name], found)


def test_a_run_that_goes_on_from_disk_ends_with_the_same_weights(trained):
    run(
        trained,
        "train",
        *train_options(trained, "second"),
        "--resume",
        trained / "work/first/checkpoint-3",
    )
    first, second = (weights(trained / f"work/{name}/checkpoint-6") for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_decay_can_branch_off_and_ends_at_a_rate_of_zero(trained):
    run(
        trained,
        *(
            "train",
            "--work",
            trained / "work",
            "--data",
            trained / "data",
            "--out",
            "decay",
            "--no-progress",
            "--cpu",
        ),
        *("--resume", trained / "work/first/checkpoint-3", "--decay-now", 3, "--log-steps", 1, "--threads", 1),
    )
    checkpoint = last_checkpoint(trained / "work/decay")
    assert steps_of(checkpoint) == 6
    log = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
    rates = {row["step"]: row["learning_rate"] for row in log if "learning_rate" in row}
    assert rates[4] > rates[5] > rates[6] >= 0
    assert "masked-lm" in {key for row in log for key in row}


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="No checkpoint to go on from"):
            last_checkpoint(folder)


def test_a_run_is_not_written_among_another_ones_checkpoints(trained):
    before = sorted((trained / "work/first").iterdir())
    for more in ((), ("--resume", trained / "work/first/checkpoint-3")):
        with pytest.raises(
            ValueError, match=r"holds another run's checkpoints: resume its last, checkpoint-6, or name"
        ):
            run(trained, "train", *train_options(trained, "first"), *more)
    assert sorted((trained / "work/first").iterdir()) == before


def test_a_run_that_may_take_no_time_ends_after_a_step(trained):
    run(trained, "train", *train_options(trained, "hurried"), "--minutes", 1e-9)
    assert steps_of(last_checkpoint(trained / "work/hurried")) == 1


def test_the_end_of_a_run_counts_from_a_checkpoint(trained):
    with pytest.raises(ValueError, match="--decay-now counts from a checkpoint: it needs --resume"):
        run(trained, "train", *train_options(trained, "decayed"), "--decay-now", 3)


def test_each_kind_of_parameter_has_its_rate_and_vectors_do_not_decay(trained):
    recipe = read_recipe(trained / "recipe.toml")
    optimiser = Optimiser(1e-4, 2e-3, 3e-3, weight_decay=0.07, warmup_steps=11, clip=0.9)
    model = load_multitask(trained / "work/first/checkpoint-6", recipe)
    model.encoder.embeddings.requires_grad_(False)
    groups = make_optimiser(model, optimiser).param_groups
    of = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        rate = 3e-3 if ".conv." in name else 1e-4 if name.startswith("encoder.") else 2e-3
        wanted = (rate, 0.07 if parameter.dim() > 1 else 0.0) if parameter.requires_grad else None
        assert of.get(id(parameter)) == wanted, name
    arguments = training_arguments(replace(recipe, optimiser=optimiser), Run(trained / "any", 60, 20, cpu=True))
    assert (arguments.max_grad_norm, arguments.warmup_steps, arguments.max_steps) == (0.9, 11, 60)
    assert arguments.lr_scheduler_kwargs["num_decay_steps"] == 20


def test_dropout_hides_the_part_that_the_recipe_says(trained):
    model = load_multitask(trained / "work/first/checkpoint-6", read_recipe(trained / "recipe.toml"))
    set_dropout(model, 0.3)
    parts = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert len(parts) > 5 and set(parts) == {0.3}


def test_the_teacher_of_self_distillation_is_the_exact_output(trained):
    model = load_multitask(trained / "work/first/checkpoint-6", read_recipe(trained / "recipe.toml"))
    inputs = {"input_ids": torch.arange(5, 21)[None].repeat(3, 1), "labels": torch.tensor([0, 1, 1])}
    head = model.heads["sequence-classification"]
    with torch.no_grad():
        settings = (AttentionSettings("nystrom", m) for m in (2, 99))
        few, exact = (head(inputs["input_ids"], attention_settings=each).logits for each in settings)
        plain = F.cross_entropy(few, inputs["labels"])
        divergence = (exact.softmax(-1) * (exact.log_softmax(-1) - few.log_softmax(-1))).sum() / 3
        for weight in (0.0, 0.5, 2.0):
            model.distil = weight
            loss = model("sequence-classification", 2, inputs)["loss"]
            torch.testing.assert_close(loss, plain + weight * divergence)
    assert divergence > 1e-6


@pytest.mark.slow
def test_two_processes_train_together(trained):
    """Through `accelerate launch`, which starts one process a device: here two on the CPU."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    options = [str(word) for word in train_options(trained, "pair")]
    command = [
        *launch,
        "-m",
        "nystrom_demo.training",
        "train",
        *options,
        "--recipe",
        str(trained / "recipe.toml"),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, cwd=trained)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps_of(last_checkpoint(trained / "work/pair")) == 6
    alone, pair = (weights(trained / f"work/{name}/checkpoint-6") for name in ("first", "pair"))
    assert any(not torch.equal(alone[name], pair[name]) for name in alone)
