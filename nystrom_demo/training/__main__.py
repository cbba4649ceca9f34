"""`python -m nystrom_demo.training VERB`: from a BERT-shaped base and a data folder to the checkpoints in the box."""

import argparse
from pathlib import Path

from nystrom_demo.console import print_in_any_locale
from nystrom_demo.training.recipe import COMMON, find_recipe, read_recipe


def main() -> None:
    print_in_any_locale()
    top = parser()
    arguments = top.parse_args()
    try:
        arguments.verb(arguments)
    except ValueError as error:
        top.exit(2, f"{top.prog}: {error}\n")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m nystrom_demo.training", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    convert = _verb(verbs, "convert", _convert, "make work/start from a BERT-shaped base")
    convert.add_argument(
        "--base", type=Path, required=True, help="folder with model.safetensors, config.json, tokenizer"
    )

    train = _verb(verbs, "train", _train, "train an encoder and its heads, or go on from a checkpoint")
    train.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    train.add_argument("--out", default="stable", help="name of the run's folder in the work folder")
    train.add_argument("--begin", type=Path, help="training checkpoint or box to begin with, not the base")
    train.add_argument("--resume", type=Path, help="checkpoint folder, or a run's folder for its last checkpoint")
    train.add_argument("--max-steps", type=int, default=100_000, help="end, counted from the first step of all")
    train.add_argument("--decay-steps", type=int, default=0, help="steps before the end in which the rate falls to 0")
    train.add_argument("--decay-now", type=int, metavar="STEPS", help="let the rate fall from --resume on, then end")
    train.add_argument("--minutes", type=float, help="stop, with a checkpoint, after so long")
    train.add_argument("--save-steps", type=int, default=300)
    train.add_argument("--log-steps", type=int, default=50)
    train.add_argument("--threads", type=int, default=2, help="CPU threads of each process")
    train.add_argument("--no-progress", action="store_true", help="log lines only")
    train.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    train.add_argument("--bf16", action="store_true", help="multiply in bfloat16")

    evaluate = _verb(verbs, "evaluate", _evaluate, "measure a training checkpoint or a box of checkpoints", work=False)
    evaluate.add_argument("folder", type=Path, help="checkpoint folder, a run's folder for its last, or a box")
    evaluate.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    evaluate.add_argument("--landmarks", default="4,8,16,32,64,128,exact", help="numbers of landmarks, with commas")
    evaluate.add_argument("--limit", type=int, help="examples of a measure at most")
    evaluate.add_argument("--only", default="", help="tasks, with commas; all by default")
    evaluate.add_argument("--json", type=Path, help="write the figures here")
    evaluate.add_argument("--threads", type=int, default=2)
    evaluate.add_argument("--cpu", action="store_true", help="leave a GPU alone")

    average = _verb(verbs, "average", _average, "write the mean of several runs' weights", work=False)
    average.add_argument("out", type=Path, help="folder for the mean")
    average.add_argument("--weights", default="", help="a number a folder, as 0.75,0.25; equal ones if not given")
    text = "a checkpoint or box from which the modules are taken that the recipe freezes"
    average.add_argument("--frozen-from", type=Path, metavar="FOLDER", help=text)
    average.add_argument("folders", type=Path, nargs="+", help="checkpoints, runs' folders for their last, or boxes")

    export = _verb(verbs, "export", _export, "write the box of training checkpoints", work=False, recipe=False)
    export.add_argument("box", type=Path, help="assets/checkpoints, or another folder")
    export.add_argument(
        "checkpoints", nargs="+", type=_named_folder, metavar="RECIPE=FOLDER", help="a recipe and the run that it made"
    )

    card = _verb(verbs, "card", _card, "write the model cards of a box from its figures", work=False, recipe=False)
    card.add_argument("box", type=Path)
    card.add_argument("--json", type=Path, nargs="+", required=True, help="figures that `evaluate --json` wrote")
    text = "each recipe and the millions of tokens that its run took; the last to train a head is that head's"
    card.add_argument("tokens", nargs="+", type=_named_number, metavar="RECIPE=TOKENS", help=text)
    return top


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

    from nystrom_demo.training.train import Run, last_checkpoint, steps_of, train

    torch.set_num_threads(arguments.threads)
    resume = last_checkpoint(arguments.resume) if arguments.resume else None
    max_steps, decay_steps = arguments.max_steps, arguments.decay_steps
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
        bf16=arguments.bf16,
        progress=not arguments.no_progress,
        cpu=arguments.cpu,
    )
    print(train(read_recipe(arguments.recipe), arguments.data, arguments.work, run))


def _evaluate(arguments: argparse.Namespace) -> None:
    import torch

    from nystrom_demo.training.evaluate import evaluate, write_rows
    from nystrom_demo.training.plan import EXACT_LANDMARKS

    torch.set_num_threads(arguments.threads)
    folder = _models_folder(arguments.folder)
    landmarks = [EXACT_LANDMARKS if m == "exact" else int(m) for m in arguments.landmarks.split(",")]
    only = [task for task in arguments.only.split(",") if task]
    device = "cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu"
    rows = evaluate(folder, arguments.data, read_recipe(arguments.recipe), landmarks, arguments.limit, only, device)
    if arguments.json:
        write_rows(rows, arguments.json)


def _named_folder(text: str) -> tuple[str, Path]:
    recipe, folder = _named(text)
    return recipe, Path(folder)


def _named_number(text: str) -> tuple[str, float]:
    recipe, number = _named(text)
    return recipe, float(number)


def _named(text: str) -> tuple[str, str]:
    recipe, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"wanted RECIPE=..., got {text}")
    return recipe, value


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
    write_cards(arguments.box, rows, dict(arguments.tokens))


if __name__ == "__main__":
    main()
