"""`python -m nystrom_demo.training VERB`: from a BERT-shaped base and a data folder to the checkpoints in the box."""

import argparse
import importlib.util
from pathlib import Path

from nystrom_demo.console import count, print_in_any_locale
from nystrom_demo.training.recipe import COMMON, find_recipe, read_recipe

STEPS = 100_000  # of a run, where neither the command nor the recipe says


def main() -> None:
    print_in_any_locale()
    top = parser()
    arguments = top.parse_args()
    try:
        arguments.verb(arguments)
    except (ValueError, OSError) as error:
        top.exit(2, f"{top.prog}: {error}\n")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m nystrom_demo.training", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for add in (_add_convert, _add_train, _add_evaluate, _add_average, _add_export, _add_card):
        add(verbs)
    return top


def _add_convert(verbs) -> None:
    convert = _verb(verbs, "convert", _convert, "make work/start from a BERT-shaped base")
    text = "folder with model.safetensors, config.json, tokenizer"
    convert.add_argument("--base", type=_folder, required=True, help=text)


def _add_train(verbs) -> None:
    train = _verb(verbs, "train", _train, "train an encoder and its heads, or go on from a checkpoint")
    train.add_argument("--data", type=_folder, required=True, help="folder of the data sets")
    train.add_argument("--out", default="stable", help="name of the run's folder in the work folder")
    train.add_argument("--run", type=int, default=1, help="which of the recipe's runs, from 1: its seed and its steps")
    train.add_argument("--begin", type=_folder, help="training checkpoint or box to begin with, not the base")
    train.add_argument("--resume", type=_folder, help="checkpoint folder, or a run's folder for its last checkpoint")
    train.add_argument("--max-steps", type=count, help="end, counted from the first step of all")
    train.add_argument("--decay-steps", type=int, default=0, help="steps before the end in which the rate falls to 0")
    train.add_argument("--decay-now", type=count, metavar="STEPS", help="let the rate fall from --resume on, then end")
    train.add_argument("--minutes", type=float, help="stop, with a checkpoint, after so long")
    train.add_argument("--save-steps", type=count, default=300)
    train.add_argument("--log-steps", type=count, default=50)
    train.add_argument("--threads", type=count, default=2, help="CPU threads of each process")
    train.add_argument("--no-progress", action="store_true", help="log lines only")
    train.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    text = "multiply in bfloat16; as the recipe says if not given"
    train.add_argument("--bf16", action=argparse.BooleanOptionalAction, help=text)


def _add_evaluate(verbs) -> None:
    evaluate = _verb(verbs, "evaluate", _evaluate, "measure a training checkpoint or a box of checkpoints", work=False)
    evaluate.add_argument("folder", type=_folder, help="checkpoint folder, a run's folder for its last, or a box")
    evaluate.add_argument("--data", type=_folder, required=True, help="folder of the data sets")
    text = "numbers of landmarks, with commas"
    evaluate.add_argument("--landmarks", type=_landmarks, default="4,8,16,32,64,128,exact", help=text)
    text = "how the models attend: nystrom, or another approximation of `nystrom_demo.approximations`"
    evaluate.add_argument("--attention", default="nystrom", metavar="NAME", help=text)
    evaluate.add_argument("--seed", type=int, default=0, help="of an approximation that draws")
    evaluate.add_argument("--limit", type=count, help="examples of a measure at most")
    evaluate.add_argument("--only", default="", help="tasks, with commas; all by default")
    evaluate.add_argument("--json", type=Path, help="write the figures here")
    evaluate.add_argument("--threads", type=count, default=2)
    evaluate.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def _add_average(verbs) -> None:
    average = _verb(verbs, "average", _average, "write the mean of several runs' weights", work=False)
    average.add_argument("out", type=Path, help="folder for the mean")
    average.add_argument("--weights", default="", help="a number a folder, as 0.75,0.25; equal ones if not given")
    text = "a checkpoint or box from which the modules are taken that the recipe freezes"
    average.add_argument("--frozen-from", type=_folder, metavar="FOLDER", help=text)
    average.add_argument("folders", type=_folder, nargs="+", help="checkpoints, runs' folders for their last, or boxes")


def _add_export(verbs) -> None:
    export = _verb(verbs, "export", _export, "write the box of training checkpoints", work=False, recipe=False)
    export.add_argument("box", type=Path, help="assets/checkpoints, or another folder")
    text = "a recipe and the run that it made"
    export.add_argument("checkpoints", nargs="+", type=_named_folder, metavar="RECIPE=FOLDER", help=text)


def _add_card(verbs) -> None:
    card = _verb(verbs, "card", _card, "write the model cards of a box from its figures", work=False, recipe=False)
    card.add_argument("box", type=_folder)
    text = "each recipe behind the box; the last to train a head is that head's"
    card.add_argument("recipes", nargs="+", metavar="RECIPE", help=text)
    text = "figures that `evaluate --json` wrote; may be given more than once"
    card.add_argument("--json", type=Path, action="append", required=True, metavar="FILE", help=text)


def _verb(verbs, name: str, function, text: str, work: bool = True, recipe: bool = True) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text)
    verb.set_defaults(verb=function)
    if work:
        verb.add_argument("--work", type=Path, required=True, help="folder for what is made on the way")
    if recipe:
        text = "one of the package's by its name, or a TOML file"
        verb.add_argument("--recipe", type=find_recipe, default=COMMON, help=text)
    return verb


def _convert(arguments: argparse.Namespace) -> None:
    from nystrom_demo.training.convert import convert_folder

    convert_folder(arguments.base, arguments.work / "start", read_recipe(arguments.recipe).model)


def _train(arguments: argparse.Namespace) -> None:
    import torch

    if importlib.util.find_spec("accelerate") is None:
        raise ValueError("training needs the package accelerate; pip install 'nystrom-demo[train]' brings it.")
    from nystrom_demo.training.train import Run, last_checkpoint, steps_of, train

    torch.set_num_threads(arguments.threads)
    resume = last_checkpoint(arguments.resume) if arguments.resume else None
    recipe = read_recipe(arguments.recipe, arguments.run)
    planned = recipe.runs[arguments.run - 1] if recipe.runs else None
    max_steps, decay_steps = arguments.max_steps or STEPS, arguments.decay_steps
    if arguments.max_steps is None and planned is not None:
        max_steps, decay_steps = planned.steps, planned.decay_steps
    if arguments.decay_now:
        if resume is None:
            raise ValueError("--decay-now counts from a checkpoint: it needs --resume.")
        max_steps, decay_steps = steps_of(resume) + arguments.decay_now, arguments.decay_now
    run = Run(
        out=arguments.work / arguments.out,
        max_steps=max_steps,
        decay_steps=decay_steps,
        save_steps=arguments.save_steps,
        log_steps=arguments.log_steps,
        minutes=arguments.minutes,
        begin=arguments.begin,
        resume=resume,
        bf16=recipe.bf16 if arguments.bf16 is None else arguments.bf16,
        progress=not arguments.no_progress,
        cpu=arguments.cpu,
    )
    print(train(recipe, arguments.data, arguments.work, run))


def _evaluate(arguments: argparse.Namespace) -> None:
    import torch

    from nystrom_demo.config import AttentionSettings
    from nystrom_demo.training.evaluate import evaluate, write_rows
    from nystrom_demo.training.plan import EXACT_LANDMARKS

    torch.set_num_threads(arguments.threads)
    folder = _models_folder(arguments.folder)
    landmarks = [m or EXACT_LANDMARKS for m in arguments.landmarks]
    only = [task for task in arguments.only.split(",") if task]
    device = "cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu"
    settings = AttentionSettings(arguments.attention, seed=arguments.seed)
    recipe = read_recipe(arguments.recipe)
    rows = evaluate(folder, arguments.data, recipe, landmarks, arguments.limit, only, device, settings)
    if arguments.json:
        write_rows(rows, arguments.json)


def _named_folder(text: str) -> tuple[str, Path]:
    recipe, equals, folder = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"wanted RECIPE=FOLDER, got {text}")
    return recipe, _folder(folder)


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return Path(text)


def _landmarks(text: str) -> list[int]:
    """Numbers of landmarks, 0 for exact attention."""
    return [0 if m == "exact" else count(m) for m in text.split(",")]


def _models_folder(folder: Path) -> Path:
    """The folder itself if it holds weights, as a checkpoint or a box, else its last checkpoint."""
    from nystrom_demo.training.train import last_checkpoint

    return folder if any(folder.glob("*.safetensors")) or (folder / "masked-lm").is_dir() else last_checkpoint(folder)


def _average(arguments: argparse.Namespace) -> None:
    from nystrom_demo.training.average import average

    folders = [_models_folder(folder) for folder in arguments.folders]
    weights = [float(weight) for weight in arguments.weights.split(",") if weight]
    frozen_from = _models_folder(arguments.frozen_from) if arguments.frozen_from else None
    average(folders, arguments.out, read_recipe(arguments.recipe), weights or None, frozen_from)


def _export(arguments: argparse.Namespace) -> None:
    from nystrom_demo.training.export import export

    checkpoints = {recipe: _models_folder(folder) for recipe, folder in arguments.checkpoints}
    export(checkpoints, arguments.box)


def _card(arguments: argparse.Namespace) -> None:
    from nystrom_demo.training.card import write_cards
    from nystrom_demo.training.evaluate import read_rows

    rows = [row for path in arguments.json for row in read_rows(path)]
    write_cards(arguments.box, rows, arguments.recipes)


if __name__ == "__main__":
    main()
