"""`python -m nystrom_demo.benchmark COMMAND`: measure on this machine, print Markdown, write CSV."""

import argparse
from collections.abc import Callable, Mapping, Sequence

import torch

from nystrom_demo.benchmark import approximations as near
from nystrom_demo.benchmark.commands import COMMANDS as MEASURED
from nystrom_demo.benchmark.commands import Result
from nystrom_demo.benchmark.methods import METHODS
from nystrom_demo.benchmark.report import machine
from nystrom_demo.checkpoints import TASKS
from nystrom_demo.console import count, device_name, file, index, print_in_any_locale, seconds

COMMANDS = MEASURED | {"approximations": near.approximations}
Commands = Mapping[str, Callable[[argparse.Namespace], Result]]


def main(arguments: Sequence[str] | None = None) -> None:
    run(build_parser(), COMMANDS, arguments)


def run(parser: argparse.ArgumentParser, commands: Commands, arguments: Sequence[str] | None) -> None:
    """Measure what the arguments ask for, print it, and write its CSV where they name a file."""
    print_in_any_locale()
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    result = commands[options.command](options)
    print(f"### {result.title}\n\n{result.text}\n\n{machine(torch.device(options.device))}")
    if options.csv:
        result.frame.to_csv(options.csv, index=False)


def build_parser(
    commands: Commands = COMMANDS, program: str = "nystrom_demo.benchmark", about: str | None = __doc__
) -> argparse.ArgumentParser:
    """The parser of these commands; a table of all of them has no lengths to choose."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--landmarks", type=count, default=64, metavar="M")
    shared.add_argument("--heads", type=count, default=12)
    shared.add_argument("--head-dim", type=count, default=64)
    shared.add_argument("--layers", type=count, default=2, help="layers of a whole model (default: 2)")
    shared.add_argument("--batch", type=count, default=1)
    shared.add_argument("--dtype", choices=["float32", "float16", "bfloat16", "float64"], default="float32")
    shared.add_argument("--device", type=device_name, default="cpu")
    shared.add_argument("--threads", type=count, help="CPU threads (default: torch's choice)")
    shared.add_argument("--repeats", type=count, default=7)
    shared.add_argument("--budget", type=seconds, default=30.0, metavar="SECONDS", help="for one method at one length")
    shared.add_argument("--csv", metavar="FILE", help="write every measurement there")

    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        added = subparsers.add_parser(name, parents=[shared], help=command.__doc__, description=command.__doc__)
        if name == "table":
            added.set_defaults(lengths=None, repeats=5, budget=12.0)  # so that all of it takes minutes
        else:
            added.add_argument("--lengths", type=count, nargs="+", metavar="N", help="lengths of the text, in tokens")
        if name == "sweep":
            added.add_argument("--methods", nargs="+", choices=list(METHODS), metavar="NAME", help=", ".join(METHODS))
            added.add_argument("--whole-model", action="store_true", help="the whole model, not attention alone")
            added.add_argument("--backward", action="store_true", help="forward and backward")
        if name == "approximations":
            added.add_argument(
                "--texts", type=file, required=True, metavar="FILE", help="paragraphs to read, one a line"
            )
            added.add_argument("--num-texts", type=count, default=near.TEXTS, help=f"(default: {near.TEXTS})")
            added.add_argument("--seeds", type=count, default=near.SEEDS, help=f"(default: {near.SEEDS})")
            added.add_argument(
                "--only-layers", type=index, nargs="+", metavar="L", help="counted from 0 (default: all)"
            )
            added.add_argument("--budgets", type=count, nargs="+", default=near.BUDGETS, metavar="M")
            added.add_argument("--tasks", nargs="+", choices=TASKS, help="whose heads (default: question-answering)")
    return parser


if __name__ == "__main__":
    main()
