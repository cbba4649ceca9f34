"""A tiny base and a short run of training, for the tests of what trains and of what is made of it."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from tiny_checkpoints import make_tokenizer
from training_data import ANSWERS_RECIPE, RECIPE, make_data
from transformers import BertConfig, BertModel

from nystrom_demo.training.__main__ import parser


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


def make_folders(root: Path) -> Path:
    """Data, recipe, and a work folder with a converted base and one run of six steps, checkpoints at 3 and 6."""
    make_data(root / "data")
    (root / "recipe.toml").write_text(RECIPE)
    (root / "answers.toml").write_text(ANSWERS_RECIPE)
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


def run(root: Path, *words, recipe: str = "recipe.toml") -> None:
    """A verb of the command line, in this process."""
    recipe = () if words[0] in ("export", "card") else ("--recipe", root / recipe)
    arguments = parser().parse_args([str(word) for word in (*words, *recipe)])
    threads = torch.get_num_threads()
    arguments.verb(arguments)
    torch.set_num_threads(threads)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "model.safetensors")
