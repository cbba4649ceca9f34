"""The commands: what they take, how they refuse, and what they print, read and write in any locale."""

import ast
import importlib.util
import io
import re
import sys
from pathlib import Path

import pytest
import torch

import nystrom_demo
from nystrom_demo.__main__ import main as serve_command
from nystrom_demo.benchmark.__main__ import main as measure_command
from nystrom_demo.console import find_device, print_in_any_locale
from nystrom_demo.training.__main__ import main as train_command

FILES = sorted(Path(nystrom_demo.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "gbk"])
def test_a_character_that_a_terminal_does_not_know_becomes_a_question_mark(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    print_in_any_locale()
    print("n \u00d7 m, Nystr\u00f6mformer, \u2192 \U0001f600")
    sys.stdout.flush()
    assert b"?" in written.getvalue()


def test_every_file_that_is_read_or_written_as_text_says_its_encoding():
    system = ("meminfo", "limit_file", "used_file")  # numbers of the system's own
    lacking = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            call = ast.unparse(node) if name in ("read_text", "write_text") else ""
            if call and "'utf-8'" not in call and not any(word in call for word in system):
                lacking.append(f"{path.name}: {call}")
    assert lacking == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["core", "--landmarks", "0"], "argument --landmarks: wanted a whole number of at least 1, got 0"),
        (["core", "--lengths", "64", "-5"], "unrecognized arguments: -5|argument --lengths"),
        (["core", "--lengths", "many"], "argument --lengths: wanted a whole number of at least 1, got many"),
        (["core", "--budget", "nan"], "argument --budget: wanted a number of seconds above 0, got nan"),
        (["core", "--device", "tpu"], "argument --device: torch knows no device 'tpu'"),
        (["core", "--device", "cuda:4096"], "argument --device: torch finds .* got cuda:4096"),
        (["approximations", "--texts", "no/such"], "argument --texts: there is no file no/such"),
        (["approximations", "--only-layers", "-1"], "argument --only-layers"),
    ],
)
def test_the_benchmark_refuses_a_value_in_a_sentence_that_names_it(options, words, capsys):
    with pytest.raises(SystemExit) as ended:
        measure_command(options)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and re.search(words, error.splitlines()[-1])


def test_a_device_is_found_by_its_name():
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"torch finds (no|1 of) mps here"):
        find_device("mps:1" if torch.backends.mps.is_available() else "mps")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("NYSTROM_DEMO_PORT", "http", "NYSTROM_DEMO_PORT must be a whole number from 1 to 65535, got 'http'."),
        ("NYSTROM_DEMO_DEVICE", "cuda:4096", "NYSTROM_DEMO_DEVICE names no device of this machine: torch finds "),
        ("NYSTROM_DEMO_CHECKPOINTS", "no/such", "NYSTROM_DEMO_CHECKPOINTS says where they are."),
    ],
)
def test_what_keeps_the_app_from_starting_is_said_in_a_sentence(variable, value, words, monkeypatch, capsys):
    monkeypatch.setenv("NYSTROM_DEMO_THREADS", str(torch.get_num_threads()))
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        serve_command([])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and words in error and error.count("\n") == 1


def test_the_command_says_its_version_and_which_extra_it_needs(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        serve_command(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"nystrom-demo {nystrom_demo.__version__}\n"
    monkeypatch.delitem(sys.modules, "nystrom_demo.app", raising=False)
    monkeypatch.setitem(sys.modules, "transformers.utils.logging", None)  # the app's first import stands for gradio
    with pytest.raises(SystemExit) as ended:
        serve_command([])
    assert ended.value.code == 2
    assert re.match("The app needs the package transformers; pip install 'nystrom-demo.app.'", capsys.readouterr().err)


def test_training_says_which_extra_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["training", "train", "--data", str(tmp_path), "--work", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        train_command()
    assert ended.value.code == 2 and "pip install 'nystrom-demo[train]'" in capsys.readouterr().err
