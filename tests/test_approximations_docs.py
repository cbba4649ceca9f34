"""docs/approximations.md says what the package has, and its example of a new method is one."""

import re
import sys
from pathlib import Path

import pytest
import torch
from attention_by_hand import qkv

from nystrom_demo import softmax_attention
from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.approximations.landmarks import PINV_SUFFIX
from nystrom_demo.approximations.registry import load

PAGE = (Path(__file__).parents[1] / "docs" / "approximations.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("method", [m for m in APPROXIMATIONS.values() if not m.name.endswith(PINV_SUFFIX)])
def test_every_method_has_its_line(method):
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{method.name}` |")]
    cells = [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]
    share = 100 * method.cost(4096, 64, 64).multiply_adds / (2 * 4096**2 * 64)
    cost = f"{share:,.1f} %" if share < 100 else f"{share:,.0f} %"
    exact = "yes" if method.exact_at_full else "no"
    assert [cell.replace("¦", "|") for cell in cells[1:]] == [
        method.formula, cost, exact, method.guarantee, method.source
    ]  # fmt: skip


def test_every_method_measured_has_its_line_of_results():
    for method in APPROXIMATIONS.values():
        assert f"| {method.label} |" in PAGE


def test_the_first_example_runs(capsys):
    exec(CODE[0], {})
    assert "φ(Q) φ(K)ᵀ" in capsys.readouterr().out


def test_the_example_of_a_new_method_is_a_whole_one(tmp_path, monkeypatch):
    (new,) = [code for code in CODE if "METHODS = (" in code]
    assert len(new.splitlines()) <= 32
    folder = tmp_path / "of_the_docs"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "random_keys.py").write_text(new, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import of_the_docs

    method = load(of_the_docs)["random-keys"]
    q, k, v = qkv(13)
    torch.testing.assert_close(method(q, k, v, 13), softmax_attention(q, k, v))
    torch.testing.assert_close(method(q, k, v, 4), method.map(q, k, v, 4) @ v)
    assert ((method.map(q, k, v, 4) > 0).sum(-1) == 4).all()
    sys.modules.pop("of_the_docs")
