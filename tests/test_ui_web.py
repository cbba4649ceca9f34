"""The browser's modules: served from an exact list, and what a viewer needs to compute at any m."""

import re

import pytest
import torch
from starlette.applications import Starlette
from starlette.testclient import TestClient

from nystrom_demo.analysis import LayerInputs
from nystrom_demo.attention import nystrom_factors
from nystrom_demo.config import AttentionSettings
from nystrom_demo.serving.web_modules import WebModules
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


def test_modules_are_served_under_their_names_and_nothing_else_is():
    client = TestClient(WebModules(Starlette(), web.modules()))
    answer = client.get(web.module_url("viewer/viewer.js"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert "export function start" in answer.text
    folder = web.module_url("viewer/viewer.js").removesuffix("viewer.js")
    for path in ("viewer.html", "", "../__init__.py", "%2e%2e/__init__.py", "no.js"):
        assert client.get(folder + path).status_code == 404
    with pytest.raises(FileNotFoundError, match=r"There is no module viewer/no\.js\."):
        web.module_url("viewer/no.js")


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
