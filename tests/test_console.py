"""The package in any locale: what it prints, and what it reads and writes."""

import ast
import io
import sys
from pathlib import Path

import pytest

import nystrom_demo
from nystrom_demo.console import print_in_any_locale

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
