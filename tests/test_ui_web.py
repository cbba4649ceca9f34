"""The browser's modules: served from an exact list, and what a viewer needs to compute at any m."""

import re

import pytest
import torch

from nystrom_demo.analysis import LayerInputs
from nystrom_demo.attention import nystrom_factors
from nystrom_demo.config import AttentionSettings
from nystrom_demo.serving.web_files import web_files
from nystrom_demo.ui import web
from nystrom_demo.ui.viewer import payload


def test_every_import_of_a_module_is_on_the_list():
    for name, content in web.modules().items():
        folder = name.rpartition("/")[0]
        for wanted in re.findall(r"from '(\.[^']+)'", content.decode()):
            parts = f"{folder}/{wanted}".split("/")
            while ".." in parts:
                at = parts.index("..")
                del parts[at - 1 : at + 1]
            assert "/".join(part for part in parts if part != ".") in web.modules(), f"{name} imports {wanted}"


def test_modules_have_an_address_each_and_nothing_else_has():
    files = web_files(web.modules())
    name = web.module_url("viewer/viewer.js").removeprefix("/web/")
    assert b"export function start" in files[name].body
    assert files[name].content_type.startswith("text/javascript")
    assert all(name.endswith(".js") for name in files)
    with pytest.raises(FileNotFoundError, match=r"There is no module viewer/no\.js\."):
        web.module_url("viewer/no.js")
    with pytest.raises(ValueError, match=r"A file under /web/ must end in one of \.js, \.css, \.json, got 'a\.txt'\."):
        web_files({"a.txt": b""})


def test_the_first_estimate_s_divisor_is_told_for_every_m(monkeypatch):
    q, k = torch.randn(2, 1, 3, 11, 4)
    layer = LayerInputs(q, k, k)
    told = payload.first_coefficients(layer)
    assert len(told) == 10
    for m, c in enumerate(told, start=1):
        kernel_2 = nystrom_factors(q, k, m).kernel_2[0]
        norms = [torch.linalg.matrix_norm(kernel_2, p) for p in (1, float("inf"))]
        assert c == pytest.approx(float((norms[0] * norms[1]).max()), rel=1e-6)
    monkeypatch.setattr(payload, "MOST_COEFFICIENTS", 3 * (1 + 4 + 9))
    assert torch.equal(payload.first_coefficients(layer), told[:3])
    assert len(payload._coefficients(layer, AttentionSettings(inv_coeff_init_option=True))) == 0
