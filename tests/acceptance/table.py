"""All commands in one run, and the table of what they found against what was wanted."""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import torch
from tqdm import tqdm

from acceptance.app import app
from acceptance.targets import targets
from nystrom_demo.benchmark import commands
from nystrom_demo.benchmark.commands import Result
from nystrom_demo.benchmark.report import markdown_table

PARTS = ("core", "model", "training", "growth", "long", "analysis", "app")
COMMANDS = commands.COMMANDS | {"app": app}
APART = ("long",)  # in a process of its own, whose memory is that of this part alone


def table(options: argparse.Namespace) -> Result:
    """Every target in a row, with what was measured for it; runs all the other commands but the sweep."""
    frames = {}
    with tqdm(PARTS, unit="command", leave=False) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            result = _apart(name, options) if name in APART else COMMANDS[name](options)
            frames[name] = result.frame.rename(columns={"what": "method"})
    rows = [target.row() for target in targets(frames)]
    text = markdown_table(["what", "target", "measured (extremes)", ""], rows)
    return Result("Speed", text, pd.concat([frame.assign(command=name) for name, frame in frames.items()]))


def _apart(name: str, options: argparse.Namespace) -> Result:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, name, options).result()


def _run(name: str, options: argparse.Namespace) -> Result:
    if options.threads:
        torch.set_num_threads(options.threads)
    return COMMANDS[name](options)
