"""Writes the files that hold the browser's modules to the package: `python tests/web_golden.py`.

Inputs are not stored: both sides draw them from the same linear congruential generator. Numbers are computed in
float64, in which the browser computes too.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nystrom_demo import formatting
from nystrom_demo.analysis import LayerInputs, attention_maps, cell_recipe, head_factors
from nystrom_demo.attention import iterative_pinv, nystrom_attention, segment_means, softmax_attention
from nystrom_demo.attention import softmax_attention_map as exact_map
from nystrom_demo.config import AttentionSettings
from nystrom_demo.ui.viewer.words import head_words, strongest_cell

FOLDER = Path(__file__).parent / "web" / "golden"
HEADS, DIM = 3, 8
SPREAD = {"random": 2.0, "constant": 2.0, "repeated": 2.0, "peaked": 14.0}


class Case(NamedTuple):
    """n tokens on m landmarks. kind: what the rows are like; own: whether each matrix has its own first estimate."""

    kind: str
    n: int
    m: int
    steps: int
    own: bool


def cases() -> Iterator[Case]:
    """n of 1 to 512, m from 1 to n, 0 to 20 steps, on every kind of input."""
    for n, landmarks in {1: [1], 2: [1, 2], 5: [1, 2, 3, 4, 5], 60: [1, 7, 30, 59, 60], 184: [16, 100]}.items():
        for turn, m in enumerate(landmarks):
            for steps in (0, 1, 6, 20) if m < n else (6,):
                for kind in SPREAD:
                    yield Case(kind, n, m, steps, (turn + steps) % 2 == 1)
    yield Case("random", 512, 64, 6, False)
    yield Case("peaked", 512, 64, 6, True)


@cache
def inputs(kind: str, n: int) -> tuple[torch.Tensor, ...]:
    """q, k, v (1, HEADS, n, DIM) in float64, of float32 values."""
    state = 2024 + n
    drawn = []
    for _ in range(3 * HEADS * n * DIM):
        state = (1_664_525 * state + 1_013_904_223) % 2**32
        drawn.append(state / 2**31 - 1)
    x = (torch.tensor(drawn, dtype=torch.float64) * SPREAD[kind]).float().double().view(3, 1, HEADS, n, DIM)
    tokens = torch.arange(n)
    rows = {"constant": 0 * tokens, "repeated": tokens % 3 % n}.get(kind, tokens)
    return tuple(x[:, :, :, rows])


def measured(case: Case) -> dict[str, Any]:
    """Head 0 of a case: its errors, and some entries of what it is computed from."""
    q, k, v = inputs(case.kind, case.n)
    settings = AttentionSettings("nystrom", case.m, case.steps, case.own)
    options = settings.pinv_options()
    layer = _Doubles(q, k, v)
    maps, factors = attention_maps(layer, 0, settings), head_factors(layer, 0, settings)
    exact_output, output = softmax_attention(q, k, v)[0, 0], nystrom_attention(q, k, v, case.m, **options)[0, 0]
    sums = maps.landmark.sum(-1)
    landmarks = (segment_means(x, case.m)[0] for x in (q, k))
    kernel_2 = exact_map(*landmarks)
    c = kernel_2.sum(-2).amax(-1) * kernel_2.sum(-1).amax(-1)
    i, j = case.n // 2, case.n // 3
    row, column = divmod(int(maps.difference.abs().argmax()), case.n)
    return (
        case._asdict()
        | {
            "c": _plain(c[0, 0] if case.own else c.amax()),
            "frobenius": _plain(maps.difference.norm() / maps.exact.norm()),
            "output": _plain((output - exact_output).norm() / exact_output.norm()),
            "negative": int((maps.landmark < -1e-9).sum()),  # zeros come out as noise of either sign
            "row_sums": _plain(torch.stack([sums.min(), sums.max()])),
            "largest_difference": _plain(maps.difference[row, column]),
            "exact": _plain(_some(maps.exact)),
            "landmark": _plain(_some(maps.landmark)),
            "kernel_2_inv": _plain(_some(factors.kernel_2_inv)),
            "segments": factors.segments[:: max(1, case.n // 10)].tolist(),
            "recipe": _plain(torch.tensor(cell_recipe(factors, i, j)["term"][:4].tolist(), dtype=torch.float64)),
            "values": _plain(output[i, :3]),
        }
    )


class _Doubles(LayerInputs):
    """A layer whose texts stay in float64."""

    def text(self, row: int = 0) -> "LayerInputs":
        return self


def _some(matrix: torch.Tensor) -> torch.Tensor:
    """Up to seven entries, spread over the matrix."""
    flat = matrix.flatten()
    count = min(7, len(flat))
    return flat[[i * (len(flat) - 1) // max(1, count - 1) for i in range(count)]]


def _plain(x: torch.Tensor) -> Any:
    """Numbers of ten digits, as JSON holds them."""
    if x.dim():
        return [_plain(each) for each in x]
    return float(f"{float(x):.9g}")


def engine_golden() -> dict[str, Any]:
    sizes = {"heads": HEADS, "dim": DIM, "spread": SPREAD}
    return sizes | {"cases": [measured(case) for case in cases()], "refused": refused()}


def refused() -> list[dict[str, Any]]:
    """Calls that the package refuses, and in what words."""
    x = torch.ones(1, 1, 2, 2)
    calls = {
        "segment_means": [lambda m=m: segment_means(x, m) for m in (0, -3)],
        "iterative_pinv": [lambda: iterative_pinv(x, -1)],
        "cell_recipe": [lambda: cell_recipe(head_factors(LayerInputs(x, x, x), 0, AttentionSettings()), 2, 0)],
    }
    found = []
    for name, attempts in calls.items():
        for attempt in attempts:
            try:
                attempt()
            except ValueError as error:
                found.append({"call": name, "words": str(error)})
    return found


SIZES = (
    0,
    1e-12,
    2.88e-6,
    1e-5,
    9.996e-5,
    0.00012,
    0.0004,
    0.0009996,
    0.00125,
    0.0096,
    0.00996,
    0.0123,
    0.0495,
    0.0994,
)
SIZES += (
    0.0996,
    0.125,
    0.483,
    0.5,
    0.578,
    0.931,
    0.9949,
    0.9996,
    0.99996,
    1,
    1.5,
    2.5,
    3,
    9.995,
    59.96,
    90,
    999.4,
    999.6,
)
SIZES += (1023.9, 2048, 4850.4, 7200, 12345, 33333, 99950, 172800, 999499, 999500, 3 * 2**20, 2**31, 1.0995e12, 6.02e23)


def format_golden() -> dict[str, Any]:
    """What every function of `formatting` says."""
    signs = [-x for x in SIZES]
    shares = [x for x in SIZES if x <= 1]
    calls = [("number", x) for x in (*SIZES, *signs)] + [("percent", x) for x in (*shares, *(-x for x in shares))]
    calls += [(name, x) for name in ("duration", "memory", "factor", "distance") for x in SIZES]
    calls += [("as_probability", x) for x in shares] + [("weight", x) for x in (*SIZES[:36], *signs[:36])]
    calls += [("count", x) for x in (0, 0.5, 1.5, 999, 33000, -1234, 2**31)]
    said = [{"call": name, "args": [x], "text": getattr(formatting, name)(x)} for name, x in calls]
    for args in ((1, "token", "tokens"), (0, "token", "tokens"), (33000, "token", "tokens")):
        said.append({"call": "counted", "args": list(args), "text": formatting.counted(*args)})
    for x in (0.00004, -0.00004, 0.123456, -1234.5):
        said.append({"call": "decimal", "args": [x, 4], "text": formatting.decimal(x, 4)})
        said.append({"call": "decimal", "args": [x, 4, {"sign": True}], "text": formatting.decimal(x, 4, sign=True)})
        said.append({"call": "weight", "args": [x, {"sign": True}], "text": formatting.weight(x, sign=True)})
        said.append({"call": "number", "args": [x, {"sign": True}], "text": formatting.number(x, sign=True)})
    return {"said": said}


def words_golden() -> dict[str, Any]:
    """What the viewer says of head 0 of some cases, and where it says that the maps differ most."""
    said = []
    for case in [
        Case(kind, n, m, 6, True) for kind in ("random", "peaked") for n, m in ((5, 2), (60, 1), (60, 7), (5, 5))
    ]:
        q, k, v = inputs(case.kind, case.n)
        maps = attention_maps(_Doubles(q, k, v), 0, AttentionSettings("nystrom", case.m, case.steps, case.own))
        labels = [f"w{t}" if t % 7 else "↑" for t in range(case.n)]
        words = head_words(maps, 1, 0, case.m, labels)
        said.append(case._asdict() | {"labels": labels, "strongest": strongest_cell(maps), "words": words})
    return {"heads": HEADS, "dim": DIM, "spread": SPREAD, "said": said}


GOLDEN = {"engine": engine_golden, "format": format_golden, "words": words_golden}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in GOLDEN.items():
        (FOLDER / f"{name}.json").write_text(as_text(make()), encoding="utf-8")


def as_text(golden: dict[str, Any]) -> str:
    """JSON with a line for each case."""
    parts = []
    for name, value in golden.items():
        lines = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list):
            lines = "[\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {lines}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
