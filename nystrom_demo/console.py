"""What the commands read and print: numbers, files and devices by name, and terminals that lack characters."""

import argparse
import sys
from pathlib import Path

import torch


def print_in_any_locale() -> None:
    """Let this process print what its locale cannot: such a character becomes a question mark, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's and a test's streams take any character
            stream.reconfigure(errors="replace")


def find_device(name: str) -> torch.device:
    """The device of this name. ValueError, in a sentence, for one that torch does not know or that is not here."""
    try:
        device = torch.device(name)
        backend = torch.get_device_module(device)
    except RuntimeError:
        raise ValueError(f"torch knows no device {name[:200]!r}.") from None
    if not backend.is_available():
        raise ValueError(f"torch finds no {device.type} here, got {name}.")
    if (device.index or 0) >= backend.device_count():
        raise ValueError(f"torch finds {backend.device_count()} of {device.type} here, counted from 0, got {name}.")
    return device


# Types of argparse's arguments.


def device_name(text: str) -> str:
    try:
        find_device(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, got {text}")
    return int(text)


def index(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 0, got {text}")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a number of seconds above 0, got {text}")
    return value


def file(text: str) -> str:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return text
