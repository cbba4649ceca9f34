"""`python -m nystrom_demo.benchmark COMMAND`: measure on this machine, print Markdown, write CSV."""

import argparse
from collections.abc import Sequence

import torch

from nystrom_demo.benchmark.commands import COMMANDS
from nystrom_demo.benchmark.methods import METHODS
from nystrom_demo.benchmark.report import machine
from nystrom_demo.benchmark.table import table
from nystrom_demo.console import print_in_any_locale

ALL = COMMANDS | {"table": table}


def main(arguments: Sequence[str] | None = None) -> None:
    print_in_any_locale()
    options = build_parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    result = ALL[options.command](options)
    print(f"### {result.title}\n\n{result.text}\n\n{machine(torch.device(options.device))}")
    if options.csv:
        result.frame.to_csv(options.csv, index=False)


def build_parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--landmarks", type=int, default=64, metavar="M")
    shared.add_argument("--heads", type=int, default=12)
    shared.add_argument("--head-dim", type=int, default=64)
    shared.add_argument("--layers", type=int, default=2, help="layers of a whole model (default: 2)")
    shared.add_argument("--batch", type=int, default=1)
    shared.add_argument("--dtype", choices=["float32", "float16", "bfloat16", "float64"], default="float32")
    shared.add_argument("--device", default="cpu")
    shared.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    shared.add_argument("--repeats", type=int, default=7)
    shared.add_argument("--budget", type=float, default=30.0, metavar="SECONDS", help="for one method at one length")
    shared.add_argument("--csv", metavar="FILE", help="write every measurement there")

    parser = argparse.ArgumentParser(prog="python -m nystrom_demo.benchmark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in ALL.items():
        added = commands.add_parser(name, parents=[shared], help=command.__doc__, description=command.__doc__)
        if name == "table":
            added.set_defaults(lengths=None, repeats=5, budget=12.0)  # so that all of it takes minutes
        else:
            added.add_argument("--lengths", type=int, nargs="+", metavar="N", help="lengths of the text, in tokens")
        if name == "sweep":
            added.add_argument("--methods", nargs="+", choices=list(METHODS), metavar="NAME", help=", ".join(METHODS))
            added.add_argument("--whole-model", action="store_true", help="the whole model, not attention alone")
            added.add_argument("--backward", action="store_true", help="forward and backward")
    return parser


if __name__ == "__main__":
    main()
