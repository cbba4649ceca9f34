"""The mean of several runs' weights, which often does better than each of them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from nystrom_demo.training.recipe import Recipe
from nystrom_demo.training.train import begin_with, save_weights


def average(folders: Sequence[Path], out: Path, recipe: Recipe) -> None:
    """Write to `out` the mean of what training checkpoints or boxes hold of the recipe's heads and their encoder."""
    runs = [begin_with(folder, recipe) for folder in folders]
    states = [model.state_dict() for model, _ in runs]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    model, tokenizer = runs[0]
    model.load_state_dict(mean)
    save_weights(model, tokenizer, out)
