"""The mean of several runs' weights, which often does better than each of them, and what another run changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from nystrom_demo.training.recipe import Recipe
from nystrom_demo.training.train import begin_with, save_weights


class Change(NamedTuple):
    """A part of what training changed in an encoder between two checkpoints, a task vector (Ilharco et al. 2023)."""

    part: float
    before: Path
    after: Path


def average(folders: Sequence[Path], out: Path, recipe: Recipe, change: Change | None = None) -> None:
    """Write to `out` the mean of what training checkpoints or boxes hold of the recipe's heads and their encoder.

    `change` is added to the encoder; its checkpoints need none of the recipe's heads.
    """
    runs = [begin_with(folder, recipe) for folder in folders]
    states = [model.state_dict() for model, _ in runs]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    model, tokenizer = runs[0]
    model.load_state_dict(mean)
    if change:
        before, after = (_encoder(folder, recipe) for folder in (change.before, change.after))
        own = model.encoder.state_dict()
        model.encoder.load_state_dict({name: own[name] + change.part * (after[name] - before[name]) for name in own})
    save_weights(model, tokenizer, out)


def _encoder(folder: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    model, _ = begin_with(folder, recipe, new_heads=True)
    return model.encoder.state_dict()
