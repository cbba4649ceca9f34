"""The code in docs/pathology.md runs as it stands, on a TransMIL of random weights and a made-up slide."""

import re
from pathlib import Path

import torch
from transmil import TransMIL

from nystrom_demo.compat.nystrom_attention import NystromAttention

PAGE = Path(__file__).parents[1] / "docs" / "pathology.md"


def test_the_pages_code_lays_the_class_tokens_row_over_a_slide():
    torch.manual_seed(0)
    names = {
        "model": TransMIL(NystromAttention, in_dim=1024, dim=64),
        "features": torch.randn(1, 90, 1024),
        "coordinates": torch.stack([torch.arange(90) % 13, torch.arange(90) // 13], dim=1),
    }
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    heat, row = names["heat"], names["row"].mean(1)[0]
    assert heat.shape == (7, 13) and int(heat.isnan().sum()) == 1
    assert torch.isclose(heat[~heat.isnan()].sum(), row[1:].sum())  # the repeated patches' weight is among it
    assert torch.isclose(heat[0, 12], row[1 + 12]) and torch.isclose(heat[0, 3], row[1 + 3] + row[91 + 3])
    assert names["sums"].shape == (1, 8, 101)
