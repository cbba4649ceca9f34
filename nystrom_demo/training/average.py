"""The mean of several runs' weights, which often does better than each of them (Wortsman et al. 2022, model soups)."""

from collections.abc import Sequence
from pathlib import Path

from nystrom_demo.training.recipe import Recipe
from nystrom_demo.training.train import begin_with, save_weights


def average(
    folders: Sequence[Path],
    out: Path,
    recipe: Recipe,
    weights: Sequence[float] | None = None,
    frozen_from: Path | None = None,
) -> None:
    """Write to `out` the mean of what training checkpoints or boxes hold of the recipe's heads and their encoder.

    weights: one a folder, their sum 1; equal ones if None. frozen_from: where the encoder's modules that the recipe
    freezes are taken from, so that the result shares them with another. ValueError for weights that do not fit.
    """
    weights = weights or [1 / len(folders)] * len(folders)
    if len(weights) != len(folders) or abs(sum(weights) - 1) > 1e-6:
        raise ValueError(f"Wanted {len(folders)} weights with the sum 1, got {', '.join(f'{w:g}' for w in weights)}.")
    runs = [begin_with(folder, recipe) for folder in folders]
    states = [model.state_dict() for model, _ in runs]
    mean = {
        name: sum(weight * state[name] for weight, state in zip(weights, states, strict=True)) for name in states[0]
    }
    model, tokenizer = runs[0]
    model.load_state_dict(mean)
    if frozen_from:
        other, _ = begin_with(frozen_from, recipe, new_heads=True)
        for name in recipe.optimiser.frozen:
            model.encoder.get_submodule(name).load_state_dict(other.encoder.get_submodule(name).state_dict())
    save_weights(model, tokenizer, out)
