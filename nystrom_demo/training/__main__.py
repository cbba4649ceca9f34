"""`python -m nystrom_demo.training VERB`: from a BERT-shaped base and a data folder to the checkpoints in the box."""

import argparse
from pathlib import Path

from nystrom_demo.training.recipe import RECIPE, read_recipe


def main() -> None:
    arguments = parser().parse_args()
    arguments.verb(arguments)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m nystrom_demo.training", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    convert = _verb(verbs, "convert", _convert, "make work/start from a BERT-shaped base")
    convert.add_argument("--base", type=Path, required=True, help="folder with model.safetensors, config.json, tokenizer")

    train = _verb(verbs, "train", _train, "train the encoder and its five heads, or go on from a checkpoint")
    train.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    train.add_argument("--out", default="stable", help="name of the run's folder in the work folder")
    train.add_argument("--resume", type=Path, help="checkpoint folder, or a run's folder for its last checkpoint")
    train.add_argument("--max-steps", type=int, default=100_000, help="end, counted from the first step of all")
    train.add_argument("--decay-steps", type=int, default=0, help="steps before the end in which the rate falls to 0")
    train.add_argument("--decay-now", type=int, metavar="STEPS", help="let the rate fall from --resume on, then end")
    train.add_argument("--minutes", type=float, help="stop, with a checkpoint, after so long")
    train.add_argument("--save-steps", type=int, default=300)
    train.add_argument("--log-steps", type=int, default=50)
    train.add_argument("--threads", type=int, default=2, help="CPU threads of each process")
    train.add_argument("--no-progress", action="store_true", help="log lines only")
    return top


def _verb(verbs, name: str, function, text: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text)
    verb.set_defaults(verb=function)
    verb.add_argument("--work", type=Path, required=True, help="folder for what is made on the way, outside the repo")
    verb.add_argument("--recipe", type=Path, default=RECIPE, help="TOML file; the package's own by default")
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
        max_steps, decay_steps = steps_of(resume) + arguments.decay_now, arguments.decay_now
    run = Run(
        out=arguments.work / arguments.out,
        max_steps=max_steps,
        decay_steps=decay_steps,
        save_steps=arguments.save_steps,
        log_steps=arguments.log_steps,
        minutes=arguments.minutes,
        resume=resume,
        progress=not arguments.no_progress,
    )
    print(train(read_recipe(arguments.recipe), arguments.data, arguments.work, run))


if __name__ == "__main__":
    main()
